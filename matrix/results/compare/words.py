"""How changes are called and coloured, wherever they are shown."""

from dataclasses import dataclass

from matrix.results.compare.changes import CaseComparison, ChangeKind, SubtestChange
from matrix.results.segments import Style


@dataclass(frozen=True, slots=True)
class KindWords:
    """How one kind of change is told."""

    one: str
    several: str
    title: str
    style: Style
    full: bool = False
    """Every case is told of with its evidence, not together with those of the same reason."""


KIND_WORDS: dict[ChangeKind, KindWords] = {
    ChangeKind.NEW_FAILURE: KindWords(
        "new failure", "new failures", "New failures", Style.FAIL, full=True
    ),
    ChangeKind.NEW_FLAKY: KindWords(
        "new flaky case", "new flaky cases", "New flaky cases", Style.FLAKY, full=True
    ),
    ChangeKind.CHANGED_FAILURE: KindWords(
        "failing in another way",
        "failing in another way",
        "Failing in another way",
        Style.FAIL,
        full=True,
    ),
    ChangeKind.LOST_COVERAGE: KindWords(
        "no longer run",
        "no longer run",
        "No longer run, for want of a QEMU, build or accelerator",
        Style.FAIL,
    ),
    ChangeKind.FIX: KindWords("fix", "fixes", "Fixed", Style.PASS, full=True),
    ChangeKind.NEW_SKIP: KindWords("new skip", "new skips", "Newly skipped", Style.SKIP),
    ChangeKind.NO_LONGER_SKIPPED: KindWords(
        "no longer skipped", "no longer skipped", "No longer skipped, passing", Style.PASS
    ),
    ChangeKind.NEW_XFAIL: KindWords(
        "new known failure", "new known failures", "Failing, as is known now", Style.XFAIL
    ),
    ChangeKind.NEW_XPASS: KindWords(
        "unexpected pass", "unexpected passes", "Passed, although known to fail", Style.XPASS
    ),
    ChangeKind.NO_LONGER_XPASS: KindWords(
        "pass expected now", "passes expected now", "Passing, as is expected now", Style.PASS
    ),
    ChangeKind.ONLY_A: KindWords("only in A", "only in A", "Only in A", Style.PLAIN),
    ChangeKind.ONLY_B: KindWords("only in B", "only in B", "Only in B", Style.PLAIN),
}
"""In the order in which they are told: what broke first."""

OTHER_SUBTESTS = "Subtests changed, verdict as before"
"""Title of the cases of which only subtests changed; told after the failures."""


def worth_telling(change: SubtestChange) -> bool:
    """Whether people are told of a subtest, and not only of how many there are.

    Guests put numbers and states into names, and one that ends early lacks many: of subtests that
    one side lacks only the failures are told.
    """
    if change.kind is ChangeKind.ONLY_B:
        return change.after is not None and not change.after.good
    return change.kind is not ChangeKind.ONLY_A


def telling_subtests(case: CaseComparison) -> list[SubtestChange]:
    """The subtests that people are told of, regressions first."""
    return sorted(filter(worth_telling, case.subtests), key=lambda each: not each.regression)


def verdicts(case: CaseComparison) -> str:
    """``pass → fail``, or the verdict where it is as before."""
    before = case.a.verdict if case.a else None
    after = case.b.verdict if case.b else None
    if before is after:
        return after.value if after else ""
    return f"{before.value if before else 'none'} → {after.value if after else 'none'}"


def subtest_words(change: SubtestChange) -> str:
    """``pass → fail  NAME: message``."""
    before = change.before.value if change.before else "none"
    after = change.after.value if change.after else "none"
    message = f": {change.message}" if change.message else ""
    return f"{before} → {after}  {change.name}{message}"


def telling_reason(case: CaseComparison) -> str:
    """The reason that explains a change: B's, or A's (``was: …``) where B has nothing to say."""
    match case.kind:
        case ChangeKind.FIX | ChangeKind.NO_LONGER_SKIPPED:
            return f"was: {case.a.reason}" if case.a and case.a.reason else ""
        case ChangeKind.ONLY_A:
            return case.a.reason if case.a else ""
        case _:
            return case.b.reason if case.b else ""


def counted(count: int, what: str) -> str:
    """``1 case``, ``1,200 cases``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
