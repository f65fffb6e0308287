"""Cases in a virtual host, without one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from matrix.hosts.contents import Contents
from matrix.hosts.interface import Assignment, Ended
from matrix.hosts.virtual.l1_guest import ProgramResult
from matrix.hosts.virtual.protocol import ProgramEnded
from matrix.hosts.virtual.virtual_host import VirtualHost
from matrix.hosts.virtual.vmm import proving_cases
from matrix.model import Accelerator, Architecture
from matrix.plan.decisions import Run
from tests import make


class Guest:
    """A host whose programs take all their time."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def have_file(self, path: str, content: bytes) -> None:
        pass

    async def run(
        self, words: tuple[str, ...], seconds: float, on_output: Callable[[bytes], None], **_: Any
    ) -> ProgramResult:
        self.seconds.append(seconds)
        return ProgramResult(ProgramEnded(1, None, 9, True, seconds, 0), "", "", ())


def test_a_case_that_is_known_to_time_out_is_ended_early(tmp_path: Path) -> None:
    guest = Guest()

    @asynccontextmanager
    async def start(_logs: Path) -> AsyncIterator[Guest]:
        yield guest

    settings = SimpleNamespace(
        architecture=Architecture.AARCH64, option="", kvmtool=None, devices=()
    )
    starter: Any = SimpleNamespace(
        start=start,
        settings=settings,
        binary=make.binary(Architecture.AARCH64),
        folder=tmp_path,
        on_step=print,
        name="virtual:aarch64",
    )
    decision = Run(next(proving_cases(Architecture.AARCH64)), Accelerator.KVM, "", 1, 1 << 28)
    (tmp_path / "case").mkdir()

    async def run() -> Ended:
        contents = Contents()
        async with VirtualHost(starter, make.inventory()).open(tmp_path, contents) as executor:
            return await executor.execute(
                Assignment("1", replace(decision, limit=2.0), 1, "case"), print
            )

    attempt = asyncio.run(run()).attempt
    assert attempt is not None
    assert guest.seconds == [2.0]
    assert "ended after 2 s of 90 s: known to time out" in attempt.reason
