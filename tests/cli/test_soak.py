"""``matrix soak`` on real QEMU: hops that go on after a kill, a seed that repeats them, metrics."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCENARIO = """name: soak
suite: {kind: kvm-unit-tests, build: builtin, tests: [ram-integrity]}
matrix: {arch: [aarch64], accel: [tcg]}
migration:
  mode: continuous
  hops: 2
  pace: 0ms
  strategy: [precopy, postcopy, xbzrle]
  transport: [unix, tcp]
"""

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.slow(reason="a soak is many hops of 0.2 s each"),
]


def arguments(*words: str) -> list[str]:
    return [sys.executable, "-m", "matrix", *words]


def matrix(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments(*words), cwd=place, capture_output=True, text=True, timeout=600, check=False
    )


@contextlib.contextmanager
def started(words: list[str], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A soak that does not outlive a test that fails, nor is waited for then."""
    with subprocess.Popen(words, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def hops(run: Path) -> list[dict[str, Any]]:
    (path,) = run.glob("cases/soak.ram-integrity.aarch64.tcg/hops.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "soak.yaml").write_text(SCENARIO)
    return tmp_path


def test_a_seed_repeats_the_hops(place: Path) -> None:
    for name in ("one", "two"):
        done = matrix(place, "soak", "soak.yaml", "--hops", "6", "--seed", "5", "-o", name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.startswith("seed 5; --seed 5 draws the same hops again\n")
    one, two = hops(place / "one"), hops(place / "two")
    drawn = [(hop["number"], hop["strategy"], hop["transport"]) for hop in one]
    assert drawn == [(hop["number"], hop["strategy"], hop["transport"]) for hop in two]
    assert len({pair[1:] for pair in drawn}) > 1
    (case,) = json.loads((place / "one/results.json").read_text())["cases"]
    assert (case["verdict"], case["hops"]["completed"], case["hops"]["seed"]) == ("pass", 6, 5)
    assert {each["name"] for each in case["hops"]["statistics"]} >= {"downtime", "blackout"}


def test_a_killed_soak_goes_on_counting(place: Path) -> None:
    words = arguments("soak", "soak.yaml", "--hops", "12", "-o", "run", "--metrics", "127.0.0.1:0")
    with started(words, cwd=place, stdout=subprocess.PIPE) as process:
        path = place / "run/cases/soak.ram-integrity.aarch64.tcg/hops.jsonl"
        deadline = time.monotonic() + 300
        while not path.exists() or path.read_bytes().count(b"\n") < 4:
            assert process.poll() in (None, 0)  # where nobody let us look, it may be over
            assert time.monotonic() < deadline
            time.sleep(0.05)
        shown = matrix(place, "show", "run")
        process.send_signal(signal.SIGKILL)
    assert re.search(r"Migration: \d+ hops of 1 guest: \d+ completed, none bad", shown.stdout)
    before = hops(place / "run")
    done = matrix(place, "run", "--resume", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    after = hops(place / "run")
    assert [hop["number"] for hop in after] == list(range(1, 13))
    assert after[: len(before)] == before
    (case,) = json.loads((place / "run/results.json").read_text())["cases"]
    assert case["hops"]["hops"] == 12


def test_metrics_are_served_meanwhile(place: Path) -> None:
    words = arguments("soak", "soak.yaml", "--duration", "1h", "-o", "run")
    port = 20_000 + os.getpid() % 12_000  # below those that the kernel hands out
    words += ["--metrics", f"127.0.0.1:{port}"]
    with started(words, cwd=place, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        found = ""
        while "matrix_hops_total{" not in found:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
                    found = reply.read().decode()
            except OSError:
                continue  # it does not listen yet
        process.send_signal(signal.SIGINT)
        assert process.wait(100) == 130
    assert 'outcome="completed"' in found


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--hops", "3", "--duration", "1h"], "one of the two says when it is over"),
        (["--duration", "soon"], "--duration"),
        (["--metrics", "nowhere"], "write ADDR:PORT"),
        (["--duration", "400d"], "out of range"),
    ],
)
def test_wrong_options(place: Path, words: list[str], told: str) -> None:
    done = matrix(place, "soak", "soak.yaml", *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_scenario_that_migrates_nothing(place: Path) -> None:
    text = SCENARIO.partition("migration:")[0]
    (place / "still.yaml").write_text(text)
    done = matrix(place, "soak", "still.yaml", "--hops", "3")
    assert done.returncode == 2
    assert "migrates nothing; add 'migration:' to it" in done.stderr
