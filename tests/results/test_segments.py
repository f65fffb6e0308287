from matrix.results.segments import MOST_IDS, MOST_REASONS, Groups, plain


def test_the_most_frequent_reason_first_and_not_every_id() -> None:
    groups = Groups()
    groups.add("seldom", "a")
    for number in range(MOST_IDS + 5):
        groups.add("often", f"c{number}")
    lines = plain(groups.lines(120)).splitlines()
    assert lines == [
        "   15  often",
        "       c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, … 5 more",
        "    1  seldom",
        "       a",
    ]


def test_no_reason_is_said_so() -> None:
    groups = Groups()
    groups.add("", "a")
    assert "no reason given" in plain(groups.lines(80))


def test_reasons_are_bounded() -> None:
    groups = Groups()
    for number in range(MOST_REASONS + 7):
        groups.add(f"reason {number}", "a")
    lines = plain(groups.lines(80)).splitlines()
    assert len(lines) == 2 * MOST_REASONS + 1
    assert lines[-1] == "       … and 7 more reasons"
