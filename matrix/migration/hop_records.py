"""Records of hops: hops.jsonl as they happen, one line each, and what they come to at the end."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from matrix.migrating import Fault, Hop, HopOutcome, Limits, Migration, MigrationSummary
from matrix.migration.downtime import device_times
from matrix.migration.folding import (
    FOLDED_AT,
    FOLDED_AT_BYTES,
    HOP,
    HOPS_FILE,
    Folded,
    fold,
    folded_of,
    hop_lines,
    hop_of,
)
from matrix.migration.live_hop import HopEnd, LiveHop
from matrix.migration.proof import Evidence
from matrix.migration.samples import Sampler, number, ram_of, whole
from matrix.migration.statistics import Statistics
from matrix.vm.console import write_all

SUMMARY_FILE = "migration.json"
LONGEST_PAUSE = 20.0
"""Seconds between two hops that count as work of a chain: more is time in which it was dead."""
MILLISECOND = 1e-3
ROUNDING = 0.1
"""Seconds by which QEMU's clock and ours may differ on how long something took."""
MEGABIT = 1e6 / 8

Rate = TypeVar("Rate", int, float)


def hop_record(
    hop: LiveHop,
    end: HopEnd,
    sampler: Sampler,
    evidence: Evidence | None,
    *,
    fault: Fault | None,
    why_bad: str,
) -> Hop:
    """The record of a hop that is over: what was sampled meanwhile, what the guest's proof says of
    it, what was done to it, and why that is not what had to follow (empty where it is)."""
    ram = ram_of(end.information)
    page = whole(ram.get("page-size"))
    step, suspended = hop.note_steps()
    completed = end.outcome is HopOutcome.COMPLETED
    devices, untraced = device_times(hop.source, hop.destination, completed=completed)
    return Hop(
        number=hop.number,
        begun=round(hop.begun, 6),
        strategy=hop.strategy,
        transport=hop.transport.value if hop.transport is not None else "file",
        source=hop.source.label,
        destination=hop.destination.label,
        outcome=end.outcome,
        good=not why_bad,
        machine=hop.machine,
        fault=fault,
        reason=why_bad or end.reason,
        seconds=round(end.seconds, 6),
        total_time=_milliseconds(end.information, "total-time"),
        setup_time=_milliseconds(end.information, "setup-time"),
        downtime=_downtime(end, sampler.postcopy_downtime, in_postcopy=hop.source.in_postcopy),
        stop_to_resume=_rounded(end.stop_to_resume),
        clock_bound=_rounded(end.clock_bound) if end.clock_bound else None,
        clock_step=step,
        suspended=suspended,
        transferred=whole(ram.get("transferred")) if ram else None,
        passes=whole(ram.get("dirty-sync-count")) if ram else None,
        dirty_rate=max((taken.dirty_rate for taken in sampler.samples), default=0)
        or measured(whole(ram.get("dirty-pages-rate")) * page),
        throughput=measured(number(ram.get("mbps")) * MEGABIT),
        throttle=sampler.throttle if sampler.samples else None,
        events=tuple(hop.events),
        samples=tuple(sampler.samples),
        devices=devices,
        untraced=untraced,
        **_proven(evidence),
    )


def _proven(evidence: Evidence | None) -> dict[str, Any]:
    """The attributes of a hop that the guest's proof tells of."""
    if evidence is None:
        return {}
    return {
        "blackout": _rounded(evidence.blackout),
        "silence": _rounded(evidence.silence),
        "clock_jump": _rounded(evidence.clock_jump),
        "requests": evidence.requests,
        "in_flight": evidence.in_flight,
    }


def measured(rate: Rate) -> Rate | None:
    """A rate that QEMU tells; None for 0, which it tells until it has measured one: the dirty rate
    after a second (``migration_update_rates`` in migration/ram.c), the throughput at the end at the
    latest (``migration_calculate_complete`` in migration/migration.c)."""
    return rate or None


@dataclass(slots=True)
class Earlier:
    """What a chain had done before it was killed."""

    hops: int = 0
    last_number: int = 0
    seconds: float = 0.0
    """Wall time that it was at work, as far as its hops tell."""


class Records:
    """Writes hops.jsonl and folds the hops into a summary, in bounded memory and disk space."""

    def __init__(self, directory: Path, seed: int, limits: Limits) -> None:
        self._path = directory / HOPS_FILE
        self._seed = seed
        self._statistics = Statistics(limits)
        self._file = -1
        self._ended = 0.0
        """Unix time at which the last hop was over."""
        self._limits = limits
        self._begun = time.monotonic()
        self._earlier = Earlier()
        self._lines = self._bytes = 0
        """Of the file since it was folded."""

    def resume(self, path: Path) -> Earlier:
        """Go on where a killed chain of the same case has stopped, whose hops.jsonl is ``path``.

        The file is moved, so that there is no second copy, and its hops count; a last line that was
        cut is left out.

        Raises:
            OSError: it cannot be read, or not be moved.
            ValueError: it is no hops.jsonl.
        """
        earlier = self._earlier
        statistics, seconds, ended = read_statistics(path, self._limits)
        for hop in read_hops(path):
            earlier.last_number = max(earlier.last_number, hop.number)
            self._lines += 1
        earlier.hops, earlier.seconds = statistics.hops, seconds
        self._statistics, self._ended = statistics, ended
        path.replace(self._path)
        self._open()
        with self._path.open("rb+") as file:
            data = file.read()
            file.truncate(data.rfind(b"\n") + 1)
            self._bytes = len(data)
        return earlier

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self._path, flags, 0o600)

    def add(self, hop: Hop) -> None:
        """Write down a hop.

        Raises:
            OSError: the host cannot store it.
        """
        if self._file < 0:
            self._open()
        line = HOP.dump_json(hop, exclude_none=True, exclude_defaults=True)
        write_all(self._file, line + b"\n", self._path)
        self._statistics.add(hop)
        self._ended = hop.begun + hop.seconds
        self._lines += 1
        self._bytes += len(line) + 1
        if self._lines >= FOLDED_AT or self._bytes >= FOLDED_AT_BYTES:
            self._fold(hop.number)

    def _fold(self, upto: int) -> None:
        os.close(self._file)
        self._file = -1
        seconds = self._earlier.seconds + time.monotonic() - self._begun
        folded = Folded(upto, seconds, self._ended, self._statistics.state())
        self._lines, self._bytes = fold(self._path, self._statistics, folded)
        self._open()

    def summary(self) -> MigrationSummary:
        """What the hops have come to so far."""
        seconds = self._earlier.seconds + time.monotonic() - self._begun
        return self._statistics.summary(self._seed, seconds)

    def close(self) -> MigrationSummary:
        """Close the file; the summary of all hops."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        return self.summary()


def write_summary(directory: Path, migration: Migration, summary: MigrationSummary) -> None:
    """Write migration.json: what was asked for (``migration``) and what came of it (``summary``).

    Raises:
        OSError: it cannot be written.
    """
    path = directory / SUMMARY_FILE
    text = json.dumps(
        {"migration": asdict(migration), "summary": asdict(summary)}, indent=2, allow_nan=False
    )
    path.write_text(text + "\n")


def read_hops(path: Path) -> Iterator[Hop]:
    """The hops of a hops.jsonl, in order, one at a time.

    A last line that is cut short, because its writer was killed, is left out. Of many hops only
    those are there that were not folded (:mod:`.folding`).

    Raises:
        OSError: it cannot be read.
        ValueError: a line is no hop.
    """
    with path.open("rb") as file:
        for line in hop_lines(file):
            if line.data and not line.data.endswith(b"\n"):
                return
            hop = hop_of(line.data)
            if hop is None:
                raise ValueError(f"{path}:{line.number}: no record of a hop")
            yield hop


def read_statistics(path: Path, limits: Limits) -> tuple[Statistics, float, float]:
    """What all hops of a hops.jsonl come to, also those that were folded; the seconds that the
    chain was at work, and the Unix time at which the last hop was over.

    Raises:
        OSError, ValueError: as :func:`read_hops`.
    """
    with path.open("rb") as file:
        folded = folded_of(file)
    statistics, upto, seconds, ended = Statistics(limits), 0, -LONGEST_PAUSE, 0.0
    if folded is not None:
        statistics = Statistics.restored(limits, folded.statistics)
        upto, seconds, ended = folded.upto, folded.seconds, folded.ended
    for hop in read_hops(path):
        if hop.number <= upto:
            continue
        statistics.add(hop)
        # Between two hops it may have been dead for any time.
        seconds += hop.seconds + min(max(hop.begun - ended, 0.0), LONGEST_PAUSE)
        ended = hop.begun + hop.seconds
    return statistics, max(seconds, 0.0), ended


def _downtime(end: HopEnd, said: float | None, *, in_postcopy: bool) -> float | None:
    """QEMU's downtime, unless it cannot be; ``said``: what it was in postcopy, where it was told.

    One of postcopy that rounds to 0 ms, or that QEMU 11.1 has not set, is set anew at the end
    (``migration_downtime_end`` in migration/migration.c): to the length of the whole postcopy phase
    or, before 8.2, which never notes when it begins, to the host's uptime. What 10.0 and 11.1 say
    while they are in postcopy is right.
    """
    value = _milliseconds(end.information, "downtime")
    if value is None:
        return None
    if not in_postcopy:
        return None if value > end.seconds + ROUNDING else value
    if said is not None:
        return round(said, 6)
    measured_gap = end.stop_to_resume
    longest = end.seconds if measured_gap is None else measured_gap + end.clock_bound
    return 0.0 if value > longest + ROUNDING else value


def _milliseconds(information: dict[str, Any], name: str) -> float | None:
    value = information.get(name)
    return round(number(value) * MILLISECOND, 6) if isinstance(value, int | float) else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
