"""A comparison for people: lines of styled segments, the answer first.

Everything that a run, and so a stranger, wrote is printable in every segment.
"""

from collections.abc import Iterable, Iterator, Sequence

from matrix.results.compare.changes import CaseComparison, ChangeKind, Difference
from matrix.results.compare.matching import Pairing
from matrix.results.compare.measured import Thresholds
from matrix.results.compare.sides import ComparedRun
from matrix.results.compare.tally import Gathered, headline, total_of
from matrix.results.compare.words import (
    KIND_WORDS,
    OTHER_SUBTESTS,
    counted,
    subtest_words,
    telling_reason,
    telling_subtests,
    verdicts,
)
from matrix.results.printable import printable
from matrix.results.segments import BLANK, Line, Segment, Style, line, wrapped

MOST_SUBTESTS = 10
"""How many changed subtests are named per case; ``--json`` has all."""

INDENT = " " * 10


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
    if any(each.unrepeated or any(each.measured.values()) for each in everything):
        yield BLANK
        yield from wrapped(f"Told of: {thresholds.rule()}.", width, "", Style.FAINT)
    yield from _unfinished(everything)


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
            if kind in gathered.groups:
                yield from gathered.groups[kind].lines(width)
            else:
                yield from _cases_lines(gathered, kind, width)
        if kind is ChangeKind.CHANGED_FAILURE and None in gathered.changed:
            yield BLANK
            number = f"{len(gathered.changed[None]):,}"
            yield ((f"{OTHER_SUBTESTS}: ", Style.HEADING), (number, Style.PLAIN))
            yield from _cases_lines(gathered, None, width)
    for title, ranking in gathered.measured.items():
        yield from ranking.lines(title, width)
    if gathered.unrepeated:
        yield BLANK
        told = gathered.unrepeated_words()
        yield from wrapped(f"{told}: see --all-metrics, or run with --repeat.", width, "")
    if gathered.only_names:
        yield BLANK
        cases = counted(gathered.only_names, "case")
        yield line(f"In {cases} one side has subtests that the other lacks (see --json).")


def _cases_lines(gathered: Gathered, kind: ChangeKind | None, width: int) -> Iterator[Line]:
    for case in gathered.changed.get(kind, ()):
        yield from _case_lines(case, gathered.pairing, width)


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
