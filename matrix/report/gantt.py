"""The course of a run: a row for each job of each host, with its cases one after another."""

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


@dataclass(frozen=True, slots=True)
class Gantt:
    """All rows of a run."""

    rows: tuple[tuple[str, tuple[Bar, ...]], ...]
    """(host and job, its cases in order)."""
    seconds: float
    """From the begin of the first case to the end of the last."""
    last: str
    """What ended last, in words: it and the cases before it on its job are what the run waited
    for."""


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
    rows: dict[tuple[str, int], list[Bar]] = {}
    for lap in laps:
        rows.setdefault((lap.host, lap.job), []).append(_bar(record, lap, begin, end - begin))
    several = len({host for host, _ in rows}) > 1
    named = [
        (printable(f"{host} {job}" if several else f"job {job}"), tuple(rows[host, job]))
        for host, job in sorted(rows)
    ]
    return Gantt(tuple(named[:MOST_ROWS]), end - begin, _last(laps))


def _bar(record: RunRecord, lap: Lap, begin: float, seconds: float) -> Bar:
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
    )


def _last(laps: list[Lap]) -> str:
    last = max(laps, key=lambda lap: lap.end)
    before = [lap for lap in laps if (lap.host, lap.job) == (last.host, last.job)]
    longest = max(before, key=lambda lap: lap.end - lap.begin)
    words = f"{printable(last.case)} ended last, after {duration(last.end - last.begin)}"
    if longest is not last:
        took = duration(longest.end - longest.begin)
        words += f"; the longest on its job was {printable(longest.case)}, {took}"
    return words
