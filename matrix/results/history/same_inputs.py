"""What cases came to before with the inputs that they have now, as far as the history knows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import from_json

from matrix.results.case_record import CaseRecord, parsed
from matrix.results.history.connection import Session, listed
from matrix.results.history.database import opened
from matrix.results.history.place import Database
from matrix.results.history.records import outcome
from matrix.verdicts import KNOWABLE, Verdict

PATIENCE = 0.5
"""Seconds to wait for another run that is writing."""
MOST_NAMES = 400
"""In one query: some builds of SQLite take 999 parameters."""

_SAME = """
SELECT case_id, input_digest, started, directory, scenario, suite, test, axes, accelerator,
    suite_revision, planned, verdict, results.seconds, record
FROM results JOIN runs ON runs.id = run JOIN cases ON cases.id = "case"
    JOIN environments ON environments.id = environment
"""
_IDENTITY = ("id", "scenario", "suite", "test")
_BAD = {Verdict.FLAKY, *KNOWABLE}
"""What a case that also passes with the same inputs is flaky by; an error is its host's."""


@dataclass(frozen=True, slots=True)
class Before:
    """A case in a recorded run in which it had the same inputs."""

    started: str
    directory: Path
    """Of the run, where it was."""
    record: CaseRecord


def same_inputs(
    database: Database, digests: Mapping[str, str], *, failed: bool = False
) -> dict[str, tuple[Before, ...]]:
    """By case, its results in runs in which it had these inputs; the latest first.

    Args:
        database: the history.
        digests: of the inputs, by the ids of the cases.
        failed: only results that did not pass, for :func:`failed_before`.

    Raises:
        UsageError: there is no history yet, or its URL is wrong.
        HostError: it cannot be used.
    """
    found: dict[str, list[Before]] = {}
    wanted = sorted(set(digests.values()))
    with opened(database, patience=PATIENCE) as session:
        for begin in range(0, len(wanted), MOST_NAMES):
            names = wanted[begin : begin + MOST_NAMES]
            for case_id, digest, before in _read(session, names, failed=failed):
                if digests.get(case_id) == digest:
                    found.setdefault(case_id, []).append(before)
    return {
        case_id: tuple(sorted(each, key=lambda one: one.started, reverse=True))
        for case_id, each in found.items()
    }


def failed_before(before: Sequence[Before]) -> Before | None:
    """The latest result that did not pass, of a case that is flaky if it also passes."""
    return next((each for each in before if each.record.verdict in _BAD), None)


def _read(
    session: Session, digests: Sequence[str], *, failed: bool
) -> Iterator[tuple[str, str, Before]]:
    names, values = listed(digests)
    for row in session.read(f"{_SAME} WHERE input_digest IN ({names})", values):
        if failed and row[11] not in _BAD:
            continue  # reading a record takes longer than all the rest
        case_id, digest, started, directory, *identity, axes, accelerator, revision = row[:10]
        planned, verdict, seconds, record = row[10:]
        plain = {
            **dict(zip(_IDENTITY, (case_id, *identity), strict=True)),
            "axes": from_json(axes) or {},
            "accelerator": accelerator,
            "suite_revision": revision,
            **from_json(planned),
            **outcome(verdict, seconds, record),
        }
        yield case_id, digest, Before(started, Path(directory), parsed(plain))
