"""Guests that work long and silently under TCG: what QEMU is told meanwhile, and when."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matrix.errors import MonitorError
from matrix.model import Ending, Outcome
from matrix.vm.machine import Limits
from matrix.vm.tlb import BETWEEN, MANY, MEASUREMENT, SELDOM, TlbFlusher

REGISTERS = "\nCPU#0\nEIP=0000%04x EFL=00000246 HLT=0\nCS =f000 000f0000 0000ffff\n"
NEW = [REGISTERS % number for number in range(200)]


class Monitor:
    """Writes down what it is told."""

    def __init__(self, error: MonitorError | None = None) -> None:
        self.error = error
        self.told: list[tuple[str, Any]] = []

    async def execute(self, command: str, arguments: Any, timeout: float) -> object:  # noqa: ASYNC109 - as the real one
        self.told.append((command, arguments))
        if self.error is not None:
            raise self.error
        return {}


def flushed(monitor: Any, *times: float) -> list[float]:
    """At which of these times QEMU was told something."""
    flusher, at = TlbFlusher(), []
    for now in times:
        before = len(monitor.told)
        asyncio.run(flusher.flush(monitor, now))
        at += [now] * (len(monitor.told) - before)
    return at


def test_first_often_and_then_seldom() -> None:
    monitor = Monitor()
    quick = [index * BETWEEN for index in range(MANY)]
    last = quick[-1]
    at = flushed(monitor, *quick, last + BETWEEN, last + SELDOM / 2, last + SELDOM)
    assert at == [*quick, last + SELDOM]
    assert {command for command, _ in monitor.told} == {"calc-dirty-rate"}
    assert monitor.told[0][1] == MEASUREMENT


def test_not_before_it_is_time() -> None:
    assert flushed(Monitor(), 7.0, 7.0, 7.0 + BETWEEN / 2, 7.0 + BETWEEN) == [7.0, 7.0 + BETWEEN]


def test_a_qemu_that_refuses_is_not_asked_again() -> None:
    refusal = MonitorError("calc-dirty-rate", "Parameter 'calc-time-unit' is unexpected")
    assert flushed(Monitor(refusal), 1.0, 100.0, 10_000.0) == [1.0]


@pytest.mark.parametrize(
    ("translated", "refuses", "times"),
    [(True, False, range(2, MANY + 3)), (True, True, range(1, 2)), (False, False, range(1))],
)
def test_only_what_is_translated_and_works_is_helped(
    run_fake: Callable[..., Outcome], private: Path, translated: bool, refuses: bool, times: range
) -> None:
    """Three seconds of work, told of for the time that a look at its CPU time takes."""
    errors = {"calc-dirty-rate": ["GenericError", "no such unit"]} if refuses else {}
    limits = Limits(timeout=60, stall=2, translated=translated)
    outcome = run_fake(limits=limits, cont=[["registers", *NEW], ["work", 3]], errors=errors)
    assert outcome.ending is Ending.EXITED
    records = [json.loads(line) for line in (private / "qmp.jsonl").read_text().splitlines()]
    told = [record["message"] for record in records if record["to"] == "qemu"]
    assert sum(each["execute"] == "calc-dirty-rate" for each in told) in times


def test_a_guest_that_sleeps_is_left_alone(run_fake: Callable[..., Outcome], private: Path) -> None:
    limits = Limits(timeout=60, stall=1, translated=True)
    assert run_fake(limits=limits, cont=[["serve", None]]).ending is Ending.STALL
    assert "calc-dirty-rate" not in (private / "qmp.jsonl").read_text()
