"""Cases whose guests are programs of ours in kvmtool's place: on several kinds of hosts."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest

from matrix.attempt import Attempt
from matrix.hosts.contents import Contents
from matrix.hosts.interface import Assignment, Console, Executor, HopDone
from matrix.inventory import Host, Inventory
from matrix.model import Accelerator, Architecture, Build, Case, Target, Test, Variant
from matrix.plan.decisions import Run
from matrix.plan.planner import decide
from matrix.results.recorder import Recorder

ARM64 = Architecture.AARCH64
PATIENCE = 100.0
"""Seconds; nothing here depends on it."""
GUEST = """#!{python} -ISu
import fcntl, os, sys, time
name = next(os.path.basename(word)[:-5] for word in sys.argv if word.endswith(".flat"))
lock = open("{folder}/" + name + ".lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    open("{folder}/overlap", "w")
with open("{folder}/" + name + ".pids", "a") as file:
    file.write(str(os.getpid()) + chr(10))
print("begin")
while not os.path.exists("{folder}/" + name + ".go"):
    time.sleep(0.01)
print("PASS: a", "EXIT: STATUS=1", sep=chr(10))
"""
"""Passes once it may; two of the same name at a time are told."""


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    yield
    assert [child.cmdline() for child in psutil.Process().children(recursive=True)] == []


@dataclass
class GuestLab:
    """Cases by name, and what became of their guests."""

    folder: Path
    start: Callable[..., Recorder]
    said: list[str] = field(default_factory=list)
    printed: dict[str, str] = field(default_factory=dict)
    contents: Contents = field(default_factory=Contents)

    def __post_init__(self) -> None:
        program = self.folder / "lkvm"
        program.write_text(GUEST.format(python=sys.executable, folder=self.folder))
        program.chmod(0o755)
        host = Host(architecture="aarch64", kernel="6.1.0", cpus=2, memory=2**33)
        self.inventory = Inventory(host, kvmtool=str(program))

    def decision(self, name: str) -> Run:
        image = self.folder / f"{name}.flat"
        image.write_bytes(b"guest " + name.encode())
        build = Build(ARM64, "/build", "/build/arm", target=Target.KVMTOOL)
        test = Test(name, str(image), name)
        variant = Variant(ARM64, Accelerator.AUTO)
        case = Case(f"s.{name}", "s", "kvm-unit-tests", test, variant, build)
        case = replace(case, settings=replace(case.settings, timeout=1000.0, stall=1000.0))
        decision = decide(case, self.inventory)
        assert isinstance(decision, Run)
        return decision

    async def attempt(self, executor: Executor, assignment: Assignment) -> Attempt | None:
        def emit(event: Console | HopDone) -> None:
            assert isinstance(event, Console)
            self.printed[assignment.token] = self.printed.get(assignment.token, "") + event.text

        return (await executor.execute(assignment, emit)).attempt

    def go(self, name: str) -> None:
        (self.folder / f"{name}.go").touch()

    def pids(self, name: str) -> list[int]:
        path = self.folder / f"{name}.pids"
        return list(map(int, path.read_text().split())) if path.exists() else []

    async def guest(self, name: str, count: int = 1) -> psutil.Process:
        """The guest of that name, when it is the ``count``-th."""
        async with asyncio.timeout(PATIENCE):
            while len(self.pids(name)) < count:  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(0.01)
        return psutil.Process(self.pids(name)[-1])
