"""What a planned case may be put through, and real lives of it: a good one, and a spoilt one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from matrix.explore.failure import Failure, Invariant
from matrix.explore.hotplug import Part
from matrix.explore.life import Ended, Lives
from matrix.explore.sequences import cells, repaired
from matrix.explore.step import Operation, Step, Steps
from matrix.explore.subject import Subject, why_not, world_of
from matrix.explore.world import Way, World
from matrix.migrating import Fault, Migration, Strategy, Transport
from matrix.migration.faults.injectors import injector_for
from matrix.migration.live_hop import HopEnd, Injector, LiveHop
from matrix.plan.decisions import Run
from matrix.run.options import Selection
from matrix.run.prepare import Prepared, prepare
from matrix.scenario.compatibility import Route
from matrix.suites.console_protocol import ConsoleParser
from matrix.vm.machine import Limits
from tests import make
from tests.migration.corrupt import corrupt

SCENARIO = Path(__file__).parents[2] / "scenarios" / "explore.yaml"
TCP, FILE = Route(Strategy.PRECOPY, Transport.TCP), Route(Strategy.MAPPED_RAM, None)


def decided(migration: Migration | None, *groups: str) -> Run:
    return make.run(make.case(make.test("ram", groups=groups), migration=migration))


def test_what_cannot_be_explored() -> None:
    assert "no 'migration'" in why_not(decided(None, "migration-proof"))
    assert "does not prove its memory" in why_not(decided(Migration()))
    elsewhere = replace(decided(Migration(), "migration-proof"), host="virtual/aarch64")
    assert "runs in the host virtual/aarch64" in why_not(elsewhere)
    assert not why_not(decided(Migration(), "migration-proof"))


def test_guests_with_devices_that_cannot_be_explored() -> None:
    def reason(*words: str) -> str:
        test = make.test(groups=("migration-proof",), qemu_params=words)
        build = make.build(builtin=True)
        return why_not(make.run(make.case(test, build=build, migration=Migration())))

    assert "has a disk" in reason("-drive", "file={disk:1M}")
    assert "has a disk" in reason("-chardev", "socket,id=disk,path={vhost-user-disk:256K}")
    balloon = ("-device", "virtio-balloon-pci,disable-legacy=on")
    assert "has virtio-balloon, whose sizes" in reason(*balloon)
    both = reason(*balloon, "-device", "virtio-mem-pci,id=blocks")
    assert "has virtio-balloon and virtio-mem, whose" in both
    assert "has network cards" in reason("-device", "virtio-net-pci,netdev=a,disable-legacy=on")
    assert not reason("-device", "virtio-rng-pci,rng=entropy")


def test_a_guest_that_is_silent_is_no_stall(tmp_path: Path) -> None:
    """It may be stopped, and the host busy: each step says how long it is waited for."""
    seen: list[Limits] = []

    @dataclass(frozen=True)
    class Watched(Lives):
        async def live(self, steps: Steps, directory: Path, enough: Callable[[], bool]) -> Ended:
            seen.append(self.limits)
            return Ended(0)

    world = World("x86_64", "fake", {})
    lives = Watched(world, {}, injector_for, ConsoleParser, Limits(timeout=60, stall=60))
    subject = Subject(decided(Migration()), make.inventory(), world, lives)
    steps = (Step(Operation.STOP), Step(Operation.CONT))
    asyncio.run(subject.live(steps, tmp_path, lambda: False))
    assert [(limits.timeout, limits.stall) for limits in seen] == [(240, 240)]


def test_ways_are_those_that_both_binaries_can_go() -> None:
    migration = Migration(
        strategies=(Strategy.PRECOPY, Strategy.MAPPED_RAM),
        transports=(Transport.TCP,),
        destinations=("new",),
        faults=(Fault.CANCEL_IN_ACTIVE, Fault.DISK_FULL),
    )
    old = make.binary(migration_capabilities=("xbzrle",), migration_parameters=("max-bandwidth",))
    new = make.binary(
        qemu="new",
        version=(10, 0, 2),
        migration_capabilities=("mapped-ram",),
        migration_parameters=("max-bandwidth", "direct-io"),
    )
    decision = decided(migration, "migration-proof")
    world = world_of(replace(decision, notes=("no postcopy",)), make.inventory(old, new))
    live = (Way(TCP), Way(TCP, Fault.CANCEL_IN_ACTIVE))
    files = (Way(FILE), Way(FILE, Fault.CANCEL_IN_ACTIVE), Way(FILE, Fault.DISK_FULL))
    assert world.ways == {
        ("system", "system"): live,
        ("system", "new"): live,
        ("new", "system"): live,
        ("new", "new"): (*live, *files),
    }
    assert world.parameters["new", "new"] == {"max-bandwidth", "direct-io"}
    assert world.parameters["system", "new"] == {"max-bandwidth"}
    assert world.remembering == {"new"}
    why = "hop by mapped-ram: QEMU 7.2.22 has no migration capability 'mapped-ram'"
    assert world.cannot == ("no postcopy", why)


def test_what_is_refused_is_not_done() -> None:
    """Neither a hop that way, nor the loading of a snapshot."""
    migration = Migration(transports=(Transport.TCP,), destinations=("new",))
    inventory = make.inventory(make.binary(), make.binary(qemu="new"))
    refused = {("system", "new"): "another version"}
    world = world_of(decided(migration, "migration-proof"), inventory, refused)
    assert set(world.ways) == {("system", "system"), ("new", "system"), ("new", "new")}
    assert not world.goes("system", "new")
    assert {cell.pair for cell in cells(world)} == {"system", "system → system"}
    why = "hop from QEMU system to new, as matrix migratable found: another version"
    assert [each for each in world.cannot if each.startswith("hop")] == [why]


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(Selection(scenarios=(SCENARIO,), arch=("x86_64",), include_all=True))


def lived(
    prepared: Prepared, folder: Path, steps: Steps, injector: Injector | None = None
) -> Ended:
    (decision,) = prepared.decisions
    if not isinstance(decision, Run):
        pytest.skip(str(decision))

    async def live() -> Ended:
        subject = await Subject.make(decision, prepared.inventory, folder / "launch")
        assert repaired(subject.world, steps) == steps
        if injector is not None:
            lives = replace(subject.lives, injectors=lambda fault: injector)
            subject = replace(subject, lives=lives)
        (folder / "life").mkdir(mode=0o700)
        return await subject.live(steps, folder / "life", lambda: False)

    return asyncio.run(live())


@pytest.mark.qemu
def test_a_guest_that_is_carried_about(prepared: Prepared, tmp_path: Path) -> None:
    def hop(strategy: Strategy, transport: Transport | None, fault: Fault | None = None) -> Step:
        return Step(Operation.HOP, "system", strategy, transport, fault)

    steps = (
        hop(Strategy.PRECOPY, Transport.TCP),
        hop(Strategy.PRECOPY, Transport.UNIX, Fault.CANCEL_IN_ACTIVE),
        Step(Operation.STOP),
        *(Step(Operation.COMMAND, command=each) for each in ("migrate-continue", "migrate_cancel")),
        Step(Operation.CONT),
        hop(Strategy.FILE, None),
    )
    ended = lived(prepared, tmp_path, steps)
    assert (ended.done, ended.failure) == (len(steps), None)


@pytest.mark.slow(reason="a guest boots twice, and goes through a dozen operations")
@pytest.mark.qemu
def test_a_guest_that_is_plugged_saved_and_reset(prepared: Prepared, tmp_path: Path) -> None:
    hop = Step(Operation.HOP, "system", Strategy.PRECOPY, Transport.UNIX)
    throttled = (("cpu-throttle-initial", 20), ("max-cpu-throttle", 99))
    steps = (
        *(Step(Operation.PLUG, part=part) for part in Part),
        Step(Operation.SAVE),
        hop,
        Step(Operation.LOAD),
        Step(Operation.RECONNECT),
        Step(Operation.THROTTLE, parameters=throttled),
        Step(Operation.UNPLUG, part=Part.DEVICE),
        Step(Operation.COMMAND, command="balloon"),
        Step(Operation.RESET),
        hop,
    )
    ended = lived(prepared, tmp_path, steps)
    assert (ended.done, ended.failure) == (len(steps), None)


class Corrupting(Injector):
    """A peer that flips bits of one page that the guest never writes again."""

    async def after_end(self, hop: LiveHop, end: HopEnd) -> None:
        log = hop.source.session.directory / "console.log"
        start = next(line for line in log.read_text().splitlines() if "START" in line)
        page = int(start.partition("victim=")[2].split()[0], 16)
        await corrupt(hop.destination.monitor, page, directory=log.parent)


@pytest.mark.qemu
def test_a_guest_whose_page_is_spoilt(prepared: Prepared, tmp_path: Path) -> None:
    spoilt = Step(Operation.HOP, "system", Strategy.PRECOPY, Transport.TCP, Fault.CHANGE_BANDWIDTH)
    ended = lived(prepared, tmp_path, (spoilt, Step(Operation.WORK, milliseconds=20)), Corrupting())
    assert isinstance(ended.failure, Failure)
    assert ended.failure.invariant is Invariant.VERDICT
    assert "static pages" in ended.failure.reason
    assert ended.failure.step == 2
