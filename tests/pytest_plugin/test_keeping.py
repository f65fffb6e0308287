"""The run directory that a session leaves, and sessions of several processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from matrix.errors import ExitCode
from matrix.results.run_record import load_run
from matrix.verdicts import Verdict
from tests.pytest_plugin.conftest import Project, Scripts


def verdicts(run: Any) -> dict[str, Verdict | None]:
    record = load_run(run)
    assert not record.problems
    return {
        decision.case.test.name: record.verdict(decision.case.id) for decision in record.decisions
    }


@pytest.fixture
def mixed(project: Project, scripts: type[Scripts]) -> Project:
    project.suite(
        groups={"asleep": "nodefault"},
        good=scripts.passing(),
        bad=scripts.failing("x"),
        asleep=scripts.passing(),
    )
    project.scenario()
    return project


MIXED = {"good": Verdict.PASS, "bad": Verdict.FAIL, "asleep": Verdict.SKIP}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_session_leaves_a_whole_run(mixed: Project, workers: int) -> None:
    more = ["-p", "xdist", "-n", str(workers)] if workers else []
    result = mixed.run_apart("scenario.yaml", "--matrix-run=out", *more)
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["matrix: results in */out"])
    assert verdicts(mixed.root / "out") == MIXED
    record = load_run(mixed.root / "out")
    assert record.exit_code() is ExitCode.NOT_PASSED
    assert [source.name for source in record.info.scenarios] == ["fake"]
    assert [binary.qemu for binary in record.info.binaries] == ["fake"]
    assert record.info.arguments[0] == "pytest"
    assert 0 < record.elapsed < 300
    document = json.loads((mixed.root / "out/results.json").read_text())
    assert document["counts"]["pass"] == 1
    assert (mixed.root / "out/cases/fake.bad.x86_64.tcg.qemu=fake/console.log").exists()
    assert (mixed.root / "out/cases/fake.bad.x86_64.tcg.qemu=fake/result.json").exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_session_in_which_too_little_ran_has_failed(
    project: Project, scripts: type[Scripts], workers: int
) -> None:
    project.suite(good=scripts.passing(), skipped=scripts.skipping("no such device"))
    path = project.scenario()
    asked = path.read_text().replace("run: {", "run: {require: 100%, ")
    if not workers:
        assert project.run("scenario.yaml", "--basetemp=first").ret == pytest.ExitCode.OK
        path.write_text(asked)
        result = project.run("scenario.yaml", "-k", "good", "--basetemp=second")
        assert result.ret == pytest.ExitCode.OK

    path.write_text(asked)
    more = ["-p", "xdist", "-n", str(workers)] if workers else []
    result = project.run_apart("scenario.yaml", *more)
    result.assert_outcomes(passed=1, skipped=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    said = "matrix: too little ran: 1 of 2 cases ran, but scenario fake requires 100%, which is 2"
    result.stdout.fnmatch_lines([said])


def test_a_session_is_in_the_history_where_the_setting_says_so(
    mixed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = mixed.root / "history.sqlite"
    monkeypatch.setenv("MATRIX_DATABASE", str(database))
    mixed.run("scenario.yaml", "-k", "good", "--basetemp=first")
    assert not database.exists()
    asked = ("scenario.yaml", "-k", "good", "-o", "matrix_history=true")
    result = mixed.run_apart(*asked, "--basetemp=second")
    result.stdout.no_fnmatch_line("*not in the history*")
    assert database.read_bytes().startswith(b"SQLite format 3")

    database.write_text("no database")
    result = mixed.run(*asked, "--basetemp=third")
    result.assert_outcomes(passed=1, deselected=2)
    result.stdout.fnmatch_lines(["matrix: not in the history: *: it is damaged*"])


def test_without_a_name_the_run_is_in_pytests_temporary_folder(mixed: Project) -> None:
    mixed.run("scenario.yaml", "--basetemp=temporary")
    assert verdicts(mixed.root / "temporary/matrix") == MIXED


def test_only_what_ran_is_in_the_run(mixed: Project) -> None:
    mixed.run("scenario.yaml", "--matrix-run=out", "-k", "good")
    assert verdicts(mixed.root / "out") == {"good": Verdict.PASS}


def test_no_run_is_left_where_nothing_ran(mixed: Project) -> None:
    mixed.pytester.makepyfile("def test_plain(): pass")
    mixed.run("--matrix-run=out", "--basetemp=temporary").assert_outcomes(passed=1)
    assert not (mixed.root / "out").exists()
    assert not (mixed.root / "temporary/matrix").exists()


def test_collecting_alone_leaves_nothing(mixed: Project) -> None:
    mixed.run("scenario.yaml", "--matrix-run=out", "--collect-only")
    assert not (mixed.root / "out").exists()


def test_workers_ask_the_host_once(mixed: Project) -> None:
    mixed.run_apart("scenario.yaml", "-p", "xdist", "-n", "2").assert_outcomes(
        passed=1, failed=1, skipped=1
    )
    mixed_probes = mixed.started().count("probe")
    (mixed.root / "scripts/started").unlink()
    for file in sorted((mixed.root / "cache").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    mixed.run("scenario.yaml", "--collect-only")
    assert mixed_probes == mixed.started().count("probe") > 0


def test_failures_of_workers_keep_their_short_message(mixed: Project) -> None:
    result = mixed.run_apart("scenario.yaml", "-p", "xdist", "-n", "2")
    result.stdout.fnmatch_lines(["*FAIL: x*", "FAILED *::fake.bad.* - fail: 1 of 1 subtest *"])


def wait_for(condition: Callable[[], object], seconds: float = 100.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("workers", "number"),
    [(0, signal.SIGINT), (0, signal.SIGTERM), (0, signal.SIGKILL), (2, signal.SIGINT)],
)
def test_no_qemu_survives_the_session(
    project: Project, scripts: type[Scripts], workers: int, number: signal.Signals
) -> None:
    names = ("ever", "more", "most")
    project.suite(good=scripts.passing(), **dict.fromkeys(names, scripts.endless()))
    project.scenario()
    distributed = ["-p", "xdist", "-n", str(workers)] if workers else []
    # A job in the background of a shell has SIGINT ignored, and would pass that on.
    command = ["env", "--default-signal=INT", sys.executable, "-u", "-m", "pytest", "-v"]
    command += ["-p", "matrix.pytest_plugin.plugin"]
    output = project.root / "output"
    with output.open("w") as file:
        session = subprocess.Popen(
            [*command, *project.arguments("scenario.yaml", "--matrix-run=out", *distributed)],
            cwd=project.root,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        # Seen by the session, not only by the worker that has run it.
        wait_for(lambda: "PASSED" in output.read_text())
        wait_for(lambda: len(set(names) & set(project.started())) == max(workers, 1))
        wait_for(lambda: len(project.qemus()) == max(workers, 1))
        os.killpg(session.pid, number)
        session.wait(100)
    finally:
        if session.poll() is None:
            os.killpg(session.pid, signal.SIGKILL)
            session.wait()
    wait_for(lambda: not project.qemus())
    if number is signal.SIGINT:
        assert session.returncode == 2
        assert "KeyboardInterrupt" in output.read_text()
        assert verdicts(project.root / "out")["good"] is Verdict.PASS
