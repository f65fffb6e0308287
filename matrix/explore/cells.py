"""Which operations were seen in which state, and how often; what was seen least is wanted most."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One thing that there is to be seen."""

    architecture: str
    state: str
    """``running`` or ``paused``."""
    pair: str
    """``SOURCE → DESTINATION``, or the one QEMU that has the guest."""
    what: str
    """As :attr:`matrix.explore.step.Step.what`."""


class Coverage:
    """Counts what was seen of ``cells``."""

    def __init__(self, cells: Iterable[Cell] = ()) -> None:
        self.cells = frozenset(cells)
        self.seen: Counter[Cell] = Counter()
        self.unbegun: Counter[Cell] = Counter()
        """How often each was tried and could not begin: it was not seen, and is wanted less."""

    def weight(self, cell: Cell) -> float:
        """How much a cell is wanted."""
        return 1.0 / (1 + self.seen[cell] + self.unbegun[cell]) ** 2

    @property
    def covered(self) -> int:
        """How many cells were seen."""
        return sum(cell in self.seen for cell in self.cells)
