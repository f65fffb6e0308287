"""What did not pass is found first: in the table of cases, in the matrix, on paper."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from matrix.report.write import write_report, write_run_report
from tests import make
from tests.report.conftest import Reader, RunMaker

VERDICTS = {("x86_64", "boot"): "xfail", ("s390x", "timer"): "fail", ("arm", "smp"): "crash"}


@pytest.fixture
def report(recorded: RunMaker) -> Path:
    """Three tests on four architectures, of which each but "ppc64" has one that did not pass."""
    cases: Any = []
    for arch in ("x86_64", "ppc64", "s390x", "arm"):
        for number, test in enumerate(("boot", "smp", "timer")):
            attempt = make.attempt(VERDICTS.get((arch, test), "pass"), seconds=1.0 + number)
            cases.append((make.run(make.case(test, arch)), attempt, {}))
    return write_run_report(recorded(cases))


def column(page: Any, number: int) -> list[str]:
    texts = page.locator(".vrow").all_inner_texts()
    return [text.split("\n")[number] for text in texts]


def test_cases_are_listed_worst_first(reader: Reader, report: Path) -> None:
    page = reader.open(report, "#cases")
    assert column(page, 0) == ["crash", "fail", "xfail", *["pass"] * 9]
    assert reader.problems == []


def test_the_order_is_in_the_address(reader: Reader, report: Path) -> None:
    page = reader.open(report, "#cases?arch=ppc64&sort=-time")
    assert column(page, 1) == ["timer", "smp", "boot"]
    page.get_by_role("button", name="test").click()
    assert page.evaluate("location.hash") == "#cases?arch=ppc64&sort=test"
    assert column(page, 1) == ["boot", "smp", "timer"]
    assert reader.problems == []


def test_cases_are_filtered_by_what_there_is(reader: Reader, report: Path) -> None:
    page = reader.open(report, "#cases")
    assert page.locator("#cases select").count() == 2  # one host only
    page.get_by_label("area").select_option("SMP and IPIs")
    assert column(page, 1) == ["smp"] * 4
    page.get_by_label("architecture").select_option("arm")
    assert column(page, 0) == ["crash"]
    assert page.evaluate("location.hash") == "#cases?area=SMP+and+IPIs&arch=arm"
    page.get_by_label("area").select_option("any")
    assert page.evaluate("location.hash") == "#cases?arch=arm"
    page.fill("#search", "architecture:arm area:timers")
    assert column(page, 1) == ["timer"]
    assert reader.problems == []


def test_cases_are_filtered_by_host(reader: Reader, recorded: RunMaker, tmp_path: Path) -> None:
    records = [
        recorded([(make.run(make.case("boot")), make.attempt(), {})], name, hostname=name)
        for name in ("alpha", "beta")
    ]
    page = reader.open(write_report(records, tmp_path / "out"), "#cases?host=beta")
    assert page.get_by_label("host").input_value() == "=beta"
    assert page.locator(".vrow").count() == 1
    page.get_by_label("host").select_option("any")
    page.fill("#search", "host:alpha")
    assert page.locator(".vrow").count() == 1
    assert reader.problems == []


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("q=arhc:arm", '"arhc:" is no column, and is searched for as a word. There are: run, '),
        ("arhc=arm", '"arhc" in the address is no filter, and is ignored. There are: run, '),
        ("q=arch:arm", ""),
    ],
)
def test_what_is_no_column_is_said(reader: Reader, report: Path, place: str, words: str) -> None:
    page = reader.open(report, f"#cases?{place}")
    said = page.locator("#cases [role=alert]").inner_text()
    assert said.startswith(words)
    assert bool(said) is bool(words)
    assert reader.problems == []


def test_what_failed_comes_first_in_the_matrix(reader: Reader, report: Path) -> None:
    page = reader.open(report, "#matrix")
    rows = page.locator(".heat tbody tr th:first-child").all_inner_texts()
    assert rows == ["s390x", "arm", "x86_64", "ppc64"]
    assert page.locator(".heat thead th:not(.axis)").all_inner_texts() == ["smp", "timer", "boot"]
    assert reader.problems == []


def test_the_matrix_has_times(reader: Reader, report: Path) -> None:
    """How long each test took on each variant; the address says so."""
    page = reader.open(report, "#matrix?arch=arm")
    page.locator("#matrix select").select_option("time")
    expect(page.locator(".heat tbody td").first).to_have_text("2 s")
    assert page.locator(".heat tbody td").all_inner_texts() == ["2 s", "1 s", "3 s"]
    assert page.locator(".heat td a.t4").inner_text() == "3 s"
    assert page.evaluate("location.hash") == "#matrix?arch=arm&show=time"
    assert reader.problems == []


def test_paper_has_the_summary_and_the_matrix(reader: Reader, report: Path) -> None:
    page = reader.open(report, "#cases")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("[data-view]:visible").count() == 2
    assert page.locator(".broken").is_visible()
    assert page.locator(".heat tbody td").count() == 12
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.locator("#cases")).to_be_visible()
    assert page.locator("[data-view]:visible").count() == 1
    assert reader.problems == []
