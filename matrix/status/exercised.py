"""What runs exercised: per architecture and feature, natively, in virtual hosts and emulated."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from matrix.model import AcceleratorLabel
from matrix.plan.decisions import VIRTUAL
from matrix.report.areas import AREA_NAMES, areas_of
from matrix.results.counts import Counts
from matrix.results.printable import printable
from matrix.results.run_record import RunRecord
from matrix.status.kernel_paths import KERNEL_NAMES
from matrix.verdicts import Verdict


class Way(StrEnum):
    """How a case ran."""

    NATIVE = "natively"
    VIRTUAL = "in virtual hosts"
    EMULATED = "emulated"


_WAYS: dict[str, Way] = {
    AcceleratorLabel.KVM: Way.NATIVE,
    AcceleratorLabel.VIRTUAL_KVM: Way.VIRTUAL,
    AcceleratorLabel.TCG: Way.EMULATED,
}
ALL = "all"
"""The feature that every case is of."""
FEATURES = (ALL, *AREA_NAMES)


@dataclass(frozen=True, slots=True)
class Cell:
    """What is counted together."""

    architecture: str
    """As the kernel calls it."""
    feature: str
    """An area of the report, or :data:`ALL`."""
    way: Way


@dataclass(slots=True)
class Exercised:
    """What some runs exercised."""

    runs: list[str]
    """Their days, the oldest first."""
    latest: dict[Cell, Counts]
    """By the latest result of each case."""
    trend: dict[Cell, list[Counts]] = field(default_factory=dict)
    """Of each run."""

    def ordered(self) -> Iterator[tuple[Cell, Counts]]:
        """The latest numbers, feature by feature as the report has them."""

        def place(cell: Cell) -> tuple[str, int, int]:
            return cell.architecture, FEATURES.index(cell.feature), list(Way).index(cell.way)

        return ((cell, self.latest[cell]) for cell in sorted(self.latest, key=place))


def exercised(records: Sequence[RunRecord]) -> Exercised:
    """Count the cases of runs.

    Raises:
        HostError: a journal cannot be read.
    """
    records = sorted(records, key=lambda record: record.info.started)
    found = Exercised([printable(record.info.started)[:10] for record in records], {})
    last: dict[str, tuple[tuple[Cell, ...], Verdict]] = {}
    for place, record in enumerate(records):
        for case_id, cells, verdict in _ran(record):
            last[case_id] = cells, verdict
            for cell in cells:
                trend = found.trend.setdefault(cell, [Counts() for _ in records])
                trend[place].verdicts[verdict] += 1
    counted: dict[Cell, Counter[Verdict | None]] = {}
    for cells, verdict in last.values():
        for cell in cells:
            counted.setdefault(cell, Counter())[verdict] += 1
    found.latest = {cell: Counts(verdicts) for cell, verdicts in counted.items()}
    return found


def _ran(record: RunRecord) -> Iterator[tuple[str, tuple[Cell, ...], Verdict]]:
    for result in record.results():
        way = _way(result.accelerator, result.host)
        if result.verdict is Verdict.SKIP or result.reused is not None or way is None:
            continue
        case = record.decision(result.id).case
        architecture = KERNEL_NAMES[case.variant.arch]
        features: Iterable[str] = (ALL, *(AREA_NAMES[number] for number in areas_of(case)))
        cells = tuple(Cell(architecture, feature, way) for feature in features)
        yield f"{way} {result.id}", cells, result.verdict


def _way(accelerator: str, host: str) -> Way | None:
    if accelerator == AcceleratorLabel.KVM and host.startswith(VIRTUAL):  # of earlier versions
        return Way.VIRTUAL
    return _WAYS.get(accelerator)
