"""A run over a fleet: its hosts join before it is planned, and again when it is resumed."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from matrix.errors import UsageError
from matrix.hosts.fleet.fleet_host import FleetHost
from matrix.hosts.fleet.joining import Joined, join_fleet
from matrix.hosts.fleet.messages import Look
from matrix.hosts.interface import Host
from matrix.hosts.wanted import files_wanted_by, wanted_by
from matrix.model import Case
from matrix.plan.decisions import Decision, Run
from matrix.run.options import Selection
from matrix.scenario.scenario import Scenario

MOST_NOTES = 10
"""How many are told before a run."""


def join(
    selection: Selection,
    scenarios: Sequence[Scenario],
    cases: Sequence[Case],
    names: Collection[str],
    on_word: Callable[[str], None],
) -> Joined:
    """The fleet of a new run, as far as its hosts have one of ``names``.

    Raises:
        UsageError: the run needs this machine.
        HostError, FleetFileError: as :func:`matrix.hosts.fleet.joining.join_fleet`.
    """
    assert selection.fleet is not None  # noqa: S101 - who calls has looked
    if selection.virtual_host or any(scenario.hosts for scenario in scenarios):
        raise UsageError("virtual hosts are guests of this machine: leave --fleet out")
    look = _look(cases, fresh=selection.fresh)
    return join_fleet(selection.fleet, look, on_word=on_word, only=names)


def join_again(
    kept: Mapping[str, object], cases: Sequence[Case], on_word: Callable[[str], None]
) -> Joined:
    """The fleet of a run that is resumed, of which :func:`kept_fleet` was kept.

    Raises:
        UsageError, HostError, FleetFileError: as :func:`matrix.hosts.fleet.joining.join_fleet`.
    """
    return join_fleet(Path(str(kept["file"])), _look(cases), str(kept["run"]), on_word=on_word)


def with_jobs(hosts: Sequence[Host], jobs: int | None, workers: int | None) -> Sequence[Host]:
    """``hosts``, those of a fleet with ``-j`` in place of what they and the fleet file say.

    Raises:
        UsageError: there are to be local workers, too.
    """
    if workers is not None:
        raise UsageError("--workers are processes of this machine: leave it or --fleet out")
    return [
        replace(host, capacity=replace(host.capacity, jobs=jobs))
        if isinstance(host, FleetHost) and jobs is not None
        else host
        for host in hosts
    ]


def plan_notes(decisions: Iterable[Decision]) -> Iterator[str]:
    """What the plan says of cases on their hosts, once each: names that are other QEMUs there, and
    what guests between hosts do without."""
    runs = (each for each in decisions if isinstance(each, Run))
    found = dict.fromkeys(chain.from_iterable(run.notes for run in runs))
    yield from islice(found, MOST_NOTES)
    if len(found) > MOST_NOTES:
        yield f"… and more: {len(found) - MOST_NOTES} notes, in the run's plan.jsonl"


def kept_fleet(path: Path, joined: Joined) -> dict[str, object]:
    """What ``run.json`` keeps, so that the run can be resumed on the same fleet."""
    return {"file": str(path.absolute()), "run": joined.run}


def _look(cases: Sequence[Case], *, fresh: bool = False) -> Look:
    """What a host is asked of itself for these cases."""
    return Look(wanted_by(cases), files_wanted_by(cases), fresh)
