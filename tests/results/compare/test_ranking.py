import pytest

from matrix.results.compare.changes import CaseComparison, MeasuredChange, Sample, Side
from matrix.results.compare.ranking import MOST_ROWS, Ranking, measured_words
from matrix.results.segments import plain


def change(
    before: float, after: float, name: str = "", count: int = 1, spread: float = 0.0
) -> MeasuredChange:
    sides = Sample(before, spread / 2, count), Sample(after, spread, count)
    return MeasuredChange(name, "s", *sides)


def case(case_id: str) -> CaseComparison:
    side = Side(case_id, None, "", 1, "", "", "", "")
    return CaseComparison("s", "t", "v", side, side)


def test_the_largest_are_kept_in_order_of_their_size() -> None:
    ranking = Ranking()
    for number in range(100):
        ranking.add(change(1.0, 2.0 + number % 50), case(f"c{number}"))
    largest = ranking.largest()
    assert ranking.count == 100
    assert len(largest) == MOST_ROWS
    assert [case_id for case_id, _ in largest[:4]] == ["c49", "c99", "c48", "c98"]


def test_nothing_is_no_table() -> None:
    assert not Ranking()
    assert list(Ranking().lines("Slower", 80)) == []


def test_ids_that_do_not_fit_go_below() -> None:
    ranking = Ranking()
    ranking.add(change(1, 2), case("short"))
    ranking.add(change(1, 2), case("x" * 80))
    assert plain(ranking.lines("Slower", 60)).splitlines() == [
        "",
        "Slower: 2",
        "  1 s → 2 s  ×2  short",
        "  1 s → 2 s  ×2",
        "          " + "x" * 80,
    ]


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (change(2.0, 4.5), "2 s → 4.5 s  ×2.25"),
        (change(4.0, 1.0), "4 s → 1 s  ×0.25"),
        (change(100, 135, "m"), "100 s → 135 s  +35 %"),
        (change(100, 65, "m"), "100 s → 65 s  -35 %"),
        (change(1, 15, "m"), "1 s → 15 s  ×15"),
        (change(0, 15, "m"), "0 s → 15 s  "),
        (change(2, 4, "", 3, 0.5), "2 s → 4 s  ×2  (medians of 3 and 3, spread 500 ms)"),
        (change(0.3, 0.012, "m", 1, 0.003), "300 ms → 12 ms  -96 %  (spread 3 ms)"),
    ],
)
def test_words(measured: MeasuredChange, words: str) -> None:
    assert measured_words(measured) == words
