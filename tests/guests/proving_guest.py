"""Guests that prove something until they are told to stop: what their tests share."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, TypeVar

from matrix.hosts.kvm_proof import LEAN_FIRMWARE
from matrix.model import Accelerator, Architecture, Case, Launch, Test, Variant
from matrix.plan.command import launch_for
from matrix.suites.build import builtin_build
from matrix.suites.unittests import read_tests
from matrix.vm import machine
from matrix.vm.qemu_session import Session
from tests.installed import installed_binary

PATIENCE = 200.0
"""Seconds: the host may be busy with much else."""


class ProvingGuest:
    """One that runs: its lines as they come, and its QEMU."""

    name: ClassVar[str]
    """What its lines of subtests begin with."""
    beat_line: ClassVar[re.Pattern[str]]

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lines: list[str] = []
        limits = machine.Limits(timeout=PATIENCE, stall=PATIENCE)
        self.processes = machine.Guest(directory, limits, self._hear, migrates=True)
        self.session: Session
        self._rest = b""
        self._more = asyncio.Event()

    def _hear(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.lines += [line.decode().rstrip("\r") for line in lines]
        self._more.set()

    def matching(self, pattern: re.Pattern[str]) -> list[dict[str, int]]:
        """The numbers in the lines that match, by the pattern's names."""
        found = filter(None, map(pattern.fullmatch, self.lines))
        hexadecimal = ("base", "victim", "dirty")
        return [
            {name: int(text, 16 if name in hexadecimal else 10) for name, text in groups.items()}
            for groups in (match.groupdict() for match in found)
        ]

    def said(self, verdict: str) -> list[str]:
        """The subtests of that verdict."""
        begin = f"{verdict}: {self.name}: "
        return [line.removeprefix(begin) for line in self.lines if line.startswith(begin)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for lines that make the condition true."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                assert not self.session.ended.done(), self.lines
                self._more.clear()
                await self._more.wait()

    async def beat(self, more: int = 1) -> dict[str, int]:
        """Wait for so many further beats; what the last one says."""
        wanted = len(self.matching(self.beat_line)) + more
        await self.until(lambda: len(self.matching(self.beat_line)) >= wanted)
        return self.matching(self.beat_line)[-1]

    async def finish(self) -> None:
        """Tell it to stop, and wait until QEMU has ended."""
        self.session.type(b"q")
        async with asyncio.timeout(PATIENCE):
            await self.session.ended

    def launched(self, launch: Launch, test: Test) -> Launch:
        """With what the test needs in its folder; a guest of memory alone needs nothing."""
        del test
        return launch


Kind = TypeVar("Kind", bound=ProvingGuest)


def integrity_test(architecture: Architecture, name: str) -> Test:
    tests = read_tests(builtin_build(architecture), max_smp=4)
    return next(test for test in tests if test.name == name)


@asynccontextmanager
async def running(
    guest: Kind,
    architecture: Architecture = Architecture.X86_64,
    arguments: str = "",
    *,
    smp: int = 1,
    accelerator: Accelerator = Accelerator.TCG,
) -> AsyncIterator[Kind]:
    """The guest, started as a case starts it; QEMU is gone when this is left."""
    binary = await installed_binary(architecture)
    test = integrity_test(architecture, guest.name if smp == 1 else f"{guest.name}-smp")
    if arguments:
        test = replace(test, arguments=f"{guest.name} {arguments}")
    case = Case(
        id="integrity",
        scenario="integrity",
        suite="kvm-unit-tests",
        test=test,
        variant=Variant(arch=architecture, smp=smp),
        build=builtin_build(architecture),
    )
    launch = launch_for(case, binary, accelerator)
    if accelerator is Accelerator.KVM:
        # Where KVM emulates real mode SeaBIOS takes 4 s, and is not what is tested.
        launch = replace(launch, argv=(*launch.argv, *LEAN_FIRMWARE))
    launch = guest.launched(launch, test)
    async with guest.processes:
        guest.session = await guest.processes.start(launch)
        assert await guest.session.boot(PATIENCE) is None
        yield guest


def play(
    guest: AbstractAsyncContextManager[Kind], scene: Callable[[Kind], Awaitable[None]]
) -> Kind:
    async def run() -> Kind:
        async with guest as actor:
            await scene(actor)
            return actor

    return asyncio.run(run())
