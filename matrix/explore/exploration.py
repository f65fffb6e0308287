"""What is kept of an exploration, so that another one goes on with it: ``exploration.json``."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from matrix import __version__
from matrix.errors import UsageError
from matrix.explore.cells import Cell, Coverage
from matrix.explore.finding import FORMAT, Chosen
from matrix.results.files import read_bounded, shown, write_bytes
from matrix.results.json_text import first_complaint, json_bytes

NAME = "exploration.json"
LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Seen:
    """A cell of the coverage, and how often it was seen."""

    cell: Cell
    times: int


@dataclass(frozen=True, slots=True)
class Took:
    """How long an operation took, each time together."""

    times: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Took") -> "Took":
        return Took(self.times + other.times, self.seconds + other.seconds)


@dataclass(frozen=True, slots=True)
class Exploration:
    """How far an exploration has come, or several that are taken together."""

    scenarios: tuple[str, ...] = ()
    """As they were named: a file by its absolute path."""
    chosen: Chosen = field(default_factory=lambda: Chosen("", ""))
    """The options that its cases were made with; it names no case, and no scenario."""
    seeds: tuple[int, ...] = ()
    guests: int = 0
    steps: int = 0
    """That were done, but for shrinking."""
    seconds: float = 0.0
    signatures: dict[str, int] = field(default_factory=dict)
    """How often each failure was seen, but for shrinking."""
    seen: tuple[Seen, ...] = ()
    """All cells, those that were not seen, too."""
    impossible: tuple[str, ...] = ()
    """What is not done, and why, in words."""
    took: dict[str, Took] = field(default_factory=dict)
    """How long each operation took, by :attr:`matrix.explore.step.Step.what`, where it held."""
    format: int = FORMAT
    version: str = field(default=__version__)

    @property
    def coverage(self) -> Coverage:
        """As explorers count it."""
        coverage = Coverage(each.cell for each in self.seen)
        coverage.seen.update({each.cell: each.times for each in self.seen if each.times})
        return coverage


def seen_of(coverage: Coverage) -> tuple[Seen, ...]:
    """All cells of a coverage, in order."""
    cells = sorted(coverage.cells | coverage.seen.keys())
    return tuple(Seen(cell, coverage.seen[cell]) for cell in cells)


def together(explorations: Iterable[Exploration]) -> Exploration:
    """What they have seen together; scenarios and options are the first one's."""
    parts = list(explorations)
    signatures, times = Counter[str](), Counter[Cell]()
    cells: set[Cell] = set()
    took: dict[str, Took] = {}
    for part in parts:
        signatures.update(part.signatures)
        for seen in part.seen:
            cells.add(seen.cell)
            times[seen.cell] += seen.times
        for what, each in part.took.items():
            took[what] = took.get(what, Took()) + each
    return Exploration(
        scenarios=parts[0].scenarios,
        chosen=parts[0].chosen,
        seeds=tuple(dict.fromkeys(seed for part in parts for seed in part.seeds)),
        guests=sum(part.guests for part in parts),
        steps=sum(part.steps for part in parts),
        seconds=sum(part.seconds for part in parts),
        signatures=dict(signatures),
        seen=tuple(Seen(cell, times[cell]) for cell in sorted(cells)),
        impossible=tuple(dict.fromkeys(why for part in parts for why in part.impossible)),
        took=took,
    )


_ADAPTER = TypeAdapter(Exploration)


def keep(exploration: Exploration, path: Path) -> None:
    """Write it.

    Raises:
        HostError: the file cannot be written.
    """
    write_bytes(path, json_bytes(exploration) + b"\n")


def kept(path: Path) -> Exploration:
    """Read one.

    Raises:
        UsageError: there is no such file, or it is none.
        HostError: it cannot be read.
    """
    try:
        exploration = _ADAPTER.validate_json(read_bounded(path, LARGEST))
    except ValidationError as error:
        raise UsageError(f"{shown(path)}: {first_complaint(error)}") from None
    if exploration.format != FORMAT:
        raise UsageError(f"{shown(path)}: format {exploration.format} is not known, {FORMAT} is")
    if not exploration.scenarios:
        raise UsageError(f"{shown(path)}: scenarios: missing")
    return exploration


def summary(exploration: Exploration) -> Iterator[str]:
    """Coverage by QEMUs and kind of operation, and the sums, as lines of text."""
    coverage = exploration.coverage
    by_kind: dict[str, Counter[bool]] = {}
    for cell in coverage.cells:
        kind = cell.what.partition(" over ")[0] if " with " not in cell.what else "hop with a fault"
        row = f"{cell.architecture}  {cell.pair}  {kind}"
        by_kind.setdefault(row, Counter())[cell in coverage.seen] += 1
    yield "seen  of"
    for row, counts in sorted(by_kind.items()):
        yield f"{counts[True]:4}  {counts.total():<4}  {row}"
    yield from (f"not done: {why}" for why in exploration.impossible)
