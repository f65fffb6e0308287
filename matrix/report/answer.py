"""The answer, before anything else: what broke, where, and what was not run. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from matrix.errors import ExitCode
from matrix.model import AcceleratorLabel
from matrix.report.areas import AREA_NAMES, AREA_WORDS
from matrix.report.case_rows import AXES, Row
from matrix.results.counts import Counts
from matrix.results.outcome import WORST_FIRST, counts_as_failure
from matrix.scenario.axes import BARE_AXES, axis_title
from matrix.verdicts import Verdict

MOST_GROUPS = 20
"""Tests that broke which are named; the table of cases has all."""

MOST_VARIANTS = 16
"""Variants of such a test which are named."""

MOST_REASONS = 20

MOST_WHYS = 3
"""Different reasons of one such test."""

TELLING_AXES = (*(name for name in AXES if name not in ("run", "scenario", "test")), "run")
"""Where a failure may be at home, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Broken:
    """One test that did not pass somewhere."""

    scenario: str
    test: str
    verdicts: tuple[tuple[Verdict, int], ...]
    reasons: tuple[str, ...]
    """Different ones, the most frequent first, the first few."""
    cases: tuple[tuple[Row, str], ...]
    """The first few cases with the labels of their variants."""
    failed: int
    ran: int
    where: str
    """On which variants, in words."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Cases that share a reason."""

    reason: str
    count: int
    cases: tuple[Row, ...]
    """The first few."""


@dataclass(slots=True)
class Coverage:
    """What was exercised of something. Each case is counted once, so that all cases are those that
    ran (:attr:`native`, :attr:`virtual`, :attr:`emulated`, :attr:`unknown`) and :attr:`not_run`."""

    native: Counts = field(default_factory=Counts)
    """Those that ran under KVM."""
    virtual: Counts = field(default_factory=Counts)
    """Those that ran under the KVM of a virtual host, which is emulated."""
    emulated: Counts = field(default_factory=Counts)
    """Those that ran under TCG."""
    unknown: Counts = field(default_factory=Counts)
    """Those that have a verdict, and nothing says what they ran under."""
    not_run: Counts = field(default_factory=Counts)
    """Those that were skipped, also by their guests, and those without a result."""

    def add(self, row: Row) -> None:
        """Count one case."""
        if row.verdict in (None, Verdict.SKIP):
            counts = self.not_run
        elif row.accelerator == AcceleratorLabel.KVM:
            counts = self.native
        elif row.accelerator == AcceleratorLabel.VIRTUAL_KVM:
            counts = self.virtual
        elif row.accelerator == AcceleratorLabel.TCG:
            counts = self.emulated
        else:
            counts = self.unknown
        counts.verdicts[row.verdict] += 1
        counts.reused += row.reused

    def everything(self) -> Counts:
        """All cases by their verdicts, however they ran."""
        parts = (*(counts for _, _, counts in self.ways()), self.not_run)
        verdicts: Counter[Verdict | None] = sum((each.verdicts for each in parts), Counter())
        return Counts(verdicts, sum(each.reused for each in parts))

    @property
    def total(self) -> int:
        """All cases."""
        ran = sum(counts.total for _, _, counts in self.ways())
        return ran + self.not_run.total

    def ways(self) -> list[tuple[str, str, Counts]]:
        """How cases ran, in words and as the accelerator axis has it, where any did."""
        found = (
            ("natively", AcceleratorLabel.KVM, self.native),
            ("in virtual KVM hosts", AcceleratorLabel.VIRTUAL_KVM, self.virtual),
            ("emulated", AcceleratorLabel.TCG, self.emulated),
            ("not known how", "", self.unknown),
        )
        return [each for each in found if each[2].total]


@dataclass(slots=True)
class AreaCounts:
    """What was exercised of one area on one architecture."""

    name: str
    what: str
    coverage: Coverage = field(default_factory=Coverage)
    tests: set[str] = field(default_factory=set)


def counts_of(rows: Iterable[Row]) -> Counts:
    """How many cases came to what."""
    return coverage_of(rows).everything()


def conclusion(
    counts: Counts, *, strict: bool, shortfalls: Sequence[str] = ()
) -> tuple[ExitCode, str]:
    """The verdict on everything: an exit code, and a sentence with every case in it."""
    bad = sum(n for v, n in counts.verdicts.items() if v and counts_as_failure(v, strict=strict))
    if not counts.total:
        return ExitCode.NOTHING_SELECTED, "Nothing was selected."
    if counts.verdicts[Verdict.ERROR]:
        code, head = ExitCode.ERROR, f"{bad:,} of {_cases(counts.ran)} did not pass"
    elif bad:
        code, head = ExitCode.NOT_PASSED, f"{bad:,} of {_cases(counts.ran)} did not pass"
    elif shortfalls and counts.ran:
        code, head = ExitCode.NOT_PASSED, f"Too little ran: {'; '.join(shortfalls)}"
    elif counts.unfinished and not counts.ran:
        code, head = ExitCode.INTERRUPTED, "Nothing ran"
    elif counts.ran:
        passed = f"{counts.passed:,} of {_cases(counts.ran)} passed"
        passed += f", {counts.reused:,} of them reused" if counts.reused else ""
        code, head = ExitCode.OK, f"Nothing broke: {passed}"
    else:
        nothing = f"Nothing ran: all {_cases(counts.total)} were skipped."
        return ExitCode.NOTHING_SELECTED, nothing
    if counts.verdicts[Verdict.XFAIL]:
        head += f", {counts.verdicts[Verdict.XFAIL]:,} failed as expected"
    if counts.verdicts[Verdict.XPASS] and not strict:
        head += f", {counts.verdicts[Verdict.XPASS]:,} passed unexpectedly"
    if counts.skipped:
        head += f"; {counts.skipped:,} {'was' if counts.skipped == 1 else 'were'} skipped"
    if counts.unfinished:
        head += f"; {_cases(counts.unfinished)} have no result yet"
        code = ExitCode.INTERRUPTED if code is ExitCode.OK else code  # -x ends with a failure
    return code, f"{head}."


def broken(rows: Iterable[Row], *, strict: bool) -> list[Broken]:
    """The tests that did not pass, those with the worst verdict first, then the most failures."""
    groups: dict[tuple[str, str], list[Row]] = {}
    place_scenario, place_test = AXES.index("scenario"), AXES.index("test")
    rows = list(rows)
    for row in rows:
        if row.verdict is not None and row.verdict is not Verdict.SKIP:
            key = (row.axes[place_scenario], row.axes[place_test])
            groups.setdefault(key, []).append(row)
    varying = varying_axes(rows)
    found = []
    for (scenario, test), ran in groups.items():
        bad = [each for each in ran if _bad(each, strict=strict)]
        if bad:
            found.append(_broken(scenario, test, ran, bad, varying))
    return sorted(found, key=lambda each: (_worst(each.verdicts), -each.failed))


def reasons(rows: Iterable[Row], verdict: Verdict | None) -> list[Reason]:
    """The cases with a verdict by their reasons, the most frequent first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.verdict is verdict:
            groups.setdefault(row.reason, []).append(row)
    ordered = sorted(groups.items(), key=lambda each: -len(each[1]))
    return [Reason(reason, len(found), tuple(found[:3])) for reason, found in ordered]


def areas_by_architecture(rows: Iterable[Row]) -> dict[str, list[AreaCounts]]:
    """Per architecture what was exercised natively and under emulation, area by area."""
    found: dict[str, dict[int, AreaCounts]] = {}
    place_arch, place_test = AXES.index("arch"), AXES.index("test")
    for row in rows:
        areas = found.setdefault(row.axes[place_arch], {})
        for number in row.areas:
            counts = areas.setdefault(number, AreaCounts(AREA_NAMES[number], AREA_WORDS[number]))
            counts.tests.add(row.axes[place_test])
            counts.coverage.add(row)
    return {arch: [areas[n] for n in sorted(areas)] for arch, areas in found.items()}


def coverage_of(rows: Iterable[Row]) -> Coverage:
    """What was exercised by some cases."""
    coverage = Coverage()
    for row in rows:
        coverage.add(row)
    return coverage


def variant_words(row: Row, varying: Sequence[str]) -> str:
    """A variant in one line: architecture and accelerator bare, other axes that differ named."""
    values = dict(zip(AXES, row.axes, strict=True))
    return " ".join(
        values[name] if name in BARE_AXES else f"{axis_title(name)} {values[name]}"
        for name in AXES
        if name in varying and values[name]
    )


def varying_axes(rows: Sequence[Row]) -> tuple[str, ...]:
    """The axes to name: architecture and accelerator, and those with several values."""
    several = {
        name
        for place, name in enumerate(AXES)
        if name not in ("test", "scenario") and len({row.axes[place] for row in rows}) > 1
    }
    return tuple(name for name in AXES if name in several or name in BARE_AXES)


def _broken(
    scenario: str, test: str, ran: Sequence[Row], bad: Sequence[Row], varying: Sequence[str]
) -> Broken:
    verdicts: dict[Verdict, int] = {}
    whys: dict[str, int] = {}
    for row in bad:
        if row.verdict is not None:
            verdicts[row.verdict] = verdicts.get(row.verdict, 0) + 1
        whys[row.reason] = whys.get(row.reason, 0) + 1
    return Broken(
        scenario=scenario,
        test=test,
        verdicts=tuple(sorted(verdicts.items(), key=lambda each: WORST_FIRST.index(each[0]))),
        reasons=_different(sorted(whys, key=lambda why: -whys[why]))[:MOST_WHYS],
        cases=tuple((row, variant_words(row, varying)) for row in bad[:MOST_VARIANTS]),
        failed=len(bad),
        ran=len(ran),
        where=_where(ran, bad),
    )


def _different(whys: Iterable[str]) -> tuple[str, ...]:
    """Those whose first clauses differ by more than numbers and addresses."""
    found: dict[str, str] = {}
    for why in whys:
        found.setdefault(_NUMBERS.sub("#", why.partition(";")[0]), why)
    return tuple(found.values())


_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+|\w+\+#")


def _where(ran: Sequence[Row], bad: Sequence[Row]) -> str:
    """On which variants a test broke, in words, where one axis tells them from the others."""
    if len(ran) == 1:
        return ""
    if len(bad) == len(ran):
        return f"on every variant that ran it ({len(ran)})"
    broken_ones = {id(row) for row in bad}
    well = [row for row in ran if id(row) not in broken_ones]
    for name in TELLING_AXES:
        place = AXES.index(name)
        broke = dict.fromkeys(row.axes[place] for row in bad)
        held = {row.axes[place] for row in well}
        if not held & set(broke):
            values = ", ".join(value or "none" for value in list(broke)[:8])
            more = f" and {len(broke) - 8} more" if len(broke) > 8 else ""
            return f"only with {axis_title(name)} {values}{more}"
    return f"on {len(bad)} of {len(ran)} variants"


def _bad(row: Row, *, strict: bool) -> bool:
    return row.verdict is not None and counts_as_failure(row.verdict, strict=strict)


def _worst(verdicts: Sequence[tuple[Verdict, int]]) -> int:
    return WORST_FIRST.index(verdicts[0][0])


def _cases(count: int) -> str:
    return f"{count:,} case{'' if count == 1 else 's'}"
