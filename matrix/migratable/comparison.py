"""Compares what two QEMUs say of the same idle guest: what stands against its going from one to the
other. Pure.

The rules are those by which QEMU loads a stream (``migration/savevm.c``, ``migration/vmstate.c``,
7.2 to 11.1): a section is looked up by name and instance, its version must not be newer than the
destination's, its fields are read in the destination's order and sizes whatever they are called,
and a subsection must be known. A destination may have more of everything.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from matrix.inventory import Binary
from matrix.migratable.device import Device
from matrix.migratable.stream import UNKNOWN, Field, Section, Stream
from matrix.migrating import Strategy, Transport
from matrix.migration.identity import Identity, difference, feature_text
from matrix.model import Accelerator
from matrix.plan.migration_plan import lacking
from matrix.scenario.compatibility import senseless_route
from matrix.verdict.qemu_bugs import DIRTY_LOG_FIXED


class Weight(StrEnum):
    """What a difference means for the guest's going."""

    AGAINST = "against"
    """It does not go."""
    CPU = "cpu"
    """QEMU may take it, and the guest finds itself on another CPU: we do not make such a hop."""
    OPEN = "open"
    """What is compared does not tell whether the destination takes it: loading it does."""
    LACK = "lack"
    """It goes, and is wrong there for a guest that uses what the destination lacks."""
    NOTE = "note"
    """It goes, and whoever reads the answer may want to know."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between source and destination, in words."""

    weight: Weight
    text: str


REGISTERS = "cpreg_vmstate_indexes"
"""Arm's list of system registers, which is content: who does not know one of them refuses it."""
REGISTER_VALUES = "cpreg_vmstate_values"
EQUAL = " equal"
"""How the types of fields end whose value must be the destination's (``vmstate_info_…_equal``)."""
PCI_CONFIG = "pci config"
PCI_FIXED = (*range(4), *range(8, 12))
"""Bytes of a PCI device's configuration that must be the destination's, whatever the guest does:
vendor, device, revision, class (``pci_init_cmask`` in QEMU's hw/pci/pci.c)."""
FLIC = "s390-flic-qemu"
"""s390x's interrupt controller under TCG."""
RESIZABLE = "/rom@"
"""How blocks of RAM are called whose length is the source's (``rom_add_blob`` makes them so)."""


def compare_streams(source: Stream, destination: Stream) -> tuple[Difference, ...]:
    """What differs in the state of a guest, as it matters to the destination."""
    return tuple(_streams(source, destination))


def _streams(source: Stream, destination: Stream) -> Iterator[Difference]:
    if source.machine and destination.machine and source.machine != destination.machine:
        yield _against(
            f"the machine is {source.machine!r} on the source, {destination.machine!r} there"
        )
    if source.page_bits and destination.page_bits and source.page_bits != destination.page_bits:
        yield _against(f"pages of {source.page_bits} bits are {destination.page_bits} there")
    if source.switchover and not destination.switchover:
        yield _against(
            "the stream has a command that the destination does not send: switchover-start"
        )
    yield from _blocks(source, destination)
    theirs = {(section.name, section.instance): section for section in destination.sections}
    for section in source.sections:
        other = theirs.get((section.name, section.instance))
        if other is None:
            what = f"section {_named(section)}"
            yield _open(f"{what}: the idle guest of the destination has none")
        else:
            yield from _section(section, other)


def _blocks(source: Stream, destination: Stream) -> Iterator[Difference]:
    theirs = {block.name: block.length for block in destination.blocks}
    for block in source.blocks:
        length = theirs.get(block.name)
        if length is None:
            yield _against(f"RAM block {block.name!r} is unknown there")
        elif length != block.length:
            text = f"RAM block {block.name!r} of {block.length} bytes has {length} there"
            yield _note(text) if block.name.startswith(RESIZABLE) else _against(text)


def _section(source: Section, destination: Section) -> Iterator[Difference]:
    what = f"section {_named(source)}"
    known = UNKNOWN not in (source.version, destination.version)
    if known and source.version > destination.version:
        yield _against(f"{what}: version {source.version}, {destination.version} there")
        return
    if known and source.version < destination.version:
        yield _open(f"{what}: version {source.version}, and {destination.version} there")
    theirs = {each.whole: each.version for each in destination.subsections}
    for each in source.subsections:
        version = theirs.get(each.whole)
        if version is None:
            yield _open(
                f"{what}: the idle guest of the destination has no subsection {each.name!r}"
            )
        elif version < each.version:
            yield _against(f"{what}: subsection {each.name!r} is version {version} there")
        elif version > each.version:
            yield _open(f"{what}: subsection {each.name!r} is version {version} there")
    common = [each.whole for each in source.subsections if each.whole in theirs]
    for part in ("", *dict.fromkeys(common)):
        fields = [
            tuple(field for field in side.fields if field.part == part)
            for side in (source, destination)
        ]
        yield from _fields(f"{what}{f', {part}' if part else ''}", *fields)


def _fields(
    what: str, source: tuple[Field, ...], destination: tuple[Field, ...]
) -> Iterator[Difference]:
    """The fields of one table: what they are called does not matter, only how long they are."""
    if all(any(field.path == REGISTERS for field in each) for each in (source, destination)):
        yield from _registers(what, source, destination)
        source, destination = _without_registers(source), _without_registers(destination)
    ours, theirs = _ends(source), _ends(destination)
    if max(ours, default=0) == max(theirs, default=0) and (ours <= theirs or theirs <= ours):
        if ours != theirs:
            yield _note(f"{what}: the same bytes, divided otherwise")
        else:
            for field, other in zip(source, destination, strict=False):
                yield from _values(what, field, other)
        return
    yield _open(f"{what}: {_first_difference(source, destination)}")


def _ends(fields: Iterable[Field]) -> frozenset[int]:
    """Where the runs of values end, counted from the begin of the first."""
    return frozenset(accumulate(field.size * field.count for field in fields))


def _first_difference(source: tuple[Field, ...], destination: tuple[Field, ...]) -> str:
    lengths = [sum(field.size * field.count for field in each) for each in (source, destination)]
    for field, other in zip(source, destination, strict=False):
        if (field.size, field.count) != (other.size, other.count):
            return (
                f"{lengths[0]} bytes, {lengths[1]} there, from {_shape(field)} and"
                f" {_shape(other)} on"
            )
    longer = max(source, destination, key=len)[min(len(source), len(destination)) :]
    whose = "there" if len(destination) > len(source) else "here"
    more = f", {_shape(longer[0])} being {whose} alone" if longer else ""
    return f"{lengths[0]} bytes, {lengths[1]} there{more}"


def _shape(field: Field) -> str:
    return f"{field.path!r} ({field.count} × {field.size})"


def _registers(
    what: str, source: tuple[Field, ...], destination: tuple[Field, ...]
) -> Iterator[Difference]:
    """Arm's system registers: the destination knows all, and those that are constant are alike."""
    ours, theirs = _register_values(source), _register_values(destination)
    unknown = ours.keys() - theirs.keys()
    if unknown:
        listed = ", ".join(f"{number:#x}" for number in sorted(unknown)[:3])
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        yield _against(f"{what}: system registers {listed}{more} are unknown there")
    other = [number for number in ours.keys() & theirs.keys() if ours[number] != theirs[number]]
    if other:
        first = min(other)
        yield _open(
            f"{what}: {len(other)} system registers have other values there, as"
            f" {first:#x} with {ours[first]:#x} and {theirs[first]:#x}"
        )


def _register_values(fields: Iterable[Field]) -> dict[int, int]:
    contents = {field.path: field.content for field in fields}
    numbers, values = contents.get(REGISTERS, b""), contents.get(REGISTER_VALUES, b"")
    return {
        int.from_bytes(numbers[at : at + 8], "big"): int.from_bytes(values[at : at + 8], "big")
        for at in range(0, min(len(numbers), len(values)), 8)
    }


def _without_registers(fields: Iterable[Field]) -> tuple[Field, ...]:
    return tuple(field for field in fields if not field.path.startswith("cpreg_vmstate_"))


def _values(what: str, field: Field, other: Field) -> Iterator[Difference]:
    """Fields whose value must be the destination's."""
    if not field.content or not other.content or field.content == other.content:
        return
    if field.kind.endswith(EQUAL):
        ours, theirs = (int.from_bytes(each.content, "big") for each in (field, other))
        yield _against(f"{what}: {field.path!r} is {ours}, and {theirs} there")
    elif field.kind == PCI_CONFIG:
        at = [n for n in PCI_FIXED if field.content[n : n + 1] != other.content[n : n + 1]]
        if at:
            yield _against(f"{what}: byte {at[0]} of its PCI configuration is another there")


def _named(section: Section) -> str:
    instance = f" {section.instance}" if section.instance else ""
    return f"{section.name!r}{instance}"


def compare_cpus(source: Device, destination: Device) -> tuple[Difference, ...]:
    """What differs in the first vCPU, as far as its properties say."""
    return tuple(_cpus(source, destination))


def _cpus(source: Device, destination: Device) -> Iterator[Difference]:
    for cpu, where in ((source, "the source"), (destination, "the destination")):
        lacking = json.loads(dict(cpu.properties).get("unavailable-features", "[]"))
        if lacking:
            yield _note(f"the CPU of {where} is without {', '.join(map(str, lacking))}")
    if why := difference(_identity(source), _identity(destination)):
        yield Difference(Weight.CPU, why)
        return
    ours, theirs = dict(source.properties), dict(destination.properties)
    common = ours.keys() & theirs.keys()
    lost = sorted(name for name in common if (ours[name], theirs[name]) == ("true", "false"))
    if lost:
        yield Difference(Weight.LACK, f"the CPU has no {', '.join(lost)} there")
    gained = sorted(name for name in common if (ours[name], theirs[name]) == ("false", "true"))
    if gained:
        yield _note(f"the CPU has {', '.join(gained)} there alone")


def _identity(cpu: Device) -> Identity:
    words = dict(cpu.properties).get("feature-words", "[]")
    return Identity(cpu=cpu.kind, features=feature_text(json.loads(words)))


def compare_devices(
    source: Iterable[Device], destination: Iterable[Device]
) -> tuple[Difference, ...]:
    """Properties of devices whose values differ: what the machine's version has left alike does
    not, whatever the lists of properties say."""
    found = []
    theirs = {device.path: device for device in destination}
    for device in source:
        other = theirs.get(device.path)
        if other is None or other.kind != device.kind:
            continue
        values = dict(other.properties)
        differing = [
            f"{name}={value} ({values[name]} there)"
            for name, value in device.properties
            if values.get(name, value) != value
        ]
        if differing:
            found.append(_note(f"device {device.kind}: {', '.join(differing)}"))
    return tuple(found)


def known_faults(source: Binary, devices: Iterable[Device]) -> tuple[Difference, ...]:
    """What the source is known to lose of a guest under TCG, now and then.

    Args:
        source: the emulator.
        devices: those that it has made.
    """
    found = []
    for device in devices:
        # Machines before 9.1 have it off in QEMU 10.0 and 11.1, too; 7.2 has no such property.
        if device.kind == FLIC and dict(device.properties).get("migrate-all-state") != "true":
            what = "interrupts that are pending in the hop, which are not sent (QEMU's s390_flic.c)"
            found.append(Difference(Weight.LACK, what))
    if source.version < DIRTY_LOG_FIXED:
        since = ".".join(map(str, DIRTY_LOG_FIXED[:2]))
        found.append(_note(f"the source, as all before {since}, may lose what is written in a hop"))
    return tuple(found)


def compare_binaries(
    source: Binary,
    destination: Binary,
    machine: str,
    accelerator: Accelerator = Accelerator.TCG,
) -> tuple[Difference, ...]:
    """What the two can do, as far as it decides which guests and which hops are possible."""
    found = []
    kind = machine.partition(",")[0]
    limits = [side.machine(kind) for side in (source, destination)]
    most = [0 if limit is None else limit.cpu_max for limit in limits]
    if 0 < most[1] < most[0]:
        found.append(_note(f"{kind} takes {most[0]} vCPUs, and {most[1]} there"))
    for what, ours, theirs in (
        ("capabilities", source.migration_capabilities, destination.migration_capabilities),
        ("parameters", source.migration_parameters, destination.migration_parameters),
    ):
        for names, others, where in (
            (ours, theirs, "the source"),
            (theirs, ours, "the destination"),
        ):
            if alone := sorted(set(names) - set(others)):
                found.append(_note(f"migration {what} of {where} alone: {', '.join(alone)}"))
    return (*found, *_strategies(source, destination, accelerator))


def _strategies(
    source: Binary, destination: Binary, accelerator: Accelerator
) -> Iterator[Difference]:
    """By which strategies a guest may go, and why by no other."""
    sides = (source, destination)
    lacks = {
        strategy: [why for side in sides if (why := lacking(strategy, None, side, accelerator))]
        for strategy in Strategy
    }
    both = [strategy for strategy, reasons in lacks.items() if not reasons]
    if both:
        names = ", ".join(strategy.value for strategy in both)
        yield _note(f"strategies that both have: {names}")
    ways: defaultdict[str, list[str]] = defaultdict(list)
    for strategy in both:
        ways[_transports(strategy)].append(strategy.value)
    for over, strategies in ways.items():
        yield _note(f"{', '.join(strategies)}: over {over}")
    for strategy, reasons in lacks.items():
        if reasons:
            yield _note(f"no {strategy.value}: {reasons[0]}")


def _transports(strategy: Strategy) -> str:
    """What it may go over, and what of that reaches another host."""
    if strategy.through_file:
        return "a file"
    ways = [way for way in Transport if not senseless_route(strategy, way)]
    far = [way.value for way in ways if way.between_hosts]
    between = f" (to another host: {', '.join(far)})" if far else ""
    return ", ".join(way.value for way in ways) + between


def _against(text: str) -> Difference:
    return Difference(Weight.AGAINST, text)


def _open(text: str) -> Difference:
    return Difference(Weight.OPEN, text)


def _note(text: str) -> Difference:
    return Difference(Weight.NOTE, text)
