"""What the tests of matrix.migration share: fake QEMUs that migrate by script, and real ones."""

import asyncio
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from matrix.attempt import ChainResult
from matrix.inventory import Binary
from matrix.migrating import Hop, Migration, MigrationMode
from matrix.migration.chain import run_chain
from matrix.migration.endpoint import Emulator
from matrix.migration.folding import HOPS_FILE
from matrix.migration.hop_records import read_hops
from matrix.migration.hop_runner import Request
from matrix.model import Accelerator, Architecture, Build, Case, ExitChannel, Launch, Test, Variant
from matrix.plan.command import launch_for
from matrix.suites.build import builtin_build
from matrix.suites.unittests import read_tests
from matrix.vm import location
from matrix.vm.machine import Limits
from tests.migration.peers import Guest, Peer, Program

FAKE = Path(__file__).parents[1] / "fake_qemu.py"
CAPABILITIES = ("events", "return-path", "postcopy-ram", "multifd", "mapped-ram")

ALIVE = ["state", "running"]
SETUP, ACTIVE, COMPLETED, FAILED = (
    ["event", "MIGRATION", {"status": status}]
    for status in ("setup", "active", "completed", "failed")
)
STOP, RESUME = ["event", "STOP"], ["event", "RESUME"]
SENDS = [SETUP, ACTIVE, STOP, COMPLETED]
TAKES = [SETUP, ACTIVE, RESUME, ALIVE, COMPLETED]
RAM = {"transferred": 1000, "remaining": 0, "dirty-sync-count": 2, "page-size": 4096, "mbps": 8.0}
ANSWERS = {
    "query-migrate-capabilities": [{"capability": name, "state": False} for name in CAPABILITIES],
    "query-migrate-parameters": {"max-bandwidth": 1 << 27, "downtime-limit": 300},
    "query-migrate": {"status": "completed", "total-time": 20, "downtime": 3, "ram": RAM},
}


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """No child process, no descriptor and no folder of a chain survives a test."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert [child.cmdline() for child in psutil.Process().children(recursive=True)] == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


class Chains:
    """Runs chains in a folder of their own and keeps what came of the last one."""

    def __init__(self, folder: Path) -> None:
        self._parent = folder
        self._count = 0
        self.folder = folder
        self.console = b""

    def run(
        self,
        request: Request,
        limits: Limits | None = None,
        *,
        stop_after: int = 0,
        linger: float = 0.0,
        on_hop: Callable[[Hop], None] = lambda _: None,
    ) -> ChainResult:
        """A chain to its end, or interrupted ``linger`` seconds after so many hops."""
        self._count += 1
        self.folder = self._parent / f"attempt{self._count}"
        self.folder.mkdir(mode=0o700)
        pieces: list[bytes] = []
        limits = limits or Limits(timeout=100, stall=60, start=60)

        async def chain() -> ChainResult:
            interrupt = asyncio.Event()

            def count(hop: Hop) -> None:
                on_hop(hop)
                if hop.number == stop_after:
                    asyncio.get_running_loop().call_later(linger, interrupt.set)

            return await run_chain(
                replace(request, on_hop=count),
                self.folder,
                limits,
                on_console=pieces.append,
                interrupt=interrupt,
            )

        result = asyncio.run(chain())
        self.console = b"".join(pieces)
        return result

    @property
    def hops(self) -> list[Hop]:
        """The last chain's."""
        path = self.folder / HOPS_FILE
        return list(read_hops(path)) if path.exists() else []


@pytest.fixture
def chains(tmp_path: Path) -> Chains:
    return Chains(tmp_path)


def fake(**script: Any) -> Emulator:
    """A QEMU that sends and takes any guest, unless the script says otherwise."""
    script = {
        **script,
        "replies": {**ANSWERS, **script.get("replies", {})},
        "before": {"migrate": SENDS, "migrate-incoming": TAKES, **script.get("before", {})},
    }
    argv = (sys.executable, "-I", "-S", str(FAKE), "-fake", json.dumps(script))
    return Emulator("fake", "7.2.0", Launch(argv, ExitChannel.QEMU_EXIT))


@pytest.fixture
def make_fake() -> Callable[..., Emulator]:
    return fake


@pytest.fixture
def once() -> Migration:
    return Migration(mode=MigrationMode.ONCE, pace=0.0)


OTHER_QEMUS = "MATRIX_TEST_QEMUS"
"""In the environment: ``NAME=DIRECTORY …``, of QEMUs besides the installed one."""


class RealQemu:
    """The installed QEMUs, and the embedded guests."""

    def requests(self, test: str, migration: Migration) -> Iterator[tuple[str, Request]]:
        """By the name of each QEMU, the installed one first."""
        request = self.request(test, migration)
        yield "system", request
        for word in os.environ.get(OTHER_QEMUS, "").split():
            name, _, folder = word.partition("=")
            launch = request.source.launch
            argv = (f"{folder}/{Path(launch.argv[0]).name}", *launch.argv[1:])
            yield name, replace(request, source=Emulator(name, name, replace(launch, argv=argv)))

    def build(self, architecture: Architecture = Architecture.X86_64) -> Build:
        return builtin_build(architecture)

    def test(self, name: str, architecture: Architecture = Architecture.X86_64) -> Test:
        tests = {test.name: test for test in read_tests(self.build(architecture), max_smp=8)}
        return tests[name]

    def emulator(
        self,
        test: str,
        migration: Migration,
        architecture: Architecture = Architecture.X86_64,
        *,
        smp: int | None = None,
        accelerator: Accelerator = Accelerator.TCG,
    ) -> Emulator:
        """What runs an embedded guest; the test is skipped where it is not installed."""
        path = shutil.which(f"qemu-system-{architecture}")
        if path is None:
            pytest.skip(f"qemu-system-{architecture} is not installed")
        binary = Binary("system", architecture, path, (7, 2, 0), "7.2.0", sandbox=True)
        variant = Variant(architecture, accelerator, smp=smp)
        case = Case(
            "s.t",
            "s",
            "builtin",
            self.test(test, architecture),
            variant,
            self.build(architecture),
            migration=migration,
        )
        return Emulator("system", "7.2.0", launch_for(case, binary, accelerator))

    def request(self, test: str, migration: Migration, **options: Any) -> Request:
        emulator = self.emulator(test, migration, **options)
        return Request(migration, emulator, seed=1, proves="-integrity" in test)


@pytest.fixture
def real() -> RealQemu:
    return RealQemu()


def without(launch: Launch, *words: str) -> Launch:
    """The launch without an option and its value."""
    argv = list(launch.argv)
    at = argv.index(words[0])
    return replace(launch, argv=(*argv[:at], *argv[at + len(words) :]))


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Guest:
    """Whatever is started is a peer, of this guest."""
    guest = Guest()

    async def spawn(
        argv: tuple[str, ...],
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        pass_fds: tuple[int, ...],
        **_others: object,
    ) -> Program:
        console = os.dup(stdout)
        program = Program(argv, (os.dup(stdin), console, os.dup(stderr)))
        (monitor,) = pass_fds
        peer = Peer(program, guest, console)
        await asyncio.get_running_loop().create_connection(
            lambda: peer, sock=socket.socket(fileno=os.dup(monitor))
        )
        program.peer = peer
        return program

    monkeypatch.setattr(location, "spawn", spawn)
    return guest
