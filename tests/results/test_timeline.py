"""When attempts ran, and on which job of which host."""

import json
from pathlib import Path

import pytest

from matrix.results.run_record import load_run
from matrix.results.timeline import Lap, timeline
from tests import make
from tests.results.conftest import RunMaker


def rewrite_times(journal: Path, times: dict[tuple[str, int], tuple[float, float]]) -> None:
    """Give each attempt (case, number) its begin and end, in seconds after noon."""
    lines = []
    for line in journal.read_text().splitlines():
        event = json.loads(line)
        number = event.get("attempt")
        if isinstance(number, dict):
            second = times[event["case"], number["number"]][1]
        elif number is not None:
            second = times[event["case"], number][0]
        else:
            second = 0.0
        event["time"] = f"2026-11-29T12:00:{second:06.3f}Z"
        lines.append((second, json.dumps(event)))
    lines.sort(key=lambda each: each[0])
    journal.write_text("".join(f"{text}\n" for _, text in lines))


def test_attempts_share_no_job_at_a_time(recorded: RunMaker) -> None:
    cases = {name: make.case(name) for name in ("a", "b", "c", "d")}
    hosts = {"a": "", "b": "", "c": "", "d": "far"}
    recorder = recorded(
        [(make.run(case), [make.attempt(host=hosts[name])]) for name, case in cases.items()]
    )
    spans = {"a": (1, 4), "b": (2, 3), "c": (3, 6), "d": (3, 5)}
    rewrite_times(
        recorder.run.journal_path, {(cases[name].id, 1): span for name, span in spans.items()}
    )
    laps = timeline(load_run(recorder.run.path))
    noon = laps[0].begin - 1
    assert [
        (each.case, each.begin - noon, each.end - noon, each.host, each.job) for each in laps
    ] == [
        (cases["a"].id, 1, 4, "local", 1),
        (cases["b"].id, 2, 3, "local", 2),
        (cases["d"].id, 3, 5, "far", 1),
        (cases["c"].id, 3, 6, "local", 2),
    ]


def test_the_next_one_may_begin_before_the_end_is_written(recorded: RunMaker) -> None:
    cases = [make.case(name) for name in ("a", "b", "c")]
    recorder = recorded([(make.run(case), [make.attempt()]) for case in cases])
    a, b, c = (case.id for case in cases)
    spans = {(a, 1): (0.0, 3.05), (b, 1): (0.0, 5.0), (c, 1): (3.0, 4.0)}
    rewrite_times(recorder.run.journal_path, spans)
    laps = timeline(load_run(recorder.run.path))
    noon = laps[0].begin
    told = [(each.case, round(each.end - noon, 3), each.job) for each in laps]
    assert told == [(a, 3.0, 1), (b, 5.0, 2), (c, 4.0, 1)]


def test_what_a_killed_run_began_is_not_in_it(recorded: RunMaker) -> None:
    case = make.case()
    recorder = recorded([(make.run(case), [])])
    recorder.begin(case, 1)
    assert timeline(recorder.record) == []


@pytest.mark.parametrize("line", ["{}", '{"event": "attempt-started"}', "nonsense"])
def test_a_strangers_journal(recorded: RunMaker, line: str) -> None:
    case = make.case()
    recorder = recorded([(make.run(case), [make.attempt()])])
    with recorder.run.journal_path.open("a") as journal:
        journal.write(f"{line}\n")
    (lap,) = timeline(recorder.record)
    assert isinstance(lap, Lap)
    assert lap.end >= lap.begin
