"""What a page says of the runs before."""

from pathlib import Path
from typing import Any

import pytest

from matrix.errors import UsageError
from matrix.report.gather import gather
from matrix.report.past_runs import past_document, read_news
from matrix.report.write import write_report, write_run_report
from matrix.results.history.database import opened
from matrix.results.history.place import Database
from matrix.results.history.writer import record_run
from matrix.results.run_record import RunRecord
from tests import make
from tests.report.conftest import Reader, RunMaker

VERDICTS = ("pass", "pass", "pass", "fail", "fail")
STEADY = "smoke.boot[1].x86_64.auto"


@pytest.fixture
def nights(recorded: RunMaker) -> list[RunRecord]:
    """Five nights: "timer" fails from the fourth on, when its QEMU was another."""
    records = []
    for night, verdict in enumerate(VERDICTS):
        metrics = (("latency: max", 1000.0 * (night + 1), "ns"),)
        timer = make.attempt(verdict, "late", seconds=1.0 + night, metrics=metrics)
        steady = make.case("boot", case_id=STEADY)
        results: Any = [
            (make.run(make.case("timer")), timer, {}),
            (make.run(steady), make.attempt(), {}),
        ]
        started = f"2026-11-1{night}T21:30:00.000Z"
        records.append(recorded(results, f"night-{night}", started=started))
    return records


@pytest.fixture
def database(nights: list[RunRecord], tmp_path: Path) -> Database:
    found = Database(tmp_path / "history.sqlite")
    for record in nights:
        record_run(found, record)
    return found


def test_the_past_of_the_cases_of_a_page(database: Database) -> None:
    ids = ["another", "smoke.timer.x86_64.auto", STEADY]
    with opened(database) as session:
        past: Any = past_document(session, ids, [ids[1]], last=20)
    assert past["runs"][0]["started"] == "2026-11-10 21:30:00"
    cases = {case["case"]: case for case in past["cases"]}
    timer = cases[1]
    assert timer["verdicts"] == [9, 9, 9, 4, 4]
    assert timer["seconds"] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert timer["broke"]["good"] == "2026-11-12 21:30:00"
    assert timer["broke"]["bad"] == "2026-11-13 21:30:00"
    assert timer["broke"]["runs"] == 2
    assert timer["metrics"] == [["latency: max", "ns", [1000.0, 2000.0, 3000.0, 4000.0, 5000.0]]]
    assert cases[2]["broke"] is None
    assert 0 not in cases


def test_a_case_that_nobody_knows_has_no_past(database: Database) -> None:
    with opened(database) as session:
        assert past_document(session, ["unknown"], [], last=5) is None


def test_only_the_latest_runs_are_shown(database: Database) -> None:
    with opened(database) as session:
        past: Any = past_document(session, [STEADY], [STEADY], last=2)
    assert len(past["runs"]) == 2
    assert past["cases"][0]["verdicts"] == [9, 9]


def test_what_is_new_since_the_last_run(
    nights: list[RunRecord], database: Database, recorded: RunMaker, tmp_path: Path, reader: Reader
) -> None:
    tonight: Any = [
        (make.run(make.case("timer")), make.attempt(), {}),
        (make.run(make.case("boot", case_id=STEADY)), make.attempt("crash", "QEMU died"), {}),
        (make.run(make.case("smp")), make.attempt("fail"), {}),
        (make.skip(make.case("pmu")), None, {}),
    ]
    record = recorded(tonight, "tonight", started="2026-11-15T21:30:00.000Z")
    record_run(database, record)  # which is not compared with itself
    page = reader.open(write_report([record], tmp_path / "out", database, 20))
    text = page.locator("#summary").inner_text()
    words = "up to 2026-11-14 21:30:00: 1 newly failing, 1 fixed, 1 never run before, 0 as before."
    assert words in text
    fixed = page.locator("#summary ul.plain").nth(1)
    assert fixed.inner_text() == "pass smoke.timer.x86_64.auto"
    page.locator("#summary ul.plain").first.get_by_role("link", name=STEADY).click()
    page.wait_for_selector("#case h2")
    assert reader.problems == []


def test_news_are_of_the_runs_before(
    nights: list[RunRecord], database: Database, tmp_path: Path
) -> None:
    rows = gather(nights[2:4], tmp_path / "index.html").rows
    with opened(database) as session:
        news = read_news(session, rows, "2026-11-12T21:30:00.000Z", 20)
        first = read_news(session, rows, "2026-11-10T21:30:00.000Z", 20)
    assert news is not None
    assert (news.since, news.new, news.same) == ("2026-11-11 21:30:00", 0, 1)
    assert [row.case_id for row in news.broke] == ["smoke.timer.x86_64.auto"]
    assert first is None


def test_the_page_of_a_run_has_its_news(
    nights: list[RunRecord], database: Database, tmp_path: Path
) -> None:
    assert "1 newly failing" in write_run_report(nights[3], database).read_text()
    assert "newly failing" not in write_run_report(nights[3]).read_text()
    nothing = Database(tmp_path / "none.sqlite")
    assert "newly failing" not in write_run_report(nights[3], nothing).read_text()


def test_there_must_be_a_history(nights: list[RunRecord], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="history"):
        write_report(nights[-1:], tmp_path / "out", Database(tmp_path / "none.sqlite"), 5)


def test_in_the_browser(
    nights: list[RunRecord], database: Database, tmp_path: Path, reader: Reader
) -> None:
    page = reader.open(write_report(nights[-1:], tmp_path / "out", database, 20), "#history")
    text = page.locator("#history").inner_text()
    assert "Broken now, and good before" in text
    assert "2 runs" in text
    strip = page.locator("#history .strip").first
    assert strip.inner_text() == "✓✓✓✗✗"
    assert strip.locator("span").last.get_attribute("aria-label") == "2026-11-14 21:30:00: fail"
    assert page.locator("#history figure.chart").count() == 3
    assert "latency: max" in text
    page = reader.go("#history?case=1")
    assert page.locator("#history figure.chart").count() == 2
    assert reader.problems == []
