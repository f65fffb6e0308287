"""What ``matrix explore`` explores or repeats: cases, as the command line chooses them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from matrix.cli.steps import Steps as Saying
from matrix.errors import NothingSelected, UsageError
from matrix.explore.finding import Chosen
from matrix.explore.step import Steps
from matrix.explore.subject import why_not
from matrix.inventory import Inventory
from matrix.migration.folder import PrivateFolder
from matrix.plan.decisions import Run
from matrix.results.files import host_errors, shown
from matrix.results.printable import printable
from matrix.run.options import Selection
from matrix.run.prepare import prepare


def only_qemus(why: str, selection: Selection, others: str) -> None:
    """Refuse, with ``why``, what was chosen beside QEMUs. Raises UsageError."""
    if replace(selection, qemu=(), host=None, fresh=False) != Selection():
        raise UsageError(f"{why}; beside it only {others} are taken")


def selected(chosen: Chosen, given: Selection) -> Selection:
    """The selection of a finding; QEMUs that are given now come before those that it names."""
    names = {option.partition("=")[0] for option in given.qemu}
    recorded = [each for each in chosen.qemu if each.partition("=")[0] not in names]
    host = given.host or (Path(chosen.host) if chosen.host else None)
    return Selection(
        scenarios=(Path(chosen.scenario),),
        arch=chosen.arch,
        accel=chosen.accel,
        qemu=(*given.qemu, *recorded),
        build=chosen.build,
        set_axis=chosen.set_axis,
        host=host,
        fresh=given.fresh,
        include_all=True,
    )


def explorable(selection: Selection, case: str = "") -> tuple[list[Run], Inventory]:
    """The cases that can be explored here, or that one.

    Raises:
        UsageError, ScenarioError, SuiteError, HostError: as ``matrix run``, or no such case.
        NothingSelected: none can be explored.
    """
    prepared = prepare(replace(selection, include_all=True), Saying())
    decisions = [each for each in prepared.decisions if case in ("", each.case.id)]
    if not decisions:
        scenario = shown(selection.scenarios[0])
        raise UsageError(
            f"{scenario} has no case {printable(case)}; matrix list {scenario} shows those it has"
        )
    running = [each for each in decisions if isinstance(each, Run)]
    kept = [each for each in running if not why_not(each)]
    if kept:
        return kept, prepared.inventory
    reasons = [why_not(each) for each in running]
    reasons += [each.reason for each in decisions if not isinstance(each, Run)]
    raise NothingSelected(f"no case can be explored: {'; '.join(dict.fromkeys(reasons))}")


@contextmanager
def temporary() -> Iterator[Path]:
    """A folder for as long as the body takes; one that a killed exploration has left is removed.

    Raises:
        HostError: it cannot be made.
    """
    with host_errors("create", Path(tempfile.gettempdir())):
        folder = PrivateFolder.make("matrix-explore-", sockets=False)
    try:
        yield folder.path
    finally:
        folder.remove()


def sequence(steps: Steps) -> list[str]:
    """A sequence as lines of text."""
    return [printable(f"  {number}. {step}") for number, step in enumerate(steps, 1)]
