"""The course of a run: rows by host and job, as wide as the cases took."""

from pathlib import Path

from matrix.report.gantt import WIDTH, gantt_of
from matrix.report.gather import gather
from matrix.report.page import write_page
from tests import make
from tests.report.conftest import RunMaker


def test_rows_and_bars(recorded: RunMaker, tmp_path: Path) -> None:
    record = recorded(
        [
            (make.run(make.case("a")), make.attempt(host="local"), {}),
            (make.run(make.case("b")), make.attempt("fail", host="far"), {}),
            (make.run(make.case("<c>")), make.attempt(host="far"), {}),
        ]
    )
    gantt = gantt_of(record)
    assert gantt is not None
    assert {name.rpartition(" ")[0] for name, _ in gantt.rows} == {"far", "local"}
    bars = [bar for _, row in gantt.rows for bar in row]
    assert len(bars) == 3
    assert all(0 <= bar.begin <= WIDTH and bar.begin + bar.width <= WIDTH for bar in bars)
    assert any(bar.about.startswith("smoke.b.x86_64.auto: fail, ") for bar in bars)
    assert "ended last, after" in gantt.last
    path = tmp_path / "run/report.html"
    write_page(gather([record], path), path)
    page = path.read_text()
    assert page.count('class="f-fail"><title>smoke.b.x86_64.auto: fail') == 1
    assert "<c>" not in page


def test_one_case_has_no_course(recorded: RunMaker) -> None:
    assert gantt_of(recorded([(make.run(make.case("a")), make.attempt(), {})])) is None
