"""When each attempt of a run was under way, and beside which others, from its journal."""

import heapq
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from matrix.attempt import Attempt
from matrix.plan.decisions import LOCAL
from matrix.results.journal import EventName, replay
from matrix.results.run_record import RunRecord

HANDOVER = 0.1
"""Seconds by which an attempt may seem to outlast the begin of the next one on its job: its end is
written once it is judged, when its place is free already. Of a shorter one half its time."""


@dataclass(frozen=True, slots=True)
class Lap:
    """One attempt's time."""

    case: str
    attempt: int
    begin: float
    """Unix time, as ``end``."""
    end: float
    host: str
    job: int
    """From 1: on its host no other attempt with that number ran meanwhile."""


def timeline(record: RunRecord) -> list[Lap]:
    """The finished attempts, in the order in which they were begun.

    Raises:
        HostError: the journal cannot be read.
    """
    begun: dict[tuple[str, int], float] = {}
    laps: list[tuple[float, float, str, int, str]] = []
    for entry in replay(record.run.journal_path):
        event = entry.event
        at = _time(event)
        if event["event"] in (EventName.RUN_STARTED, EventName.RUN_RESUMED):
            begun.clear()  # those that ran when it was killed run again
        elif at is not None and event["event"] == EventName.ATTEMPT_STARTED:
            begun[str(event.get("case")), _number(event.get("attempt"))] = at
        elif at is not None and event["event"] == EventName.ATTEMPT_FINISHED:
            case, (number, host) = str(event.get("case")), _ended(event.get("attempt"))
            since = begun.pop((case, number), None)
            if since is not None:
                laps.append((since, max(at, since), case, number, host or LOCAL))
    laps.sort()
    return _with_jobs(laps)


def _with_jobs(laps: list[tuple[float, float, str, int, str]]) -> list[Lap]:
    found: list[Lap] = []
    free: dict[str, list[int]] = {}
    busy: dict[str, list[tuple[float, int]]] = {}
    latest: dict[tuple[str, int], int] = {}
    for begin, end, case, number, host in laps:
        waiting, running = free.setdefault(host, []), busy.setdefault(host, [])
        while running and running[0][0] <= begin:
            heapq.heappush(waiting, heapq.heappop(running)[1])
        job = heapq.heappop(waiting) if waiting else len(running) + 1
        heapq.heappush(running, (end - min(HANDOVER, (end - begin) / 2), job))
        if (before := latest.get((host, job))) is not None and found[before].end > begin:
            found[before] = replace(found[before], end=begin)
        latest[host, job] = len(found)
        found.append(Lap(case, number, begin, end, host, job))
    return found


def _ended(attempt: object) -> tuple[int, str]:
    """Number and host of an attempt, which is a mapping where somebody else wrote the line."""
    if isinstance(attempt, Attempt):
        return attempt.number, attempt.host
    known = attempt if isinstance(attempt, dict) else {}
    return _number(known.get("number")), str(known.get("host") or "")


def _time(event: dict[str, Any]) -> float | None:
    try:
        found = datetime.fromisoformat(str(event.get("time")))
    except ValueError:
        return None
    return None if found.tzinfo is None else found.timestamp()


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
