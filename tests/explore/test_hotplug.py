"""What machines take while they run, and the command lines that go with it."""

import pytest

from matrix.explore.hotplug import Hotplug, Part, hotplug_of
from matrix.model import ExitChannel, Launch

VCPU = {"driver": "qemu64-x86_64-cpu", "socket-id": 1}


def launch(machine: str, *words: str) -> Launch:
    argv = ("qemu-system-x86_64", "-machine", machine, "-smp", "1", "-m", "49160k", *words)
    return Launch(argv, ExitChannel.QEMU_EXIT)


@pytest.mark.parametrize(
    ("machine", "parts"),
    [
        ("pc-i440fx-7.2,accel=tcg", set(Part)),
        ("pc", set(Part)),
        ("accel=tcg", set(Part)),
        ("pc-q35-10.0", set(Part)),
        ("q35", set(Part)),
        ("virt-7.2", {Part.DEVICE}),
        ("virt", {Part.DEVICE}),
        ("malta", set()),
        ("microvm", set()),
    ],
)
def test_parts_of_machines(machine: str, parts: set[Part]) -> None:
    hotplug = hotplug_of(launch(machine))
    assert hotplug.parts == parts
    assert set(hotplug.missing) == set(Part) - parts
    assert all(hotplug.missing.values())


def test_what_a_command_line_has_no_room_for() -> None:
    hotplug = hotplug_of(launch("pc", "-smp", "2", "-m", "64M,slots=2"))
    assert hotplug.parts == {Part.DEVICE}


def test_a_command_line_with_room() -> None:
    assert hotplug_of(launch("pc", "-m", "64M")).fitted(launch("pc", "-m", "64M")).argv == (
        *("qemu-system-x86_64", "-machine", "pc", "-smp", "1,maxcpus=2", "-m", "49160k"),
        *("-m", "64M,slots=1,maxmem=512M"),
    )
    assert hotplug_of(launch("virt")).fitted(launch("virt")).argv[-2:] == (
        *("-device", "pcie-root-port,id=explore-port,chassis=9"),
    )


def test_a_destination_that_has_the_same() -> None:
    assert hotplug_of(launch("pc")).words(set(Part), VCPU) == (
        *("-device", "virtio-rng-pci,id=explore-device,bus=pci.0,addr=0x10"),
        *("-object", "memory-backend-ram,id=explore-memory-backend,size=33554432"),
        *("-device", "pc-dimm,id=explore-memory,memdev=explore-memory-backend"),
        *("-device", "qemu64-x86_64-cpu,socket-id=1,id=explore-vcpu"),
    )
    assert Hotplug().words((), {}) == ()
