"""The script that runs the suite ten times: what it reads, prints, exits with and leaves behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

SCRIPT = Path(__file__).with_name("ten_times.py")
FLAKY = """
from pathlib import Path
import pytest

def test_good(): pass

@pytest.mark.skip
def test_skipped(): pass

def test_second():
    count = Path(__file__).with_name("count")
    count.write_text(count.read_text() + "x" if count.exists() else "x")
    assert len(count.read_text()) != 2
"""
HANGS = """
import time
from pathlib import Path

def test_hangs():
    Path(__file__).with_name("begun").touch()
    time.sleep(600)
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts the script over a suite of one file."""

    def begin(text: str, *words: str) -> subprocess.Popen[str]:
        file = tmp_path / "test_it.py"
        file.write_text(text)
        output = ("--output", str(tmp_path / "out"))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), *words, *output, "-p", "no:cacheprovider", str(file)],
            env={**kept, "PYTEST_JOBS": "0"},
            stdout=subprocess.PIPE,
            text=True,
        )

    return begin


def test_a_failure_in_one_run_of_three(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    script = start(FLAKY, "--runs", "3")
    out, _ = script.communicate(timeout=300)
    head, *rows = out.splitlines()
    assert head.split()[:5] == ["run", "passed", "failed", "skipped", "wall"]
    assert [row.split()[:5] for row in rows] == [
        ["1", "quiet", "2", "0", "1"],
        ["2", "busy", "1", "1", "1"],
        ["3", "quiet", "2", "0", "1"],
    ]
    assert rows[1].endswith("test_it::test_second")
    assert script.returncode == 1
    assert "2 passed, 1 skipped" in (tmp_path / "out/1.log").read_text()


def test_nothing_failed(start: Callable[..., subprocess.Popen[str]]) -> None:
    script = start("def test_good(): pass", "--runs", "1")
    script.communicate(timeout=300)
    assert script.returncode == 0


def test_no_test_is_a_failure(start: Callable[..., subprocess.Popen[str]]) -> None:
    script = start("", "--runs", "1")
    out, _ = script.communicate(timeout=300)
    assert out.splitlines()[1].endswith("pytest exited with status 5")
    assert script.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_it_started_ends_with_it(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    script = start(HANGS, "--runs", "2")
    begun = tmp_path / "begun"
    _until(begun.exists)
    children = psutil.Process(script.pid).children(recursive=True)
    assert children
    script.send_signal(number)
    script.communicate(timeout=100)
    assert script.returncode == 130
    assert psutil.wait_procs(children, timeout=100)[1] == []


def test_busy_loops_do_not_outlive_one_that_is_killed() -> None:
    code = """if True:
        from ten_times import busy_loops
        with busy_loops(1) as (loop,):
            print(loop.pid, flush=True)
            loop.wait()
    """
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=SCRIPT.parent, stdout=subprocess.PIPE, text=True
    ) as script:
        assert script.stdout is not None
        loop = psutil.Process(int(script.stdout.readline()))
        script.kill()
    assert psutil.wait_procs([loop], timeout=100)[1] == []


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
