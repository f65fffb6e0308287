"""(case, hosts) → where it runs, or why not. Pure: everything it knows is passed in."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from matrix.capabilities import Offer, lacking, lacking_in_files
from matrix.inventory import Binary, Firmware, Inventory, KvmProof, KvmState
from matrix.model import EACH_HOST, Accelerator, AcceleratorLabel, Build, Case, Target, Test
from matrix.plan import efi
from matrix.plan.alike import Alike, Decide
from matrix.plan.applicable import applicable
from matrix.plan.command import cpu_of, machine_of, needs_of, only_accelerator
from matrix.plan.decisions import LOCAL, Broken, Decision, Run, Skip
from matrix.plan.emulators import emulator_architecture, not_for_variant, refused
from matrix.plan.firmware_choice import choose_firmware
from matrix.plan.kvmtool import decide_kvmtool
from matrix.plan.machines import FAMILIES
from matrix.plan.memory import huge_pages_of, why_no_memory
from matrix.plan.placing import only, place, preferred
from matrix.plan.program import decide_program
from matrix.plan.same_qemu import told_apart
from matrix.verdicts import SkipCause

NativeTests = Mapping[tuple[Build, int], Mapping[str, Test]]
"""(build, CPUs of a host) → name → the test as it is under KVM there, where that differs: tests
that take as many vCPUs as there are (``$MAX_SMP``) were read for TCG, which no CPU count binds."""


def plan(
    cases: Iterable[Case],
    hosts: Mapping[str, Inventory],
    native: NativeTests | None = None,
    called: Mapping[str, Collection[str]] | None = None,
    *,
    strict_qemu: bool = False,
) -> Iterator[Decision]:
    """Decide every case, in order, and choose the host that it runs on.

    :mod:`matrix.plan.placing` says how that is chosen where there are several.

    Args:
        cases: to be decided.
        hosts: name → inventory.
        native: the tests that are others under KVM.
        called: name → what the axis ``host`` may call it by; None: its name.
        strict_qemu: skip cases whose QEMU is not the same version on all hosts they may run on.
    """
    called = called or {name: (name,) for name in hosts}
    deciding = partial(decide, native=native, decide_read=Alike(_decide).decide)
    everywhere = (_everywhere(case, hosts, deciding, called, strict_qemu) for case in cases)
    cpus = {name: inventory.host.cpus for name, inventory in hosts.items()}
    return (only(each) for each in everywhere) if [*hosts] == [LOCAL] else place(everywhere, cpus)


def _everywhere(
    case: Case,
    hosts: Mapping[str, Inventory],
    deciding: Decide,
    called: Mapping[str, Collection[str]],
    strict_qemu: bool,
) -> Mapping[str, Decision]:
    """What is decided of a case for each host where it may run, or for those it goes between."""
    if case.migration is not None and case.migration.host:
        from matrix.plan.between_hosts import decide_gangs  # few cases do

        if skip := _on_any_host(case):
            return {"": skip}
        return decide_gangs(case, hosts, called, decide, strict_qemu=strict_qemu)
    host = case.variant.host
    if host in (None, EACH_HOST):
        each = {name: deciding(case, hosts[name]) for name in hosts}
        return told_apart(preferred(each), hosts, strict=strict_qemu) if len(hosts) > 1 else each
    there = {name: deciding(case, hosts[name]) for name in hosts if host in called.get(name, ())}
    reason = f"the run has no host {host}; it has {', '.join(hosts)}"
    return there or {"": _on_any_host(case) or Skip(case, reason, SkipCause.HOST)}


def decide(
    case: Case,
    inventory: Inventory,
    native: NativeTests | None = None,
    decide_read: Decide | None = None,
) -> Decision:
    """Decide one case: the first reason against running it wins.

    ``decide_read`` decides cases as they were read; None: each by itself.
    """
    cpus = inventory.host.cpus
    test = native.get((case.build, cpus), {}).get(case.test.name) if native else None
    if test is not None:
        under_kvm = replace(case, test=test, build=replace(case.build, max_smp=cpus))
        decision = _decide(under_kvm, inventory)
        # Under TCG, and on a machine that takes fewer vCPUs than the host has CPUs, it stays as it
        # was read.
        if isinstance(decision, Run) and decision.accelerator is Accelerator.KVM:
            return decision
    return (decide_read or _decide)(case, inventory)


def _decide(case: Case, inventory: Inventory) -> Decision:
    if skip := _on_any_host(case):
        return skip
    if case.build.target is not Target.QEMU:
        decide_other = decide_kvmtool if case.build.target is Target.KVMTOOL else decide_program
        decision = decide_other(case, inventory)
        reason = _failed_check(case, inventory) if isinstance(decision, Run) else ""
        return Skip(case, reason, SkipCause.HOST) if reason else decision
    if reason := _broken(case, inventory):
        return Broken(case, reason)
    choice = _accelerator(case, inventory)
    if isinstance(choice, Skip):
        return choice
    accelerator, why, doubt = choice
    emulator = emulator_architecture(case.variant.arch, accelerator, inventory)
    binary = inventory.binary(case.variant.qemu, emulator)
    if binary is None:
        reason = inventory.why_missing(case.variant.qemu, emulator)
        return Skip(case, reason, SkipCause.NO_QEMU)
    if skip := _why_unrunnable(case, binary, accelerator, inventory):
        return skip
    notes: tuple[str, ...] = ()
    if case.migration is not None:
        from matrix.plan.migration_sides import settle_migration  # most cases migrate nothing

        planned = settle_migration(case, binary, accelerator, inventory)
        if isinstance(planned, Skip):
            return planned
        case, notes = replace(case, migration=planned.migration), planned.notes
    firmware = firmware_for(case, binary, inventory)
    if isinstance(firmware, str):
        return Skip(case, firmware, SkipCause.HOST)
    needs = needs_of(case)
    huge_pages = huge_pages_of(case, needs.guest_memory, inventory.host)
    if reason := why_no_memory(case, needs.guest_memory, huge_pages, inventory.host):
        return Skip(case, reason, SkipCause.HOST)
    # Both sides of a migration have all of the memory, but only one has running vCPUs.
    memory = needs.memory * (1 if case.migration is None else 2)
    label = AcceleratorLabel(accelerator)
    expected = applicable(case.expected, label, binary, inventory.host, case.build)
    return Run(case, accelerator, why, needs.vcpus, memory, doubt, expected, notes, huge_pages)


def _on_any_host(case: Case) -> Skip | None:
    if case.excluded:
        return Skip(case, case.excluded, case.excluded_as)
    reason = case.test.unsupported or _unsupported(case)
    return Skip(case, reason, SkipCause.TEST) if reason else None


def _why_unrunnable(
    case: Case, binary: Binary, accelerator: Accelerator, inventory: Inventory
) -> Skip | None:
    """Why that binary cannot run the case."""
    if reason := not_for_variant(case, accelerator):
        return Skip(case, reason, SkipCause.TEST)
    if reason := refused(case, binary):
        return Skip(case, reason, SkipCause.UNSUPPORTED)
    reason = _failed_check(case, inventory)
    return Skip(case, reason, SkipCause.HOST) if reason else None


def _broken(case: Case, inventory: Inventory) -> str:
    """What is wrong with an emulator that the case may need; empty where nothing is.

    Of either accelerator: which one it will be depends on what the emulator for KVM answers.
    """
    architecture = case.variant.arch
    emulators = {
        emulator_architecture(architecture, accelerator, inventory)
        for accelerator in (Accelerator.KVM, Accelerator.TCG)
        if case.variant.accel in (Accelerator.AUTO, accelerator)
    }
    qemus = (case.variant.qemu, *(case.migration.destinations if case.migration else ()))
    pairs = ((qemu, emulator) for qemu in qemus for emulator in sorted(emulators))
    return next(filter(None, (inventory.why_broken(*pair) for pair in pairs)), "")


def firmware_for(case: Case, binary: Binary, inventory: Inventory) -> Firmware | str | None:
    """What boots the case: None where it needs no UEFI firmware, or why there is none."""
    if not case.build.efi:
        return None
    machine = machine_of(case).partition(",")[0] or FAMILIES[case.variant.arch].default
    return choose_firmware(inventory.firmware, binary, machine, inventory.firmware_problems)


def _unsupported(case: Case) -> str:
    if case.build.efi and case.build.architecture not in efi.ARCHITECTURES:
        return f"EFI builds for {case.build.architecture.value} are not run by this version"
    return ""


def _accelerator(case: Case, inventory: Inventory) -> tuple[Accelerator, str, str] | Skip:
    """The accelerator, why it was chosen, and what is wrong with it; or why there is none."""
    requested = case.variant.accel
    only = only_accelerator(case.test)
    if requested is not Accelerator.AUTO and only and only != requested.value:
        reason = f"{only} only, but the accelerator is {requested.value}"
        return Skip(case, reason, SkipCause.TEST)
    if requested is Accelerator.TCG:
        return Accelerator.TCG, "asked for", ""
    if only == Accelerator.TCG:
        return Accelerator.TCG, "the test is for tcg only", ""
    proof = _proof(case, inventory)
    if requested is Accelerator.KVM or only == Accelerator.KVM:
        return _kvm(case, proof, inventory)
    if proof is not None and proof.state is KvmState.WORKS:
        elsewhere = _no_kvm_elsewhere(case, inventory)
        accelerator = Accelerator.TCG if elsewhere else Accelerator.KVM
        return accelerator, elsewhere or proof.reason, ""
    why = proof.reason if proof is not None else "KVM was not tried"
    return Accelerator.TCG, why, ""


def _no_kvm_elsewhere(case: Case, inventory: Inventory) -> str:
    """Why KVM cannot be used as a guest that is migrated would have to do without it elsewhere."""
    if case.migration is None:
        return ""
    from matrix.plan.migration_sides import no_kvm_elsewhere

    return no_kvm_elsewhere(case, inventory)


def _proof(case: Case, inventory: Inventory) -> KvmProof | None:
    """What is known of KVM for the case. Where firmware boots it, that must run under KVM too."""
    variant = case.variant
    proof = inventory.proof(variant.qemu, variant.arch, cpu_of(case))
    if not case.build.efi or proof is None or proof.state is not KvmState.WORKS:
        return proof
    # Without any that suits the case is skipped for that reason.
    return inventory.firmware_proof(variant.qemu, variant.arch) or proof


def _kvm(
    case: Case, proof: KvmProof | None, inventory: Inventory
) -> tuple[Accelerator, str, str] | Skip:
    arch, qemu = case.variant.arch, case.variant.qemu
    if proof is None:
        return Skip(case, f"KVM was not tried for {arch.value}", SkipCause.NO_ACCELERATOR)
    if proof.state is KvmState.UNAVAILABLE:
        emulator = emulator_architecture(arch, Accelerator.KVM, inventory)
        there = inventory.binary(qemu, emulator) is not None
        cause = SkipCause.NO_ACCELERATOR if there else SkipCause.NO_QEMU
        return Skip(case, f"no KVM for {arch.value}: {proof.reason}", cause)
    asked = "asked for" if case.variant.accel is Accelerator.KVM else "the test is for kvm only"
    doubt = proof.reason if proof.state is KvmState.BROKEN else ""
    return Accelerator.KVM, asked, doubt


def _failed_check(case: Case, inventory: Inventory) -> str:
    """What of the host the test needs and has not: a capability, or a file's content (``check =
    PATH=VALUE``); else empty."""
    needs, offer = case.test.needs, Offer("this host", inventory.host.cpus)
    contents = {need.file: inventory.file(need.file) for need in needs if need.file}
    if reason := lacking(needs, offer) or lacking_in_files(needs, contents, offer):
        return reason
    for path, value in case.test.checks:
        found = inventory.file(path)
        if found != value:
            is_what = "cannot be read" if found is None else f"holds {found!r}"
            return f"needs {path} to hold {value!r}, but it {is_what}"
    return ""
