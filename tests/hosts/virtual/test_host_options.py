"""What ``--virtual-host`` may say, and what is said of anything else."""

from pathlib import Path

import pytest

from matrix.errors import UsageError
from matrix.hosts.virtual.host_options import parse_option, parse_options
from matrix.model import Architecture, HostDevice


def image(magic: bytes) -> bytes:
    return b"MZ" + bytes(54) + magic + bytes(100)


def test_a_kernel_is_looked_at_before_anything_runs(tmp_path: Path) -> None:
    kernel = tmp_path / "Image"
    kernel.write_bytes(image(b"RSC\x05"))
    wrong = "this Image is for riscv64; an image for aarch64 would be right"
    with pytest.raises(UsageError, match=wrong):
        parse_option(f"aarch64={kernel}")
    kernel.write_bytes(b"no kernel at all")
    with pytest.raises(UsageError, match="it is no kernel image; a vmlinux, bzImage"):
        parse_option(f"aarch64={kernel}")


def test_a_host_is_an_architecture_and_a_kernel(tmp_path: Path) -> None:
    kernel = tmp_path / "Image"
    kernel.write_bytes(image(b"ARM\x64"))
    found = parse_option(f"arm64={kernel},cpus=2,memory=2GiB,kvm.nx_huge_pages=off,append=loud")
    assert (found.architecture, found.kernel.name) == (Architecture.AARCH64, str(kernel))
    assert (found.cpus, found.memory, found.kernel_parameters) == (2, 2 << 30, "loud")
    assert found.parameters == (("kvm.nx_huge_pages", "off"),)
    plain = parse_option(f"arm64={kernel}")
    assert plain.name_with("system") == "virtual-aarch64-Image"
    assert plain.name_with("11.1") == "virtual-aarch64-Image-11.1"
    with_device = parse_option(f"arm64={kernel},devices=edu+virtio-blk")
    assert with_device.devices == (HostDevice.EDU, HostDevice.VIRTIO_BLK)
    assert parse_option(with_device.option) == with_device
    assert with_device.name_with("system") != plain.name_with("system")
    assert parse_option(f"arm64={kernel},name=mine").kernel_name == "mine"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("aarch64", "write ARCH=KERNEL, as in --virtual-host aarch64=debian-13"),
        ("vax=debian-13", "no architecture is named 'vax'; there are x86_64"),
        ("aarch64=/nowhere", "no kernel image at /nowhere; a path or one of debian-12"),
        (
            "aarch64=debian-13,smp=2",
            "'smp=2' is not known; name, modules, vmlinux, cpus, memory, mode",
        ),
        ("aarch64=debian-13,cpus=9", "'9' is not a number of CPUs of a virtual host; allowed: 1"),
        ("aarch64=debian-13,mode=fast", "'fast' is not a mode of KVM on aarch64; allowed: vhe"),
        ("x86_64=debian-13,mode=vhe", "vhe is a mode of KVM on aarch64"),
        ("x86_64=debian-13,kvm.a=b c", "'c' is not a module parameter"),
        ("aarch64=debian-13,name=a b", "'a b' is not a name"),
        ("aarch64=debian-13,memory=big", "'big'"),
        ("aarch64=debian-13,modules=/nowhere", "no folder of modules at /nowhere"),
        (
            "aarch64=debian-13,devices=gpu",
            "'gpu' is not a device of virtual hosts; allowed: edu, virtio-blk",
        ),
        (
            "aarch64=debian-13,iommu=vtd",
            "'vtd' is not an IOMMU of virtual hosts; allowed: smmuv3, intel-iommu, amd-iommu, ",
        ),
        (
            "x86_64=debian-13,iommu=smmuv3",
            "smmuv3: virtual hosts of x86_64 have intel-iommu, amd-iommu",
        ),
        ("ppc64=debian-13,iommu=smmuv3", "smmuv3: virtual hosts of ppc64 have none"),
        ("aarch64=debian-13,vmlinux=/nowhere", "no vmlinux at /nowhere"),
        ("aarch64=debian-13,append=a,append=b", "append is given twice; give it once"),
        ("aarch64=debian-13,modules=/", "debian-13 has modules of its own; modules=/ goes with"),
        ("aarch64=debian-13,kvmtool=/nowhere", r"no kvmtool (lkvm) at /nowhere"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_right(option: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_option(option)
    assert message in str(caught.value)


def test_a_kernel_is_there_once_for_an_architecture(tmp_path: Path) -> None:
    names = ["aarch64=debian-13", "arm64=debian-sid"]
    assert [each.kernel_name for each in parse_options(names)] == ["debian-13", "debian-sid"]
    with pytest.raises(UsageError, match=r"another one for aarch64 with a kernel debian-13; give"):
        parse_options(["aarch64=debian-13", "arm64=debian-13,cpus=2"])
    parse_options(["aarch64=debian-13", "arm64=debian-13,name=two"])


@pytest.mark.parametrize(
    "rest",
    [
        "",
        ",name=mine,cpus=2,memory=2GiB,mode=nvhe",
        ",append=isolcpus=1,,2 quiet,kvm.a=1,,2,kvm.b=off",
    ],
)
def test_settings_are_written_as_they_are_read(rest: str) -> None:
    settings = parse_option(f"arm64=debian-13{rest}")
    assert parse_option(settings.option) == settings


def test_an_iommu_is_part_of_the_name_and_the_kernel() -> None:
    """Debian's kernels for clouds have no driver of AMD's."""
    usual, amd = (
        parse_option(f"x86_64=debian-13,devices=edu{each}") for each in ("", ",iommu=amd-iommu")
    )
    assert parse_option(amd.option) == amd
    assert usual.name_with("10.0") != amd.name_with("10.0")
    assert (usual.kernel_name, amd.kernel_name) == ("debian-13", "debian-13")
    assert (usual.kernel_with_drivers.full, amd.kernel_with_drivers.full) == (False, True)


def test_what_the_kernel_is_told() -> None:
    found = parse_option("aarch64=debian-13,mode=nvhe,kvm.b=1,append=isolcpus=1,,2")
    assert found.command_line == "kvm-arm.mode=nvhe kvm.b=1 isolcpus=1,2"
    assert parse_option("aarch64=debian-13,mode=vhe").command_line == ""


def test_other_hosts_have_other_names() -> None:
    words = ["", ",mode=vhe", ",mode=nvhe", ",kvm.a=1", ",kvm.a=2", ",append=x", ",cpus=2"]
    names = [parse_option(f"aarch64=debian-13{each}").name_with("10.0") for each in words]
    assert names[2] == "virtual-aarch64-debian-13-nvhe-10.0"
    assert len(set(names)) == len(names)
