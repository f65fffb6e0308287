import errno
import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.errors import ExitCode, HostError, UsageError
from matrix.plan.decisions import Decision
from matrix.results.recorder import Recorder
from matrix.results.run_record import load_run
from matrix.verdicts import Verdict
from tests import make
from tests.results.conftest import RunMaker


def events(recorder: Recorder) -> list[str]:
    lines = recorder.run.journal_path.read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    decisions: list[Decision] = [make.run(), make.skip(make.case("smp"))]
    with Recorder.start(tmp_path / "run", make.info(), decisions) as recorder:
        folder = recorder.begin(make.case(), 1)
        artifacts = recorder.run.relative(folder)
        result = recorder.finish(make.case(), make.attempt("pass", artifacts=artifacts))
        assert result is not None
        assert result.verdict is Verdict.PASS
        assert recorder.end() is ExitCode.OK
    assert sorted(each.name for each in recorder.run.path.iterdir()) == [
        "cases", "events.jsonl", "junit.xml", "plan.jsonl", "results.json", "results.tap",
        "run.json",
    ]  # fmt: skip
    assert events(recorder) == [
        "run-started",
        "attempt-started",
        "attempt-finished",
        "run-finished",
    ]


def test_a_finished_attempt_is_on_disk_with_all_its_subtests(recorded: RunMaker) -> None:
    recorder = recorded([(make.run(), [])])
    folder = recorder.begin(make.case(), 1)
    attempt = make.attempt(
        "fail", "x", subtests=["PASS: a", "FAIL: b: c"], artifacts="cases/" + folder.name
    )
    recorder.finish(make.case(), attempt)
    document = json.loads((folder / "result.json").read_text())
    assert document["verdict"] == "fail"
    assert document["subtests"] == [
        {"name": "a", "verdict": "pass", "message": ""},
        {"name": "b", "verdict": "fail", "message": "c"},
    ]
    assert events(recorder)[-1] == "attempt-finished"


def test_each_attempt_of_a_repeated_case_has_its_result(recorded: RunMaker) -> None:
    case = make.case(repeat=2)
    recorder = recorded([(make.run(case), [])])
    for number, verdict in ((1, "pass"), (2, "fail")):
        folder = recorder.begin(case, number)
        artifacts = recorder.run.relative(folder)
        assert (folder.parent / "result.json").exists() is False
        recorder.finish(case, make.attempt(verdict, number=number, artifacts=artifacts))
    whole = json.loads((folder.parent / "result.json").read_text())
    assert whole["verdict"] == "flaky"
    assert [each["verdict"] for each in whole["attempts"]] == ["pass", "fail"]
    assert json.loads((folder / "result.json").read_text())["verdict"] == "fail"
    assert json.loads((folder.parent / "1" / "result.json").read_text())["verdict"] == "pass"


def test_a_skip_found_while_running_needs_no_artifacts(recorded: RunMaker) -> None:
    recorder = recorded([(make.run(), [make.attempt("skip", "QEMU refuses this CPU")])])
    assert recorder.record.exit_code() is ExitCode.NOTHING_SELECTED
    (result,) = recorder.record.results()
    assert result.reason == "QEMU refuses this CPU"


def test_an_interrupted_run_is_resumed(recorded: RunMaker) -> None:
    other = make.case("smp")
    recorder = recorded([(make.run(), [make.attempt()]), (make.run(other), [])])
    recorder.begin(other, 1)
    assert recorder.end() is ExitCode.INTERRUPTED
    document = json.loads((recorder.run.path / "results.json").read_text())
    assert [each["id"] for each in document["cases"]] == [make.case().id]
    assert document["unfinished"] == [other.id]
    assert document["exit_code"] == 130
    recorder.__exit__()
    with Recorder.resume(recorder.run.path) as resumed:
        assert resumed.record.info == recorder.record.info
        assert resumed.attempts_left(make.case()) == ()
        assert resumed.attempts_left(other) == (1,)
        resumed.begin(other, 1)
        resumed.finish(other, make.attempt())
        assert resumed.end() is ExitCode.OK
    assert events(recorder)[4:] == [
        "run-interrupted", "run-resumed", "attempt-started", "attempt-finished", "run-finished",
    ]  # fmt: skip
    assert load_run(recorder.run.path).exit_code() is ExitCode.OK


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: plan.replace(b"/images/", b"/others/"),
        lambda plan: plan + b" ",
        lambda plan: plan.replace(b'"why":"no KVM"', b'"why":"no kvm"'),
    ],
)
def test_a_plan_that_was_altered_is_not_resumed(recorded: RunMaker, change: Any) -> None:
    recorder = recorded([(make.run(), [])])
    recorder.__exit__()
    plan = recorder.run.plan_path.read_bytes()
    recorder.run.plan_path.write_bytes(change(plan))
    with pytest.raises(UsageError, match=r"plan\.jsonl.* SHA-256 is not the one in run\.json"):
        Recorder.resume(recorder.run.path)
    recorder.run.plan_path.write_bytes(plan)
    Recorder.resume(recorder.run.path).__exit__()


def test_a_run_of_a_version_without_a_checksum_is_resumed(recorded: RunMaker) -> None:
    recorder = recorded([(make.run(), [])])
    recorder.__exit__()
    info = json.loads(recorder.run.info_path.read_text())
    assert len(info.pop("plan_sha256")) == 64
    recorder.run.info_path.write_text(json.dumps(info))
    Recorder.resume(recorder.run.path).__exit__()


def test_a_finished_run_resumes_to_nothing(tmp_path: Path) -> None:
    with Recorder.start(tmp_path / "run", make.info(), [make.run()]) as recorder:
        recorder.begin(make.case(), 1)
        recorder.finish(make.case(), make.attempt("fail"))
        code = recorder.end()
    with Recorder.resume(tmp_path / "run") as resumed:
        assert resumed.attempts_left(make.case()) == ()
        assert resumed.end() is code is ExitCode.NOT_PASSED


def test_a_run_that_is_being_run_is_not_resumed(recorded: RunMaker) -> None:
    recorder = recorded([(make.run(), [])])
    with pytest.raises(UsageError, match="is being run by another process"):
        Recorder.resume(recorder.run.path)


def test_strictness_survives_a_resume(tmp_path: Path) -> None:
    info = make.info(options={"strict": True})
    with Recorder.start(tmp_path / "run", info, [make.run()]) as recorder:
        recorder.begin(make.case(), 1)
        recorder.finish(make.case(), make.attempt("xpass"))
    with Recorder.resume(tmp_path / "run") as resumed:
        assert resumed.end() is ExitCode.NOT_PASSED


def test_a_plan_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    case = make.case()
    case = replace(case, test=replace(case.test, image=os.fsdecode(b"/\xff")))
    with pytest.raises(UsageError, match="not UTF-8"):
        Recorder.start(tmp_path / "run", make.info(), [make.run(case)])
    with pytest.raises(UsageError, match="its run was killed before it began"):
        Recorder.resume(tmp_path / "run")


def test_a_disk_that_is_full_loses_only_what_was_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write fails from some point on, whichever it is: what was finished stays, and the run
    goes on once there is room."""
    cases = [make.case(f"t{number}") for number in range(3)]
    real_write = os.write
    for allowed in range(9):
        path = tmp_path / f"run-{allowed}"
        finished = []
        recorder = Recorder.start(path, make.info(), [make.run(case) for case in cases])
        left = [allowed]

        def write(descriptor: int, data: bytes, left: list[int] = left) -> int:
            if not left[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            left[0] -= 1
            return real_write(descriptor, data[:5]) if not left[0] else real_write(descriptor, data)

        monkeypatch.setattr(os, "write", write)
        with recorder:
            why = f"^cannot write {recorder.run.journal_path}: No space left on device$"
            with pytest.raises(HostError, match=why) if allowed < 7 else nullcontext():
                for case in cases:
                    recorder.begin(case, 1)
                    recorder.finish(case, make.attempt())
                    finished.append(case.id)
        monkeypatch.undo()
        record = load_run(path)
        assert [each.id for each in record.results()] == finished
        assert record.problems == []
        with Recorder.resume(path) as resumed:
            for case in cases:
                for number in resumed.attempts_left(case):
                    resumed.begin(case, number)
                    resumed.finish(case, make.attempt())
            assert resumed.end() is ExitCode.OK


def test_reports_that_do_not_fit_leave_the_former_ones(tmp_path: Path) -> None:
    cases = [make.case(f"t{number}") for number in range(50)]
    path = tmp_path / "run"
    with Recorder.start(path, make.info(), [make.run(case) for case in cases]) as recorder:
        recorder.write_reports()
        names = ("results.json", "junit.xml", "results.tap")
        former = {name: (path / name).read_bytes() for name in names}
        for case in cases:
            recorder.begin(case, 1)
            recorder.finish(case, make.attempt())
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            with pytest.raises(HostError, match=r"cannot write .*/(junit|results)"):
                recorder.write_reports()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert {name: (path / name).read_bytes() for name in names} == former
        assert recorder.end() is ExitCode.OK


KILLED = """
import os, signal, sys
from pathlib import Path
from matrix.attempt import Attempt
from matrix.verdicts import Verdict
from matrix.results.recorder import Recorder

with Recorder.resume(Path(sys.argv[1])) as recorder:
    for decision in recorder.record.decisions:
        for number in recorder.attempts_left(decision.case):
            folder = recorder.begin(decision.case, number)
            (folder / "console.log").write_text("here")
            artifacts = recorder.run.relative(folder)
            attempt = Attempt(number, Verdict.PASS, "", 0.1, artifacts=artifacts)
            recorder.finish(decision.case, attempt)
            print(decision.case.id, number, flush=True)
    recorder.end()
"""


def test_a_killed_process_loses_nothing_that_it_finished(tmp_path: Path) -> None:
    path = tmp_path / "run"
    cases = [make.case(f"t{number}", repeat=2) for number in range(150)]
    Recorder.start(path, make.info(), [make.run(case) for case in cases]).__exit__()
    said: list[str] = []
    for lines in (1, 7, 40, 1000):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line, _ in zip(process.stdout, range(lines), strict=False):
                said.append(line)
            process.send_signal(signal.SIGKILL)
            # Killed within a line, it has said none.
            said += [line for line in process.stdout if line.endswith("\n")]
        record = load_run(path)
        done = {(case.id, n) for case in cases for n in (1, 2)} - {
            (case.id, n) for case in cases for n in record.attempts_left(case.id)
        }
        # Killed between journal and print, an attempt is finished that was not said to be.
        assert {(each.split()[0], int(each.split()[1])) for each in said} <= done
        assert len(said) == len(set(said))
        assert len(done) - len(said) <= 4
    assert record.unfinished() == ()
    assert record.exit_code() is ExitCode.OK
