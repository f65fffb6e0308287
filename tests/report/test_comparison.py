"""The comparison along an axis, as its readers have it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matrix.migrating import Migration, MigrationSummary
from matrix.report.write import write_report, write_run_report
from tests import make
from tests.report.conftest import Reader, RunMaker, wait_until

NUMBERS = (("latency: max", 1000.0, "ns"), ("latency: max", 3000.0, "ns"))


def done(test: str, qemu: str, verdict: str = "pass", reason: str = "", **more: Any) -> Any:
    case = make.case(test, qemu=qemu, smp=2)
    return make.run(case), make.attempt(verdict, reason, **more), {}


@pytest.fixture
def report(recorded: RunMaker) -> Path:
    """Three tests with two QEMUs, and one with the second alone."""
    return write_run_report(
        recorded(
            [
                done("boot", "system", seconds=1.0, metrics=NUMBERS[:1]),
                done("boot", "10.0", seconds=4.0, metrics=NUMBERS),
                done("timer", "system", "fail", "late"),
                done("timer", "10.0"),
                done("memory", "system"),
                done("memory", "10.0", "crash", "QEMU died of signal 6"),
                done("smp", "10.0"),
            ]
        )
    )


def cells(page: Any, number: int) -> list[list[str]]:
    """The texts of one of the comparison's tables."""
    rows = page.locator("#comparison table").nth(number).locator("tbody tr").all()
    return [row.locator("th, td").all_inner_texts() for row in rows]


def test_two_qemus_side_by_side(reader: Reader, report: Path) -> None:
    page = reader.open(report)
    page.get_by_role("link", name="2 of 3 differ").click()
    page.wait_for_selector("#comparison:not([hidden])")
    assert cells(page, 0) == [
        ["7.2.0 (system)", "2/3", "1 fail 2 pass", "", "", "2 s"],
        ["10.0", "2/3", "1 crash 2 pass", "1", "1", "5 s"],
    ]
    assert cells(page, 1) == [
        ["memory x86_64 tcg", "pass", "crash worse", "QEMU died of signal 6"],
        ["timer x86_64 tcg", "fail", "pass better", "late"],
    ]
    assert cells(page, 2) == [["boot x86_64 tcg", "1 s", "4 s ×4"]]
    assert cells(page, 3) == [["boot x86_64 tcg", "latency: max", "1 µs", "2 µs ×2"]]
    page.get_by_role("link", name="crash").click()
    page.wait_for_selector("#case h2")
    assert reader.problems == []


def test_what_they_are_compared_with_is_chosen(reader: Reader, report: Path) -> None:
    page = reader.open(report, "#comparison?by=qemu&base=10.0&test=memory")
    assert cells(page, 1) == [
        ["memory x86_64 tcg", "crash", "pass better", "QEMU died of signal 6"]
    ]
    page.get_by_label("from").select_option("7.2.0 (system)")
    wait_until(page, "document.querySelector('#comparison td').textContent === '1/1'")
    assert cells(page, 1)[0][1:3] == ["pass", "crash worse"]
    assert page.locator("#comparison .chip").inner_text() == "test: memory ×"
    assert reader.problems == []


def test_a_page_of_one_value_has_none(reader: Reader, recorded: RunMaker) -> None:
    cases: Any = [done("boot", "system"), done("timer", "10.0")]
    page = reader.open(write_run_report(recorded(cases)), "#comparison")
    assert page.locator("[data-tab=comparison]").count() == 0
    assert page.locator("#summary").is_visible()


def test_two_runs_side_by_side(
    reader: Reader,
    recorded: RunMaker,
    write_hops: Callable[..., Path],
    summary: MigrationSummary,
    tmp_path: Path,
) -> None:
    hops = {"hops.jsonl": write_hops(20).read_bytes()}
    case = make.case("ram-integrity", migration=Migration())
    records = [
        recorded([(make.run(case), make.attempt(verdict, migration=summary), hops)], name)
        for name, verdict in (("monday", "pass"), ("tuesday", "stall"))
    ]
    page = reader.open(write_report(records, tmp_path / "out"), "#comparison")
    assert cells(page, 1) == [["ram-integrity x86_64 tcg", "pass", "stall worse", ""]]
    assert cells(page, 2)[0][1:] == ["downtime, median of hops", "20 ms", "20 ms"]
    assert reader.problems == []
