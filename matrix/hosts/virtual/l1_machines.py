"""The machine that a virtual host is, for each architecture and QEMU. Pure.

Under TCG, with the extension that KVM needs. What holds in which version was tried with 7.2, 10.0
and 11.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from matrix.inventory import Binary
from matrix.model import Architecture, HostDevice, HostIommu

MIB = 1 << 20
PORT_NAME = "matrix"
SNAPSHOT_VERSION = (9, 0, 0)
"""Of QEMU, from which on it has mapped-ram."""
NESTED_AARCH64 = (9, 0, 0)
"""Of QEMU, from which on TCG has FEAT_NV2, which KVM's nested mode on aarch64 needs."""
NESTED_PSERIES = (11, 0, 0)
"""Of QEMU, from which on its pseries runs the nested KVM of Debian 13's kernel."""

LATE_VSTIMER = (11, 0, 0)
"""Of QEMU, from which on a riscv64 host with Sstc that goes on from a saved state fires its guests'
timers late or never, as seen with 11.1 (8 of 12 tests of timers; none of 12 in one that booted)."""

_WHY_NONE = {
    # A package of 80 MB tells, so it is not asked each time.
    Architecture.MIPS64EL: "Debian's kernels for mips64el have no KVM: CONFIG_KVM is not set in "
    "their packages (looked up in November 2026)",
    Architecture.RISCV32: "Debian has no kernels for riscv32",
    Architecture.LOONGARCH64: "QEMU's TCG has no virtualization of LoongArch (LVZ)",
    Architecture.ARM: "32-bit Arm has no KVM since Linux 5.7",
    Architecture.I386: "virtual hosts of i386 are not supported; x86_64 runs its guests",
}
_NO_SIE = "without which Linux says 'kvm-s390: SIE is not available'"


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """What makes a QEMU a host with KVM."""

    options: tuple[str, ...]
    console: str
    """The kernel's name of the first serial port."""
    memory: int
    """Bytes where nobody says."""
    modules: tuple[str, ...]
    """Kernel modules that it needs, where the kernel does not have them built in."""
    buses: tuple[str, ...] = ("", "")
    """Of the port and of the disk; empty for the machine's own."""
    nodefaults: bool = True
    snapshots: bool = True
    """Whether a host is saved once it has booted, for others to go on from there."""
    migrates: bool = True
    """Whether QEMU migrates the machine at all."""
    parameters: str = ""
    """Words for the kernel's command line."""
    no_iommu: str = ""
    """Why it has no IOMMU; empty where it has one, or none was asked for."""
    reload: tuple[str, ...] = ()
    """Modules to load anew in a machine that was loaded: QEMU 11.1 does not migrate what they told
    pseries by H_SET_PARTITION_TABLE (hw/ppc/spapr_nested.c)."""


COMMON = ("virtio_pci", "virtio_console", "virtio_blk", "crc32c_generic", "ext4")
"""ext4 of 6.12 asks for the algorithm crc32c when it mounts, which its module does not say."""


VFIO = ("vfio_pci", "vfio_iommu_type1")
FIRST_SLOT = 0x10
"""On PCI bus 0, of the first device that is there to be assigned; QEMU fills slots from below."""
DEVICES: Mapping[HostDevice, tuple[str, ...]] = {
    # Its own mask leaves 28 bits of an address, and guests of virt have their memory at 1 GiB.
    HostDevice.EDU: ("-device", "edu,dma_mask=0xffffffffffffffff"),
    # An empty disk, and what is written to it until the host ends.
    HostDevice.VIRTIO_BLK: (
        *("-drive", "if=none,id=assigned,driver=null-co,size=1M,snapshot=on"),
        *("-device", "virtio-blk-pci,drive=assigned,disable-legacy=on,iommu_platform=on"),
    ),
}
"""Those that a host can have for its guests → QEMU's options, of which the last names it."""


@dataclass(frozen=True, slots=True)
class Iommu:
    """What makes a machine have an IOMMU."""

    options: tuple[str, ...] = ()
    machine: str = ""
    """Options of the machine."""
    parameters: str = ""
    """Words for the kernel's command line."""
    since: tuple[int, int, int] = (0, 0, 0)
    """Of QEMU, where one does not say which devices it has."""


# VFIO wants interrupts remapped. Then Linux panics ("timer doesn't work through Interrupt-remapped
# IO-APIC") if a busy machine gives TCG less than five of ten ticks, unless it is told not to count
# them (timer_irq_works in arch/x86/kernel/apic/io_apic.c).
REMAPPED = "no_timer_check"
IOMMUS: Mapping[Architecture, Mapping[HostIommu, Iommu]] = {
    Architecture.AARCH64: {HostIommu.SMMUV3: Iommu(machine=",iommu=smmuv3")},
    Architecture.X86_64: {
        HostIommu.INTEL: Iommu(
            ("-device", f"{HostIommu.INTEL},intremap=on"), parameters=f"intel_iommu=on {REMAPPED}"
        ),
        HostIommu.AMD: Iommu(("-device", f"{HostIommu.AMD},intremap=on"), parameters=REMAPPED),
    },
    # Linux has a driver since 6.13, which takes messages alone: "unable to allocate irq vectors".
    # Without one nothing gets through, unless off=off, and a disk hangs the start of its host.
    Architecture.RISCV64: {
        HostIommu.RISCV: Iommu(
            ("-device", f"{HostIommu.RISCV},off=off"), machine=",aia=aplic-imsic", since=(9, 2, 0)
        )
    },
}
"""Those that a host can have, of which the first is the usual."""
DMA_REMAP = (10, 2, 0)
"""Of QEMU, from which on its amd-iommu translates what devices read and write only if it is told to
(dma-remap=on). Linux takes it for granted: with 11.1 a disk finds nonsense in its virtqueue."""


def slot_of(device: str, devices: Sequence[str]) -> str:
    """Where a device is in a host that has all of those, as Linux calls it."""
    return f"0000:00:{FIRST_SLOT + devices.index(device):02x}.0"


def machine_for(
    binary: Binary, devices: Sequence[HostDevice] = (), iommu: HostIommu | None = None
) -> VirtualMachine | str:
    """The machine, or why a QEMU cannot be a host for its architecture.

    Args:
        binary: the QEMU.
        devices: those of :data:`DEVICES` that it has for its guests, behind an IOMMU.
        iommu: that one; None for the architecture's usual.
    """
    machine = _plain_machine(binary)
    if isinstance(machine, str) or not devices:
        return machine
    chosen = _iommu(binary, iommu)
    if isinstance(chosen, str):
        return replace(machine, no_iommu=chosen)
    name, value, *rest = machine.options
    added: list[str] = []
    for number, each in enumerate(devices):
        *before, device = DEVICES[each]
        added += [*before, f"{device},addr={FIRST_SLOT + number:#x}"]
    return replace(
        machine,
        options=(name, value + chosen.machine, *rest, *chosen.options, *added),
        modules=(*machine.modules, *VFIO),
        parameters=chosen.parameters,
        snapshots=False,  # QEMU saves nothing of edu's state, not even its PCI configuration
        migrates=False,
    )


def _iommu(binary: Binary, wanted: HostIommu | None) -> Iommu | str:
    """What gives the machine its IOMMU, or why it has none."""
    known = IOMMUS.get(binary.architecture)
    if known is None:
        return f"none is emulated for virtual {binary.architecture.value} hosts"
    name = wanted or next(iter(known))
    iommu = known.get(name)
    if iommu is None:
        return f"{binary.architecture.value} hosts have {', '.join(known)}, and not {name}"
    # A module of another build ends a QEMU that is asked for its devices, which then says none.
    there = name in binary.devices if binary.devices else binary.version >= iommu.since
    if iommu.options and not there:
        return f"QEMU {binary.version_text} has no {name}"
    if name is HostIommu.AMD and binary.version >= DMA_REMAP:
        *before, device = iommu.options
        return replace(iommu, options=(*before, f"{device},dma-remap=on"))
    return iommu


def _plain_machine(binary: Binary) -> VirtualMachine | str:
    architecture = binary.architecture
    if why := _WHY_NONE.get(architecture):
        return why
    if architecture is Architecture.S390X:
        return _why_no_sie(binary)
    if architecture is Architecture.AARCH64:
        options = (
            "-machine",
            "virt,virtualization=on,gic-version=3",
            "-cpu",
            "max,pauth-impdef=on",
        )
        return VirtualMachine(options, "ttyAMA0", 1024 * MIB, COMMON)
    if architecture is Architecture.X86_64:
        options = ("-machine", "q35", "-cpu", "max,+svm")
        return VirtualMachine(options, "ttyS0", 1024 * MIB, ("kvm_amd", *COMMON))
    if architecture is Architecture.RISCV64:
        cpu = "max" if "max" in binary.cpus or not binary.cpus else "rv64,h=true"
        if cpu == "max" and binary.version >= LATE_VSTIMER:
            cpu += ",sstc=off"
        modules = ("kvm", *COMMON)
        # With 10.0 a host that goes on from a saved state never answers; with 7.2 and 11.1 it does.
        snapshots = not (SNAPSHOT_VERSION <= binary.version < (11, 0, 0))
        options = ("-machine", "virt", "-cpu", cpu)
        return VirtualMachine(options, "ttyS0", 1024 * MIB, modules, snapshots=snapshots)
    return _power(binary)


def _why_no_sie(binary: Binary) -> str:
    if binary.sie:
        return "virtual hosts of s390x are not supported yet, although this QEMU's TCG has SIE"
    if binary.sie is None:
        return f"QEMU's TCG has had no SIE up to 11.1, {_NO_SIE}"
    return f"QEMU {binary.version_text} says that its CPU model max has no SIE (sief2), {_NO_SIE}"


def _power(binary: Binary) -> VirtualMachine:
    modules = ("kvm_hv", *COMMON)
    if binary.version >= NESTED_PSERIES:
        # What TCG lacks of the speculation mitigations would be a warning each.
        broken = "cap-nested-hv=true,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken"
        options = ("-machine", f"pseries,{broken},cap-ccf-assist=off", "-cpu", "POWER9")
        return VirtualMachine(options, "hvc0", 2048 * MIB, modules, reload=("kvm_hv",))
    # Its PCI host bridges are among the devices that -nodefaults leaves out, and it cannot be
    # migrated.
    options = ("-machine", "powernv9", "-net", "none")
    buses = ("pcie.0", "pcie.1")
    return VirtualMachine(
        options,
        "hvc0",
        2048 * MIB,
        modules,
        buses,
        nodefaults=False,
        snapshots=False,
        migrates=False,
    )


@dataclass(frozen=True, slots=True)
class HostFiles:
    """What a virtual host is started from."""

    kernel: str
    initrd: str
    disk: str
    """A raw image for programs, whose content may change as long as none of it is mounted."""


def host_arguments(
    binary: Binary,
    machine: VirtualMachine,
    files: HostFiles,
    *,
    socket: str,
    cpus: int = 1,
    memory: int = 0,
    parameters: str = "",
) -> tuple[str, ...]:
    """The command line; the port to the host's first program is served on ``socket``."""
    port_bus, disk_bus = (f",bus={bus}" if bus else "" for bus in machine.buses)
    file = f"file.driver=file,file.filename={_comma(files.disk)}"
    node = f"driver=raw,node-name=files,read-only=on,{file}"
    return (
        *alone_arguments(
            binary,
            machine,
            files.kernel,
            files.initrd,
            cpus=cpus,
            memory=memory,
            parameters=parameters,
        ),
        *("-device", f"virtio-serial-pci{port_bus}"),
        *("-chardev", f"socket,id=port,path={_comma(socket)},server=on,wait=off"),
        *("-device", f"virtserialport,chardev=port,name={PORT_NAME}"),
        *("-blockdev", node, "-device", f"virtio-blk-pci,drive=files{disk_bus}"),
    )


def alone_arguments(
    binary: Binary,
    machine: VirtualMachine,
    kernel: str,
    initrd: str,
    *,
    cpus: int = 1,
    memory: int = 0,
    parameters: str = "",
) -> tuple[str, ...]:
    """The command line of a host without port and disk, which has with it what it runs."""
    words = ("quiet panic=-1 rdinit=/init", machine.parameters, parameters)
    append = " ".join(filter(None, (f"console={machine.console}", *words)))
    return (
        binary.path,
        *(("-nodefaults",) if machine.nodefaults else ()),
        *("-no-reboot", "-display", "none", "-serial", "stdio"),
        *(() if machine.nodefaults else ("-monitor", "none")),
        *("-accel", _accelerator(binary, cpus)),
        *machine.options,
        *("-smp", str(cpus), "-m", f"{(memory or machine.memory) // MIB}M"),
        *("-kernel", kernel, "-initrd", initrd, "-append", append),
    )


def _accelerator(binary: Binary, cpus: int) -> str:
    """TCG; on x86_64 with one thread for all CPUs.

    Linux switches branches of its code by a breakpoint that stands there meanwhile (text_poke_bp);
    KVM does so in the scheduler whenever the first vCPU comes or the last one goes. With a thread
    for each CPU another CPU may run into the breakpoint when nobody expects it any more: with 7.2
    two of 40 KVM selftests ended in "Oops: int3" and a panic. LKML has the same of 8.0 (July 2023,
    "qemu-x86_64 booting with 8.0.0 stil see int3").
    """
    several = binary.architecture is Architecture.X86_64 and cpus > 1
    return "tcg,thread=single" if several else "tcg"


def _comma(path: str) -> str:
    """A value of an option: two commas stand for one."""
    return path.replace(",", ",,")
