"""The course of a run: a row for each job of each host, with its cases one after another."""

from collections.abc import Sequence
from dataclasses import dataclass

from matrix.results.printable import printable
from matrix.results.run_record import RunRecord
from matrix.results.summary_text import duration
from matrix.results.timeline import Lap, timeline
from matrix.verdicts import Verdict

WIDTH = 1000.0
"""Units of a row; a case is at least one wide, so that it is seen."""
MOST_CASES = 2000
"""Of a run: a longer one is for ``matrix report --trace``."""
MOST_ROWS = 64


@dataclass(frozen=True, slots=True)
class Bar:
    """An attempt of a case."""

    begin: float
    """In units, as ``width``."""
    width: float
    case: str
    """Its id, printable."""
    verdict: str
    about: str
    """In words: id, verdict, time."""
    critical: bool
    """Whether the run waited for it: it is of the critical path."""


@dataclass(frozen=True, slots=True)
class Gantt:
    """All rows of a run."""

    rows: tuple[tuple[str, tuple[Bar, ...]], ...]
    """(host and job, its cases in order)."""
    seconds: float
    """From the begin of the first case to the end of the last."""
    path: str
    """The critical path in words: how many cases, the longest, and what ended last."""


def gantt_of(record: RunRecord) -> Gantt | None:
    """The course of a run; None where fewer than two cases ran, or too many.

    Raises:
        HostError: the journal cannot be read.
    """
    if not 2 <= len(record.decisions) <= MOST_CASES:
        return None
    laps = timeline(record)
    if len(laps) < 2:
        return None
    begin, end = min(lap.begin for lap in laps), max(lap.end for lap in laps)
    path = critical_path(laps)
    critical = set(path)
    rows: dict[tuple[str, int], list[Bar]] = {}
    for lap in laps:
        bar = _bar(record, lap, begin, end - begin, critical=lap in critical)
        rows.setdefault((lap.host, lap.job), []).append(bar)
    several = len({host for host, _ in rows}) > 1
    named = [
        (printable(f"{host} {job}" if several else f"job {job}"), tuple(rows[host, job]))
        for host, job in sorted(rows)
    ]
    return Gantt(tuple(named[:MOST_ROWS]), end - begin, _path_words(path))


def critical_path(laps: Sequence[Lap]) -> list[Lap]:
    """What ended last, and each time what ended last before that began, the first one first: had
    one of them been faster, something that it made room for could have begun earlier."""
    ordered = sorted(laps, key=lambda lap: lap.end)
    path = [ordered.pop()]
    while ordered:
        lap = ordered.pop()
        if lap.end <= path[-1].begin:
            path.append(lap)
    return path[::-1]


def _bar(record: RunRecord, lap: Lap, begin: float, seconds: float, *, critical: bool) -> Bar:
    scale = WIDTH / seconds if seconds else 0.0
    verdict = record.attempt_verdict(lap.case, lap.attempt) or Verdict.ERROR
    left = min((lap.begin - begin) * scale, WIDTH - 1)
    attempt = f" attempt {lap.attempt}" if lap.attempt > 1 else ""
    name = printable(lap.case)
    return Bar(
        begin=round(left, 2),
        width=round(min(max((lap.end - lap.begin) * scale, 1.0), WIDTH - left), 2),
        case=name,
        verdict=verdict.value,
        about=f"{name}{attempt}: {verdict.value}, {duration(lap.end - lap.begin)}",
        critical=critical,
    )


def _path_words(path: Sequence[Lap]) -> str:
    last, longest = path[-1], max(path, key=lambda lap: lap.end - lap.begin)
    took = duration(longest.end - longest.begin)
    cases = f"{len(path):,} case{'' if len(path) == 1 else 's'}"
    words = f"{cases} one after another, the longest {printable(longest.case)}, {took}"
    if longest is not last:
        words += f"; {printable(last.case)} ended last"
    return words
