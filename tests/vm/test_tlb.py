"""Guests that work long and silently under TCG: what QEMU is told meanwhile, and when."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from matrix.attempt import Assist, Ending, Outcome
from matrix.errors import MonitorError
from matrix.model import ExitChannel, Launch
from matrix.vm import tlb
from matrix.vm.machine import Guest, Limits
from matrix.vm.tlb import BETWEEN, EVENTS, MANY, MEASUREMENT, SELDOM, Stopped, TlbFlusher

REGISTERS = "\nCPU#0\nEIP=0000%04x EFL=00000246 HLT=0\nCS =f000 000f0000 0000ffff\n"
NEW = [REGISTERS % number for number in range(200)]


class Monitor:
    """Writes down what it is told."""

    alive = True

    def __init__(self, error: MonitorError | None = None) -> None:
        self.error = error
        self.told: list[tuple[str, Any]] = []

    async def execute(
        self,
        command: str,
        arguments: Any = None,
        timeout: float = 1.0,  # noqa: ASYNC109 - as the real one
    ) -> object:
        self.told.append((command, arguments))
        if self.error is not None:
            raise self.error
        return {}


def flushed(monitor: Any, *times: float) -> list[float]:
    """At which of these times QEMU was told something."""
    session: Any = SimpleNamespace(monitor=monitor, assists=Counter())
    flusher, at = TlbFlusher(session), []
    for now in times:
        before = len(monitor.told)
        asyncio.run(flusher.flush(now))
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


@pytest.mark.parametrize("error_class", ["", "GenericError"], ids=["dead", "refuses"])
def test_a_qemu_that_does_not_help_is_not_asked_again(error_class: str) -> None:
    monitor = Monitor(MonitorError("calc-dirty-rate", "no", error_class))
    flushed(monitor, 1.0, 1.0, 100.0, 10_000.0)
    assert [command for command, _ in monitor.told][1:] == ["stop", "cont", "query-status"] * bool(
        error_class
    )


def commands(private: Path) -> list[str]:
    """What QEMU was told to do, in order."""
    records = [json.loads(line) for line in (private / "qmp.jsonl").read_text().splitlines()]
    told = [record["message"] for record in records if record["to"] == "qemu"]
    names = [each.get("execute") or each["exec-oob"] for each in told]
    return [name for name in names if not name.startswith(("query", "human", "qmp_"))]


@pytest.mark.parametrize(("translated", "times"), [(True, range(2, MANY + 3)), (False, range(1))])
def test_only_what_is_translated_and_works_is_helped(
    run_fake: Callable[..., Outcome], private: Path, translated: bool, times: range
) -> None:
    """Three seconds of work, told of for the time that a look at its CPU time takes."""
    limits = Limits(timeout=60, stall=2, translated=translated)
    outcome = run_fake(limits=limits, cont=[["registers", *NEW], ["work", 3]])
    assert outcome.ending is Ending.EXITED
    made = commands(private).count("calc-dirty-rate")
    assert made in times
    assert outcome.assists == (((Assist.CALC_DIRTY_RATE, made),) if made else ())


class TestStopped:
    """QEMUs before 8.2, which must not flush while their guests run."""

    OLD: ClassVar = {
        "calc-dirty-rate": ["GenericError", "Parameter 'calc-time-unit' is unexpected"]
    }
    FLUSH = ("stop", "migrate-set-capabilities", "getfd", "migrate", "migrate_cancel", "cont")
    LIMITS = Limits(timeout=60, stall=2, translated=True)

    @staticmethod
    def migrates(*states: str) -> list[list[object]]:
        return [["event", "MIGRATION", {"status": state}] for state in states]

    @pytest.mark.parametrize("active", ["active", "completed"])
    def test_the_guest_is_stopped_for_it_and_goes_on(
        self, run_fake: Callable[..., Outcome], private: Path, active: str
    ) -> None:
        before = {
            "migrate": self.migrates("setup", active),
            "migrate_cancel": self.migrates("cancelling", "cancelled"),
        }
        work = [["registers", *NEW], ["work", 3]]
        outcome = run_fake(limits=self.LIMITS, cont=work, errors=self.OLD, before=before)
        assert outcome.ending is Ending.EXITED
        told = commands(private)
        assert told[:2] == ["cont", "calc-dirty-rate"]
        times = len(told[2:]) // len(self.FLUSH)
        assert times >= 2
        assert told[2:] == ([*self.FLUSH] * (times + 1))[: len(told) - 2]  # the last is cut short
        assert outcome.assists == ((Assist.MIGRATE_TO_NOBODY, told.count("stop")),)

    def test_a_migration_that_was_through_is_waited_for(
        self, run_fake: Callable[..., Outcome], private: Path
    ) -> None:
        """QEMU refuses "cont" until it has cleaned up: the guest must not stay stopped."""
        refuse = ["refuse", "cont", "GenericError", "Migration is not finalized yet", 3]
        before = {
            "migrate": [*self.migrates("active", "completed"), ["state", "finish-migrate"], refuse]
        }
        work = [["registers", *NEW], ["work", 3]]
        outcome = run_fake(limits=self.LIMITS, cont=work, errors=self.OLD, before=before)
        assert outcome.ending is Ending.EXITED
        told = commands(private)[2:]
        assert told[: len(self.FLUSH) + 3] == [*self.FLUSH, "cont", "cont", "cont"]

    def test_one_that_cannot_migrate_goes_on_and_is_left_alone(
        self, run_fake: Callable[..., Outcome], private: Path
    ) -> None:
        errors = {**self.OLD, "migrate": ["GenericError", "State blocked by the device 'edu'"]}
        work = [["registers", *NEW], ["work", 3]]
        outcome = run_fake(limits=self.LIMITS, cont=work, errors=errors)
        assert outcome.ending is Ending.EXITED
        told = commands(private)
        assert (told.count("stop"), told.count("cont")) == (1, 2)

    def test_one_that_says_nothing_goes_on_and_is_left_alone(
        self, run_fake: Callable[..., Outcome], private: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No event follows the command; what was begun is ended all the same."""
        monkeypatch.setattr(tlb, "PATIENCE", 0.2)
        work = [["registers", *NEW], ["work", 3]]
        outcome = run_fake(limits=self.LIMITS, cont=work, errors=self.OLD)
        assert outcome.ending is Ending.EXITED
        told = commands(private)
        assert told[2:] == [*self.FLUSH]

    def test_one_that_is_over_is_not_continued(
        self, run_fake: Callable[..., Outcome], private: Path
    ) -> None:
        """It has panicked just before, and QEMU has not said so yet."""
        work = [["registers", *NEW], ["work", 3]]
        before = {"stop": [["state", "guest-panicked"]]}
        outcome = run_fake(limits=self.LIMITS, cont=work, errors=self.OLD, before=before)
        assert outcome.ending is Ending.EXITED
        told = commands(private)
        assert (told.count("cont"), told.count("migrate")) == (1, 0)

    def test_a_cancellation_is_not_lost_to_a_failure(self) -> None:
        """Whoever watches the guest would watch on for ever."""

        class Dying(Monitor):
            migrates = asyncio.Event()

            async def execute(self, command: str, *arguments: Any) -> object:
                await super().execute(command, *arguments)
                if command == "migrate":
                    self.migrates.set()
                if command == "migrate_cancel":
                    raise MonitorError(command, "connection lost")
                return {"status": "paused"}

            async def send_descriptor(self, _name: str, _descriptor: int) -> None:
                pass

        monitor: Any = Dying()
        session: Any = SimpleNamespace()

        async def work() -> None:
            flush = asyncio.create_task(Stopped(session).flush(monitor))
            await monitor.migrates.wait()
            await asyncio.sleep(0)  # for the answer to have come
            flush.cancel()
            with pytest.raises(asyncio.CancelledError):
                await flush

        asyncio.run(work())
        assert [command for command, _ in monitor.told][-2:] == ["migrate_cancel", "cont"]

    @pytest.mark.qemu
    @pytest.mark.skipif(
        shutil.which("qemu-system-x86_64") is None, reason="qemu-system-x86_64 is not installed"
    )
    def test_a_real_one(self, private: Path, x86_image: Callable[[bytes], Path]) -> None:
        """Whichever the system's QEMU is, stopped: a guest that counts, counts on."""
        counts = b"\x40\xeb\xfd"  # 1: inc %eax; jmp 1b
        words = ("-accel", "tcg", "-kernel", str(x86_image(counts)))
        argv = ("qemu-system-x86_64", "-nodefaults", "-display", "none", "-smp", "2", *words)

        async def work() -> list[str]:
            launch = Launch(argv, ExitChannel.QEMU_EXIT)
            async with Guest(private, Limits(60, 60), lambda data: None) as guest:
                session = await guest.start(launch)
                assert await session.boot(20) is None
                monitor = session.monitor
                assert monitor is not None
                await monitor.execute("migrate-set-capabilities", EVENTS)
                flusher, seen = Stopped(session), []
                for _ in range(5):
                    await flusher.flush(monitor)
                    status = await monitor.execute("query-status")
                    registers = await monitor.human("info registers")
                    seen += [str(status["status"]), registers]
                    await asyncio.sleep(0.05)
                return seen

        seen = asyncio.run(work())
        assert set(seen[::2]) == {"running"}
        assert len(set(seen[1::2])) == 5


def test_a_guest_that_sleeps_is_left_alone(run_fake: Callable[..., Outcome], private: Path) -> None:
    limits = Limits(timeout=60, stall=1, translated=True)
    assert run_fake(limits=limits, cont=[["serve", None]]).ending is Ending.STALL
    assert "calc-dirty-rate" not in (private / "qmp.jsonl").read_text()
