"""Hops between two hosts, each in a network namespace: the link that the stream takes is cut, or a
worker is killed."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from matrix.attempt import ChainResult, Ending
from matrix.hosts.contents import Contents, with_names
from matrix.hosts.fleet.founding import found_fleet
from matrix.hosts.fleet.joining import Joined, join_fleet
from matrix.hosts.fleet.messages import Look
from matrix.hosts.host_settings import HostFile
from matrix.hosts.interface import Assignment
from matrix.hosts.wanted import wanted_by
from matrix.migrating import Fault, Hop, HopOutcome, Strategy
from matrix.migration.chain import run_chain
from matrix.migration.faults.injectors import injector_for
from matrix.migration.faults.table import RULES
from matrix.migration.hop_runner import Request
from matrix.migration.live_hop import HopEnd, Injector, LiveHop
from matrix.model import Architecture
from matrix.places import own_command
from matrix.plan.decisions import Run
from matrix.plan.planner import plan
from matrix.run.options import Selection
from matrix.run.prepare import chosen
from matrix.vm.machine import Limits
from tests.hosts.fleet.test_namespaces import Namespace, ip, new_namespace
from tests.hosts.guest_lab import PATIENCE
from tests.installed import lend_answers

pytestmark = [pytest.mark.qemu, pytest.mark.slow]  # a hop is given up, or a lease runs out

TTL = 5.0
"""Seconds of a lease."""
HOP_SECONDS = 4.0
"""After which a hop is given up."""
SLOW = 8 << 20
"""Bytes per second, at which the guest's 14 MiB take two."""
SHORT = 3.0
"""Seconds of a cut that heals."""
SCENARIO = """
name: far
suite: {{kind: kvm-unit-tests, build: builtin, tests: [ram-integrity]}}
matrix: {{arch: [x86_64], accel: [tcg]}}
migration:
  mode: continuous
  hops: 2
  pace: 0ms
  strategy: {strategy}
  transport: tcp
  faults: [{fault}]
  destination: {{host: z2}}
"""
CARRIERS = {"precopy": Fault.CANCEL_IN_ACTIVE, "multifd": Fault.CANCEL_IN_ACTIVE}
"""What stands in the scenario where ours is done."""
IN = {"precopy": "MIGRATION active", "multifd": "MIGRATION active", "postcopy": "RESUME"}
"""The event upon which it is."""


@dataclass
class Far:
    """Two hosts with a link to us each, and one between them."""

    folder: Path
    spaces: dict[str, Namespace]
    workers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self) -> None:
        path = self.folder / "lab/fleet.yaml"
        found_fleet(path.parent, {n: s.theirs for n, s in self.spaces.items()}, self.ours)
        lines = [f"scheduler: {{address: {self.ours}, port: 8786}}", "hosts:"]
        for number, (name, space) in enumerate(self.spaces.items(), 1):
            migrates = f"migration_address: 10.249.249.{number}, ports: 50000-50003"
            lines.append(f"  {name}: {{address: {space.theirs}, {migrates}}}")
        path.write_text("\n".join((*lines, f"lease: {{ttl: {TTL:g}s, margin: 2s}}\n")))
        cache = self.folder / "cache/matrix"
        lend_answers(cache, Architecture.X86_64)
        environment = {**os.environ, "MATRIX_CACHE": str(cache)}
        for name, space in self.spaces.items():
            argv = (*own_command(), "worker", "--fleet", str(path), "--name", name)
            self.workers[name] = subprocess.Popen(
                ("ip", "netns", "exec", space.name, *argv), env=environment
            )

    @property
    def ours(self) -> str:
        return self.spaces["z1"].ours

    def link(self, state: str) -> None:
        """``down``: nobody's connections are told."""
        space = self.spaces["z1"]
        ip("-n", space.name, "link", "set", f"{space.link}m", state)

    def kill(self, name: str) -> None:
        self.workers[name].kill()

    def qemus(self) -> list[str]:
        """The QEMUs that run on either host."""
        found = []
        for space in self.spaces.values():
            pids = subprocess.run(
                ("ip", "netns", "pids", space.name), check=True, capture_output=True, text=True
            )
            names = [psutil.Process(int(pid)).name() for pid in pids.stdout.split()]
            found += [name for name in names if "qemu" in name]
        return found

    def stop(self) -> None:
        for worker in self.workers.values():
            worker.terminate()
        for worker in self.workers.values():
            worker.wait(PATIENCE)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    with new_namespace("a") as first, new_namespace("b") as second:
        ends = (f"{first.link}m", f"{second.link}m")
        peer = ("peer", "name", ends[1], "netns", second.name)
        ip("-n", first.name, "link", "add", ends[0], "type", "veth", *peer)
        for number, (space, end) in enumerate(zip((first, second), ends, strict=True), 1):
            ip("-n", space.name, "addr", "add", f"10.249.249.{number}/30", "dev", end)
            ip("-n", space.name, "link", "set", end, "up")
        # Both dial the address that the first one's link to us has here.
        ip("-n", second.name, "route", "add", f"{first.ours}/32", "via", second.ours)
        made = Far(tmp_path, {"z1": first, "z2": second})
        made.start()
        yield made
        made.stop()


class Strike(Injector):
    """Does what a test wants at a moment of a hop, in place of a fault."""

    def __init__(self, when: tuple[str, str], strike: Callable[[], None], heal: Callable[[], None]):
        self._when, self._strike, self._heal = when, strike, heal
        self.struck = False

    async def before_listening(self, hop: LiveHop) -> None:
        hop.parameters["max-bandwidth"] = SLOW
        if hop.strategy is Strategy.POSTCOPY:
            hop.parameters["max-postcopy-bandwidth"] = SLOW

    async def on_event(self, hop: LiveHop, side: str, what: str) -> None:
        if (side, what) == self._when and not self.struck:
            self.struck = True
            hop.note("strike")
            self._strike()
            # Until then it was so slow that there was time; now it is to converge.
            await hop.source.execute("migrate-set-parameters", {"max-bandwidth": 1 << 30})

    async def after_end(self, hop: LiveHop, end: HopEnd) -> None:
        self._heal()


def decided(far: Far, strategy: str) -> tuple[Joined, Run]:
    path = far.folder / "far.yaml"
    fault = CARRIERS.get(strategy, Fault.KILL_SOURCE_IN_POSTCOPY)
    path.write_text(SCENARIO.format(strategy=strategy, fault=fault.value))
    _, cases = chosen(Selection(scenarios=(path,)), HostFile(), ("z1", "z2"))
    joined = join_fleet(far.folder / "lab/fleet.yaml", Look(wanted_by(cases)), patience=PATIENCE)
    (decision,) = plan(cases, {host.name: host.inventory for host in joined.hosts})
    assert isinstance(decision, Run), decision
    assert decision.hosts == ("z1", "z2")
    return joined, decision


@dataclass
class Told:
    """What a chain came to."""

    result: ChainResult
    hops: list[Hop]
    qemus: list[str]
    """Those that were left."""


def carried_out(far: Far, strategy: str, injector: Injector, seconds: float = HOP_SECONDS) -> Told:
    joined, decision = decided(far, strategy)
    hosts = {host.name: host for host in joined.hosts}
    contents, hops = Contents(), list[Hop]()
    crossing, files = with_names(decision, contents)
    assignment = Assignment("far", crossing, 1, "cases/far", files)
    directory = far.folder / "attempt"
    directory.mkdir(mode=0o700)

    async def work() -> Told:
        async with AsyncExitStack() as stack:
            loans = []
            for name in decision.hosts:
                executor = await stack.enter_async_context(hosts[name].open(far.folder, contents))
                lending = executor.lend(assignment, ("system",))
                loans.append(await stack.enter_async_context(lending))
            source, destination = (loan.emulators[0] for loan in loans)
            assert decision.case.migration is not None
            request = Request(
                decision.case.migration,
                source,
                (destination, source),
                injectors=lambda _fault: injector,
                hop_seconds=seconds,
                on_hop=hops.append,
                proves=True,
                places=tuple(loans),
            )
            result = await run_chain(
                request, directory, Limits(60.0, 60.0), on_console=lambda _data: None
            )
            return Told(result, hops, far.qemus())

    told = asyncio.run(work())
    assert not isinstance(injector, Strike) or injector.struck, told
    return told


@pytest.mark.parametrize("strategy", ["precopy", "postcopy"])  # multifd as precopy
def test_a_cut_of_three_seconds_heals(far: Far, strategy: str) -> None:
    def cut() -> None:
        far.link("down")
        asyncio.get_running_loop().call_later(SHORT, far.link, "up")

    side = "destination" if strategy == "postcopy" else "source"
    told = carried_out(far, strategy, Strike((side, IN[strategy]), cut, lambda: None), 30.0)
    assert told.result.bad == ()
    assert [hop.outcome for hop in told.hops] == [HopOutcome.COMPLETED] * 2
    assert told.hops[0].seconds > SHORT
    assert told.qemus == []


@pytest.mark.parametrize("strategy", ["multifd"])  # the one that does not even cancel
def test_a_link_cut_for_good_leaves_the_guest_where_it_was(far: Far, strategy: str) -> None:
    """QEMU notices nothing; it is yanked, and the guest's next hop finds the link as it was."""
    strike = Strike(("source", IN[strategy]), lambda: far.link("down"), lambda: far.link("up"))
    told = carried_out(far, strategy, strike)
    first, second = told.hops
    # The cancellation comes after the yank, and may come before QEMU has noticed that.
    assert first.outcome in {HopOutcome.FAILED, HopOutcome.CANCELLED}
    assert f"not over within {HOP_SECONDS:g} s" in first.reason
    assert "yank" in [event.what for event in first.events]
    assert second.outcome is HopOutcome.COMPLETED
    assert told.result.outcome.ending is Ending.EXITED
    assert told.qemus == []


def test_a_link_cut_for_good_in_postcopy_loses_the_guest(far: Far) -> None:
    strike = Strike(("destination", "RESUME"), lambda: far.link("down"), lambda: far.link("up"))
    told = carried_out(far, "postcopy", strike)
    assert [hop.outcome for hop in told.hops] == [HopOutcome.LOST]
    assert f"not over within {HOP_SECONDS:g} s" in told.result.lost
    assert told.qemus == []


def test_a_worker_that_is_killed_by_others_is_an_error_of_its_host(far: Far) -> None:
    strike = Strike(("source", IN["precopy"]), lambda: far.kill("z2"), lambda: None)
    told = carried_out(far, "precopy", strike)
    assert told.result.outcome.ending is Ending.ERROR
    assert told.result.outcome.reason.startswith("host z2: the link is down")
    assert told.qemus == []


@pytest.mark.parametrize(
    ("strategy", "fault"),
    [
        ("multifd", Fault.KILL_DESTINATION_WORKER_IN_PRECOPY),  # precopy as multifd
        ("precopy", Fault.KILL_SOURCE_WORKER_IN_PRECOPY),
        ("postcopy", Fault.KILL_DESTINATION_WORKER_IN_POSTCOPY),
        ("postcopy", Fault.KILL_SOURCE_WORKER_IN_POSTCOPY),
    ],
)
def test_a_worker_that_is_killed_on_purpose_ends_as_it_must(
    far: Far, strategy: str, fault: Fault
) -> None:
    """Its lease runs out: nobody starts it again here."""
    injector = injector_for(fault)
    told = carried_out(far, strategy, injector, 30.0)
    assert injector.injected
    (hop,) = told.hops
    assert (hop.outcome,) == RULES[fault].outcomes
    assert told.result.bad == (), told
    if hop.outcome is HopOutcome.LOST:
        assert told.result.lost_as_expected
    else:
        assert told.result.outcome.ending is Ending.EXITED
    assert told.qemus == []
