"""A run as a trace: Trace Event JSON, which Perfetto and Chromium's ``about:tracing`` open.

A host is a process of the trace, and each of its jobs a thread in it, on which the attempts are
slices. In an attempt lie its hops, and in a hop its phases, by what the source's QEMU said of its
state; what else happened (``STOP``, ``RESUME``, faults) are instants. What is left to send is a
counter. The format is Chromium's "Trace Event Format".
"""

from collections.abc import Iterator
from typing import Any

from matrix.migrating import Hop
from matrix.migration.folding import HOPS_FILE, hop_lines, hop_of
from matrix.results.files import open_regular
from matrix.results.printable import printable
from matrix.results.run_record import RunRecord
from matrix.results.timeline import Lap, timeline
from matrix.verdicts import Verdict

MICRO = 1e6
MOST_HOPS = 10_000
"""Of an attempt; a soak has more, and a viewer shows no more of use."""
COLOURS = {
    Verdict.PASS: "good",
    Verdict.XFAIL: "grey",
    Verdict.SKIP: "grey",
    Verdict.XPASS: "bad",
    Verdict.FLAKY: "bad",
}
"""By the names of colours that the format has; ``terrible`` for every other verdict."""
STATE = "MIGRATION "
"""Begin of events of QEMU that name its migration's state."""

Event = dict[str, Any]


def trace_document(record: RunRecord) -> dict[str, Any]:
    """The trace of all finished attempts; its times begin with the first.

    Raises:
        HostError: the journal cannot be read.
    """
    laps = timeline(record)
    origin = min((lap.begin for lap in laps), default=0.0)
    return {
        "displayTimeUnit": "ms",
        "otherData": {
            "run": printable(str(record.given)),
            "started": record.info.started,
            "tool": f"qemu-matrix {record.info.tool_version}",
        },
        "traceEvents": [*_tracks(record, laps), *_slices(record, laps, origin)],
    }


def _tracks(record: RunRecord, laps: list[Lap]) -> Iterator[Event]:
    """The names of hosts and jobs."""
    jobs = dict.fromkeys((lap.host, lap.job) for lap in laps)
    for host, number in _processes(laps).items():
        own = printable(record.info.hostname) if host == "local" else ""
        name = f"{printable(host)} ({own})" if own else printable(host)
        yield {"ph": "M", "name": "process_name", "pid": number, "args": {"name": name}}
        for each, job in sorted(jobs):
            if each == host:
                known = {"ph": "M", "pid": number, "tid": job}
                yield {**known, "name": "thread_name", "args": {"name": f"job {job}"}}
                yield {**known, "name": "thread_sort_index", "args": {"sort_index": job}}


def _processes(laps: list[Lap]) -> dict[str, int]:
    hosts = dict.fromkeys(lap.host for lap in laps)
    return {host: number for number, host in enumerate(hosts, start=1)}


def _slices(record: RunRecord, laps: list[Lap], origin: float) -> Iterator[Event]:
    processes = _processes(laps)
    of_case: dict[str, list[Lap]] = {}
    for lap in laps:
        of_case.setdefault(lap.case, []).append(lap)
    for result in record.results(of_case):
        attempts = {each.number: each for each in result.attempts}
        for lap in of_case[result.id]:
            attempt = attempts.get(lap.attempt)
            if attempt is None:
                continue
            track = {"pid": processes[lap.host], "tid": lap.job}
            yield {
                **_slice(printable(result.id), lap.begin, lap.end, origin),
                **track,
                "cat": attempt.verdict.value,
                "cname": COLOURS.get(attempt.verdict, "terrible"),
                "args": {
                    "verdict": attempt.verdict.value,
                    "reason": printable(attempt.reason),
                    "attempt": lap.attempt,
                    "accelerator": attempt.accelerator,
                    "guest seconds": round(attempt.seconds, 3),
                },
            }
            for hop in hops_in(record, attempt.artifacts):
                for event in _hop(hop, lap, origin):
                    yield {**event, **track}


def hops_in(record: RunRecord, artifacts: str) -> Iterator[Hop]:
    """The hops that an attempt left in its folder, at most :data:`MOST_HOPS`."""
    folder = record.run.inside(artifacts)
    if folder is None or not (folder / HOPS_FILE).is_file():
        return
    with open_regular(folder / HOPS_FILE) as file:
        for number, line in enumerate(hop_lines(file)):
            if number == MOST_HOPS:
                return
            if hop := hop_of(line.data):
                yield hop


def _hop(hop: Hop, lap: Lap, origin: float) -> Iterator[Event]:
    """A hop, its phases and its instants, inside of its attempt."""
    begin, end = hop_times(hop, lap)
    numbers = {
        "outcome": hop.outcome.value,
        "source": printable(hop.source),
        "destination": printable(hop.destination),
        "downtime ms": _milliseconds(hop.downtime),
        "total ms": _milliseconds(hop.total_time),
        "transferred": hop.transferred,
        "reason": printable(hop.reason),
    }
    yield {
        **_slice(f"hop {hop.number} {hop.strategy} {hop.transport}", begin, end, origin),
        "cat": "hop",
        "args": {name: value for name, value in numbers.items() if value not in (None, "")},
    }
    for state, at, until in phases_of(hop, begin, end):
        yield {**_slice(printable(state), at, until, origin), "cat": "phase", "args": {}}
    for each in hop.events:
        if not each.what.startswith(STATE):
            at = min(begin + max(each.at, 0), end)
            name = printable(f"{each.side}: {each.what}")
            yield {"ph": "i", "s": "t", "name": name, "ts": round((at - origin) * MICRO)}
    for sample in hop.samples:
        at = min(begin + max(sample.at, 0), end)
        yield {
            "ph": "C",
            "name": printable(f"left to send: {lap.case}"),
            "ts": round((at - origin) * MICRO),
            "args": {"bytes": sample.remaining},
        }


def hop_times(hop: Hop, lap: Lap) -> tuple[float, float]:
    """Begin and end of a hop, within its attempt."""
    begin = min(max(hop.begun, lap.begin), lap.end)
    return begin, min(begin + hop.seconds, lap.end)


def phases_of(hop: Hop, begin: float, end: float) -> Iterator[tuple[str, float, float]]:
    """(state, begin, end) by what the source's QEMU said of its migration."""
    states = [
        (min(begin + max(each.at, 0), end), each.what.removeprefix(STATE))
        for each in hop.events
        if each.side == "source" and each.what.startswith(STATE)
    ]
    ends = [*(at for at, _ in states[1:]), end]
    for (at, state), until in zip(states, ends, strict=True):
        yield state, at, max(at, until)


def _slice(name: str, begin: float, end: float, origin: float) -> Event:
    """A complete event: microseconds since the begin of the trace."""
    start = round((begin - origin) * MICRO)
    return {"ph": "X", "name": name, "ts": start, "dur": round((end - origin) * MICRO) - start}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
