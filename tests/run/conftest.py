"""Plans to run, and an executor that runs nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, Unpack

import pytest

from matrix.attempt import Attempt
from matrix.errors import HostError, HostLostError
from matrix.hosts.contents import Contents
from matrix.hosts.interface import Assignment, Console, Ended, HopDone
from matrix.inventory import Binary, Host, Inventory
from matrix.model import Accelerator, Architecture, RunSettings
from matrix.plan.decisions import LOCAL, Decision, Run
from matrix.plan.schedule import Capacity
from matrix.results.recorder import Recorder
from matrix.results.run_info import run_info
from matrix.verdicts import Verdict
from tests import make

X86 = Architecture.X86_64


INVENTORY = Inventory(Host("x86_64", "6.1.0", 2, 2**33))


@dataclass
class FakeExecutor:
    """Ends each attempt as ``verdicts`` says, once it is released, after ``seconds``."""

    verdicts: Callable[[str, int], Verdict] = lambda _name, _attempt: Verdict.PASS
    seconds: Callable[[str], float] = lambda _name: 0.0
    broken: frozenset[str] = frozenset()
    """With these the run cannot go on."""
    lost: frozenset[str] = frozenset()
    """With these the host cannot go on."""
    refused: frozenset[str] = frozenset()
    """Over before their guests run."""
    prepared: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    at_once: int = 0
    running: int = 0
    cancelled: dict[str, asyncio.Event] = field(default_factory=dict)
    turns: dict[str, asyncio.Event] = field(default_factory=dict)

    def release(self, token: str) -> None:
        self.turns[token].set()

    def cancel(self, token: str) -> None:
        self.cancelled[token].set()

    async def execute(
        self, assignment: Assignment, emit: Callable[[Console | HopDone], None]
    ) -> Ended:
        name, token = assignment.decision.case.test.name, assignment.token
        self.prepared.append(name)
        cancelled = self.cancelled[token] = asyncio.Event()
        turn = self.turns[token] = asyncio.Event()
        if not assignment.held:
            turn.set()
        if name not in self.refused:
            await turn.wait()
            self.order.append(name)
        self.running += 1
        self.at_once = max(self.at_once, self.running)
        try:
            emit(Console(f"{name} speaks\n"))
            if name in self.broken:
                raise HostError("no space left on device")
            if name in self.lost:
                raise HostLostError("its kernel panicked")
            try:
                await asyncio.wait_for(cancelled.wait(), self.seconds(name))
            except TimeoutError:
                pass  # it ran to its end
            else:
                return Ended(None)
        finally:
            self.running -= 1
        attempt = Attempt(
            number=assignment.attempt,
            verdict=self.verdicts(name, assignment.attempt),
            reason="",
            seconds=self.seconds(name),
            accelerator="tcg",
            artifacts=assignment.folder,
        )
        return Ended(attempt)


@dataclass
class FakeLender(FakeExecutor):
    """Lends nothing, and says why."""

    trouble: HostError | None = None
    lost: str = ""  # type: ignore[assignment]  # as a fleet's host has it

    @asynccontextmanager
    async def lend(self, _assignment: Assignment, _qemus: tuple[str, ...]) -> AsyncIterator[None]:
        if self.trouble is not None:
            raise self.trouble
        yield


@dataclass
class FakeHost:
    """A host whose cases run nothing."""

    executor: FakeExecutor
    capacity: Capacity
    name: str = LOCAL
    inventory: Inventory = INVENTORY
    unusable: str = ""
    closed: bool = False
    same_paths: bool = False

    @asynccontextmanager
    async def open(self, run: Path, contents: Contents) -> AsyncIterator[FakeExecutor]:
        if self.unusable:
            raise HostLostError(self.unusable)
        yield self.executor
        self.closed = True


class Settings(TypedDict, total=False):
    """Those of :class:`RunSettings` that tests set."""

    repeat: int
    retries: int
    until_fail: bool


def planned(
    name: str, *, vcpus: int = 1, timeout: float = 30.0, **settings: Unpack[Settings]
) -> Run:
    """A test of that name that runs under TCG."""
    test = make.test(name, timeout=timeout)
    case = make.case(
        test,
        case_id=f"scenario.{name}",
        accel=Accelerator.TCG,
        settings=RunSettings(stall=5.0, **settings),
    )
    return make.run(case, vcpus=vcpus)


@pytest.fixture
def inventory() -> Inventory:
    host = Host(architecture="x86_64", kernel="6.1.0", cpus=2, memory=2**33)
    binary = Binary("system", X86, "/usr/bin/qemu-system-x86_64", (7, 2, 0), "7.2.0")
    return Inventory(host, binaries=(binary,))


@pytest.fixture
def start(tmp_path: Path, inventory: Inventory) -> Iterator[Callable[..., Recorder]]:
    """Starts runs of the given decisions."""
    recorders: list[Recorder] = []

    def begin(*decisions: Decision) -> Recorder:
        info = run_info((), inventory)
        recorder = Recorder.start(tmp_path / f"run{len(recorders)}", info, decisions)
        recorders.append(recorder)
        return recorder

    yield begin
    for recorder in recorders:
        recorder.__exit__()
