"""The command line of a virtual host."""

from dataclasses import replace

import pytest

from matrix.hosts.virtual.l1_machines import (
    HostFiles,
    VirtualMachine,
    alone_arguments,
    host_arguments,
    machine_for,
    slot_of,
)
from matrix.inventory import Binary
from matrix.model import Architecture, HostDevice, HostIommu


@pytest.mark.parametrize(
    ("architecture", "cpus", "accelerator"),
    [
        (Architecture.X86_64, 1, "tcg"),
        (Architecture.X86_64, 2, "tcg,thread=single"),
        (Architecture.AARCH64, 2, "tcg"),
    ],
)
def test_several_cpus_of_x86_share_a_thread(
    architecture: Architecture, cpus: int, accelerator: str
) -> None:
    binary = Binary("system", architecture, "/usr/bin/qemu", (7, 2, 0), "7.2")
    machine = machine_for(binary)
    assert isinstance(machine, VirtualMachine)
    files = HostFiles("/k", "/i", "/a,b")
    argv = host_arguments(binary, machine, files, socket="/s", cpus=cpus)
    assert argv[argv.index("-accel") + 1] == accelerator
    assert argv[argv.index("-smp") + 1] == str(cpus)
    assert "file.filename=/a,,b" in argv[argv.index("-blockdev") + 1]


def test_every_host_can_mount_its_disk() -> None:
    for architecture in (Architecture.AARCH64, Architecture.RISCV64, Architecture.PPC64):
        machine = machine_for(Binary("system", architecture, "/usr/bin/qemu", (7, 2, 0), "7.2"))
        assert isinstance(machine, VirtualMachine)
        modules = machine.modules
        assert modules.index("crc32c_generic") < modules.index("ext4")
        assert "virtio_blk" in modules


def test_a_host_alone_is_the_same_machine_without_port_and_disk() -> None:
    binary = Binary("system", Architecture.RISCV64, "/usr/bin/qemu", (7, 2, 0), "7.2")
    machine = machine_for(binary)
    assert isinstance(machine, VirtualMachine)
    alone = alone_arguments(binary, machine, "/k", "/i", cpus=2, parameters="a=b")
    files = HostFiles("/k", "/i", "/disk")
    served = host_arguments(binary, machine, files, socket="/s", cpus=2, parameters="a=b")
    assert served[: len(alone)] == alone
    assert "-device" not in alone
    assert alone[-1] == "console=ttyS0 quiet panic=-1 rdinit=/init a=b"


def test_devices_are_behind_an_iommu() -> None:
    def machine(architecture: Architecture) -> VirtualMachine:
        binary = Binary("system", architecture, "/usr/bin/qemu", (11, 1, 0), "11.1")
        found = machine_for(binary, (HostDevice.VIRTIO_BLK, HostDevice.EDU))
        assert isinstance(found, VirtualMachine)
        return found

    edu = ("-device", "edu,dma_mask=0xffffffffffffffff,addr=0x11")
    arm, x86 = machine(Architecture.AARCH64), machine(Architecture.X86_64)
    assert arm.options[1] == "virt,virtualization=on,gic-version=3,iommu=smmuv3"
    assert arm.options[-2:] == edu
    assert x86.options[-2:] == edu
    assert x86.options.index("intel-iommu,intremap=on") < len(x86.options) - 5
    disk = next(each for each in x86.options if each.startswith("virtio-blk-pci"))
    assert disk.endswith("disable-legacy=on,iommu_platform=on,addr=0x10")
    assert x86.parameters == "intel_iommu=on no_timer_check"
    assert not arm.snapshots
    assert set(arm.modules) >= {"vfio_pci", "vfio_iommu_type1"}
    files = HostFiles("/k", "/i", "/disk")
    binary = Binary("system", Architecture.X86_64, "/usr/bin/qemu", (7, 2, 0), "7.2")
    argv = host_arguments(binary, x86, files, socket="/s", parameters="a=b")
    assert "rdinit=/init intel_iommu=on no_timer_check a=b" in argv[argv.index("-append") + 1]
    riscv = machine(Architecture.RISCV64)
    assert riscv.options[-6:-4] == (
        "-drive",
        "if=none,id=assigned,driver=null-co,size=1M,snapshot=on",
    )
    assert "riscv-iommu-pci,off=off" in riscv.options
    assert riscv.options[1] == "virt,aia=aplic-imsic"
    assert machine(Architecture.PPC64).no_iommu == "none is emulated for virtual ppc64 hosts"
    assert machine(Architecture.PPC64).options == _plain(Architecture.PPC64).options
    assert slot_of("edu", (HostDevice.VIRTIO_BLK, HostDevice.EDU)) == "0000:00:11.0"


@pytest.mark.parametrize(
    ("version", "devices", "has"),
    [
        ((11, 1, 0), ("edu",), False),
        ((11, 1, 0), ("edu", "riscv-iommu-pci"), True),
        ((9, 2, 0), (), True),  # not known: a module of another build ends it when it is asked
        ((9, 1, 0), (), False),
    ],
)
def test_a_qemu_may_not_say_which_devices_it_has(
    version: tuple[int, int, int], devices: tuple[str, ...], has: bool
) -> None:
    binary = Binary(
        *("system", Architecture.RISCV64, "/usr/bin/qemu", version, "x"), devices=devices
    )
    found = machine_for(binary, (HostDevice.EDU,))
    assert isinstance(found, VirtualMachine)
    assert found.no_iommu == ("" if has else "QEMU x has no riscv-iommu-pci")


@pytest.mark.parametrize(
    ("version", "device"),
    [((10, 0, 2), "amd-iommu,intremap=on"), ((11, 1, 3), "amd-iommu,intremap=on,dma-remap=on")],
)
def test_another_iommu(version: tuple[int, int, int], device: str) -> None:
    binary = Binary("system", Architecture.X86_64, "/usr/bin/qemu", version, "x")
    found = machine_for(binary, (HostDevice.EDU,), HostIommu.AMD)
    assert isinstance(found, VirtualMachine)
    assert device in found.options
    assert found.parameters == "no_timer_check"
    none = machine_for(replace(binary, devices=("edu",)), (HostDevice.EDU,), HostIommu.AMD)
    assert isinstance(none, VirtualMachine)
    assert none.no_iommu == "QEMU x has no amd-iommu"
    arm = replace(binary, architecture=Architecture.AARCH64)
    other = machine_for(arm, (HostDevice.EDU,), HostIommu.AMD)
    assert isinstance(other, VirtualMachine)
    assert other.no_iommu == "aarch64 hosts have smmuv3, and not amd-iommu"


@pytest.mark.parametrize(("version", "cpu"), [((10, 0, 2), "max"), ((11, 1, 3), "max,sstc=off")])
def test_a_saved_riscv64_host_has_no_timer_that_is_lost(
    version: tuple[int, int, int], cpu: str
) -> None:
    found = machine_for(Binary("system", Architecture.RISCV64, "/usr/bin/qemu", version, "x"))
    assert isinstance(found, VirtualMachine)
    assert found.options[found.options.index("-cpu") + 1] == cpu


def _plain(architecture: Architecture) -> VirtualMachine:
    found = machine_for(Binary("system", architecture, "/usr/bin/qemu", (11, 1, 0), "11.1"))
    assert isinstance(found, VirtualMachine)
    return found


@pytest.mark.parametrize(
    ("sie", "reason"),
    [
        (False, "QEMU 11.1 says that its CPU model max has no SIE (sief2), without which Linux"),
        (None, "QEMU's TCG has had no SIE up to 11.1, without which Linux says"),
        (True, "virtual hosts of s390x are not supported yet, although this QEMU's TCG has SIE"),
    ],
)
def test_whether_s390x_has_sie_is_asked_of_qemu(sie: bool | None, reason: str) -> None:
    binary = Binary("system", Architecture.S390X, "/usr/bin/qemu", (11, 1, 0), "11.1", sie=sie)
    why = machine_for(binary)
    assert isinstance(why, str)
    assert why.startswith(reason)


def test_powernv_is_not_migrated() -> None:
    def migrates(version: tuple[int, int, int]) -> bool:
        machine = machine_for(Binary("system", Architecture.PPC64, "/usr/bin/qemu", version, "x"))
        assert isinstance(machine, VirtualMachine)
        return machine.migrates

    assert [migrates((major, 0, 0)) for major in (10, 11)] == [False, True]
