"""What a guest's memory is made of, and hosts that have none of it."""

from dataclasses import replace
from typing import Any

import pytest

from matrix.inventory import Host
from matrix.migrating import Migration, Strategy
from matrix.model import Accelerator, Architecture, MemoryBackend
from matrix.plan.command import launch_for
from matrix.plan.decisions import Run, Skip
from matrix.plan.memory import backend_of, huge_pages_of, why_no_memory
from matrix.plan.planner import decide
from tests import make

MIB = 2**20
HOST = Host("x86_64", "6.1.0", 2, 2**33, huge_page_size=2 * MIB, huge_pages_free=64)
TCG = Accelerator.TCG


def tail(**axes: Any) -> str:
    """What the command line ends with, before the sandbox."""
    case = make.case(arch=make.ARM64, accel=TCG, **axes)
    argv = launch_for(case, make.binary(make.ARM64, sandbox=False), TCG).argv
    return " ".join(argv[argv.index("-smp") + 2 :])


@pytest.mark.parametrize(
    ("backend", "arguments"),
    [
        (
            MemoryBackend.RAM,
            (
                "-object memory-backend-ram,id=matrix-memory,size=64M"
                " -machine memory-backend=matrix-memory"
            ),
        ),
        (
            MemoryBackend.MEMFD,
            (
                "-object memory-backend-memfd,id=matrix-memory,size=64M,share=on"
                " -machine memory-backend=matrix-memory"
            ),
        ),
        (
            MemoryBackend.HUGEPAGES,
            (
                "-object memory-backend-memfd,id=matrix-memory,size=64M"
                ",share=on,hugetlb=on,prealloc=on"
                " -machine memory-backend=matrix-memory"
            ),
        ),
        (
            MemoryBackend.NUMA,
            (
                "-object memory-backend-ram,id=matrix-memory-0,size=32M"
                " -numa node,nodeid=0,memdev=matrix-memory-0"
                " -object memory-backend-ram,id=matrix-memory-1,size=32M"
                " -numa node,nodeid=1,memdev=matrix-memory-1"
            ),
        ),
    ],
)
def test_command_lines(backend: MemoryBackend, arguments: str) -> None:
    assert tail(backend=backend, memory=64 * MIB) == f"-m 64M {arguments}"
    test = make.test(qemu_params=("-m", "64"))
    assert tail(backend=backend, test=test) == f"-m 64 {arguments}"


def test_an_odd_amount_is_given_to_the_byte() -> None:
    test = make.test(qemu_params=("-m", "49160k"))
    assert "size=49160K," in tail(backend=MemoryBackend.MEMFD, test=test)


def test_none_is_named_where_qemu_may_choose() -> None:
    assert tail() == ""


def test_a_migration_that_hands_memory_on_gets_what_can_be() -> None:
    case = make.case(
        arch=make.ARM64,
        accel=TCG,
        memory=64 * MIB,
        migration=Migration(strategies=(Strategy.CPR_TRANSFER,)),
    )
    assert "memory-backend-memfd" in " ".join(launch_for(case, make.binary(make.ARM64), TCG).argv)


@pytest.mark.parametrize(
    ("host", "memory", "reason"),
    [
        (HOST, 128, ""),
        (
            HOST,
            129,
            "needs 65 huge pages of 2048 KiB, and 64 are free (sysctl vm.nr_hugepages)",
        ),
        (Host("x86_64", "6.1.0", 2, 2**33), 64, "the kernel has no huge pages"),
    ],
)
def test_huge_pages(host: Host, memory: int, reason: str) -> None:
    case = make.case(
        arch=make.ARM64, accel=TCG, backend=MemoryBackend.HUGEPAGES, memory=memory * MIB
    )
    decision = decide(case, make.inventory(make.binary(make.ARM64), host=host))
    assert (decision.reason if isinstance(decision, Skip) else "") == reason
    if isinstance(decision, Run):
        assert decision.huge_pages == memory * MIB


def test_a_guest_that_migrates_needs_huge_pages_for_the_next_qemu_too() -> None:
    case = make.case(
        arch=make.ARM64,
        accel=TCG,
        backend=MemoryBackend.HUGEPAGES,
        memory=43 * MIB,
        migration=Migration(),
    )
    inventory = make.inventory(make.binary(make.ARM64), host=HOST)
    assert huge_pages_of(case, 43 * MIB, HOST) == 3 * 44 * MIB
    decision = decide(case, inventory)
    assert isinstance(decision, Skip)
    assert decision.reason.startswith("needs 66 huge pages of 2048 KiB, and 64 are free")


@pytest.mark.parametrize(
    ("arch", "memory", "reason"),
    [
        (Architecture.AARCH64, 128, ""),
        (Architecture.AARCH64, 129, "129 MiB cannot be halved between two NUMA nodes"),
        (Architecture.S390X, 128, "no machine of s390x has NUMA nodes"),
    ],
)
def test_numa_nodes(arch: Architecture, memory: int, reason: str) -> None:
    case = make.case(arch=arch, accel=TCG, backend=MemoryBackend.NUMA, memory=memory * MIB)
    decision = decide(case, make.inventory(make.binary(arch)))
    if isinstance(decision, Run):
        assert not reason
    else:
        assert decision.reason == reason


def test_a_disk_that_is_served_needs_memory_that_can_be_shared() -> None:
    ours = make.build(Architecture.X86_64, builtin=True)
    test = make.test(qemu_params=("-chardev", "socket,path={vhost-user-disk:1M}"))
    served = make.case(test, build=ours)
    assert backend_of(served) is MemoryBackend.MEMFD
    assert why_no_memory(served, 64 << 20, 0, HOST) == ""
    for backend in (MemoryBackend.RAM, MemoryBackend.NUMA):
        case = replace(served, variant=replace(served.variant, backend=backend))
        assert "can be shared" in why_no_memory(case, 64 << 20, 0, HOST)
