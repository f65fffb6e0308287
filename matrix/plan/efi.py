"""How guests built as UEFI applications (CONFIG_EFI=y) are booted. Pure.

The firmware starts the image from an EFI system partition, which QEMU makes up from a folder
(vvfat), so that no image of a disk has to be made and nothing mounted: as the file that removable
media are booted by, or from a script of the UEFI shell where the guest takes arguments or, on Arm,
a device tree. Or QEMU hands the image to the firmware itself (``-kernel``), where an Arm build says
so. All of it is what kvm-unit-tests' ``*/efi/run`` do at 1da1819e, but that x86 guests with
arguments are run at all.
"""

from dataclasses import dataclass
from pathlib import PurePath

from matrix.inventory import Firmware
from matrix.model import Architecture, Build, Test
from matrix.plan.firmware_choice import firmware_arguments

ARCHITECTURES = (Architecture.X86_64, Architecture.AARCH64)
"""Those whose EFI builds are run."""

BOOT_SECONDS = 20.0
"""Added to the time of a guest for its firmware; kvm-unit-tests adds 10, under TCG on a busy host
the firmware alone took up to 13."""

X86_MEMORY = 256
"""MiB without ``-m``: of 128 the firmware leaves no block that is large enough (x86/efi/run)."""

FLASH_MEMORY = 128 * 2**20
"""Bytes that QEMU takes for firmware: an Arm machine has two flash chips of 64 MiB."""

REMOVABLE_MEDIA_NAME = "EFI/BOOT/BOOTX64.EFI"
"""UEFI specification, 3.5.1.1 Removable Media Boot Behavior."""

SCRIPT_NAME = "startup.nsh"
"""What the UEFI shell, which firmware falls back to, runs by itself (UEFI Shell specification,
3.2 Shell Initialization)."""

DEVICE_TREE_NAME = "dtb"
DEVICE_TREE_VARIABLE = "fdtfile"
VARIABLE_GUID = "97ef3e03-7329-4a6a-b9ba-6c1fdcc5f823"
"""Under which kvm-unit-tests' guests look for their variables (lib/efi.h)."""

NO_WAITING = ("-boot", "menu=on,splash-time=0")
"""edk2 waits 5 s for a key before it boots, unless told otherwise in these terms; with 0 no menu
comes up."""


@dataclass(frozen=True, slots=True)
class Partition:
    """What the folder holds that is to be the guest's EFI system partition."""

    image: str
    """Where the guest's image is in it."""
    script: str = ""
    """Text of :data:`SCRIPT_NAME`; empty where there is none."""
    device_tree: bool = False
    """Whether QEMU's device tree of the machine lies in it, as :data:`DEVICE_TREE_NAME`."""


def is_direct(build: Build) -> bool:
    """Whether QEMU passes the image to the firmware itself; on x86 EFI_DIRECT has no effect."""
    return build.efi and build.efi_direct and build.architecture is not Architecture.X86_64


def uses_acpi(machine: str) -> bool:
    """Whether an Arm machine (``TYPE[,OPTION…]``) describes itself by ACPI, not a device tree."""
    return "acpi=on" in machine.split(",")[1:]


def partition_of(build: Build, test: Test, machine: str) -> Partition:
    """The partition that a guest is booted from. ``machine`` is ``TYPE[,OPTION…]`` or empty."""
    name = PurePath(test.image).name
    if build.architecture is Architecture.X86_64 and not test.arguments:
        return Partition(REMOVABLE_MEDIA_NAME)
    lines = ["@echo -off"]
    device_tree = build.architecture is Architecture.AARCH64 and not uses_acpi(machine)
    if device_tree:
        value = f'=L"{DEVICE_TREE_NAME}"'
        lines.append(f"setvar {DEVICE_TREE_VARIABLE} -guid {VARIABLE_GUID} -rt {value}")
    lines.append(f"{name} {test.arguments}".rstrip())
    return Partition(name, "".join(f"{line}\n" for line in lines), device_tree)


def boot_arguments(build: Build, firmware: Firmware, partition: str) -> list[str]:
    """The options that make QEMU boot through the firmware.

    Args:
        build: of the guest.
        firmware: what to boot with.
        partition: the folder that is the EFI system partition; not used by a direct boot.
    """
    arguments = [*firmware_arguments(firmware), *NO_WAITING]
    if not is_direct(build):
        # Read-only: the folder stays as it is, and a guest with a writable one cannot migrate.
        folder = partition.replace(",", ",,")
        arguments += [
            "-drive",
            f"if=virtio,format=raw,readonly=on,file.driver=vvfat,file.dir={folder}",
        ]
    if build.architecture is Architecture.X86_64:
        arguments += ["-m", str(X86_MEMORY)]
    return arguments
