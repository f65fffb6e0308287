"""Which cases go to a virtual KVM host, and why others do not."""

from dataclasses import replace
from typing import Any

from matrix.capabilities import Kind, Need
from matrix.cli.listing import entry, lines
from matrix.migrating import Fault, Migration, Strategy
from matrix.model import (
    Accelerator,
    AcceleratorLabel,
    Architecture,
    Endian,
    Expectation,
    KvmMode,
    MemoryBackend,
    Target,
)
from matrix.plan.decisions import LOCAL, Decision, Run, Skip
from matrix.plan.planner import decide
from matrix.plan.virtual import VirtualPlace, place
from matrix.verdicts import SkipCause
from tests import make

GIB = 1 << 30
HOST = VirtualPlace("virtual-aarch64-debian-13", "Linux of debian-13", GIB)
NO_KVM = "this x86_64 host's KVM runs x86_64 guests only"


def placed(case: Any, host: VirtualPlace = HOST, decision: Decision | None = None) -> Decision:
    before = decision or Skip(case, NO_KVM, SkipCause.NO_ACCELERATOR)
    (after,) = place([before], lambda _: host)
    return after


def builtin(**axes: Any) -> Any:
    return make.case(arch=make.ARM64, build=make.build(make.ARM64, builtin=True), **axes)


def test_a_case_for_kvm_goes_there() -> None:
    after = placed(builtin(accel=Accelerator.KVM))
    assert isinstance(after, Run)
    assert (after.host, after.accelerator) == (HOST.name, Accelerator.KVM)
    assert after.why == "a virtual KVM host: Linux of debian-13"


def test_others_stay_where_they_are() -> None:
    for accel in (Accelerator.TCG, Accelerator.AUTO):
        case = builtin(accel=accel)
        before = Run(case, Accelerator.TCG, "asked for", 1, GIB)
        assert placed(case, decision=before) is before
        assert before.host == LOCAL
    case = builtin(accel=Accelerator.KVM)
    excluded = Skip(case, "excluded", SkipCause.SCENARIO)
    assert placed(case, decision=excluded) is excluded


def test_a_case_of_a_kernel_runs_in_a_virtual_host() -> None:
    for accel in (Accelerator.AUTO, Accelerator.KVM):
        case = builtin(accel=accel, kernel="debian-13", mode=KvmMode.NVHE)
        before = Run(case, Accelerator.TCG, "KVM was not tried", 1, GIB)
        after = placed(case, decision=before)
        assert isinstance(after, Run)
        assert (after.host, after.accelerator) == (HOST.name, Accelerator.KVM)
        (alone,) = place([before], lambda _: None)
        assert isinstance(alone, Skip)
        assert alone.reason == (
            "kernel=debian-13 is of a virtual KVM host, and the run has none for aarch64: "
            "name one in 'hosts' or with --virtual-host"
        )


def test_what_a_machines_kvm_is_known_to_fail_is_not_known_there() -> None:
    machine, virtual = (
        Expectation("known.yaml:1", "a bug", ("*",), accel=(label,))
        for label in (AcceleratorLabel.KVM, AcceleratorLabel.VIRTUAL_KVM)
    )
    case = replace(builtin(accel=Accelerator.KVM), expected=(machine, virtual))
    there = replace(HOST, binary=make.binary(make.ARM64), host=make.HOST)
    after = placed(case, host=there)
    assert isinstance(after, Run)
    assert after.expected == (virtual,)
    assert after.accelerator_label is AcceleratorLabel.VIRTUAL_KVM
    assert next(iter(lines([after]))).endswith(
        "  kvm (virtual) on virtual-aarch64-debian-13 (a virtual KVM host: Linux of debian-13)"
        "  known to fail: a bug"
    )
    assert entry(after)["accelerator"] == "kvm (virtual)"


def test_a_kernel_makes_no_sense_without_kvm() -> None:
    def reason(case: Any) -> str:
        after = placed(case, decision=Run(case, Accelerator.TCG, "asked for", 1, GIB))
        assert isinstance(after, Skip)
        return after.reason

    assert reason(builtin(accel=Accelerator.TCG, module_parameters="kvm.a=1")) == (
        "module_parameters=kvm.a=1 is of a virtual KVM host, but the accelerator is tcg"
    )
    build = make.build(make.ARM64, builtin=True)
    case = make.case(make.test(accelerator="tcg"), make.ARM64, build=build, kernel="mine")
    assert reason(case) == "kernel=mine is of a virtual KVM host, but the test is for tcg only"
    x86_64 = make.case(arch=make.X86, build=make.build(make.X86, builtin=True), mode=KvmMode.VHE)
    assert reason(x86_64) == "mode vhe is one of KVM on aarch64"


def skip(host: VirtualPlace = HOST, **axes: Any) -> str:
    after = placed(builtin(accel=Accelerator.KVM, **axes), host)
    assert isinstance(after, Skip)
    return after.reason


def test_what_cannot_run_there_is_skipped_with_the_reason() -> None:
    none = VirtualPlace("virtual-s390x", "", 0, missing="TCG has no SIE")
    assert skip(none) == "no virtual KVM host for aarch64: TCG has no SIE"
    assert "17 vCPUs" in skip(smp=17)
    assert "its memory is 1024 MiB" in skip(memory=GIB)
    assert "machine sbsa-ref" in skip(machine="sbsa-ref")


def test_big_endian_guests_of_ppc64_are_not_for_our_vmm() -> None:
    case = builtin(accel=Accelerator.KVM, endian=Endian.BIG)
    variant = replace(case.variant, arch=Architecture.PPC64)
    build = replace(case.build, architecture=Architecture.PPC64, endian=Endian.BIG)
    none = placed(replace(case, variant=variant, build=build))
    assert isinstance(none, Skip)
    assert none.reason.startswith("endian big: embedded guests of virtual KVM hosts are little-")


def test_memory_that_a_guest_cannot_have_there_is_told() -> None:
    there = replace(HOST, binary=make.binary(make.ARM64), host=make.HOST, devices=("edu",))
    assert isinstance(placed(builtin(accel=Accelerator.KVM, backend=MemoryBackend.RAM)), Run)
    for backend in (MemoryBackend.MEMFD, MemoryBackend.HUGEPAGES, MemoryBackend.NUMA):
        assert skip(backend=backend).startswith(f"backend {backend}: embedded guests of virtual ")
    memfd = {"accel": Accelerator.KVM, "backend": MemoryBackend.MEMFD}
    assert isinstance(placed(builtin(**memfd, migration=Migration()), there), Run)
    needy = make.test("edu", needs=(Need(Kind.DEVICE, "edu"),))  # a QEMU runs it
    assert isinstance(placed(replace(builtin(**memfd), test=needy), there), Run)
    huge = builtin(accel=Accelerator.KVM, backend=MemoryBackend.HUGEPAGES)
    none = placed(replace(huge, test=needy), there)
    assert isinstance(none, Skip)
    assert none.reason == "virtual KVM hosts have no huge pages"


def test_a_case_that_is_migrated_has_its_host_migrated() -> None:
    binary = make.binary(make.ARM64, migration_capabilities=("multifd",))
    host = replace(HOST, binary=binary, host=make.HOST)
    both = Migration(strategies=(Strategy.PRECOPY, Strategy.MAPPED_RAM))
    case = builtin(accel=Accelerator.KVM, migration=both)
    after = placed(case, host)
    assert isinstance(after, Run)
    assert (after.host, after.accelerator) == (HOST.name, Accelerator.KVM)
    assert after.case.migration == replace(both, strategies=(Strategy.PRECOPY,))
    assert after.notes == ("QEMU 7.2.22 has no migration capability 'mapped-ram'",)


def test_a_fault_is_one_of_the_host_and_not_of_its_guest() -> None:
    host = replace(HOST, binary=make.binary(make.X86), host=make.HOST)
    migration = Migration(faults=(Fault.VCPU_MISMATCH,))
    build = make.build(make.X86, builtin=True)

    def decided(guest: int, cpus: int) -> Decision:
        case = make.case(
            arch=make.X86, build=build, accel=Accelerator.KVM, smp=guest, migration=migration
        )
        return placed(case, replace(host, cpus=cpus))

    assert isinstance(decided(1, 2), Run)
    small = decided(2, 1)
    assert isinstance(small, Skip)
    assert "needs a guest of at least 2 vCPUs" in small.reason


def test_a_host_that_cannot_be_migrated_is_told_as_such() -> None:
    host = replace(HOST, binary=make.binary(make.ARM64), host=make.HOST)

    def reason(migration: Migration, host: VirtualPlace = host) -> str:
        return skip(host, migration=migration)

    assert reason(Migration(), replace(host, migrates=False)) == (
        f"{HOST.name}: QEMU 7.2.22 does not migrate its machine"
    )
    assert "'dirty-limit' needs" in reason(Migration(strategies=(Strategy.DIRTY_LIMIT,)))
    as_it_is = "a virtual KVM host is migrated as it is, to its own QEMU alone: not to "
    assert reason(Migration(destinations=("system", "10.0"))) == f"{as_it_is}QEMU 10.0"
    assert reason(Migration(machine="virt-7.2")) == f"{as_it_is}virt-7.2"
    build = make.case(
        arch=make.ARM64, build=make.build(make.ARM64), accel=Accelerator.KVM, migration=Migration()
    )
    other = placed(build, host)
    assert isinstance(other, Skip)
    assert other.reason == "in a virtual KVM host that is migrated only the embedded guests run"


def test_a_build_goes_there_unless_what_runs_it_is_not_there() -> None:
    def placed_build(**fields: Any) -> Decision:
        build = make.build(make.ARM64, **fields)
        return placed(make.case(arch=make.ARM64, build=build, accel=Accelerator.KVM))

    assert isinstance(placed_build(), Run)
    for fields, reason in (
        (
            {"target": Target.KVMTOOL},
            f"the build is for kvmtool, and {HOST.name} has none (kvmtool=PATH of an lkvm)",
        ),
        ({"efi": True}, "UEFI builds do not run in virtual KVM hosts"),
    ):
        skipped = placed_build(**fields)
        assert isinstance(skipped, Skip)
        assert skipped.reason == reason


def program(**test: Any) -> Any:
    build = make.build(make.ARM64, target=Target.PROGRAM)
    return make.case(make.test(accelerator="kvm", **test), make.ARM64, build=build)


def test_a_program_goes_there_where_it_finds_what_it_needs() -> None:
    after = placed(program(memory=GIB // 2))
    assert isinstance(after, Run)
    assert (after.host, after.vcpus, after.memory) == (HOST.name, 1, GIB // 2)
    of_kernel = make.case(
        make.test(accelerator="kvm"),
        make.ARM64,
        build=make.build(make.ARM64, target=Target.PROGRAM),
        kernel="mine",
    )
    assert isinstance(placed(of_kernel, decision=decide(of_kernel, make.inventory())), Run)
    small = placed(program())
    assert isinstance(small, Run)
    assert small.memory == 64 << 20
    for case, reason in (
        (program(smp=2), f"needs 2 CPUs, but {HOST.name} has 1 (cpus=2 gives it)"),
        (program(memory=GIB), "has 640 MiB for guests (memory=1408MiB gives it)"),
        (program(image="/b/x.sh"), "a script, and in a virtual KVM host there is no shell"),
    ):
        skipped = placed(case)
        assert isinstance(skipped, Skip)
        assert reason in skipped.reason
    two = VirtualPlace(HOST.name, "", GIB, cpus=2)
    assert isinstance(placed(program(smp=2), two), Run)


def test_a_device_is_assigned_where_the_host_has_it() -> None:
    test = make.test(needs=(Need(Kind.DEVICE, "edu"),), accelerator="kvm")
    case = make.case(test, make.ARM64, build=make.build(make.ARM64, builtin=True))
    assert isinstance(placed(case, replace(HOST, devices=("edu",))), Run)
    skipped = placed(case)
    assert isinstance(skipped, Skip)
    assert skipped.cause is SkipCause.HOST
    assert skipped.reason.endswith(f"but {HOST.name} has none (devices=edu gives it)")
    without = placed(case, replace(HOST, devices=("edu",), no_iommu="no driver"))
    assert isinstance(without, Skip)
    assert without.reason.endswith(f"but {HOST.name} has no IOMMU: no driver")


def test_a_disk_that_is_made_for_a_case_is_not_there() -> None:
    test = make.test(qemu_params=("-drive", "file={disk:1M}"))
    build = make.build(make.ARM64, builtin=True)
    after = placed(make.case(test, make.ARM64, build=build, accel=Accelerator.KVM))
    assert isinstance(after, Skip)
    assert after.reason == (
        "not in a virtual KVM host: its disk is a file of the host that it was started on"
    )


def test_a_program_of_another_kernel_is_noted() -> None:
    build = make.build(make.ARM64, target=Target.PROGRAM, revision="6.12.117")
    case = make.case(make.test(accelerator="kvm"), make.ARM64, build=build)
    notes = ("builtin of Linux 6.12.117, but the host runs 7.2.3-cloud-arm64",)
    for kernel, expected in (("7.2.3-cloud-arm64", notes), ("6.12.117+deb13", ()), ("", ())):
        host = replace(HOST, host=replace(make.HOST, kernel=kernel))
        after = placed(case, host)
        assert isinstance(after, Run)
        assert after.notes == expected


def test_a_build_for_kvmtool_goes_where_there_is_one() -> None:
    build = make.build(make.ARM64, target=Target.KVMTOOL)
    host = replace(HOST, kvmtool=True)
    after = placed(
        make.case(make.test(smp=2), make.ARM64, build=build, accel=Accelerator.KVM), host
    )
    assert isinstance(after, Run)
    assert (after.vcpus, after.memory) == (2, (5 * 64 + 16) << 20)
    wide = make.case(make.test(smp=8), make.ARM64, build=build, accel=Accelerator.KVM)
    large = placed(wide, host)
    assert isinstance(large, Skip)
    assert "its memory is 720 MiB" in large.reason
    cpu = make.case(arch=make.ARM64, build=build, accel=Accelerator.KVM, cpu="host")
    skipped = placed(cpu, host)
    assert isinstance(skipped, Skip)
    assert skipped.reason == "the build is for kvmtool, which has no choice of cpu"
