"""A comparison for people: lines of styled segments, the answer first.

Everything that a run, and so a stranger, wrote is printable in every segment.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from matrix.results.compare.changes import CaseComparison, ChangeKind, Difference
from matrix.results.compare.groups import Groups
from matrix.results.compare.matching import Pairing
from matrix.results.compare.measured import Thresholds
from matrix.results.compare.ranking import Ranking
from matrix.results.compare.sides import ComparedRun
from matrix.results.compare.tally import Tally, headline, total_of
from matrix.results.compare.words import (
    KIND_WORDS,
    OTHER_SUBTESTS,
    counted,
    subtest_words,
    telling_reason,
    telling_subtests,
    verdicts,
    worth_telling,
)
from matrix.results.printable import printable
from matrix.results.segments import BLANK, Line, Segment, Style, line, wrapped

MOST_SUBTESTS = 10
"""How many changed subtests are named per case; ``--json`` has all."""

INDENT = " " * 10


@dataclass(slots=True)
class Gathered:
    """What one pass over a pairing leaves: its size follows the cases whose verdicts changed."""

    pairing: Pairing
    tally: Tally = field(default_factory=Tally)
    full: dict[ChangeKind, list[Line]] = field(default_factory=dict)
    groups: dict[ChangeKind, Groups] = field(default_factory=dict)
    subtests: list[Line] = field(default_factory=list)
    """Of cases whose verdict is as before."""
    cases_with_subtests: int = 0
    """How many those are."""
    only_names: int = 0
    """Cases of which nothing changed but which subtests there are."""
    slower: Ranking = field(default_factory=Ranking)
    faster: Ranking = field(default_factory=Ranking)
    metrics: Ranking = field(default_factory=Ranking)

    def add(self, case: CaseComparison, width: int) -> None:
        """Take one case in."""
        self.tally.add(case)
        if case.kind is not None:
            self._add_verdict(case, case.kind, width)
        elif any(map(worth_telling, case.subtests)):
            self.subtests += _case_lines(case, self.pairing, width)
            self.cases_with_subtests += 1
        elif case.subtests:
            self.only_names += 1
        if case.seconds is not None:
            ranking = self.slower if case.seconds.factor > 1 else self.faster
            ranking.add(case.seconds, case)
        for metric in case.metrics:
            self.metrics.add(metric, case)

    def _add_verdict(self, case: CaseComparison, kind: ChangeKind, width: int) -> None:
        if KIND_WORDS[kind].full:
            self.full.setdefault(kind, []).extend(_case_lines(case, self.pairing, width))
            return
        self.groups.setdefault(kind, Groups()).add(_group(case, kind), case.id)


def gather(pairing: Pairing, cases: Iterable[CaseComparison], width: int) -> Gathered:
    """Go through a pairing's cases once.

    Args:
        pairing: what is compared.
        cases: what :func:`~matrix.results.compare.cases.compare_cases` gives of it.
        width: columns to keep to; only paths and other long words go beyond.
    """
    gathered = Gathered(pairing)
    for case in cases:
        gathered.add(case, width)
    return gathered


def comparison_lines(
    everything: Sequence[Gathered], thresholds: Thresholds, width: int
) -> Iterator[Line]:
    """The whole comparison: the answer, what was compared, and each change with its evidence."""
    yield from headline(total_of(each.tally for each in everything), width)
    for gathered in everything:
        yield BLANK
        yield from _sides(gathered, width)
        if len(everything) > 1:
            yield from headline(gathered.tally, width)
        yield from _sections(gathered, width)
    if any(each.slower or each.faster or each.metrics for each in everything):
        yield BLANK
        yield from wrapped(f"Told of: {thresholds.rule()}.", width, "", Style.FAINT)
    yield from _unfinished(everything)


def _group(case: CaseComparison, kind: ChangeKind) -> str:
    """What cases are put together by: a reason, or the verdict on the only side."""
    only = {ChangeKind.ONLY_A: case.a, ChangeKind.ONLY_B: case.b}.get(kind)
    if only is not None and only.verdict is not None:
        return only.verdict.value
    return telling_reason(case)


def _case_lines(case: CaseComparison, pairing: Pairing, width: int) -> Iterator[Line]:
    """One case: verdicts, id, reason, changed subtests, what differs, both folders."""
    after = case.b.verdict if case.b else None
    style = Style.of(after) if after else Style.PLAIN
    yield ((f"  {verdicts(case):<15} ", style), (printable(case.id), Style.PLAIN))
    yield from wrapped(telling_reason(case), width, INDENT)
    yield from _subtest_lines(case, width)
    yield from _difference_lines(case.differences, width, INDENT)
    for name, record, side in (("A", pairing.a, case.a), ("B", pairing.b, case.b)):
        if side is not None and side.artifacts:
            folder = printable(f"{record.given}/{side.artifacts}")
            yield ((f"{INDENT}{name} ", Style.FAINT), (folder, Style.PATH))


def _subtest_lines(case: CaseComparison, width: int) -> Iterator[Line]:
    telling = telling_subtests(case)
    for change in telling[:MOST_SUBTESTS]:
        style = Style.of(change.after) if change.after else Style.PLAIN
        yield from wrapped(subtest_words(change), width, INDENT + "  ", style, INDENT)
    if len(telling) > MOST_SUBTESTS:
        yield line(f"{INDENT}… and {len(telling) - MOST_SUBTESTS:,} more", Style.FAINT)
    counts = [
        f"{count:,} only in {name}"
        for name, kind in (("A", ChangeKind.ONLY_A), ("B", ChangeKind.ONLY_B))
        if (count := sum(each.kind is kind for each in case.subtests))
    ]
    if counts:
        yield line(f"{INDENT}subtests: {', '.join(counts)}", Style.FAINT)


def _difference_lines(differences: Iterable[Difference], width: int, indent: str) -> Iterator[Line]:
    """``host kernel: 6.1 → 6.12``, one each."""
    for each in differences:
        text = f"{each.what}: {each.a or 'none'} → {each.b or 'none'}"
        yield from wrapped(text, width, indent + "  ", Style.FAINT, indent)


def _sides(gathered: Gathered, width: int) -> Iterator[Line]:
    """What A and B are, what they came to, and what else differs."""
    pairing = gathered.pairing
    if pairing.axis:
        a, b = pairing.values
        yield line(f"{pairing.axis}: {a} (A) → {b} (B)", Style.HEADING)
    else:
        yield _side("A", pairing.a)
        yield _side("B", pairing.b)
    yield from _difference_lines((gathered.tally.coverage, *pairing.environment), width, "   ")


def _side(name: str, record: ComparedRun) -> Line:
    segments: list[Segment] = [
        (f"{name}  ", Style.HEADING),
        (printable(str(record.given)), Style.PATH),
        (f"  {printable(record.info.started)}", Style.FAINT),
    ]
    if record.info.hostname:
        segments.append((f" on {printable(record.info.hostname)}", Style.FAINT))
    return tuple(segments)


def _sections(gathered: Gathered, width: int) -> Iterator[Line]:
    for kind, words in KIND_WORDS.items():
        count = gathered.tally.kinds[kind]
        if count:
            yield BLANK
            yield ((f"{words.title}: ", Style.HEADING), (f"{count:,}", words.style))
            yield from gathered.full.get(kind, ())
            if kind in gathered.groups:
                yield from gathered.groups[kind].lines(width)
        if kind is ChangeKind.CHANGED_FAILURE and gathered.subtests:
            yield BLANK
            number = f"{gathered.cases_with_subtests:,}"
            yield ((f"{OTHER_SUBTESTS}: ", Style.HEADING), (number, Style.PLAIN))
            yield from gathered.subtests
    yield from gathered.slower.lines("Slower", width)
    yield from gathered.faster.lines("Faster", width)
    yield from gathered.metrics.lines("Metrics", width)
    if gathered.only_names:
        yield BLANK
        cases = counted(gathered.only_names, "case")
        yield line(f"In {cases} one side has subtests that the other lacks (see --json).")


def _unfinished(everything: Sequence[Gathered]) -> Iterator[Line]:
    """Runs that were ended, what they lack is no result; and those that ran too little."""
    records = {id(r): r for each in everything for r in (each.pairing.a, each.pairing.b)}
    for record in records.values():
        for sentence in record.shortfalls():
            yield BLANK
            yield (
                (printable(str(record.given)), Style.PATH),
                (f" ran too little: {printable(sentence)}", Style.ERROR),
            )
        count = len(record.unfinished())
        if count:
            yield BLANK
            yield (
                (printable(str(record.given)), Style.PATH),
                (f" is not finished: {counted(count, 'case')} without a result", Style.ERROR),
            )
