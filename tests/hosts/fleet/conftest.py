"""A fleet in one process, with guests that are programs of ours in kvmtool's place."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from matrix.hosts.contents import with_names
from matrix.hosts.fleet.agent import Agent
from matrix.hosts.fleet.fleet_host import FleetExecutor, FleetHost, Terms
from matrix.hosts.fleet.gate import Gate
from matrix.hosts.fleet.link import Credentials
from matrix.hosts.fleet.messages import Accept, Look, Looked
from matrix.hosts.fleet.tenancy import Tenancy
from matrix.hosts.interface import Assignment
from matrix.plan.schedule import Capacity
from matrix.results.recorder import Recorder
from matrix.vm.location import Landing
from tests.hosts.fleet.relay import Relay
from tests.hosts.guest_lab import PATIENCE, GuestLab
from tests.hosts.guest_lab import nothing_left_behind as nothing_left_behind
from tests.run.conftest import inventory as inventory
from tests.run.conftest import start as start

ORCHESTRATOR = "orchestrator"


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
class FleetLab(GuestLab):
    """Hosts of a fleet and cases by name, and what became of their guests."""

    lease: float = 1000.0
    """Seconds: none ends unless a test is about that."""
    relays: dict[str, Relay] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    working: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    gates: list[Gate] = field(default_factory=list)
    looking: Callable[[str], Awaitable[None]] = no_look
    """What a host's agent does before it says what it can run."""
    wrong: dict[str, str] = field(default_factory=dict)
    """What is wrong with hosts that have to prove themselves."""
    landing: Landing | None = None
    """Where guests of other hosts arrive, on each of them."""
    proofs: list[str] = field(default_factory=list)
    """The hosts that had to, in turn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.authority = Authority(self.folder / "pki")
        self.other_authority = Authority(self.folder / "other")

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
        async def look(asked: Look) -> Looked:
            await self.looking(name)
            if asked.prove:
                self.proofs.append(name)
            wrong = self.wrong.get(name, "") if asked.prove else ""
            return Looked(self.inventory, Capacity(4, 2**33), wrong)

        context = (authority or self.authority).credentials(name).context(server=False)
        folder = self.folder / f"host-{name}"
        return Agent(
            name,
            "127.0.0.1",
            port,
            ORCHESTRATOR,
            context,
            folder,
            look,
            self.said.append,
            landing=self.landing,
        )

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


@pytest.fixture
def lab(tmp_path: Path, start: Callable[..., Recorder]) -> FleetLab:
    return FleetLab(tmp_path, start)
