"""The table of a run: variants down, tests across, a verdict in every cell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from matrix.model import Accelerator, AcceleratorLabel
from matrix.results.case_record import CaseRecord
from matrix.results.counts import RAN, Counts
from matrix.results.labels import axis_labels
from matrix.results.printable import display_width, printable, shortened
from matrix.results.segments import BLANK, Line, Segment, Style
from matrix.scenario.axes import BARE_AXES
from matrix.verdicts import Verdict

MOST_BLOCKS = 3
"""Into how many parts, one below the other, the tests of a table may be folded. With more it
tells nothing at a glance, and counts per variant are shown."""

LONGEST_NAME = 24
"""Columns that a test's name may take in the head of a table."""

GAP = "  "

_DEFAULTS = {"qemu": "system"}
"""What an axis has where its label says nothing."""


@dataclass(slots=True)
class _Row:
    """One variant."""

    axes: dict[str, str]
    accelerators: set[str] = field(default_factory=set)
    cells: dict[str, Counts] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class _Column:
    """One test: its name as in the head, and the columns of the terminal that it takes."""

    test: str
    head: str
    width: int


class Overview:
    """Gathers the verdicts of one scenario and shows them as a table."""

    def __init__(self) -> None:
        self._rows: dict[object, _Row] = {}
        self._tests: dict[str, int] = {}
        """Of each test the width of its widest cell."""

    def add(self, result: CaseRecord) -> None:
        """Take one case's result in; cases that share variant and test share a cell."""
        variant, name = result.axes, result.test
        row = self._rows.setdefault(variant, _Row(axis_labels(variant)))
        cell = row.cells.setdefault(name, Counts())
        cell.verdicts[result.verdict] += 1
        row.counts.verdicts[result.verdict] += 1
        self._tests[name] = max(self._tests.get(name, 0), len(cell.cell()))
        if result.accelerator:
            row.accelerators.add(result.accelerator)

    def lines(self, width: int) -> Iterator[Line]:
        """The table in at most ``width`` columns, or counts per variant where it is too wide."""
        self._put_failures_first()
        head, labels = self._labels(width // 2, width * 2 // 3)
        label_width = max(map(display_width, (head, *labels)))
        blocks = self._blocks(width - label_width)
        if len(blocks) > MOST_BLOCKS:
            yield from self._count_lines(width)
            return
        for index, block in enumerate(blocks):
            if index:
                yield BLANK
            yield from self._block_lines(head, labels, label_width, block)

    def _put_failures_first(self) -> None:
        """Variants and tests that did not pass come before the others, which keep their order."""
        rows = sorted(self._rows.items(), key=lambda each: not _failed(each[1].counts))
        self._rows = dict(rows)
        failed = {
            test for row in self._rows.values() for test, cell in row.cells.items() if _failed(cell)
        }
        self._tests = dict(sorted(self._tests.items(), key=lambda each: each[0] not in failed))

    def _labels(self, most: int, most_headed: int) -> tuple[str, list[str]]:
        """The rows' labels, one column per axis, aligned, and what stands above them.

        Each is at most ``most`` wide, with nothing above. Where that is not enough, axes of one
        value are left out, and the others named above their values, in ``most_headed``; what is
        wider still is cut.
        """
        rows = list(self._rows.values())
        only_auto = all(row.axes["accel"] == Accelerator.AUTO for row in rows)
        names = list(dict.fromkeys(name for row in rows for name in row.axes))
        texts = [[_axis_text(row, name, only_auto=only_auto) for name in names] for row in rows]
        labels = _aligned(texts)
        if max(map(display_width, labels)) <= most:
            return "", labels
        # Where a guest comes from stands before where it goes to.
        names = sorted(self._telling(names), key=lambda name: name not in (*BARE_AXES, "qemu"))
        values = [
            [
                _axis_value(row, name, only_auto=only_auto) or _DEFAULTS.get(name, "-")
                for name in names
            ]
            for row in rows
        ]
        head, *labels = (shortened(each, most_headed) for each in _aligned([names, *values]))
        return head, labels

    def _telling(self, names: Sequence[str]) -> list[str]:
        """Without the axes that have one value alone, unless two rows differ in having it."""
        rows = list(self._rows.values())
        kept = list(names)
        for name in reversed(names):
            fewer = [each for each in kept if each != name]
            left = {tuple(row.axes.get(each) for each in fewer) for row in rows}
            values = {row.axes.get(name, _DEFAULTS.get(name)) for row in rows} - {None}
            if name not in BARE_AXES and len(values) == 1 and len(left) == len(rows):
                kept = fewer
        return kept

    def _blocks(self, available: int) -> list[list[_Column]]:
        """The tests' columns in as many lists as are needed to keep each in ``available``."""
        blocks: list[list[_Column]] = [[]]
        used = 0
        for name, widest in self._tests.items():
            head = shortened(name, LONGEST_NAME)
            column = _Column(name, head, max(display_width(head), widest))
            used += len(GAP) + column.width
            if used > available and blocks[-1]:
                blocks.append([])
                used = len(GAP) + column.width
            blocks[-1].append(column)
        return blocks

    def _block_lines(
        self, head: str, labels: Sequence[str], label_width: int, columns: Sequence[_Column]
    ) -> Iterator[Line]:
        tests = "".join(GAP + _padded(column.head, column.width) for column in columns)
        yield ((_padded(head, label_width) + tests.rstrip(), Style.HEADING),)
        for label, row in zip(labels, self._rows.values(), strict=True):
            segments: list[Segment] = [(_padded(label, label_width), Style.PLAIN)]
            for column in columns:
                cell = row.cells.get(column.test, Counts())
                text = cell.cell()
                style = Style.of(cell.worst) if cell.worst else Style.FAINT
                segments += [(GAP, Style.PLAIN), (_padded(text, column.width), style)]
            yield tuple(segments)

    def _count_lines(self, width: int) -> Iterator[Line]:
        """What passed of what ran, and how many came to each other verdict, a row's numbers adding
        up to its cases."""
        verdicts = [
            verdict
            for verdict in (*RAN, Verdict.SKIP)
            if any(row.counts.verdicts[verdict] for row in self._rows.values())
        ]
        passed = [f"{row.counts.passed}/{row.counts.ran}" for row in self._rows.values()]
        first = max(map(len, ("passed", *passed)))
        counts = f"{GAP}{'passed':>{first}}"
        counts += "".join(f"{GAP}{verdict.value:>7}" for verdict in verdicts)
        most = max(width - len(counts), 10)
        head, labels = self._labels(most, most)
        label_width = max(map(display_width, (head, *labels)))
        yield ((_padded(head, label_width) + counts, Style.HEADING),)
        for label, row, text in zip(labels, self._rows.values(), passed, strict=True):
            style = Style.PASS if row.counts.passed else Style.FAINT
            segments: list[Segment] = [
                (_padded(label, label_width) + GAP, Style.PLAIN),
                (f"{text:>{first}}", style),
            ]
            for verdict in verdicts:
                count = row.counts.verdicts[verdict]
                style = Style.of(verdict) if count else Style.FAINT
                segments += [(GAP, Style.PLAIN), (f"{count or '-':>7}", style)]
            yield tuple(segments)


def _failed(counts: Counts) -> bool:
    return counts.good < counts.ran


def _axis_text(row: _Row, name: str, *, only_auto: bool) -> str:
    """An axis' value with its name, where it does not speak for itself."""
    text = _axis_value(row, name, only_auto=only_auto)
    return text if name in BARE_AXES or not text else f"{name}={text}"


def _axis_value(row: _Row, name: str, *, only_auto: bool) -> str:
    """An axis' value; of the accelerator what was really used, beside what was asked for only
    where rows of one table asked for different things. KVM that was asked for may be that of a
    virtual host."""
    value = row.axes.get(name, "")
    if name == "accel" and row.accelerators:
        used = "+".join(sorted(row.accelerators))
        if value == Accelerator.AUTO:
            value = used if only_auto else f"auto:{used}"
        elif AcceleratorLabel.VIRTUAL_KVM in row.accelerators:
            value = used
    return printable(value)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """One text per row, with the columns below each other."""
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    return [" ".join(map(_padded, row, widths)).rstrip() for row in rows]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - display_width(text))
