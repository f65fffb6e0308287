"""A whole world for the command: a suite build, a scenario, and a QEMU that does as it is told."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.fake_world import fake_world, fakes_of
from tests.warm import WarmProgram

SCENARIO = """name: fake
suite: {kind: kvm-unit-tests, build: build}
matrix: {arch: [x86_64], accel: [tcg], qemu: [fake]}
run: {timeout: 60s, stall: 60s}
"""

Script = Mapping[str, Any]


def passing(seconds: float = 0.0) -> Script:
    return {"cont": [["stdout", "PASS: all is well\nSUMMARY: 1 tests\n"], ["serve", seconds]]}


def failing(*names: str) -> Script:
    lines = "".join(f"FAIL: {name}\n" for name in names)
    return {"cont": [["stdout", lines], ["exit", 3]]}


@dataclass
class World:
    """Runs ``matrix`` as a user does, in ``root``."""

    root: Path
    warm: WarmProgram

    def suite(self, **scripts: Script) -> None:
        """Make a build with these tests; their guests do as the scripts say."""
        sections = [f"[{name}]\nfile = guest.flat\ntest_args = {name}\n" for name in scripts]
        (self.root / "build/x86/unittests.cfg").write_text("\n".join(sections))
        for name, script in scripts.items():
            (self.root / f"scripts/{name}.json").write_text(json.dumps(script))

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """Start the command in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "matrix", *arguments],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )

    def run(self, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run the command to its end.

        It begins with Python's start where that decides: by ``options`` of the process, or by a
        variable that Python reads.
        """
        environment = self.environment()
        if not options and self.warm.suits(self.root, environment):
            return self.warm.run(arguments, self.root, environment)
        process = self.start(*arguments, **options)
        try:
            out, err = process.communicate(timeout=100)
        except BaseException:  # a cancellation too: no process stays
            process.kill()
            process.wait()
            raise
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def matrix_run(self, *more: str) -> "subprocess.CompletedProcess[str]":
        """``matrix run`` of the scenario into ``out``."""
        return self.run(*self.run_arguments(*more))

    def run_arguments(self, *more: str) -> tuple[str, ...]:
        return ("run", "scenario.yaml", "--qemu", "fake=qemu", "-o", "out", *more)

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MATRIX_")}
        places = {"MATRIX_CACHE": "cache", "MATRIX_STATE": "state"}
        return {
            **kept,
            "COLUMNS": "100",
            **{name: str(self.root / folder) for name, folder in places.items()},
        }

    def results(self, run: str = "out") -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.root / run / "results.json").read_text())
        return document

    def verdicts(self, run: str = "out") -> dict[str, str]:
        return {case["test"]: case["verdict"] for case in self.results(run)["cases"]}

    def events(self, name: str, run: str = "out") -> list[dict[str, Any]]:
        path = self.root / run / "events.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        events = [json.loads(line) for line in lines if line.endswith("}\n")]  # else half written
        return [event for event in events if event["event"] == name]

    def wait_for(self, condition: Callable[[], object], seconds: float = 100.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come to pass in time"
            time.sleep(0.02)

    def fakes(self) -> list[int]:
        """The processes that run as this world's QEMU."""
        return fakes_of(self.root)


@pytest.fixture
def world(tmp_path: Path, warm: WarmProgram) -> Iterator[World]:
    with fake_world(tmp_path):
        (tmp_path / "scenario.yaml").write_text(SCENARIO)
        yield World(tmp_path, warm)


class Scripts:
    """What a fake guest may do."""

    passing = staticmethod(passing)
    failing = staticmethod(failing)


@pytest.fixture(scope="session")
def scripts() -> Scripts:
    return Scripts()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@pytest.fixture(params=[signal.default_int_handler, signal.SIG_IGN])
def interrupt(request: pytest.FixtureRequest) -> Iterator[int]:
    """A signal that interrupts us, whether SIGINT does or is ignored as in a shell's background."""
    kept = signal.signal(signal.SIGINT, request.param)
    ours = signal.signal(signal.SIGTERM, _interrupt)
    yield signal.SIGTERM
    signal.signal(signal.SIGTERM, ours)
    signal.signal(signal.SIGINT, kept)
