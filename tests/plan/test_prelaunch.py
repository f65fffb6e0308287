"""Which QEMU may be started before its guest's turn."""

from dataclasses import replace

import pytest

from matrix.migrating import Migration
from matrix.model import (
    Architecture,
    Case,
    MemoryBackend,
    Target,
)
from matrix.plan.prelaunch import can_prelaunch
from tests import make

X86 = Architecture.X86_64
CASE = make.case()


def waits(case: Case) -> bool:
    return can_prelaunch(make.run(case))


def with_parameters(*parameters: str) -> Case:
    return replace(CASE, test=replace(CASE.test, qemu_params=parameters))


@pytest.mark.parametrize(
    "parameters",
    [
        (),
        ("-cpu", "max,+x2apic", "-machine", "gic-version=3", "-m", "2g"),
        ("-device", "pci-testdev", "--uuid", "0fb84a86-727c-11ea-bc55-0242ac130003"),
        ("-icount", "shift=8", "-append", "a b", "-no-reboot", "-global", "x.y=z"),
    ],
)
def test_what_takes_nothing_of_the_host_waits(parameters: tuple[str, ...]) -> None:
    assert waits(with_parameters(*parameters))


@pytest.mark.parametrize(
    "parameters",
    [
        ("-netdev", "user,id=n,hostfwd=tcp::2222-:22"),
        ("-drive", "file=disk.img"),
        ("--gdb", "tcp::1234"),
        ("-rtc", "base=2020-01-01"),
        ("-mem-path", "/dev/hugepages"),
        ("-device", "vfio-pci,host=01:00.0"),
        ("-device", "vhost-vsock-pci,guest-cid=3"),
        ("-an-option-of-tomorrow",),
    ],
)
def test_what_may_be_the_hosts_only_one_does_not(parameters: tuple[str, ...]) -> None:
    assert not waits(with_parameters(*parameters))


def test_values_of_the_moment_are_not_taken_early() -> None:
    assert not waits(replace(CASE, test=replace(CASE.test, dynamic=True)))


def test_huge_pages_are_not_taken_early() -> None:
    for backend in MemoryBackend:
        case = replace(CASE, variant=replace(CASE.variant, backend=backend))
        assert waits(case) == (backend is not MemoryBackend.HUGEPAGES)


def test_what_is_not_one_stopped_qemu_does_not_wait() -> None:
    assert not waits(replace(CASE, build=replace(CASE.build, target=Target.KVMTOOL)))
    assert not waits(replace(CASE, migration=Migration()))
