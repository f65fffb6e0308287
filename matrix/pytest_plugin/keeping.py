"""The run directory that a pytest session leaves: complete, as ``matrix run`` would have made it.

Each case comes as JSON, because workers of pytest-xdist are other processes. What guests said is on
disk when a case has ended; the run's own files are written at the end of the session.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from matrix.attempt import Attempt
from matrix.errors import MatrixError
from matrix.plan.decisions import Broken, Decision, Run, Skip
from matrix.results.directory import RunDirectory
from matrix.results.files import host_errors
from matrix.results.history.place import DATABASE_VARIABLE, chosen_database
from matrix.results.history.writer import record_run
from matrix.results.journal import EventName, Journal
from matrix.results.json_text import json_bytes
from matrix.results.plan_file import write_plan
from matrix.results.recorder import Recorder
from matrix.results.run_info import RunInfo, utc_now, write_run_info
from matrix.results.run_record import RunRecord, load_run


@dataclass(frozen=True, slots=True)
class Closing:
    """What a session says of itself."""

    arguments: tuple[str, ...]
    """As typed."""
    seconds: float
    """How long it took."""
    strict: bool
    """Whether an unexpected pass is a failure."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A decision and what came of it."""

    decision: Run | Broken | Skip
    """In this order: of kinds that fit, pydantic takes the one with most of the fields, else the
    first, and what is Broken fits a Skip without its cause."""
    attempts: tuple[Attempt, ...]
    ended: str
    """UTC, ISO 8601."""
    news: tuple[RunInfo, ...]
    """What its process had learnt of the host before it."""


@dataclass(slots=True)
class _Clock:
    """Gives the journal the times at which things happened, which is before they are written."""

    time: str

    def now(self) -> str:
        return self.time


def case_text(decision: Decision, attempts: Sequence[Attempt], news: tuple[RunInfo, ...]) -> str:
    """A case that has ended now as JSON.

    Args:
        decision: of the plan.
        attempts: that were made of it.
        news: what :meth:`.plugin_session.MatrixSession.news` gave; the first case of
            a process has some.
    """
    return json_bytes(_Kept(decision, tuple(attempts), utc_now(), news)).decode()


def write_run(path: Path, cases: Iterable[str], closing: Closing) -> tuple[str, ...]:
    """Write what makes the session's folder a run directory.

    Args:
        path: of the folder.
        cases: what :func:`case_text` gave, one at least, in the order in which they ended. Of a
            case that was run again, by a plugin that does so, the last one counts.
        closing: what the session says of itself.

    Returns:
        What scenarios require to run and did not, in sentences.

    Raises:
        HostError: it cannot be written.
    """
    everything = [_adapter().validate_json(case) for case in cases]
    kept = {each.decision.case.id: each for each in everything}
    run = RunDirectory(path)
    with host_errors("create", path):
        (path / "cases").mkdir(parents=True, exist_ok=True)
    info = _merged([info for each in everything for info in each.news], closing)
    decisions = [each.decision for each in kept.values()]
    info = replace(info, plan_sha256=write_plan(run, decisions))
    record = RunRecord(run, info, decisions)
    record.elapsed = closing.seconds
    clock = _Clock(info.started)
    with Journal(run.journal_path, clock.now) as journal:
        write_run_info(run.info_path, info)
        journal.append({"event": EventName.RUN_STARTED, "cases": len(decisions)})
        recorder = Recorder(record, journal)
        for each in kept.values():
            clock.time = each.ended
            for attempt in each.attempts:
                recorder.finish(each.decision.case, attempt)
        clock.time = utc_now()
        recorder.end()
    return record.shortfalls()


def record(path: Path) -> str:
    """Record a run in the user's history; why it is not there, or nothing. Nothing is raised for
    it: the session itself is unharmed."""
    try:
        database = chosen_database(None)
        if database is None:
            return f"{DATABASE_VARIABLE} is empty"
        record_run(database, load_run(path))
    except MatrixError as error:
        return str(error)
    return ""


def _merged(infos: Sequence[RunInfo], closing: Closing) -> RunInfo:
    """What the processes found: each has the scenarios that it read, and all see one host."""
    first = min(infos, key=lambda info: info.started)
    return replace(
        first,
        scenarios=tuple(dict.fromkeys(each for info in infos for each in info.scenarios)),
        binaries=tuple(dict.fromkeys(each for info in infos for each in info.binaries)),
        proofs=tuple(dict.fromkeys(each for info in infos for each in info.proofs)),
        arguments=closing.arguments,
        options={"strict": closing.strict},
    )


@cache
def _adapter() -> TypeAdapter[_Kept]:
    return TypeAdapter(_Kept)
