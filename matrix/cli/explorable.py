"""What ``matrix explore`` explores or repeats: cases, as the command line chooses them."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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

NAMED = 3
"""Cases that are left out for one reason, as far as they are named; of the others their number."""


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


@dataclass(frozen=True, slots=True)
class Explorable:
    """Cases that can be explored."""

    decisions: list[Run]
    inventory: Inventory
    left_out: tuple[str, ...]
    """Those that cannot, by reason: ``CASE, CASE: why``."""


def explorable(selection: Selection, case: str = "") -> Explorable:
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
    kept, left_out = list[Run](), dict[str, list[str]]()
    for each in decisions:
        if why := why_not(each) if isinstance(each, Run) else each.reason:
            left_out.setdefault(why, []).append(each.case.id)
        elif isinstance(each, Run):
            kept.append(each)
    if not kept:
        raise NothingSelected(f"no case can be explored: {'; '.join(left_out)}")
    named = tuple(f"{_some(cases)}: {why}" for why, cases in left_out.items())
    return Explorable(kept, prepared.inventory, named)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


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
