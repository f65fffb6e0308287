import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix.errors import ExitCode, MatrixError, UsageError
from matrix.model import RunSettings
from matrix.results import run_record
from matrix.results.case_record import record_of
from matrix.results.recorder import Recorder
from matrix.results.run_record import load_run
from matrix.results.segments import plain
from matrix.results.summary_text import record_summary
from matrix.verdicts import Verdict
from tests import make
from tests.results.conftest import RunMaker


def test_an_untouched_plan_has_everything_left(recorded: RunMaker) -> None:
    case = make.case("smp", repeat=2)
    recorder = recorded([(make.run(), []), (make.run(case), []), (make.skip(make.case("x")), [])])
    record = load_run(recorder.run.path)
    assert record.attempts_left(make.case().id) == (1,)
    assert record.attempts_left(case.id) == (1, 2)
    assert record.attempts_left(make.case("x").id) == ()
    assert record.unfinished() == (make.case().id, case.id)
    assert record.counts()[Verdict.SKIP] == 1
    assert record.exit_code() is ExitCode.INTERRUPTED
    assert [each.reason for each in record.results()] == ["no such QEMU"]


def test_results_are_read_whole_from_the_journal(recorded: RunMaker) -> None:
    attempt = make.attempt(
        "fail", "why", subtests=["PASS: a", "FAIL: b: ü\x1b"], metrics=(("exit", 1250.5, "cycles"),)
    )
    recorder = recorded([(make.run(), [attempt])])
    for record in (recorder.record, load_run(recorder.run.path)):
        result = record.result(make.case().id)
        assert result is not None
        assert result == record_of(make.case(), [attempt])
        assert record.seconds(make.case().id) == 0.5
        assert record.exit_code() is ExitCode.NOT_PASSED


def test_results_are_kept_as_far_as_there_is_room(
    recorded: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One with many subtests has none, those after it do."""
    monkeypatch.setattr(run_record, "ROOM", 2 * run_record.RECORD + 1)
    cases = [make.case(name) for name in ("a", "many", "b", "c")]
    subtests = {"many": ["PASS: x"] * 12}
    attempts = [make.attempt("pass", subtests=subtests.get(case.test.name, [])) for case in cases]
    path = recorded([(make.run(c), [a]) for c, a in zip(cases, attempts, strict=True)]).run.path
    record = load_run(path)
    first, second = list(record.results()), list(record.results())
    assert first == second == [record_of(c, [a]) for c, a in zip(cases, attempts, strict=True)]
    kept = [one is other for one, other in zip(first, second, strict=True)]
    assert kept == [True, False, True, False]


def test_repeats_are_one_result_once_all_are_there(recorded: RunMaker) -> None:
    case = make.case(repeat=3)
    attempts = [make.attempt("pass", number=2), make.attempt("fail", "no", number=3)]
    recorder = recorded([(make.run(case), attempts)])
    assert recorder.record.result(case.id) is None
    assert recorder.attempts_left(case) == (1,)
    assert recorder.record.attempts(case.id) == tuple(attempts)
    recorder.begin(case, 1)
    result = recorder.finish(case, make.attempt("pass", number=1))
    assert result is not None
    assert result.verdict is Verdict.FLAKY
    assert [each.number for each in result.attempts] == [1, 2, 3]
    assert load_run(recorder.run.path).result(case.id) == result


def test_an_attempt_that_was_running_is_known(recorded: RunMaker) -> None:
    recorder = recorded([(make.run(), [])])
    recorder.begin(make.case(), 1)
    record = load_run(recorder.run.path)
    assert record.in_flight() == ((make.case().id, 1),)
    recorder.finish(make.case(), make.attempt())
    assert load_run(recorder.run.path).in_flight() == ()


def test_wall_time_is_that_of_the_processes(recorded: RunMaker) -> None:
    path = recorded([(make.run(), [])]).run.path
    lines = [
        ("run-started", "2026-11-21T09:00:00.000Z"),
        ("x", "2026-11-21T09:00:10.500Z"),
        ("run-resumed", "2026-11-22T09:00:00.000Z"),
        ("x", "not a time"),
        ("x", "2026-11-22T09:00:02"),
        ("x", "2026-11-22T09:00:02.000+00:00"),
        ("x", "2026-11-22T09:00:01.000Z"),
        ("run-finished", "2026-11-22T09:00:02.000Z"),
    ]
    text = "".join(json.dumps({"event": event, "time": time}) + "\n" for event, time in lines)
    (path / "events.jsonl").write_text(text)
    assert load_run(path).elapsed == 13.5


ATTEMPT: dict[str, Any] = {"number": 1, "verdict": "pass", "reason": "", "seconds": 1}


@pytest.mark.parametrize(
    ("event", "case_id", "attempt", "complaint"),
    [
        ("attempt-started", "x\x1b", 1, "the plan has no case 'x\\x1b'"),
        ("attempt-started", 5, 1, "'case' must be a text"),
        ("attempt-started", "ID", "1", "'attempt' must be a number"),
        ("attempt-started", "ID", 2, "the plan has no attempt 2 of 'ID'"),
        ("attempt-started", "SKIP", 1, "the plan does not run the case 'SKIP'"),
        ("attempt-finished", "ID", None, "Input should be"),
        ("attempt-finished", "ID", {"number": 1}, "verdict: "),
        ("attempt-finished", "ID", ATTEMPT | {"verdict": "good"}, "verdict: Input should be"),
        ("attempt-finished", "ID", ATTEMPT | {"seconds": "NaN"}, "have taken nan seconds"),
        ("attempt-finished", "ID", ATTEMPT | {"seconds": -1}, "have taken -1.0 seconds"),
        ("attempt-finished", "ID", ATTEMPT | {"number": -1}, "no attempt -1 of 'ID'"),
    ],
)
def test_lines_that_make_no_sense_are_problems(
    recorded: RunMaker, event: str, case_id: object, attempt: object, complaint: str
) -> None:
    skip = make.skip(make.case(case_id="SKIP"))
    path = recorded([(make.run(make.case(case_id="ID")), []), (skip, [])]).run.path
    with (path / "events.jsonl").open("a") as file:
        file.write(json.dumps({"event": event, "case": case_id, "attempt": attempt}) + "\n")
    record = load_run(path)
    assert len(record.problems) == 1
    assert str(record.problems[0]).startswith(f"{path}/events.jsonl:2: ")
    assert complaint in str(record.problems[0])
    assert record.attempts_left("ID") == (1,)


def test_an_attempt_counts_once(recorded: RunMaker) -> None:
    recorder = recorded([(make.run(), [make.attempt("pass")])])
    journal = recorder.run.journal_path
    last = journal.read_text().splitlines()[-1]
    with journal.open("a") as file:
        file.write(last.replace('"pass"', '"fail"') + "\n")
    record = load_run(recorder.run.path)
    assert record.verdict(make.case().id) is Verdict.PASS
    assert "was finished before" in str(record.problems[0])


def test_an_unknown_case_is_named(recorded: RunMaker) -> None:
    record = recorded([(make.run(), [])]).record
    with pytest.raises(UsageError, match=r"has no case 'b\\\\x1b'"):
        record.decision("b\x1b")


def test_problems_are_bounded(recorded: RunMaker) -> None:
    path = recorded([(make.run(), [])]).run.path
    with (path / "events.jsonl").open("a") as file:
        file.write("garbage\n" * 1000)
    record = load_run(path)
    assert len(record.problems) == 100


verdicts = st.sampled_from(["pass", "fail", "skip", "timeout", "error"])


@settings(max_examples=30, deadline=None)
@given(
    plan=st.lists(st.tuples(st.integers(1, 3), verdicts), min_size=1, max_size=4),
    data=st.data(),
)
def test_a_run_killed_at_any_byte_resumes_without_loss_or_repetition(
    plan: list[tuple[int, str]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Each process runs on until it is killed: its journal is cut somewhere behind what earlier
    processes wrote. Whatever was journalled is never run again, whatever was not is."""
    path = tmp_path_factory.mktemp("resume") / "run"
    cases = [make.case(f"t{number}", repeat=repeat) for number, (repeat, _) in enumerate(plan)]
    outcomes = {case.id: verdict for case, (_, verdict) in zip(cases, plan, strict=True)}
    recorder = Recorder.start(path, make.info(), [make.run(case) for case in cases])
    journal = recorder.run.journal_path
    wanted = {(case.id, number) for case in cases for number in range(1, case.settings.repeat + 1)}
    known: set[tuple[str, int]] = set()
    for kills_left in (3, 2, 1, 0):
        kept = journal.stat().st_size
        ends = {}
        with recorder:
            left = {(c.id, n) for c in cases for n in recorder.attempts_left(c)}
            assert left == wanted - known
            for case in cases:
                for number in recorder.attempts_left(case):
                    recorder.begin(case, number)
                    recorder.finish(case, make.attempt(outcomes[case.id], number=number))
                    ends[journal.stat().st_size] = (case.id, number)
        if not kills_left:
            break
        cut = data.draw(st.integers(kept, journal.stat().st_size))
        os.truncate(journal, cut)
        # A line that lacks nothing but its break is whole.
        known |= {key for end, key in ends.items() if end - 1 <= cut}
        recorder = Recorder.resume(path)
    record = load_run(path)
    assert record.unfinished() == ()
    assert {case.id: record.verdict(case.id) for case in cases} == outcomes
    for case in cases:
        numbers = [each.number for each in record.attempts(case.id)]
        assert sorted(numbers) == list(range(1, case.settings.repeat + 1))


@settings(max_examples=30, deadline=None)
@given(
    plan=st.lists(
        st.tuples(
            st.builds(
                RunSettings,
                repeat=st.integers(1, 4),
                retries=st.integers(0, 3),
                until_fail=st.booleans(),
            ),
            st.lists(verdicts, min_size=8, max_size=8),
        ).filter(lambda each: each[0].repeat > 1 or not each[0].until_fail),
        min_size=1,
        max_size=4,
    ),
    data=st.data(),
)
def test_a_run_killed_at_any_byte_makes_the_same_attempts(
    plan: list[tuple[RunSettings, list[str]]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """How often a case is run follows from what is in the journal, wherever that was cut."""
    cases = [make.case(f"t{n}", settings=settings) for n, (settings, _) in enumerate(plan)]
    outcomes = {case.id: outcomes for case, (_, outcomes) in zip(cases, plan, strict=True)}

    def go_on(recorder: Recorder) -> None:
        with recorder:
            while left := [(c, n) for c in cases for n in recorder.attempts_left(c)]:
                case, number = left[0]
                recorder.begin(case, number)
                recorder.finish(case, make.attempt(outcomes[case.id][number - 1], number=number))

    runs = [make.run(case) for case in cases]
    whole = tmp_path_factory.mktemp("whole") / "run"
    go_on(Recorder.start(whole, make.info(), runs))
    path = tmp_path_factory.mktemp("killed") / "run"
    recorder = Recorder.start(path, make.info(), runs)
    kept = recorder.run.journal_path.stat().st_size
    go_on(recorder)
    for _ in range(3):
        journal = path / "events.jsonl"
        kept = data.draw(st.integers(kept, journal.stat().st_size))
        os.truncate(journal, kept)
        go_on(Recorder.resume(path))

    wanted, record = load_run(whole), load_run(path)
    assert record.unfinished() == wanted.unfinished() == ()
    for case in cases:
        attempts = [
            sorted((a.number, a.verdict) for a in r.attempts(case.id)) for r in (record, wanted)
        ]
        assert attempts[0] == attempts[1]
        assert record.verdict(case.id) is wanted.verdict(case.id)


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(["run.json", "plan.jsonl", "events.jsonl"]), data=st.data())
def test_a_hostile_directory_gives_no_traceback(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder: Path = tmp_path_factory.mktemp("hostile")
    case = make.case(repeat=2)
    with Recorder.start(folder / "run", make.info(), [make.run(case)]) as recorder:
        for number in (1, 2):
            recorder.begin(case, number)
            attempt = make.attempt("fail", "x", number=number, subtests=["FAIL: a"])
            recorder.finish(case, attempt)
    path = recorder.run.path / name
    whole = path.read_bytes()
    values: st.SearchStrategy[bytes] = st.one_of(
        st.binary(max_size=12),
        st.sampled_from(
            [b"null", b"-1", b"1e999", b"[]", b"{}", b'"../../x"', b'"\\u0000"', b'"\\u001b[2J"',
             b"9" * 30, b"true", b'"', b"\n", b"NaN", b"-0.0", b'"cases/../../.."']
        ),
    )  # fmt: skip
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(start + 40, len(whole))))
    path.write_bytes(whole[:start] + data.draw(values) + whole[end:])
    try:
        text = plain(record_summary(load_run(folder / "run"), 80))
    except MatrixError as error:
        text = str(error)
    assert all(line.isprintable() for line in text.split("\n"))
    shutil.rmtree(folder)
