"""What a run's summary says of its several QEMUs: one line per test that they differ in."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from matrix.results.compare.case_comparison import compare_cases
from matrix.results.compare.changes import CaseComparison, ChangeKind
from matrix.results.compare.matching import pair_variants
from matrix.results.compare.measured import Thresholds
from matrix.results.compare.ranking import factor_words
from matrix.results.compare.words import counted
from matrix.results.printable import printable
from matrix.results.run_record import RunRecord
from matrix.results.segments import BLANK, Line, Style, wrapped

MOST_LINES = 20
"""How many tests are named; ``matrix compare`` has all."""

AXIS = "qemu"


@dataclass(slots=True)
class _Row:
    """One test in one variant, over all QEMUs."""

    base: str
    """Its verdict with the first QEMU."""
    regressed: bool = False
    changes: dict[str, list[str]] = field(default_factory=dict)
    """What changed, and with which QEMUs."""


def qemu_lines(record: RunRecord, width: int) -> Iterator[Line]:
    """The section "Differences between QEMUs"; nothing where a run has one QEMU only.

    The first QEMU of the plan is what the others are compared with. Metrics are left to
    ``matrix compare``, which the last line names.

    Args:
        record: the run, finished or not.
        width: columns to keep to.

    Raises:
        UsageError: the journal was changed meanwhile.
        HostError: the journal cannot be read.
    """
    if not has_several(record):
        return
    rows: dict[tuple[str, str], _Row] = {}
    pairings = pair_variants(record, AXIS)
    for pairing in pairings:
        for case in compare_cases(pairing, Thresholds()):
            words = _words(case)
            if words:
                key = (case.scenario, f"{case.test} {case.variant}")
                row = rows.setdefault(key, _Row(_base(case)))
                row.changes.setdefault(words, []).append(pairing.values[1])
                row.regressed |= case.regressed
    yield BLANK
    base = pairings[0].values[0]
    number = counted(len(rows), "test") if rows else "none"
    title = f"Differences between QEMUs, compared with {base}: "
    yield ((title, Style.HEADING), (number, Style.PLAIN))
    one_scenario = len({case.scenario for case in record.planned()}) == 1
    ordered = sorted(rows.items(), key=lambda each: not each[1].regressed)
    for (scenario, name), row in ordered[:MOST_LINES]:
        of = "" if one_scenario else f"{scenario}: "
        changes = [f"{', '.join(qemus)}: {words}" for words, qemus in row.changes.items()]
        text = f"{of}{name}: {row.base}; {'; '.join(changes)}"
        style = Style.FAIL if row.regressed else Style.PLAIN
        yield from wrapped(text, width, "    ", style, "  ")
    more = f"… and {len(rows) - MOST_LINES:,} more; " if len(rows) > MOST_LINES else ""
    command = f"matrix compare {shlex.quote(printable(str(record.given)))} --by {AXIS}"
    what = "shows all" if rows else "compares metrics too"
    yield ((f"  {more}{command} {what}", Style.FAINT),)


def has_several(record: RunRecord) -> bool:
    """Whether a run's plan has more than one QEMU."""
    return len({case.axes.qemu for case in record.planned()}) > 1


def _words(case: CaseComparison) -> str:
    """What changed, in a few words; empty for what is not told here."""
    if case.kind in (ChangeKind.ONLY_A, ChangeKind.ONLY_B):
        return ""
    words = []
    if case.kind is not None and case.b is not None and case.b.verdict is not None:
        words.append(case.b.verdict.value)
    if case.kind is None:
        failing = sum(each.regression for each in case.subtests)
        fixed = sum(each.kind is ChangeKind.FIX for each in case.subtests)
        skipped = sum(each.kind is ChangeKind.NEW_SKIP for each in case.subtests)
        numbers = ((failing, "newly failing"), (fixed, "fixed"), (skipped, "skipped"))
        words += [f"{counted(count, 'subtest')} {what}" for count, what in numbers if count]
    if case.seconds is not None:
        words.append(f"time {factor_words(case.seconds)}")
    return " and ".join(words)


def _base(case: CaseComparison) -> str:
    return case.a.verdict.value if case.a and case.a.verdict else "none"
