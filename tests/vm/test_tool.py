"""Helper programs: their output, their ends, and their limits."""

import asyncio
import sys
import time

import psutil
import pytest

from matrix.errors import SpawnError
from matrix.vm import tool
from matrix.vm.tool import ToolResult, run_tool


def run(*argv: str, seconds: float = 20.0) -> ToolResult:
    return asyncio.run(run_tool(argv, seconds))


def test_what_it_says_and_how_it_ends() -> None:
    result = run("/bin/sh", "-c", "echo out; echo error >&2; cat; exit 3")
    assert result == ToolResult(3, b"out\n", b"error\n")


def test_a_signal_is_a_negative_status() -> None:
    assert run("/bin/sh", "-c", "kill -9 $$").status == -9


def test_its_time_is_limited() -> None:
    begun = time.monotonic()
    result = run("/bin/sh", "-c", "echo before; sleep 60 & wait", seconds=0.3)
    assert (result.status, result.output) == (None, b"before\n")
    assert time.monotonic() - begun < 10
    assert not psutil.Process().children(recursive=True)


def test_its_output_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "OUTPUT_BYTES", 1000)
    result = run(sys.executable, "-I", "-S", "-c", "print('x' * 3_000_000)")
    assert (result.status, result.output) == (0, b"x" * 1000)


def test_there_is_no_such_program() -> None:
    with pytest.raises(SpawnError, match="no-such-program"):
        run("/no-such-program")
