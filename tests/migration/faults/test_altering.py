"""Command lines that differ from their source's in one thing."""

import pytest

from matrix.migration.faults import altering
from matrix.model import Architecture, ExitChannel, Launch
from matrix.plan.migration_plan import NO_OTHER_MACHINE

PC = "/usr/bin/qemu-system-x86_64 -display none -machine accel=tcg -smp 2,maxcpus=4 -m 128"
VIRT = "qemu-system-aarch64 -machine virt-7.2,gic-version=3 -accel tcg -serial stdio"


def launch(line: str) -> Launch:
    return Launch(tuple(line.split()), ExitChannel.QEMU_EXIT)


def tail(changed: Launch, count: int = 2) -> str:
    return " ".join(changed.argv[-count:])


@pytest.mark.parametrize(
    ("size", "expected"),
    [("128", "192M"), ("1G", "1088M"), ("size=256M,slots=2", "320M,slots=2"), ("65536K", "128M")],
)
def test_more_memory(size: str, expected: str) -> None:
    assert tail(altering.more_memory(launch(f"qemu -m {size}"))) == f"-m {expected}"


def test_more_memory_than_the_default() -> None:
    assert tail(altering.more_memory(launch("qemu-system-arm -M virt"))) == "-m 192M"


@pytest.mark.parametrize(
    ("smp", "expected"),
    [("2", "1"), ("4,maxcpus=8", "3,maxcpus=8"), ("1", "2"), ("cpus=4,threads=4", "3")],
)
def test_other_vcpus(smp: str, expected: str) -> None:
    altered = altering.other_vcpus(launch(f"qemu -smp {smp} -m 64"))
    assert altered.argv == ("qemu", "-m", "64", "-smp", expected)  # QEMU merges two


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (PC, "-machine q35,accel=tcg"),
        ("qemu-system-x86_64 -machine pc-q35-7.2,accel=kvm", "-machine pc,accel=kvm"),
        ("qemu-system-i386 -M q35", "-M pc"),
        ("qemu-system-x86_64 -m 1", "-machine q35"),
        (VIRT, "-machine virt-7.1,gic-version=3"),
        ("qemu-system-aarch64 -machine virt-7.1", "-machine virt-7.0"),
        ("qemu-system-s390x -machine type=s390-ccw-virtio", "-machine s390-ccw-virtio-7.1"),
        ("qemu-system-riscv64 -machine virt", "-machine spike"),
    ],
)
def test_other_machine(line: str, expected: str) -> None:
    changed = " ".join(altering.other_machine(launch(line)).argv)
    assert expected in changed
    assert changed.count("-machine") + changed.count("-M ") == 1


def test_no_other_machine_is_known() -> None:
    with pytest.raises(ValueError, match="mips64el"):
        altering.other_machine(launch("qemu-system-mips64el -machine malta"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (PC, "-machine hpet=off"),
        (VIRT, "-machine gic-version=2"),
        ("qemu-system-arm -machine virt", "-machine gic-version=3"),
        ("qemu-system-ppc64 -serial stdio -m 1", "-serial none"),
        ("qemu-system-riscv64 -machine virt", "-machine aia=aplic"),
    ],
)
def test_without_device(line: str, expected: str) -> None:
    assert expected in " ".join(altering.without_device(launch(line)).argv)


def test_without_the_console_of_s390x() -> None:
    line = "qemu-system-s390x -chardev stdio,id=con0 -device sclpconsole,chardev=con0 -m 1"
    changed = altering.without_device(launch(line))
    assert " ".join(changed.argv) == "qemu-system-s390x -chardev stdio,id=con0 -m 1"


@pytest.mark.parametrize("arch", ["mips64el", "loongarch64"])
def test_a_machine_without_a_device_to_spare_is_given_one(arch: str) -> None:
    plain = launch(f"qemu-system-{arch} -serial stdio -m 1")
    with_one = altering.with_spare(plain)
    assert tail(with_one) == "-device i6300esb"
    assert altering.without_device(with_one) == plain


def test_a_machine_with_a_device_to_spare_is_given_none() -> None:
    for line in (PC, VIRT, "qemu-system-s390x -device sclpconsole,chardev=con0"):
        assert altering.with_spare(launch(line)) == launch(line)


@pytest.mark.parametrize("arch", Architecture)
def test_every_architecture_has_its_mismatches_or_a_skip(arch: Architecture) -> None:
    line = launch(f"qemu-system-{arch.value} -serial stdio -device sclpconsole")
    source = altering.with_spare(line)
    assert altering.without_device(source) != source
    if arch not in NO_OTHER_MACHINE:
        assert altering.other_machine(source) != source


def test_other_uuid_comes_after_the_source_s() -> None:
    changed = altering.other_uuid(launch("qemu -uuid 0f3c1a52-6d0e-4c2f-9d57-2c1f4f0f9a11"))
    assert tail(changed) == f"-uuid {altering.OTHER_UUID}"


def test_nothing_else_changes() -> None:
    for change in (altering.more_memory, altering.other_uuid):
        assert change(launch(PC)).argv[: len(PC.split())] == tuple(PC.split())
    bare = tuple(PC.replace(" -smp 2,maxcpus=4", "").split())
    assert altering.other_vcpus(launch(PC)).argv[: len(bare)] == bare
    for change in (altering.more_memory, altering.other_vcpus, altering.other_uuid):
        assert change(launch(PC)).channel is ExitChannel.QEMU_EXIT
