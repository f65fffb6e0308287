"""What is worth a look, also when all is well."""

from matrix.report.highlights import MOST_DIFFERENCES, SLOWEST, contrasts, slowest
from matrix.report.pairing import comparable
from tests.report.conftest import RowsOf


def test_what_differs_along_an_axis(rows_of: RowsOf) -> None:
    rows = rows_of(
        ("boot", "x86_64", "pass", "", {"qemu": "system", "smp": 1}),
        ("boot", "x86_64", "pass", "", {"qemu": "10.0", "smp": 1}),
        ("timer", "x86_64", "skip", "", {"qemu": "system", "smp": 1}),
        ("timer", "x86_64", "pass", "", {"qemu": "10.0", "smp": 1}),
        ("memory", "x86_64", "pass", "", {"qemu": "system", "smp": 1}),
        ("memory", "x86_64", "fail", "stale", {"qemu": "10.0", "smp": 1}),
        ("memory", "x86_64", "pass", "", {"qemu": "system", "smp": 2}),
    )
    found = {each.axis: each for each in contrasts(rows, comparable(rows))}
    assert list(found) == ["qemu", "smp"]
    qemu = found["qemu"]
    assert (qemu.values, qemu.compared, qemu.differ) == (("system", "10.0"), 3, 2)
    worst = qemu.shown[0]
    assert (worst.test, worst.variant) == ("memory", "x86_64 tcg vCPUs 1")
    assert [(value, row.verdict) for value, row in worst.cases] == [
        ("system", "pass"),
        ("10.0", "fail"),
    ]
    assert (found["smp"].compared, found["smp"].differ, found["smp"].shown) == (1, 0, ())


def test_cases_without_a_result_are_not_compared(rows_of: RowsOf) -> None:
    rows = rows_of(
        ("boot", "x86_64", "pass", "", {"qemu": "system"}),
        ("boot", "x86_64", None, "", {"qemu": "10.0"}),
    )
    (found,) = contrasts(rows, comparable(rows))
    assert (found.compared, found.differ) == (0, 0)


def test_only_the_worst_differences_are_named(rows_of: RowsOf) -> None:
    rows = rows_of(
        *(
            (f"test-{n}", "x86_64", verdict, "", {"qemu": qemu})
            for n in range(20)
            for qemu, verdict in (("system", "pass"), ("10.0", "crash" if n > 15 else "skip"))
        )
    )
    (found,) = contrasts(rows, comparable(rows))
    assert found.differ == 20
    names = [each.test for each in found.shown]
    assert names == ["test-16", "test-17", "test-18", "test-19", "test-0"]
    assert len(names) == MOST_DIFFERENCES


def test_the_slowest(rows_of: RowsOf) -> None:
    rows = rows_of(*((f"test-{n}", "arm", "pass", "") for n in range(9)))
    for number, row in enumerate(rows):
        row.seconds = float(number % 7)
    found = slowest(rows)
    assert [row.seconds for row, _ in found] == [6.0, 5.0, 4.0, 3.0, 2.0]
    assert len(found) == SLOWEST
    assert found[0][1] == "arm tcg"
