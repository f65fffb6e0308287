"""Answers for one guest from one QEMU to another: yes, no, or what it depends on."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from matrix.errors import MonitorError
from matrix.hosts.answers import model_of
from matrix.hosts.kvm_features import KvmFeatures
from matrix.inventory import Binary
from matrix.migratable.comparison import (
    Difference,
    Weight,
    compare_binaries,
    compare_cpus,
    compare_devices,
    compare_streams,
    known_faults,
)
from matrix.migratable.doctor_file import UNSTARTED
from matrix.migratable.host_features import compare_features
from matrix.migratable.idle import Idle, idle_launch, load
from matrix.migratable.stream import Stream
from matrix.model import Accelerator, Architecture

LOADED = "the destination's QEMU has loaded the source's idle guest"

GENERAL = re.compile(r"load of migration failed: [^:]*$")
"""What QEMU ends with that says no cause."""


class Answer(StrEnum):
    """Whether a guest may go."""

    YES = "yes"
    NO = "no"
    PERHAPS = "perhaps"


@dataclass(frozen=True, slots=True)
class Guest:
    """The guest that is asked about."""

    architecture: Architecture
    machine: str
    """``TYPE[,OPTION…]``."""
    cpu: str
    """``-cpu`` value; empty for what a run takes."""


@dataclass(frozen=True, slots=True)
class Side:
    """One QEMU, and what its idle guest is."""

    binary: Binary
    idle: Idle | None = None
    stream: Stream | None = None
    """What its saved state says; None where that cannot be read."""
    problem: str = ""
    """Why there is no idle guest, or why its state cannot be read."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one guest and one direction."""

    source: str
    """Name of the installation."""
    destination: str
    guest: Guest
    cpu: str
    """The model that was asked for, or what the source takes without."""
    answer: Answer
    reason: str = ""
    """Why not, or what it depends on; empty for a plain yes."""
    evidence: tuple[str, ...] = ()
    """What was compared, and what differs."""
    accelerator: Accelerator = Accelerator.TCG
    """What the guest runs under."""


async def predict(guest: Guest, source: Side, destination: Side, *, loading: bool) -> Prediction:
    """Whether the guest may go from source to destination.

    Args:
        guest: which.
        source: where it is.
        destination: where it may go.
        loading: have the destination's QEMU load the source's idle guest, unless what is compared
            stands against it: that tells whether it takes an older version or a subsection.

    Raises:
        SpawnError, HostError, SuiteError: the host fails us.
    """

    def answered(answer: Answer, reason: str = "", evidence: Iterable[str] = ()) -> Prediction:
        names = source.binary.qemu, destination.binary.qemu
        return Prediction(*names, guest, cpu, answer, reason, tuple(evidence))

    cpu = guest.cpu or (model_of(source.idle.cpu.kind) if source.idle is not None else "")
    for side in (source, destination):
        if side.idle is None:
            return answered(Answer.NO, f"QEMU {side.binary.qemu} has no such guest: {side.problem}")
    assert source.idle is not None  # noqa: S101 - the loop has seen to it
    differences = compare(guest.machine, source, destination)
    evidence = [f"{each.weight}: {each.text}" for each in differences]
    evidence.append(_compared(source))
    against = _texts(differences, Weight.AGAINST)
    unknown = _texts(differences, Weight.OPEN)
    if against:
        return answered(Answer.NO, _counted(against), evidence)
    if loading:
        launch = idle_launch(destination.binary, guest.architecture, guest.machine, guest.cpu)
        try:
            refusal = await load(launch, source.idle.stream)
        except MonitorError as error:
            evidence.insert(0, f"loading could not be tried: {error.why}")
            return answered(Answer.PERHAPS, evidence[0], evidence)
        if refusal:
            evidence.insert(0, f"loading: {refusal}")
            cause = unknown[:1] if GENERAL.search(refusal) else []
            return answered(Answer.NO, "; ".join((refusal, *cause)), evidence)
        evidence.insert(0, LOADED)
    if other := _texts(differences, Weight.CPU):
        passes = "lets" if loading else "may let"
        return answered(Answer.NO, f"{_counted(other)}; QEMU itself {passes} that pass", evidence)
    if lacks := _texts(differences, Weight.LACK):
        return answered(Answer.PERHAPS, f"if the guest does without: {_counted(lacks)}", evidence)
    if unknown and not loading:
        return answered(Answer.PERHAPS, f"if it takes this: {_counted(unknown)}", evidence)
    return answered(Answer.YES, "", evidence)


def unasked(
    guest: Guest,
    source: Binary,
    destination: Binary,
    accelerator: Accelerator = Accelerator.TCG,
) -> Prediction:
    """What there is to say where one of the two, or both, are on another host."""
    sides = source, destination
    model = guest.cpu.partition(",")[0]
    found = compare_binaries(source, destination, guest.machine, accelerator)
    evidence = tuple(f"{each.weight}: {each.text}" for each in found)
    names = source.qemu, destination.qemu
    if lacks := [each.qemu for each in sides if model and model not in each.cpus]:
        reason = f"QEMU {lacks[0]} has no CPU model {model}"
        return Prediction(*names, guest, guest.cpu, Answer.NO, reason, evidence, accelerator)
    files = " and ".join(dict.fromkeys(each.qemu for each in sides if each.path == UNSTARTED))
    reason = f"if it takes what the devices save, of which {files} says nothing: no QEMU was asked"
    return Prediction(*names, guest, guest.cpu, Answer.PERHAPS, reason, evidence, accelerator)


def with_host_cpu(
    guest: Guest,
    source: Binary,
    destination: Binary,
    features: Mapping[str, KvmFeatures],
) -> Prediction:
    """What there is to say of a guest with ``-cpu host`` under KVM where one of the two x86 QEMUs,
    or both, are on another host.

    Args:
        guest: which; its CPU is ``host``.
        source: where it is.
        destination: where it may go.
        features: what the KVM of each QEMU's host can give it, by the QEMU's name.
    """
    base = unasked(guest, source, destination, Accelerator.KVM)

    def answered(
        answer: Answer, reason: str, evidence: Iterable[str] = base.evidence
    ) -> Prediction:
        return replace(base, answer=answer, reason=reason, evidence=tuple(evidence))

    known = [features[side.qemu] for side in (source, destination)]
    for side, theirs in zip((source, destination), known, strict=True):
        if "kvm" not in side.accelerators:
            return answered(Answer.NO, f"QEMU {side.qemu} was built without KVM")
        if theirs.problem:
            return answered(Answer.PERHAPS, f"KVM's features for {side.qemu}: {theirs.problem}")
    if base.answer is Answer.NO:
        return answered(base.answer, base.reason)
    found = compare_features(*known)
    evidence = [f"{each.weight}: {each.text}" for each in found]
    counts = f"{len(known[0].cpuid)} CPUID leaves and {len(known[0].msrs)} feature MSRs"
    evidence += [f"compared: {counts} that the source's KVM has", *base.evidence]
    if against := _texts(found, Weight.AGAINST):
        return answered(Answer.NO, _counted(against), evidence)
    if unknown := _texts(found, Weight.OPEN):
        return answered(Answer.PERHAPS, f"if this does not matter: {_counted(unknown)}", evidence)
    if replace(source, qemu="", path="") != replace(destination, qemu="", path=""):
        return answered(Answer.PERHAPS, base.reason, evidence)
    same = f"both are the same QEMU: {source.version_text}"
    return answered(Answer.YES, "", [same, *evidence])


def compare(machine: str, source: Side, destination: Side) -> tuple[Difference, ...]:
    """What differs between two idle guests on that machine, what weighs most first."""
    found = [
        Difference(Weight.OPEN, f"QEMU {side.binary.qemu}: {side.problem}")
        for side in (source, destination)
        if side.stream is None
    ]
    found += compare_binaries(source.binary, destination.binary, machine)
    if source.stream is not None and destination.stream is not None:
        found += compare_streams(source.stream, destination.stream)
    if source.idle is not None and destination.idle is not None:
        found += compare_cpus(source.idle.cpu, destination.idle.cpu)
        found += compare_devices(source.idle.devices, destination.idle.devices)
        found += known_faults(source.binary, source.idle.devices)
    order = list(Weight)
    return tuple(sorted(found, key=lambda each: order.index(each.weight)))


def _texts(differences: Iterable[Difference], weight: Weight) -> list[str]:
    return [each.text for each in differences if each.weight is weight]


def _counted(texts: list[str]) -> str:
    return texts[0] + (f" (and {len(texts) - 1} more)" if texts[1:] else "")


def _compared(side: Side) -> str:
    if side.stream is None:
        return "the state was not compared"
    sections = side.stream.sections
    fields = sum(len(section.fields) for section in sections)
    return (
        f"compared: {len(sections)} sections, {fields} fields,"
        f" {len(side.stream.blocks)} RAM blocks, the first vCPU and the devices"
    )
