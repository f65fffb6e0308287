"""Records of hops: hops.jsonl as they happen, one line each, and what they come to at the end."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from matrix.migrating import Fault, Hop, Limits, MigrationSummary
from matrix.migration.live import HopEnd, LiveHop
from matrix.migration.proof import Evidence
from matrix.migration.samples import Sampler, number, ram_of, whole
from matrix.migration.statistics import Statistics

HOPS_FILE = "hops.jsonl"
MILLISECOND = 1e-3
MEGABIT = 1e6 / 8

_HOP = TypeAdapter(Hop)


def hop_record(
    hop: LiveHop,
    end: HopEnd,
    sampler: Sampler,
    evidence: Evidence | None,
    *,
    fault: Fault | None,
    why_bad: str,
) -> Hop:
    """The record of a hop that is over.

    Args:
        hop: the hop.
        end: how it ended.
        sampler: what was sampled meanwhile.
        evidence: what the guest's proof says of it, None where there is none.
        fault: what was done to it.
        why_bad: why that is not what had to follow; empty where it is.
    """
    ram = ram_of(end.information)
    page = whole(ram.get("page-size"))
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
        downtime=_milliseconds(end.information, "downtime"),
        stop_to_resume=_rounded(end.stop_to_resume),
        blackout=_rounded(evidence.blackout) if evidence else None,
        silence=_rounded(evidence.silence) if evidence else None,
        clock_jump=_rounded(evidence.clock_jump) if evidence else None,
        transferred=whole(ram.get("transferred")) if ram else None,
        passes=whole(ram.get("dirty-sync-count")) if ram else None,
        dirty_rate=max((taken.dirty_rate for taken in sampler.samples), default=0)
        or (whole(ram.get("dirty-pages-rate")) * page if ram else None),
        throughput=number(ram.get("mbps")) * MEGABIT if ram else None,
        throttle=sampler.throttle if sampler.samples else None,
        events=tuple(hop.events),
        samples=tuple(sampler.samples),
    )


class Records:
    """Writes hops.jsonl and folds the hops into a summary, with bounded memory."""

    def __init__(self, directory: Path, seed: int, limits: Limits, first_number: int = 1) -> None:
        self._path = directory / HOPS_FILE
        self._seed = seed
        self._statistics = Statistics(limits)
        self._first = first_number
        self._file = -1
        self._begun = time.monotonic()

    def add(self, hop: Hop) -> None:
        """Write down a hop.

        Raises:
            OSError: the host cannot store it.
        """
        if self._file < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(self._path, flags, 0o600)
        data = _HOP.dump_json(hop, exclude_none=True, exclude_defaults=True) + b"\n"
        while data:
            try:
                data = data[os.write(self._file, data) :]
            except OSError as error:
                error.filename = str(self._path)
                raise
        self._statistics.add(hop)

    def summary(self) -> MigrationSummary:
        """What the hops have come to so far."""
        return self._statistics.summary(self._seed, time.monotonic() - self._begun)

    def close(self) -> MigrationSummary:
        """Close the file, and the summary of all hops."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        return self.summary()


def read_hops(path: Path) -> Iterator[Hop]:
    """The hops of a hops.jsonl, in order, one at a time.

    A last line that is cut short, because its writer was killed, is left out.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is no hop.
    """
    with path.open("rb") as file:
        for count, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield _HOP.validate_json(line)
            except ValidationError as error:
                raise ValueError(f"{path}:{count}: no record of a hop") from error


def _milliseconds(information: dict[str, Any], name: str) -> float | None:
    value = information.get(name)
    return round(number(value) * MILLISECOND, 6) if isinstance(value, int | float) else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
