"""What is written for a guest before it is started."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.errors import HostError
from matrix.hosts.local.launch import UnstartableError, VanishedError, make_launch
from matrix.inventory import Binary, Firmware, FirmwareDevice, Host, Inventory
from matrix.model import Accelerator, Architecture, Build, Case, Launch, Target, Test, Variant
from matrix.plan.decisions import Run

ARM64, X86 = Architecture.AARCH64, Architecture.X86_64

DISK = ("-drive", "file={disk:1M},format=raw")
DUMPS = """#!/bin/sh
for word; do
    case $word in dumpdtb=*) echo "$@" > "${word#dumpdtb=}";; esac
done
"""


class World:
    """A build, an emulator and a firmware; ``launch`` prepares a guest of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = root / "case"
        self.directory.mkdir()
        self.qemu = root / "qemu-system-aarch64"
        self.qemu.write_text(DUMPS)
        self.qemu.chmod(0o755)
        host = Host(architecture="x86_64", kernel="6.1.0", cpus=2, memory=2**33)
        self.inventory = Inventory(
            host,
            binaries=tuple(
                Binary("system", arch, str(self.qemu), (7, 2, 0), "7.2.0") for arch in (X86, ARM64)
            ),
            firmware=tuple(
                Firmware("d.json", FirmwareDevice.MEMORY, "/fw.fd", ((arch.value, ("*",)),))
                for arch in (X86, ARM64)
            ),
        )

    def launch(
        self,
        architecture: Architecture,
        arguments: str = "",
        *,
        qemu_params: tuple[str, ...] = (),
        directory: Path | None = None,
        **build: Any,
    ) -> Launch:
        suffix = "efi" if build.get("efi") else "flat"
        image = str(self.root / f"timer.{suffix}")
        test = Test("timer", image, arguments, qemu_params=qemu_params)
        own = ("environment",)
        case = Case(
            *("s.timer", "s", "kvm-unit-tests", test),
            Variant(architecture, Accelerator.TCG),
            Build(architecture, str(self.root), str(self.root), own=own, **build),
        )
        accelerator = Accelerator.KVM if build.get("target") else Accelerator.TCG
        decision = Run(case, accelerator, "asked for", 1, 2**28)
        folder = directory or self.directory
        made = make_launch(decision, self.inventory, folder, disks=self.directory)
        return asyncio.run(made)

    def files(self) -> set[str]:
        paths = self.directory.rglob("*")
        return {str(path.relative_to(self.directory)) for path in paths if not path.is_dir()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_plain_builds_get_their_environment(world: World) -> None:
    launch = world.launch(X86)
    assert world.files() == {"environment"}
    assert launch.argv[-2:] == ("-initrd", str(world.directory / "environment"))
    assert "QEMU_ACCEL=tcg\n" in (world.directory / "environment").read_text()


def test_a_guest_larger_than_the_control_group_is_not_started(world: World) -> None:
    host = replace(world.inventory.host, memory_limit=2**26)
    world.inventory = replace(world.inventory, host=host)
    with pytest.raises(UnstartableError, match=r"128 MiB, and .* limit is 64 MiB"):
        world.launch(X86)


def test_x86_cannot_have_its_environment_in_a_path_with_a_blank(tmp_path: Path) -> None:
    (tmp_path / "my runs").mkdir()
    world = World(tmp_path / "my runs")
    with pytest.raises(UnstartableError, match="path with a blank"):
        world.launch(X86)
    world.launch(X86, efi=True)
    assert f"{world.directory}/environment" in world.launch(ARM64).argv


def test_x86_does_not_get_the_rest_of_its_image_s_path_for_arguments(world: World) -> None:
    """QEMU gives a Multiboot guest PATH ARGUMENTS, and kvm-unit-tests' split them at blanks."""
    folder = world.root
    world.root = folder / "my builds"
    kernel = folder / "case/image/timer.flat"
    for _ in range(2):  # of a case that is started again
        launch = world.launch(X86, "a b")
        assert launch.argv[launch.argv.index("-kernel") + 1] == str(kernel)
        assert kernel.readlink() == world.root / "timer.flat"
    for other in (world.launch(X86, builtin=True), world.launch(ARM64)):
        assert str(world.root / "timer.flat") in other.argv


def test_efi_on_x86(world: World) -> None:
    launch = world.launch(X86, efi=True)
    assert world.files() == {"efi/EFI/BOOT/BOOTX64.EFI"}
    image = world.directory / "efi/EFI/BOOT/BOOTX64.EFI"
    assert image.readlink() == world.root / "timer.efi"
    assert f"file.dir={world.directory}/efi" in " ".join(launch.argv)
    assert "-initrd" not in launch.argv


def test_efi_on_x86_with_arguments(world: World) -> None:
    world.launch(X86, "a b", efi=True)
    assert world.files() == {"efi/timer.efi", "efi/startup.nsh"}


def test_efi_on_arm_has_the_device_tree_of_the_machine(world: World) -> None:
    launch = world.launch(ARM64, "x", efi=True)
    assert world.files() == {"efi/timer.efi", "efi/startup.nsh", "efi/dtb"}
    assert (world.directory / "efi/startup.nsh").read_text().endswith("\ntimer.efi x\n")
    asked = (world.directory / "efi/dtb").read_text()
    assert asked.startswith("-nodefaults -machine virt,acpi=off ")
    assert "-smp 1" in asked
    assert launch.argv[0] == str(world.qemu)


def test_a_machine_that_qemu_refuses_is_left_to_its_start(world: World) -> None:
    world.qemu.write_text("#!/bin/sh\nexit 1\n")
    world.launch(ARM64, efi=True)
    assert world.files() == {"efi/timer.efi", "efi/startup.nsh"}


def test_direct_boot_needs_no_partition(world: World) -> None:
    launch = world.launch(ARM64, efi=True, efi_direct=True)
    assert world.files() == {"environment"}
    assert "-initrd" in launch.argv


def test_kvmtool(world: World) -> None:
    world.inventory = replace(world.inventory, kvmtool="/usr/bin/lkvm")
    launch = world.launch(ARM64, target=Target.KVMTOOL)
    assert (launch.argv[0], launch.monitor) == ("/usr/bin/lkvm", False)
    text = (world.directory / "environment").read_text()
    assert text.startswith("TARGET=kvmtool\nKERNEL_VERSION_STRING=6.1.0\n")
    assert "QEMU" not in text


@pytest.mark.parametrize(
    ("gone", "build", "words"),
    [
        ("binaries", {}, "the QEMU that the case was planned for is gone"),
        ("firmware", {"efi": True}, "the firmware that the case was planned for is gone: no UEFI"),
        (
            "kvmtool",
            {"target": Target.KVMTOOL},
            "the kvmtool that the case was planned for is gone",
        ),
    ],
)
def test_what_vanished_since_the_plan(
    world: World, gone: str, build: dict[str, Any], words: str
) -> None:
    empty: Any = "" if gone == "kvmtool" else ()
    world.inventory = replace(world.inventory, **{gone: empty})
    with pytest.raises(VanishedError, match=words):
        world.launch(ARM64, **build)


def test_an_emulator_that_vanished_before_it_wrote_its_tree(world: World) -> None:
    world.qemu.unlink()
    with pytest.raises(VanishedError, match="qemu-system-aarch64"):
        world.launch(ARM64, efi=True)


def test_a_host_that_cannot_store_it(world: World) -> None:
    (world.directory / "efi").touch()
    with pytest.raises(HostError, match=r"cannot write .*BOOTX64\.EFI"):
        world.launch(X86, efi=True)


def test_a_disk_is_made_once_for_all_qemus_of_a_case(world: World) -> None:
    there = world.directory / "to-11.1"
    there.mkdir()
    first = world.launch(X86, builtin=True, qemu_params=DISK)
    disk = world.directory / "disk.img"
    assert first.argv[first.argv.index("-drive") + 1] == f"file={disk},format=raw"
    assert (disk.stat().st_size, disk.stat().st_mode & 0o777) == (1 << 20, 0o600)
    disk.write_bytes(b"written".ljust(1 << 20))
    second = world.launch(X86, builtin=True, qemu_params=DISK, directory=there)
    assert f"file={disk},format=raw" in second.argv
    assert disk.read_bytes().startswith(b"written")
    assert not (there / "disk.img").exists()


def test_to_other_builds_it_is_a_word_like_any_other(world: World) -> None:
    launch = world.launch(X86, qemu_params=DISK)
    assert DISK[1] in launch.argv
    assert "disk.img" not in world.files()
