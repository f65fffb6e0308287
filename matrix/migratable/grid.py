"""Which guests are asked about, and the answers for all of them in both directions."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from matrix.errors import UsageError
from matrix.hosts.cache import Cache
from matrix.hosts.host_facts import HostState
from matrix.hosts.kvm_features import KvmFeatures
from matrix.inventory import Binary, Inventory
from matrix.migratable.doctor_file import UNSTARTED
from matrix.migratable.idle_sides import side_of
from matrix.migratable.prediction import Answer, Guest, Prediction, predict, unasked, with_host_cpu
from matrix.migratable.refusals import Pair, keep
from matrix.model import Architecture
from matrix.plan.machines import FAMILIES
from matrix.plan.migration_sides import is_versioned, newest_common
from matrix.vm.tasks import put_off_cancellation

ALL = "all"
"""In place of a machine: every versioned type that both have."""
HOST_CPU = "host"
NO_FEATURES: Mapping[str, KvmFeatures] = MappingProxyType({})
X86 = (Architecture.X86_64, Architecture.I386)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: two QEMUs, and the guests as the options narrow them."""

    source: str
    """Names of installations, which may be the same."""
    destination: str
    architectures: tuple[Architecture, ...] = ()
    """Empty for all that both emulate."""
    machines: tuple[str, ...] = ()
    """Types, families (the newest version that both have), ``all``; empty for the usual ones."""
    cpus: tuple[str, ...] = ()
    """``-cpu`` values; empty for what a run takes."""
    loading: bool = True
    fresh: bool = False


async def answer(
    question: Question,
    inventory: Inventory,
    host: HostState,
    cache: Cache,
    on_step: Callable[[str], None],
    features: Mapping[str, KvmFeatures] = NO_FEATURES,
) -> tuple[Prediction, ...]:
    """The answers, by architecture, machine and CPU model, each there and back.

    ``features`` is what the KVM of each side's host can give a guest, by the side's name, where one
    is on another host.

    Raises:
        UsageError: neither QEMU knows an architecture, a machine or a CPU model that is asked for.
        SpawnError, HostError, SuiteError: as :func:`.prediction.predict`.
    """
    slots = asyncio.Semaphore(host.host.cpus)

    async def one(asked: Asked) -> list[Prediction]:
        guest = asked.guest
        if asked.problem:
            return [
                Prediction(here.qemu, there.qemu, guest, guest.cpu, Answer.NO, asked.problem)
                for here, there in asked.directions
            ]
        if any(UNSTARTED in (here.path, there.path) for here, there in asked.directions):
            return _of_files(asked, features)
        async with slots:
            on_step(f"asking about {guest.architecture.value} {guest.machine} {guest.cpu}".rstrip())
            sides = {
                binary: await side_of(binary, guest, host, cache, fresh=question.fresh)
                for binary in dict.fromkeys((asked.source, asked.destination))
            }
            found = []
            for here, there in asked.directions:
                made = await predict(guest, sides[here], sides[there], loading=question.loading)
                found.append(made)
                if question.loading and sides[here].idle and sides[there].idle:
                    keep(Pair(here, there, guest), made, host, cache)
            return found

    tasks = [asyncio.create_task(one(asked)) for asked in asked_of(question, inventory)]
    try:
        found = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await put_off_cancellation(asyncio.gather(*tasks, return_exceptions=True))
    return tuple(prediction for each in found for prediction in each)


@dataclass(frozen=True, slots=True)
class Asked:
    """One guest and the two QEMUs, or why neither direction is possible."""

    source: Binary
    destination: Binary
    guest: Guest
    problem: str = ""

    @property
    def directions(self) -> tuple[tuple[Binary, Binary], ...]:
        """There and back; one where both are the same."""
        there = (self.source, self.destination)
        return (there,) if self.source == self.destination else (there, there[::-1])


def _of_files(asked: Asked, features: Mapping[str, KvmFeatures]) -> list[Prediction]:
    """Answers where a side is on another host: without anyone asked, and for x86 under KVM, too,
    where the host's KVM is known of both, or asked about."""
    guest, sides = asked.guest, (asked.source, asked.destination)
    x86 = guest.architecture in X86 and all(side.qemu in features for side in sides)
    wanted = x86 and guest.cpu == HOST_CPU
    found = [] if wanted else [unasked(guest, *pair) for pair in asked.directions]
    usable = not guest.cpu and all(
        "kvm" in side.accelerators and HOST_CPU in side.cpus for side in sides
    )
    if wanted or (x86 and usable and not any(features[side.qemu].problem for side in sides)):
        with_host = replace(guest, cpu=HOST_CPU)
        found += [with_host_cpu(with_host, *pair, features) for pair in asked.directions]
    return found


def asked_of(question: Question, inventory: Inventory) -> tuple[Asked, ...]:
    """The guests of a question.

    Raises:
        UsageError: neither QEMU has an architecture, a machine or a CPU model that is asked for.
    """
    pairs = _pairs(question, inventory)
    sides = [binary for pair in pairs for binary in pair]
    for machine in question.machines:
        if machine != ALL and not any(binary.machine(_kind(machine)) for binary in sides):
            raise UsageError(
                f"--machine {machine}: neither QEMU has it; matrix doctor --json has all"
            )
    for cpu in question.cpus:
        if not any(_kind(cpu) in binary.cpus for binary in sides):
            raise UsageError(f"--cpu {cpu}: neither QEMU has it; matrix doctor --json has all")
    found = []
    for pair in pairs:
        architecture = pair[0].architecture
        cpus = [cpu for cpu in question.cpus if any(_kind(cpu) in binary.cpus for binary in pair)]
        if question.cpus and not cpus:
            continue  # a model of another architecture
        for machine, problem in _machines(question.machines, pair).items():
            found += [
                Asked(*pair, Guest(architecture, machine, cpu), problem) for cpu in cpus or [""]
            ]
    return tuple(found)


def _pairs(question: Question, inventory: Inventory) -> list[tuple[Binary, Binary]]:
    """The emulators of both, by architecture."""
    found = []
    for architecture in question.architectures or tuple(Architecture):
        pair = [
            inventory.binary(name, architecture) for name in (question.source, question.destination)
        ]
        source, destination = pair
        if source is not None and destination is not None:
            found.append((source, destination))
        elif question.architectures:
            name = question.source if source is None else question.destination
            raise UsageError(
                f"--arch {architecture.value}: {inventory.why_missing(name, architecture)}"
            )
    if not found:
        raise UsageError(
            f"{question.source} and {question.destination} emulate no architecture in common"
        )
    return found


def _machines(asked: Sequence[str], pair: tuple[Binary, Binary]) -> dict[str, str]:
    """The machines that are asked about, and of each why it is none of both."""
    architecture = pair[0].architecture
    usual = ("pc", "q35") if architecture in X86 else (FAMILIES[architecture].default,)
    found: dict[str, str] = {}
    for name in asked or usual:
        if name == ALL:
            theirs = {machine.name for machine in pair[1].machines}
            found |= {
                machine.name: ""
                for machine in pair[0].machines
                if is_versioned(machine.name) and machine.name in theirs
            }
        elif any(binary.machine(_kind(name)) for binary in pair):
            common = newest_common(name, pair)
            found[common.machine or name] = common.problem
    return found


def _kind(value: str) -> str:
    return value.partition(",")[0]
