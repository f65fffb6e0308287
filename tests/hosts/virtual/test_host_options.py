"""What ``--virtual-host`` may say, and what is said of anything else."""

from pathlib import Path

import pytest

from matrix.errors import UsageError
from matrix.hosts.virtual.host_options import parse_option, parse_options, places
from matrix.inventory import Binary, Host, Inventory
from matrix.model import Architecture

INVENTORY = Inventory(
    Host("x86_64", "6.1", 2, 1 << 32),
    binaries=tuple(
        Binary("system", architecture, "/usr/bin/qemu", (7, 2, 0), "7.2")
        for architecture in (Architecture.AARCH64, Architecture.S390X)
    ),
)


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
    assert found.name_with("system") == "virtual-aarch64-Image"
    assert found.name_with("11.1") == "virtual-aarch64-Image-11.1"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("aarch64", "write ARCH=KERNEL, as in --virtual-host aarch64=debian-13"),
        ("vax=debian-13", "no architecture is named 'vax'; there are x86_64"),
        ("aarch64=/nowhere", "no kernel image at /nowhere; a path or one of debian-12"),
        (
            "aarch64=debian-13,smp=2",
            "'smp=2' is not known; modules, cpus, memory, append, kvmtool or",
        ),
        ("aarch64=debian-13,cpus=9", "cpus=9 is not a number from 1 to 8"),
        ("aarch64=debian-13,memory=big", "'big'"),
        ("aarch64=debian-13,modules=/nowhere", "no folder of modules at /nowhere"),
        ("aarch64=debian-13,kvmtool=/nowhere", r"no kvmtool (lkvm) at /nowhere"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_right(option: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_option(option)
    assert message in str(caught.value)


def test_one_architecture_has_one_host() -> None:
    with pytest.raises(UsageError, match="another one for aarch64"):
        parse_options(["aarch64=debian-13", "arm64=debian-sid"])


def test_plans_learn_why_there_can_be_none() -> None:
    options = ["aarch64=debian-13", "s390x=debian-13", "riscv64=debian-13", "mips64el=debian-13"]
    found = places(options, INVENTORY, ["system"])
    missing = {architecture: each.missing for (architecture, _), each in found.items()}
    assert missing[Architecture.AARCH64] == ""
    assert "SIE is not available" in missing[Architecture.S390X]
    assert "no QEMU installation" in missing[Architecture.RISCV64]
    assert "have no KVM" in missing[Architecture.MIPS64EL]
