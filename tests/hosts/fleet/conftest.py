"""A fleet in one process, with guests that are programs of ours in kvmtool's place."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest
import trustme

from matrix.attempt import Attempt
from matrix.hosts.contents import Contents, with_names
from matrix.hosts.fleet.agent import Agent
from matrix.hosts.fleet.fleet_host import FleetExecutor, FleetHost, Terms
from matrix.hosts.fleet.gate import Gate
from matrix.hosts.fleet.link import Credentials
from matrix.hosts.fleet.messages import Accept, Look, Looked
from matrix.hosts.fleet.tenancy import Tenancy
from matrix.hosts.interface import Assignment, Console, HopDone
from matrix.inventory import Host, Inventory
from matrix.model import Accelerator, Architecture, Build, Case, Target, Test, Variant
from matrix.plan.decisions import Run
from matrix.plan.planner import decide
from matrix.plan.schedule import Capacity
from matrix.results.recorder import Recorder
from tests.hosts.fleet.relay import Relay
from tests.run.conftest import inventory as inventory
from tests.run.conftest import start as start

ARM64 = Architecture.AARCH64
ORCHESTRATOR = "orchestrator"
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
def _nothing_left_behind() -> Iterator[None]:
    yield
    assert [child.cmdline() for child in psutil.Process().children(recursive=True)] == []


class Authority:
    """Certificates in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(folder / "ca.pem")

    def credentials(self, name: str) -> Credentials:
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        if not key.exists():
            issued = self._ca.issue_cert(name)
            issued.private_key_pem.write_to_path(key)
            for blob in issued.cert_chain_pems:
                blob.write_to_path(certificate, append=True)
        return Credentials(self.folder / "ca.pem", certificate, key)


async def no_look(_name: str) -> None:
    pass


@dataclass
class FleetLab:
    """Hosts of a fleet and cases by name, and what became of their guests."""

    folder: Path
    start: Callable[..., Recorder]
    lease: float = 1000.0
    """Seconds: none ends unless a test is about that."""
    said: list[str] = field(default_factory=list)
    printed: dict[str, str] = field(default_factory=dict)
    contents: Contents = field(default_factory=Contents)
    relays: dict[str, Relay] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    working: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    gates: list[Gate] = field(default_factory=list)
    looking: Callable[[str], Awaitable[None]] = no_look
    """What a host's agent does before it says what it can run."""

    def __post_init__(self) -> None:
        program = self.folder / "lkvm"
        program.write_text(GUEST.format(python=sys.executable, folder=self.folder))
        program.chmod(0o755)
        host = Host(architecture="aarch64", kernel="6.1.0", cpus=2, memory=2**33)
        self.inventory = Inventory(host, kvmtool=str(program))
        self.authority = Authority(self.folder / "pki")
        self.other_authority = Authority(self.folder / "other")

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

    def recorder(self, *names: str) -> Recorder:
        self.recorded = self.start(*map(self.decision, names))
        return self.recorded

    def assignment(self, name: str, *, held: bool = False) -> Assignment:
        decision = self.decision(name)
        folder = self.recorded.run.relative(self.recorded.begin(decision.case, 1))
        crossing, files = with_names(decision, self.contents)
        return Assignment(name, crossing, 1, folder, files, held)

    def gate(self, *names: str) -> Gate:
        context = self.authority.credentials(ORCHESTRATOR).context(server=True)
        return Gate("127.0.0.1", 0, context, {name: name for name in names})

    def agent(self, name: str, port: int, authority: Authority | None = None) -> Agent:
        async def look(_look: Look) -> Looked:
            await self.looking(name)
            return Looked(self.inventory, Capacity(4, 2**33))

        context = (authority or self.authority).credentials(name).context(server=False)
        folder = self.folder / f"host-{name}"
        return Agent(name, "127.0.0.1", port, ORCHESTRATOR, context, folder, look, self.said.append)

    def host(self, name: str, gate: Gate, orchestrator: str = "one") -> FleetHost:
        terms = Terms(Accept("run", orchestrator, self.lease), 1.5, PATIENCE)
        capacity = Capacity(4, 2**33)
        look = Look(())
        return FleetHost(name, self.inventory, capacity, gate, terms, look, self.said.append)

    @asynccontextmanager
    async def fleet(self, *names: str) -> AsyncIterator[dict[str, FleetExecutor]]:
        """Hosts of these names that have joined, each over a relay."""
        gate = self.gate(*names)
        self.gates.append(gate)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(gate.opened())
            executors = {}
            for name in names:
                relay = self.relays[name] = Relay(gate.port)
                await relay.start()
                stack.push_async_callback(relay.close)
                self.agents[name] = self.agent(name, relay.port)
                self.working[name] = asyncio.create_task(self.agents[name].work())
                stack.push_async_callback(self.stop, name)
            for name in names:
                opening = self.host(name, gate).open(self.recorded.run.path, self.contents)
                executors[name] = await stack.enter_async_context(opening)
            yield executors
        assert not (self.folder / "overlap").exists()

    async def stop(self, name: str) -> None:
        self.working[name].cancel()
        await asyncio.gather(self.working[name], return_exceptions=True)

    def tenancy(self, name: str) -> Tenancy:
        tenancy = self.agents[name]._tenancy
        assert tenancy is not None
        return tenancy

    async def attempt(self, executor: FleetExecutor, assignment: Assignment) -> Attempt | None:
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


@pytest.fixture
def lab(tmp_path: Path, start: Callable[..., Recorder]) -> FleetLab:
    return FleetLab(tmp_path, start)
