"""Disks that are made for a case."""

import pytest

from matrix.migrating import Migration, Strategy
from matrix.model import Architecture, ExitChannel, Launch
from matrix.plan.disks import disk_in_the_way, disk_size, has_backend, has_disk, with_disk
from tests import make

SERVED = ("-chardev", "socket,id=disk,path={vhost-user-disk:256K}")
PARAMETERS = ("-m", "64", "-drive", "if=none,file={disk:256K},file.locking=on")


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (PARAMETERS, 256 << 10),
        (("-drive", "file={disk:2M}"), 2 << 20),
        (SERVED, 256 << 10),
        (("-drive", "file=disk.img"), 0),
        (("-device", "vfio-pci,host={device:virtio-blk}"), 0),
        ((), 0),
    ],
)
def test_its_size_is_among_the_parameters(words: tuple[str, ...], size: int) -> None:
    assert disk_size(words) == size


def test_only_embedded_guests_ask_for_one() -> None:
    test = make.test(qemu_params=PARAMETERS)
    ours = make.build(Architecture.X86_64, builtin=True)
    assert has_disk(make.case(test, build=ours))
    assert not has_disk(make.case(test))
    assert not has_disk(make.case(build=ours))


def test_a_path_with_commas_stays_one_value() -> None:
    launch = with_disk(Launch(("qemu", *PARAMETERS), ExitChannel.QEMU_EXIT), "/a,b\\1/disk.img")
    assert launch.argv[-1] == "if=none,file=/a,,b\\1/disk.img,file.locking=on"
    assert launch.argv[:-1] == ("qemu", *PARAMETERS[:-1])


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_disk_does_not_go_back_with_a_snapshot(strategy: Strategy) -> None:
    test = make.test(qemu_params=PARAMETERS)
    ours = make.build(Architecture.X86_64, builtin=True)
    with_one = make.case(test, build=ours, migration=Migration())
    assert not disk_in_the_way(make.case(build=ours, migration=Migration()), strategy)
    reason = disk_in_the_way(with_one, strategy)
    assert bool(reason) is (strategy is Strategy.BACKGROUND_SNAPSHOT)
    assert not reason or "not its disk" in reason


@pytest.mark.parametrize("strategy", list(Strategy))
def test_one_that_is_served_waits_for_no_pages(strategy: Strategy) -> None:
    ours = make.build(Architecture.X86_64, builtin=True)
    served = make.case(make.test(qemu_params=SERVED), build=ours, migration=Migration())
    assert has_disk(served)
    assert has_backend(served)
    assert not has_backend(make.case(make.test(qemu_params=PARAMETERS), build=ours))
    assert not has_backend(make.case(make.test(qemu_params=SERVED)))
    reason = disk_in_the_way(served, strategy)
    assert ("waits for no pages" in reason) is strategy.value.startswith("postcopy")
    assert ("not its disk" in reason) is (strategy is Strategy.BACKGROUND_SNAPSHOT)
