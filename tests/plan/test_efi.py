"""EFI builds: golden command lines, what their partition holds, and when they are skipped."""

from typing import Any

import pytest

from matrix.inventory import Firmware, FirmwareDevice
from matrix.model import Accelerator, Architecture, ExitChannel
from matrix.plan.command import (
    QEMU_OVERHEAD,
    EfiBoot,
    device_tree_command,
    launch_for,
    needs_of,
    time_limit,
)
from matrix.plan.decisions import Run, Skip
from matrix.plan.efi import BOOT_SECONDS, FLASH_MEMORY, Partition, partition_of
from matrix.plan.machines import MIB
from matrix.plan.planner import decide
from matrix.verdicts import SkipCause
from tests import make
from tests.conftest import Golden

X86, ARM64 = Architecture.X86_64, Architecture.AARCH64

FIRMWARE = {
    X86: Firmware(
        "/fw/60.json",
        FirmwareDevice.FLASH,
        "/fw/OVMF_CODE.fd",
        (("x86_64", ("pc-*",)),),
        variables="/fw/OVMF_VARS.fd",
    ),
    ARM64: Firmware(
        "/fw/61.json", FirmwareDevice.MEMORY, "/fw/QEMU_EFI.fd", (("aarch64", ("virt*",)),)
    ),
}


def efi_case(architecture: Architecture, *, direct: bool = False, **axes: Any) -> Any:
    cpu = "max" if architecture is ARM64 else ""
    build = make.build(architecture, efi=True, efi_direct=direct, default_cpu=cpu)
    test = make.test(
        image="/build/selftest.efi", arguments="setup smp=2", smp=2, qemu_params=("-m", "512")
    )
    return make.case(arch=architecture, test=test, build=build, accel=Accelerator.TCG, **axes)


def launch(case: Any) -> Any:
    arch = case.variant.arch
    boot = EfiBoot(FIRMWARE[arch], "/run/case/efi")
    return launch_for(case, make.binary(arch), Accelerator.TCG, efi_boot=boot)


@pytest.mark.parametrize(
    ("name", "architecture", "direct"),
    [
        ("x86_64-efi", X86, False),
        ("aarch64-efi", ARM64, False),
        ("aarch64-efi-direct", ARM64, True),
    ],
)
def test_golden(golden: Golden, name: str, architecture: Architecture, direct: bool) -> None:
    """One argument a line."""
    found = launch(efi_case(architecture, direct=direct))
    golden(f"{name}.txt", "\n".join(found.argv) + "\n")


@pytest.mark.parametrize(
    ("architecture", "direct", "machine", "channel"),
    [
        (X86, False, None, ExitChannel.QEMU_EXIT),
        (ARM64, False, None, ExitChannel.CONSOLE),
        (ARM64, True, None, ExitChannel.QEMU_EXIT),
        (ARM64, True, "virt,acpi=on", ExitChannel.CONSOLE),
        (ARM64, False, "virt,acpi=on", ExitChannel.CONSOLE),
    ],
)
def test_the_testdev_is_there_exactly_where_the_verdict_comes_from_it(
    architecture: Architecture, direct: bool, machine: str | None, channel: ExitChannel
) -> None:
    found = launch(efi_case(architecture, direct=direct, machine=machine))
    assert found.channel is channel
    if architecture is ARM64:
        assert ("testdev,id=ctd" in found.argv) is (channel is ExitChannel.QEMU_EXIT)


def test_a_machine_with_acpi_stays_so() -> None:
    argv = launch(efi_case(ARM64, machine="virt,acpi=on")).argv
    assert [word for word in argv if "acpi" in word] == ["virt,acpi=on"]


def test_x86_guests_have_one_vcpu_unless_the_matrix_says_otherwise() -> None:
    assert needs_of(efi_case(X86)).vcpus == 1
    argv = launch(efi_case(X86, smp=4)).argv
    assert [argv[i + 1] for i, word in enumerate(argv) if word == "-smp"] == ["4"]
    argv = launch(efi_case(X86)).argv
    assert [argv[i + 1] for i, word in enumerate(argv) if word == "-smp"] == ["2", "1"]
    assert needs_of(efi_case(X86, smp=4)).vcpus == 4


def test_direct_boot_means_nothing_to_x86() -> None:
    assert "-kernel" not in launch(efi_case(X86, direct=True)).argv


def test_what_firmware_takes_of_the_host() -> None:
    plain = make.case(arch=X86, test=make.test(smp=2))
    assert time_limit(plain) == plain.timeout
    case = make.case(arch=X86, test=make.test(smp=2), build=make.build(X86, efi=True))
    assert time_limit(case) == case.timeout + BOOT_SECONDS
    assert needs_of(case).memory == 256 * MIB + QEMU_OVERHEAD + FLASH_MEMORY


def test_the_device_tree_is_that_of_the_very_machine() -> None:
    case = efi_case(ARM64, smp=4)
    started = launch(case).argv
    command = device_tree_command(case, make.binary(ARM64), Accelerator.TCG, "/run/a,b/dtb")
    assert command[-2:] == ("-machine", "dumpdtb=/run/a,,b/dtb")
    left_out = ("-bios", "/fw/QEMU_EFI.fd", "-boot", "menu=on,splash-time=0", "-drive", "-sandbox")
    kept = [w for w in started if w not in left_out and "vvfat" not in w and "deny" not in w]
    assert list(command[:-2]) == kept


class TestPartition:
    def test_x86_is_booted_as_removable_media(self) -> None:
        test = make.test(image="/build/x86/apic.efi")
        build = make.build(X86, efi=True)
        assert partition_of(build, test, "") == Partition("EFI/BOOT/BOOTX64.EFI")

    def test_arguments_go_through_the_shell(self) -> None:
        test = make.test(image="/build/x86/vmexit.efi", arguments="cpuid")
        found = partition_of(make.build(X86, efi=True), test, "")
        assert found == Partition("vmexit.efi", "@echo -off\nvmexit.efi cpuid\n")

    def test_arm_gets_its_device_tree(self) -> None:
        test = make.test(image="/build/arm/timer.efi")
        found = partition_of(make.build(ARM64, efi=True), test, "virt,gic-version=3")
        assert found == Partition(
            "timer.efi",
            "@echo -off\n"
            'setvar fdtfile -guid 97ef3e03-7329-4a6a-b9ba-6c1fdcc5f823 -rt =L"dtb"\n'
            "timer.efi\n",
            device_tree=True,
        )

    def test_arm_with_acpi_has_none(self) -> None:
        test = make.test(image="/build/arm/timer.efi", arguments="a b")
        found = partition_of(make.build(ARM64, efi=True), test, "virt,acpi=on")
        assert found == Partition("timer.efi", "@echo -off\ntimer.efi a b\n")


class TestDecisions:
    def test_it_runs_where_there_is_firmware(self) -> None:
        inventory = make.inventory(make.binary(ARM64), firmware=(FIRMWARE[ARM64],))
        assert isinstance(decide(efi_case(ARM64), inventory), Run)

    def test_it_is_skipped_where_there_is_none(self) -> None:
        decision = decide(efi_case(ARM64), make.inventory(make.binary(ARM64)))
        assert isinstance(decision, Skip)
        assert "apt-get install qemu-efi-aarch64" in decision.reason

    def test_other_architectures_are_not_run(self) -> None:
        riscv = Architecture.RISCV64
        case = make.case(arch=riscv, build=make.build(riscv, efi=True))
        decision = decide(case, make.inventory(make.binary(riscv)))
        reason = "EFI builds for riscv64 are not run by this version"
        assert decision == Skip(case, reason, SkipCause.TEST)
