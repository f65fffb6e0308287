"""Kill workers of a fleet and cut their links at random moments, and look for what must not be.

    python -m benchmarks.fleet_chaos [KILLS [CUTS [SEED [namespaces]]]]

Each guest takes a lock of its case, so that two at once are seen. Every case must be recorded once
and pass. A worker that is killed is started again; half of the links are cut for longer than a
lease. The links are relays of ours, or with ``namespaces``, as root, those of hosts in network
namespaces. Exit status 1 where something was lost, was twice or overlapped.
"""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.namespaces import BRIDGE_ADDRESS, BridgePort, bridged
from matrix.errors import HostLostError
from matrix.hosts.contents import Contents, with_names
from matrix.hosts.fleet.fleet_file import ORCHESTRATOR, load_fleet
from matrix.hosts.fleet.fleet_host import FleetExecutor, FleetHost, Terms
from matrix.hosts.fleet.founding import found_fleet
from matrix.hosts.fleet.gate import Gate
from matrix.hosts.fleet.joining import credentials_of
from matrix.hosts.fleet.messages import Accept, Look
from matrix.hosts.interface import Assignment
from matrix.inventory import Host, Inventory
from matrix.model import Accelerator, Architecture, Build, Case, Target, Test, Variant
from matrix.plan.decisions import Run
from matrix.plan.planner import decide
from matrix.plan.schedule import Capacity
from matrix.verdicts import Verdict
from tests.hosts.fleet.relay import Relay

NAMES = ("z1", "z2", "z3")
AT_ONCE = 4
"""Cases at a time on a host."""
TTL, MARGIN = 2.0, 1.5
GUEST = """#!{python} -ISu
import fcntl, os, sys, time
name = next(os.path.basename(word)[:-5] for word in sys.argv if word.endswith(".flat"))
lock = open("{folder}/" + name + ".lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    open("{folder}/overlap-" + name, "w")
time.sleep(0.3)
print("PASS: a", "EXIT: STATUS=1", sep=chr(10))
"""


@dataclass
class Chaos:
    """A fleet on this machine, and what became of its cases."""

    folder: Path
    draw: random.Random
    address: str = "127.0.0.1"
    """Of the orchestrator."""
    prefix: str = ""
    """Of the network namespaces that hosts are in; empty: they are in ours."""
    ended: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    """Why attempts were made again that their host could not end."""
    lost: int = 0
    workers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    relays: dict[str, Relay | BridgePort] = field(default_factory=dict)
    over: bool = False
    count: int = 0

    def __post_init__(self) -> None:
        self.program = self.folder / "lkvm"
        self.program.write_text(GUEST.format(python=sys.executable, folder=self.folder))
        self.program.chmod(0o755)
        host = Host(architecture="aarch64", kernel="6.1.0", cpus=2, memory=2**33)
        self.inventory = Inventory(host, kvmtool=str(self.program))
        self.contents = Contents()
        found_fleet(self.folder / "lab", dict.fromkeys(NAMES, self.address), self.address)

    def start_worker(self, name: str) -> None:
        """Start one, which dials its own relay."""
        path = self.folder / f"lab/{name}.yaml"
        if not path.exists():
            text = (self.folder / "lab/fleet.yaml").read_text()
            path.write_text(text.replace("8786", str(self.relays[name].port)))
        places = {"MATRIX_CACHE": str(self.folder / "cache"), "KVMTOOL": str(self.program)}
        relay, quiet = self.relays[name], subprocess.DEVNULL
        inside = relay.inside if isinstance(relay, BridgePort) else ()
        words = (*inside, sys.executable, "-m", "matrix", "worker", "--fleet", str(path))
        words += ("--name", name)
        self.workers[name] = subprocess.Popen(words, env={**os.environ, **places}, stderr=quiet)

    def assignment(self) -> Assignment:
        """A case that none was before."""
        self.count += 1
        name = f"case{self.count}"
        image = self.folder / f"{name}.flat"
        image.write_bytes(name.encode())
        build = Build(Architecture.AARCH64, "/b", "/b/arm", target=Target.KVMTOOL)
        variant = Variant(Architecture.AARCH64, Accelerator.AUTO)
        test = Test(name, str(image), name)
        decision = decide(
            Case(f"s.{name}", "s", "kvm-unit-tests", test, variant, build), self.inventory
        )
        assert isinstance(decision, Run)
        crossing, files = with_names(decision, self.contents)
        (self.folder / f"run/cases/{name}").mkdir(parents=True)
        return Assignment(name, crossing, 1, f"cases/{name}", files)

    async def work(self, host: FleetHost) -> None:
        """Keep a host busy; one that was lost is opened again."""
        todo: list[Assignment] = []
        while not self.over or todo:
            try:
                async with host.open(self.folder / "run", self.contents) as executor:
                    await asyncio.gather(*(self.run(executor, todo) for _ in range(AT_ONCE)))
            except HostLostError:
                self.lost += 1

    async def run(self, executor: FleetExecutor, todo: list[Assignment]) -> None:
        """One case after the other."""
        while not self.over or todo:
            assignment = todo.pop() if todo else self.assignment()
            try:
                ended = await executor.execute(assignment, lambda _event: None)
            except BaseException:  # whatever ended it, it runs again; raised again
                todo.append(assignment)
                raise
            attempt = ended.attempt
            if attempt is not None and attempt.verdict is Verdict.ERROR:
                # As a run does: it is made again. A worker that was killed three times with it.
                self.again[attempt.reason] += 1
                self.move(assignment, todo)
                continue
            good = attempt is not None and attempt.verdict.good
            self.ended[assignment.token] += 1 if good else 100

    def move(self, assignment: Assignment, todo: list[Assignment]) -> None:
        """Have it run again, with an empty folder."""
        folder = self.folder / "run" / assignment.folder
        shutil.rmtree(folder)
        folder.mkdir()
        todo.append(assignment)

    async def break_things(self, kills: int, cuts: int) -> None:
        """Kill and cut, in random order."""
        deeds = ["kill"] * kills + ["cut"] * cuts
        self.draw.shuffle(deeds)
        for deed in deeds:
            await asyncio.sleep(self.draw.uniform(0.3, 1.0))
            name = self.draw.choice(NAMES)
            if deed == "kill":
                self.workers[name].kill()
                self.workers[name].wait()
                self.start_worker(name)
                continue
            self.relays[name].cut()
            await asyncio.sleep(self.draw.choice((TTL / 2, TTL + MARGIN + 1)))
            self.relays[name].heal()
            self.relays[name].reset()
        self.over = True


async def _run(chaos: Chaos, kills: int, cuts: int) -> None:
    fleet = load_fleet(chaos.folder / "lab/fleet.yaml")
    context = credentials_of(fleet, ORCHESTRATOR).context(server=True)
    gate = Gate(chaos.address, 0, context, {name: name for name in NAMES})
    terms = Terms(Accept("run", "chaos", TTL), MARGIN, 60.0)
    async with gate.opened():
        hosts = []
        for name in NAMES:
            in_namespace = BridgePort(name, chaos.prefix, gate.port)
            chaos.relays[name] = in_namespace if chaos.prefix else Relay(gate.port)
            await chaos.relays[name].start()
            chaos.start_worker(name)
            capacity = Capacity(AT_ONCE, 2**33)
            hosts.append(FleetHost(name, chaos.inventory, capacity, gate, terms, Look(())))
        working = [asyncio.create_task(chaos.work(host)) for host in hosts]
        await chaos.break_things(kills, cuts)
        await asyncio.gather(*working)
        for name in NAMES:
            chaos.workers[name].terminate()
            await chaos.relays[name].close()
    for worker in chaos.workers.values():
        worker.wait()


def main() -> int:
    """Break things, and say what came of it."""
    words, prefix = sys.argv[1:], ""
    if words[3:] == ["namespaces"]:
        with bridged(NAMES) as made:
            again = (sys.executable, "-m", "benchmarks.fleet_chaos", *words[:3], made)
            return subprocess.run(("ip", "netns", "exec", made, *again), check=False).returncode
    if words[3:]:
        prefix = words.pop()
    given = [int(word) for word in words]
    kills, cuts, seed = (*given, *(100, 20, 1)[len(given) :])
    with tempfile.TemporaryDirectory(prefix="matrix-chaos-") as folder:
        address = BRIDGE_ADDRESS if prefix else "127.0.0.1"
        chaos = Chaos(Path(folder), random.Random(seed), address, prefix)
        asyncio.run(_run(chaos, kills, cuts))
        overlaps = [path.name for path in Path(folder).glob("overlap-*")]
        cases = chaos.count
    missing = cases - len(chaos.ended)
    wrong = {name: count for name, count in chaos.ended.items() if count != 1}
    print(f"{kills} kills, {cuts} cuts, seed {seed}: {cases} cases, {missing} lost, {wrong} wrong,")
    print(f"{len(overlaps)} overlaps; hosts were lost {chaos.lost} times")
    for reason, count in chaos.again.items():
        print(f"{count} made again: {reason}")
    return 1 if missing or wrong or overlaps else 0


if __name__ == "__main__":
    sys.exit(main())
