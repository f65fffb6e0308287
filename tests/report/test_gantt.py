"""The course of a run: rows by host and job, as wide as the cases took."""

from pathlib import Path

from matrix.report.gantt import WIDTH, critical_path, gantt_of
from matrix.report.gather import gather
from matrix.report.page import write_page
from matrix.results.recorder import Recorder
from matrix.results.timeline import Lap
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
    assert any(bar.critical for bar in bars)
    assert "one after another, the longest smoke." in gantt.path
    path = tmp_path / "run/report.html"
    write_page(gather([record], path), path)
    page = path.read_text()
    assert page.count('class="f-fail"><title>smoke.b.x86_64.auto: fail') == 1
    assert "<c>" not in page


def test_each_attempt_has_its_own_verdict(tmp_path: Path) -> None:
    """The case is flaky; neither of them is."""
    case, other = make.case("a", repeat=2), make.case("b")
    info, decisions = make.info(), [make.run(case), make.run(other)]
    with Recorder.start(tmp_path / "run", info, decisions) as recorder:
        for one, attempt in (
            (case, make.attempt("fail", "no")),
            (case, make.attempt(number=2)),
            (other, make.attempt()),
        ):
            recorder.begin(one, attempt.number)
            recorder.finish(one, attempt)
    gantt = gantt_of(recorder.record)
    assert gantt is not None
    bars = [bar for _, row in gantt.rows for bar in row if bar.case == case.id]
    assert sorted(bar.verdict for bar in bars) == ["fail", "pass"]
    assert any(bar.about.startswith(f"{case.id} attempt 2: pass, ") for bar in bars)


def lap(case: str, begin: float, end: float, job: int = 1) -> Lap:
    return Lap(case, 1, begin, end, "local", job)


def test_the_critical_path_goes_back_from_what_ended_last() -> None:
    """Over jobs, too: what could only begin when another job's case had ended waited for it."""
    laps = [
        lap("first", 0, 4),
        lap("beside", 0, 9, job=2),
        lap("short", 0, 1, job=3),
        lap("second", 4, 6, job=3),
        lap("last", 6.1, 10),
    ]
    assert [each.case for each in critical_path(laps)] == ["first", "second", "last"]


def test_one_case_has_no_course(recorded: RunMaker) -> None:
    assert gantt_of(recorded([(make.run(make.case("a")), make.attempt(), {})])) is None
