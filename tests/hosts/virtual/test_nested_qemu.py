"""QEMU in a virtual host: its command line, and what its end means without a monitor."""

from pathlib import Path

import pytest

from matrix.attempt import Ending
from matrix.hosts.virtual.debian_qemu import DebianQemu
from matrix.hosts.virtual.l1_guest import ProgramResult
from matrix.hosts.virtual.nested_qemu import INITRD, NestedQemu, launch_there, nested_outcome
from matrix.hosts.virtual.protocol import ProgramEnded
from matrix.inventory import Binary
from matrix.model import Accelerator, Architecture, ExitChannel, HostDevice
from matrix.vm.console import Tail
from tests import make

AARCH64 = Architecture.AARCH64


def test_the_command_line_is_that_of_a_machine_with_kvm() -> None:
    test = make.test("gic", "/b/gic.flat", smp=2, qemu_params=("-machine", "gic-version=3"))
    case = make.case(test, AARCH64, build=make.build(AARCH64), accel=Accelerator.KVM)
    binary = Binary("debian", AARCH64, "/disk/usr/bin/qemu", (10, 0, 13), "10.0.13")
    launch = launch_there(case, binary, {"/b/gic.flat": "/files/1", INITRD: "/files/2"})
    text = " ".join(launch.argv)
    assert text.startswith("/disk/usr/bin/qemu -nodefaults -machine virt,gic-version=host")
    assert "-accel kvm -cpu host" in text
    assert "-kernel /files/1 -smp 2" in text
    assert text.endswith("-initrd /files/2")
    assert not launch.monitor
    assert launch.channel is ExitChannel.QEMU_EXIT


def test_an_assigned_device_is_named_by_its_place_in_the_host() -> None:
    test = make.test("edu-assigned", qemu_params=("-device", "vfio-pci,host={device:edu}"))
    case = make.case(test, AARCH64, build=make.build(AARCH64, builtin=True))
    nested = NestedQemu(AARCH64, Path("/nowhere"), lambda _: None, (HostDevice.EDU,))
    argv = nested.launch(case).argv
    assert "vfio-pci,host=0000:00:10.0" in argv


def test_a_build_without_firmware_gets_none() -> None:
    riscv64 = Architecture.RISCV64
    binary = Binary("debian", riscv64, "/disk/usr/bin/qemu", (10, 0, 13), "10.0.13")
    case = make.case(make.test("sbi", "/b/sbi.flat"), riscv64, build=make.build(riscv64))
    assert "-bios" not in launch_there(case, binary, {INITRD: "/files/2"}).argv
    build = make.build(riscv64, firmware="/b/fw.bin")
    case = make.case(make.test("sbi", "/b/sbi.flat"), riscv64, build=build)
    argv = launch_there(case, binary, {"/b/fw.bin": "/files/3"}).argv
    assert argv[argv.index("-bios") + 1] == "/files/3"


def test_by_hand_it_has_the_files_of_this_machine() -> None:
    case = make.case(make.test("gic", "/b/gic.flat"), AARCH64, build=make.build(AARCH64))
    launch = NestedQemu(AARCH64, Path("/nowhere"), lambda _: None).launch(case)
    assert launch.argv[launch.argv.index("-kernel") + 1] == "/b/gic.flat"


@pytest.mark.parametrize(
    ("printed", "status", "signal", "ending"),
    [
        ("PASS: x\nSUMMARY: 1 tests\n", 1, None, Ending.EXITED),
        ("qemu-system-aarch64: -machine x: unsupported machine type\n", 1, None, Ending.REFUSED),
        ("  Fatal: Failed to create virtual GIC\n", 128, None, Ending.REFUSED),
        ("PASS: x\n  Fatal: no room\n", 128, None, Ending.EXITED),
        ("qemu-system-aarch64: warning: x is deprecated\n", 1, None, Ending.EXITED),
        ("PASS: x\nqemu-system-aarch64: Unexpected error\n", 1, None, Ending.EXITED),
        ("PASS: x\nKVM internal error. Suberror: 1\n", None, 9, Ending.INTERNAL_ERROR),
        ("PASS: x\n", None, 6, Ending.KILLED),
    ],
)
def test_what_qemu_prints_tells_what_its_monitor_would(
    printed: str, status: int | None, signal: int | None, ending: Ending
) -> None:
    console = Tail()
    console.write(printed.encode())
    limit = ending is Ending.INTERNAL_ERROR
    ended = ProgramEnded(1, status, signal, limit, 1.0, 0)
    outcome = nested_outcome(ProgramResult(ended, "", "", ()), console)
    assert outcome.ending is ending
    assert outcome.exit_status == status


def test_debians_version_has_that_of_qemu() -> None:
    qemu = DebianQemu(Path(), "", "1:10.0.13+ds-0+deb13u1")
    assert qemu.version == (10, 0, 13)
