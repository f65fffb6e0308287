"""Latency histograms on a console."""

from matrix.report.histograms import MOST_BUCKETS, Histogram, histograms

CONSOLE = """\
PASS: timer: deadlines: none is early
INFO: timer: latency: min 53651 ns, median 58096 ns, p99 4329654 ns, max 5302181 ns, samples 178
INFO: timer: histogram: 165 below 65536 ns
INFO: timer: histogram: 10 below 131072 ns
INFO: timer: histogram: 3 below 524288 ns
SUMMARY: 6 tests
"""


def test_the_timer_guest() -> None:
    buckets = ((65536, 165), (131072, 10), (524288, 3))
    assert histograms(CONSOLE) == (Histogram("timer", "ns", buckets),)


def test_bounds_that_start_again_are_another_histogram() -> None:
    assert [len(each.buckets) for each in histograms(CONSOLE + CONSOLE)] == [3, 3]


def test_other_lines_are_none() -> None:
    for line in (
        "FAIL: timer: histogram: 3 below 8 ns",
        "INFO: timer: histogram: many below 8 ns",
        "INFO: timer: histogram: 3 below 8 apples",
        " INFO: timer: histogram: 3 below 8 ns",
    ):
        assert histograms(line) == ()


def test_a_flood_is_bounded() -> None:
    flood = "".join(f"INFO: x: histogram: 1 below {n} ns\n" for n in range(1, 1000))
    assert [len(each.buckets) for each in histograms(flood)] == [MOST_BUCKETS]
