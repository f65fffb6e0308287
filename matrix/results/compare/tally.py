"""What a comparison came to: its changes, counted, and the answer in one line.

``3 new failures, 1 fix, 2 new skips; 44 of 51 cases as before``
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields

from matrix.results.compare.changes import CaseComparison, ChangeKind, Difference
from matrix.results.compare.matching import Pairing
from matrix.results.compare.ranking import Ranking
from matrix.results.compare.words import KIND_WORDS, counted, telling_reason, worth_telling
from matrix.results.counts import Counts
from matrix.results.segments import Groups, Line, Segment, Style
from matrix.verdicts import Verdict

METRICS = "Metrics"

MOST_SHOWN = 20
"""Cases that are kept of each kind that is told in groups."""


@dataclass(slots=True)
class Tally:
    """What a comparison came to, in numbers."""

    cases: int = 0
    """Of both sides together."""
    changed: int = 0
    """Of them, how many changed in anything."""
    regressions: int = 0
    """Of them, how many became worse; ``--fail-on-regression`` exits 1 for them."""
    kinds: Counter[ChangeKind] = field(default_factory=Counter)
    """Changes of cases' own verdicts."""
    subtests: Counter[ChangeKind] = field(default_factory=Counter)
    """Changes of subtests, in all cases."""
    regressed_subtests: int = 0
    """Of cases whose own verdict is as before."""
    failing_only_b: int = 0
    """Cases that only B has and that did not pass there."""
    before: Counter[Verdict | None] = field(default_factory=Counter)
    """The verdicts of A's cases."""
    after: Counter[Verdict | None] = field(default_factory=Counter)
    """The verdicts of B's cases."""
    reused_before: int = 0
    """A's cases whose results are those of earlier runs."""
    reused_after: int = 0
    slower: int = 0
    faster: int = 0
    metrics: int = 0

    @property
    def lost(self) -> int:
        """Cases that ran and are skipped for want of something, which are counted apart."""
        return self.kinds[ChangeKind.LOST_COVERAGE]

    def add(self, case: CaseComparison) -> None:
        """Take one case in."""
        self.cases += 1
        self.changed += case.changed
        self.regressions += case.regressed
        for subtest in case.subtests:
            self.subtests[subtest.kind] += 1
        if case.kind is None:
            self.regressed_subtests += sum(each.regression for each in case.subtests)
        else:
            self.kinds[case.kind] += 1
        for side, verdicts in ((case.a, self.before), (case.b, self.after)):
            if side is not None:
                verdicts[side.verdict] += 1
        self.reused_before += case.a is not None and case.a.reused
        self.reused_after += case.b is not None and case.b.reused
        verdict = case.b.verdict if case.b else None
        if case.kind is ChangeKind.ONLY_B and verdict is not None and not verdict.good:
            self.failing_only_b += 1
        if case.seconds is not None:
            if case.seconds.factor > 1:
                self.slower += 1
            else:
                self.faster += 1
        self.metrics += len(case.metrics)

    def include(self, other: "Tally") -> None:
        """Add what another comparison came to."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def document(self) -> dict[str, object]:
        """The numbers by their names, as ``--json`` has them."""
        return {
            "cases": self.cases,
            "changed": self.changed,
            "regressions": self.regressions,
            **{kind.value: self.kinds[kind] for kind in ChangeKind},
            "slower": self.slower,
            "faster": self.faster,
            "metrics": self.metrics,
            "subtests": {kind.value: self.subtests[kind] for kind in ChangeKind},
            "a": Counts(self.before, self.reused_before).document(),
            "b": Counts(self.after, self.reused_after).document(),
        }

    @property
    def coverage(self) -> Difference:
        """What passed of what ran on either side, and what was skipped."""
        before = Counts(self.before, self.reused_before)
        return Difference("cases", before.brief(), Counts(self.after, self.reused_after).brief())


@dataclass(slots=True)
class Gathered:
    """What one pass over a pairing leaves: its size follows the cases that are told one by one."""

    pairing: Pairing
    tally: Tally = field(default_factory=Tally)
    changed: dict[ChangeKind | None, list[CaseComparison]] = field(default_factory=dict)
    """Cases to tell of; of kinds that are told in groups the first few that are not good. None:
    only subtests changed."""
    groups: dict[ChangeKind, Groups] = field(default_factory=dict)
    only_names: int = 0
    """Cases of which nothing changed but which subtests there are."""
    measured: dict[str, Ranking] = field(
        default_factory=lambda: {title: Ranking() for title in ("Slower", "Faster", METRICS)}
    )
    all_metrics: bool = False
    """Also rank metrics without repeats, instead of counting them."""
    unrepeated: int = 0
    """Changed metrics without repeats that are only counted."""

    @classmethod
    def of(
        cls, pairing: Pairing, cases: Iterable[CaseComparison], *, all_metrics: bool = False
    ) -> "Gathered":
        """Go through what :func:`~.case_comparison.compare_cases` gives of a pairing once."""
        gathered = cls(pairing, all_metrics=all_metrics)
        for case in cases:
            gathered._add(case)
        return gathered

    def _add(self, case: CaseComparison) -> None:
        self.tally.add(case)
        kind = case.kind
        if kind is not None and not KIND_WORDS[kind].full:
            only = {ChangeKind.ONLY_A: case.a, ChangeKind.ONLY_B: case.b}.get(kind)
            verdict = only.verdict if only is not None else None
            reason = verdict.value if verdict else telling_reason(case)
            self.groups.setdefault(kind, Groups()).add(reason, case.id)
            shown = self.changed.setdefault(kind, [])
            if len(shown) < MOST_SHOWN and not (verdict and verdict.good):
                shown.append(case)
        elif kind is not None or any(map(worth_telling, case.subtests)):
            self.changed.setdefault(kind, []).append(case)
        elif case.subtests:
            self.only_names += 1
        if case.seconds is not None:
            self.measured["Slower" if case.seconds.factor > 1 else "Faster"].add(case.seconds, case)
        for metric in case.metrics:
            if metric.repeated or self.all_metrics:
                self.measured[METRICS].add(metric, case)
            else:
                self.unrepeated += 1

    def unrepeated_words(self) -> str:
        """How many metrics are only counted, and why."""
        changed = counted(self.unrepeated, "metric")
        return f"{changed} without repeats changed; their noise is unknown"


def total_of(tallies: Iterable[Tally]) -> Tally:
    """What several comparisons came to together."""
    total = Tally()
    for tally in tallies:
        total.include(tally)
    return total


def headline(tally: Tally, width: int) -> Iterator[Line]:
    """The answer, in lines of at most ``width`` columns where its parts allow: what changed, the
    worst first, and how much did not."""
    parts = list(parts_of(tally)) or [("nothing changed", Style.PASS)]
    segments: list[Segment] = []
    used = 0
    for index, (text, style) in enumerate([*parts, (unchanged(tally), Style.PLAIN)]):
        separator = ""
        if index:
            separator = ", " if index < len(parts) else "; "
        used += len(separator + text)
        if segments and used > width:
            yield (*segments, (separator.rstrip(), Style.PLAIN))
            segments, used, separator = [], len(text), ""
        if separator:
            segments.append((separator, Style.PLAIN))
        segments.append((text, style))
    yield tuple(segments)


def parts_of(tally: Tally) -> Iterator[Segment]:
    """What there is of each kind of change: ``3 new failures``, ``1 fix``."""
    for kind, words in KIND_WORDS.items():
        count = tally.kinds[kind]
        if count:
            failing = tally.failing_only_b if kind is ChangeKind.ONLY_B else 0
            more = f" ({failing:,} not passed)" if failing else ""
            yield f"{count:,} {words.one if count == 1 else words.several}{more}", words.style
        if kind is ChangeKind.CHANGED_FAILURE and tally.regressed_subtests:
            # Here, among the failures; those of cases that newly fail are told with them.
            yield counted(tally.regressed_subtests, "new failing subtest"), Style.FAIL
    if tally.slower:
        yield f"{tally.slower:,} slower", Style.PLAIN
    if tally.faster:
        yield f"{tally.faster:,} faster", Style.PLAIN
    if tally.metrics:
        yield f"{counted(tally.metrics, 'metric')} changed", Style.PLAIN


def unchanged(tally: Tally) -> str:
    """``44 of 51 cases as before``."""
    return f"{tally.cases - tally.changed:,} of {counted(tally.cases, 'case')} as before"
