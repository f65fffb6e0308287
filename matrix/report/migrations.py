"""What the page says of live migration: each attempt's hops, and the grid of versions."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path

from matrix.migrating import Hop, Limits, MigrationSummary, Sample
from matrix.migration.folding import HOPS_FILE, Folded
from matrix.migration.statistics import Statistics
from matrix.report.hop_table import (
    QUANTITIES,
    WORDS,
    HopTable,
    read_hops,
    telling_rows,
    thinned,
    whole_hops,
)
from matrix.report.packing import Packer, Where
from matrix.results.case_record import AttemptRecord, CaseRecord
from matrix.results.printable import printable, shortened

MOST_HOPS = 2_000
"""How many hops of an attempt are drawn: two for each point that a screen is wide."""

FEW_HOPS = 200
"""The same where the page has little room left."""

MOST_SAMPLES = 240
"""Of the time line of a hop."""

MOST_EVENTS = 120
MOST_DEVICES = 100
LONGEST_REASON = 300
MOST_CELLS = 600
"""Of the grid of versions."""

MEANS = ("strategy", "transport")
"""What an attempt's hops went by, also where no axis says so."""


@dataclass(frozen=True, slots=True)
class GridKey:
    """One pair of versions that guests were migrated between."""

    arch: str
    machine: str
    source: str
    destination: str


@dataclass(slots=True)
class GridCell:
    """What the hops between two versions came to."""

    hops: int = 0
    good: int = 0
    downtimes: Counter[float] = field(default_factory=Counter)
    cases: dict[int, None] = field(default_factory=dict)
    """Positions of cases in the page that have such hops, the first few."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One quantity over the hops of an attempt, in seconds; None for what nobody said."""

    median: float | None
    max: float | None
    limit: float | None
    """That the scenario sets for each hop."""
    hop: int | None
    """Number of the hop with the most, of those that the file has."""


@dataclass(frozen=True, slots=True)
class Downtime:
    """The longest downtime of an attempt."""

    seconds: float
    case: int
    """Its position in the page."""
    entry: int
    """Number of the attempt in :attr:`Migrations.entries`."""
    hop: int


class Migrations:
    """Gathers the hops of a page's cases."""

    def __init__(self, budget: int) -> None:
        self.packer = Packer(budget)
        self.entries: list[dict[str, object]] = []
        """Of each attempt with hops: its case, and where its hops are."""
        self.downtimes: list[Downtime] = []
        """The longest of each of them that has any."""
        self.left_out = 0
        """Attempts with hops for which the page had no room."""
        self._grid: dict[GridKey, GridCell] = {}

    def add(self, position: int, case: CaseRecord, attempt: AttemptRecord, folder: Path) -> None:
        """Take the hops of one attempt in, if it has any.

        Args:
            position: of the case in the page.
            case: what was run.
            attempt: what came of it.
            folder: of the attempt.
        """
        path = folder / HOPS_FILE
        table = read_hops(path)
        if table is None:
            return
        made = attempt.hops.hops if attempt.hops is not None and table.folded else len(table)
        self._take_grid(position, case, attempt, table)
        where = self._packed(case, attempt, table, path, made)
        if where is None:
            self.left_out += 1
            return
        measures = _measures(case.limits or Limits(), attempt.hops, table)
        downtime = measures["downtime"]
        if downtime.max is not None and downtime.hop is not None:
            self.downtimes.append(Downtime(downtime.max, position, len(self.entries), downtime.hop))
        self.entries.append(
            {
                "case": position,
                "attempt": attempt.number,
                "hops": made,
                "bad": attempt.hops.bad if attempt.hops else len(table) - sum(table.good),
                "broken": len(attempt.hops.broken) if attempt.hops else 0,
                "devices": bool(attempt.hops and attempt.hops.devices),
                **{name: asdict(measure) for name, measure in measures.items()},
                **{name: [printable(each) for each in table.values[name]] for name in MEANS},
                "chunk": where.chunk,
                "place": where.place,
            }
        )

    def grid(self) -> list[dict[str, object]]:
        """The grid's cells, those with the most hops first."""
        ordered = sorted(self._grid.items(), key=lambda each: -each[1].hops)
        return [
            {
                **asdict(key),
                "hops": cell.hops,
                "good": cell.good,
                "median": _median(cell.downtimes),
                "max": max(cell.downtimes, default=None),
                "cases": list(cell.cases),
            }
            for key, cell in ordered[:MOST_CELLS]
        ]

    def _packed(
        self, case: CaseRecord, attempt: AttemptRecord, table: HopTable, path: Path, made: int
    ) -> Where | None:
        rows = telling_rows(table)
        lines = [_time_line(row, hop) for row, hop in whole_hops(path, table, rows)]
        about = {
            "limits": asdict(case.limits or Limits()),
            "summary": asdict(attempt.hops) if attempt.hops is not None else None,
            "total": made,
            "unusable": table.unusable,
            "complete": table.complete,
            "folded": table.folded is not None,
        }
        for most, details in ((MOST_HOPS, lines), (FEW_HOPS, lines[:WORTH_KEEPING])):
            document = {**about, **_columns(table, thinned(table, most)), "details": details}
            if (where := self.packer.add(document)) is not None:
                return where
        return None

    def _take_grid(
        self, position: int, case: CaseRecord, attempt: AttemptRecord, table: HopTable
    ) -> None:
        """Count the hops by the versions that they were between. Of hops that were folded nothing
        says that; where all that are kept were between two, the others were too."""
        columns = [table.words[name] for name in ("machine", "source", "destination")]
        rows: dict[tuple[int, ...], list[int]] = {}
        for row, numbers in enumerate(zip(*columns, strict=True)):
            rows.setdefault(numbers, []).append(row)
        for chosen in rows.values():
            words = (table.word(n, chosen[0]) for n in ("machine", "source", "destination"))
            key = GridKey(case.axes.arch.value, *map(printable, words))
            cell = self._grid.setdefault(key, GridCell())
            if len(cell.cases) < WORTH_KEEPING:
                cell.cases.setdefault(position)
            after = 0
            if table.folded is not None and attempt.hops is not None and len(rows) == 1:
                cell.hops += attempt.hops.hops
                cell.good += attempt.hops.hops - attempt.hops.bad
                after = table.folded.upto
                cell.downtimes.update(_folded_downtimes(table.folded))
            else:
                cell.hops += len(chosen)
                cell.good += sum(table.good[row] for row in chosen)
            told = (table.numbers["downtime"][r] for r in chosen if table.hop_numbers[r] > after)
            cell.downtimes.update(each for each in told if not math.isnan(each))


def _measures(
    limits: Limits, summary: MigrationSummary | None, table: HopTable
) -> dict[str, Measure]:
    """An attempt's hops in a few numbers; of all hops where its summary has them, else of those
    that the file has."""
    told = {each.name: (each.p50, each.max) for each in summary.statistics} if summary else {}
    found = {}
    for name, limit in (
        ("downtime", limits.downtime_max),
        ("blackout", limits.blackout_max),
        ("total_time", limits.total_time),
    ):
        column = table.numbers[name]
        known = [row for row in range(len(column)) if not math.isnan(column[row])]
        worst = max(known, key=column.__getitem__, default=None)
        values = Counter(column[row] for row in known)
        median, largest = told.get(
            name.replace("_", "-"), (_median(values), max(values, default=None))
        )
        number = None if worst is None else table.hop_numbers[worst]
        found[name] = Measure(median, largest, limit, number)
    return found


def _folded_downtimes(folded: Folded) -> dict[float, int]:
    """Those of all completed hops that a file has folded, each to within 1 %."""
    try:
        return dict(Statistics.restored(Limits(), folded.statistics).values("downtime"))
    except ValueError:  # a stranger's
        return {}


def _median(values: Counter[float]) -> float | None:
    """The middle one of all, or half of the sum of the two; None of none."""
    total = values.total()
    if not total:
        return None
    ordered = sorted(values)
    ranks = list(accumulate(values[each] for each in ordered))
    low, high = (ordered[bisect_right(ranks, rank)] for rank in ((total - 1) // 2, total // 2))
    return (low + high) / 2


WORTH_KEEPING = 4
"""Time lines, and cases of a cell, where there is little room."""


def _columns(table: HopTable, rows: list[int]) -> dict[str, object]:
    """The rows to draw, as columns; words are numbers into lists."""
    numbers = {name: [_number(table.numbers[name][row]) for row in rows] for name in QUANTITIES}
    words = {name: [table.words[name][row] for row in rows] for name in WORDS}
    return {
        "number": [table.hop_numbers[row] for row in rows],
        "good": [table.good[row] for row in rows],
        **numbers,
        **words,
        "words": {name: [printable(each) for each in table.values[name]] for name in WORDS},
    }


def _number(value: float) -> float | int | None:
    """Six significant digits: more than any of the clocks has."""
    if not math.isfinite(value):
        return None
    if value == int(value) and abs(value) < 2**53:
        return int(value)
    return round(value, 6)


_MEASURED = (
    *("seconds", "total_time", "setup_time", "downtime", "stop_to_resume", "clock_bound"),
    *("blackout", "silence", "clock_jump", "transferred", "passes", "throughput", "throttle"),
    *("requests", "in_flight"),
)
"""Fields of a hop that are shown as they are."""


def _time_line(row: int, hop: Hop) -> dict[str, object]:
    samples = list(_every(hop.samples, MOST_SAMPLES))
    return {
        "row": row,
        "number": hop.number,
        "strategy": hop.strategy,
        "transport": printable(hop.transport),
        "source": printable(hop.source),
        "destination": printable(hop.destination),
        "machine": printable(hop.machine),
        "outcome": hop.outcome,
        "good": hop.good,
        "fault": hop.fault,
        "reason": shortened(hop.reason, LONGEST_REASON),
        **{name: getattr(hop, name) for name in _MEASURED},
        "devices": [
            [printable(each.device), each.save, each.load] for each in hop.devices[:MOST_DEVICES]
        ],
        "events": [
            [round(each.at, 6), printable(each.side), shortened(each.what, 120)]
            for each in hop.events[:MOST_EVENTS]
        ],
        "samples": {
            "at": [round(each.at, 6) for each in samples],
            "status": [printable(each.status) for each in samples],
            "remaining": [each.remaining for each in samples],
            "transferred": [each.transferred for each in samples],
            "passes": [each.passes for each in samples],
            # 0 is what QEMU says before it has measured.
            "dirty_rate": [each.dirty_rate or None for each in samples],
            "throughput": [round(each.throughput) or None for each in samples],
            "throttle": [each.throttle for each in samples],
        },
    }


def _every(items: tuple[Sample, ...], most: int) -> Iterable[Sample]:
    """At most ``most`` of the items, evenly, the last among them."""
    if len(items) <= most:
        return items
    step = (len(items) - 1) / (most - 1)
    return (items[round(index * step)] for index in range(most))
