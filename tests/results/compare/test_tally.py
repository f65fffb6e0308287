from matrix.results.compare.case_comparison import compare_cases
from matrix.results.compare.changes import ChangeKind
from matrix.results.compare.matching import Pairing
from matrix.results.compare.measured import Thresholds
from matrix.results.compare.tally import Tally, headline, total_of
from matrix.results.segments import plain


def tally_of(told: Pairing) -> Tally:
    tally = Tally()
    for case in compare_cases(told, Thresholds()):
        tally.add(case)
    return tally


def test_counts(told: Pairing) -> None:
    tally = tally_of(told)
    assert (tally.cases, tally.changed, tally.regressions) == (23, 18, 5)
    assert tally.kinds[ChangeKind.NEW_FAILURE] == 2
    assert tally.regressed_subtests == 1
    assert tally.failing_only_b == 1


def test_the_headline(told: Pairing) -> None:
    assert plain(headline(tally_of(told), 1000)) == (
        "2 new failures, 1 new flaky case, 1 failing in another way, 1 new failing subtest, 1 fix, "
        "2 new skips, 1 no longer skipped, 1 new known failure, 1 unexpected pass, 1 only in A, "
        "2 only in B (1 not passed), 1 slower, 1 faster, 1 metric changed; "
        "5 of 23 cases as before\n"
    )


def test_the_headline_is_broken_between_its_parts(told: Pairing) -> None:
    lines = plain(headline(tally_of(told), 60)).splitlines()
    assert max(map(len, lines)) <= 61
    assert " ".join(lines) == plain(headline(tally_of(told), 1000)).strip()


def test_sums(told: Pairing) -> None:
    one = tally_of(told)
    both = total_of([one, one])
    assert both.document()["cases"] == 46
    assert both.kinds[ChangeKind.NEW_SKIP] == 4
    assert one.kinds[ChangeKind.NEW_SKIP] == 2
    assert plain(headline(total_of([]), 80)) == "nothing changed; 0 of 0 cases as before\n"
