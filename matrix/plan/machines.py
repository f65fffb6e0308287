"""How each architecture's machine is put together: the part of the command line before the image.

The shape is kvm-unit-tests' (its ``ARCH/run`` scripts at 1da1819e), because its images rely on
those devices; MIPS, which it does not have, is ours. One function per machine family, and a table.
"""

from collections.abc import Callable
from dataclasses import dataclass

from matrix.inventory import Binary
from matrix.model import Accelerator, Architecture, Build, ExitChannel
from matrix.plan.efi import is_direct, uses_acpi

DIRTY_RING_SIZE = 4096
"""Entries of each vCPU's ring, as QEMU's own migration tests take (tests/qtest)."""


@dataclass(frozen=True, slots=True)
class MachineRequest:
    """What a machine depends on. ``machine`` is ``TYPE[,OPTION…]`` or empty for the default."""

    build: Build
    binary: Binary
    accelerator: Accelerator
    properties: str
    """Of the accelerator, with their leading comma (``,thread=single``), or empty."""
    machine: str
    image: str
    dirty_ring: bool = False
    """Whether KVM is to report dirty pages in rings."""

    @property
    def accel(self) -> str:
        """The value of ``-accel``."""
        ring = f",dirty-ring-size={DIRTY_RING_SIZE}" if self.dirty_ring else ""
        return f"{self.accelerator.value}{self.properties}{ring}"

    @property
    def cpu(self) -> str:
        """The CPU model that the build was made for, or its default; empty for QEMU's."""
        return self.build.target_cpu or self.build.default_cpu


@dataclass(frozen=True, slots=True)
class MachineFamily:
    """One row of the table: default type, where the verdict comes from, and the arguments."""

    default: str
    """Machine type where neither test nor variant names one; empty for QEMU's own default."""
    channel: ExitChannel
    default_memory: int
    """Bytes of guest memory without ``-m`` (QEMU's default for the machine)."""
    arguments: Callable[[MachineRequest], list[str]]


MIB = 2**20


def _pc(request: MachineRequest) -> list[str]:
    if request.machine.partition(",")[0] == "microvm":
        # It has no PCI. With ACPI its default firmware is a SeaBIOS, which does not come as far as
        # the guest with 10.0 and 11.1; without ACPI it is qboot, which boots both.
        devices = [] if request.build.efi else ["-bios", "qboot.rom"]
    else:
        devices = [] if not _has(request, "pci-testdev") else ["-device", "pci-testdev"]
    return [
        "--no-reboot",
        "-nodefaults",
        # Re-injection of lost ticks, KVM's default, inhibits (x2)AVIC.
        *("-global", "kvm-pit.lost_tick_policy=discard"),
        *("-device", "pc-testdev"),
        *("-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"),
        *("-display", "none"),
        *("-serial", "stdio"),
        *devices,
        *_accelerated(request, request.machine),
    ]


def _arm_virt(request: MachineRequest) -> list[str]:
    options = [request.machine or "virt"]
    kvm = request.accelerator is Accelerator.KVM
    if kvm and "gic-version" not in request.machine:
        options.append("gic-version=host")
    if request.build.architecture is Architecture.ARM and "highmem" not in request.machine:
        options.append("highmem=off")
    if kvm and not request.build.target_cpu:
        foreign = request.binary.architecture is not request.build.architecture
        cpu = "host,aarch64=off" if foreign else "host"
    else:
        cpu = request.cpu
    if request.build.efi and "acpi" not in request.machine:
        options.append("acpi=off")
    testdev = [
        *("-device", "virtio-serial-device"),
        *("-device", "virtconsole,chardev=ctd"),
        *("-chardev", "testdev,id=ctd"),
    ]
    devices = [] if not _has(request, "pci-testdev") else ["-device", "pci-testdev"]
    return [
        "-nodefaults",
        *("-machine", ",".join(options)),
        *("-accel", request.accel),
        *(("-cpu", cpu) if cpu else ()),
        *(testdev if exit_channel(request.build, request.machine) is ExitChannel.QEMU_EXIT else ()),
        *devices,
        *("-display", "none"),
        *("-serial", "stdio"),
    ]


def _power(request: MachineRequest) -> list[str]:
    machine = request.machine or "pseries"
    firmware: list[str] = []
    devices: list[str] = []
    if machine.startswith("pseries"):
        if request.accelerator is Accelerator.TCG:
            # TCG has none of the speculation mitigations that pseries switches on by default.
            machine += ",cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken"
        machine += ",cap-ccf-assist=off"
        if request.build.firmware:
            firmware = ["-bios", request.build.firmware]
    elif machine.startswith("powernv"):
        devices = ["-device", "ipmi-bmc-sim,id=bmc0", "-device", "isa-ipmi-bt,bmc=bmc0,irq=10"]
    return [
        "-nodefaults",
        *("-accel", request.accel),
        *("-machine", machine),
        *firmware,
        *devices,
        *("-display", "none"),
        *("-serial", "stdio"),
    ]


def _s390_ccw(request: MachineRequest) -> list[str]:
    machine = request.machine or "s390-ccw-virtio"
    protected: list[str] = []
    if request.image.endswith(".pv.bin"):
        machine += ",confidential-guest-support=pv0"
        protected = ["-object", "s390-pv-guest,id=pv0"]
    return [
        "-nodefaults",
        "-nographic",
        *_accelerated(request, machine),
        *protected,
        *("-chardev", "stdio,id=con0"),
        *("-device", "sclpconsole,chardev=con0"),
    ]


def _riscv_virt(request: MachineRequest) -> list[str]:
    firmware = ["-bios", request.build.firmware] if request.build.firmware else []
    cpu = ["-cpu", request.cpu] if request.cpu else []
    return [
        "-nodefaults",
        "-nographic",
        *("-serial", "mon:stdio"),
        *("-machine", request.machine or "virt"),
        *("-accel", request.accel),
        *firmware,
        *cpu,
    ]


def _malta(request: MachineRequest) -> list[str]:
    cpu = ["-cpu", request.cpu] if request.cpu else []
    return [
        "--no-reboot",
        "-nodefaults",
        *("-machine", request.machine or "malta"),
        *("-accel", request.accel),
        *cpu,
        *("-display", "none"),
        *("-serial", "stdio"),
    ]


def _accelerated(request: MachineRequest, machine: str) -> list[str]:
    """The machine with its accelerator, which stands apart where it has properties: QEMU takes
    those of ``-machine``'s ``accel=`` for the machine's. ``machine`` may be empty."""
    if "," not in request.accel:
        return ["-machine", ",".join(filter(None, (machine, f"accel={request.accel}")))]
    return ["-accel", request.accel, *(("-machine", machine) if machine else ())]


def _has(request: MachineRequest, device: str) -> bool:
    """Whether the binary has the device; one that was not asked for its devices has them all."""
    return not request.binary.devices or device in request.binary.devices


def exit_channel(build: Build, machine: str) -> ExitChannel:
    """Where a guest's verdict comes from. ``machine`` is ``TYPE[,OPTION…]`` or empty.

    Arm's testdev hangs on a device that only the device tree names, and that guests which come up
    through the UEFI shell are not given.
    """
    if build.architecture is Architecture.AARCH64 and build.efi:
        by_testdev = is_direct(build) and not uses_acpi(machine)
        return ExitChannel.QEMU_EXIT if by_testdev else ExitChannel.CONSOLE
    return FAMILIES[build.architecture].channel


FAMILIES: dict[Architecture, MachineFamily] = {
    Architecture.X86_64: MachineFamily("", ExitChannel.QEMU_EXIT, 128 * MIB, _pc),
    Architecture.I386: MachineFamily("", ExitChannel.QEMU_EXIT, 128 * MIB, _pc),
    Architecture.AARCH64: MachineFamily("virt", ExitChannel.QEMU_EXIT, 128 * MIB, _arm_virt),
    Architecture.ARM: MachineFamily("virt", ExitChannel.QEMU_EXIT, 128 * MIB, _arm_virt),
    Architecture.PPC64: MachineFamily("pseries", ExitChannel.CONSOLE, 512 * MIB, _power),
    Architecture.S390X: MachineFamily("s390-ccw-virtio", ExitChannel.CONSOLE, 128 * MIB, _s390_ccw),
    Architecture.RISCV64: MachineFamily("virt", ExitChannel.CONSOLE, 128 * MIB, _riscv_virt),
    Architecture.RISCV32: MachineFamily("virt", ExitChannel.CONSOLE, 128 * MIB, _riscv_virt),
    Architecture.MIPS64EL: MachineFamily("malta", ExitChannel.CONSOLE, 128 * MIB, _malta),
    # The command line of its virt is RISC-V's.
    Architecture.LOONGARCH64: MachineFamily("virt", ExitChannel.CONSOLE, 1024 * MIB, _riscv_virt),
}
"""Adding an architecture is adding a row here, a guest under ``matrix/guests/arch``, and a name in
:class:`matrix.model.Architecture`."""
