"""Recordings of real kvm-unit-tests runs: our command lines equal those of its own runner.

Shell quoting is lost in the recordings, so both sides are compared as words. Those of all its tests
need its ``unittests.cfg``, which is under the GPL and no part of this project; sections of our own,
one of each kind, stand for it.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.inventory import Binary
from matrix.model import Accelerator, Case, Test, Variant
from matrix.plan.command import launch_for
from matrix.suites.build import read_build
from matrix.suites.unittests import read_tests

RECORDINGS = Path(__file__).parents[2] / ".." / "shared" / "kvm-unit-tests"

WHY = "kvm-unit-tests' unittests.cfg, under the GPL, is not in this project"
MAX_SMP = 2
"""The recordings were made on two CPUs."""

DIFFERENCES = {
    # Its runner gets the quoted, continued lines wrong: QEMU sees a backslash and an "n".
    ("s390x", "topology-3"): "qemu_params over several lines",
}
"""Tests whose recorded command line is wrong, and what is wrong with it."""

FOLDERS = {
    "x86_64": ("x86_64", "x86", "flat"),
    "arm64": ("arm64", "arm", "flat"),
    "ppc64le": ("ppc64", "powerpc", "elf"),
    "s390x": ("s390x", "s390x", "elf"),
    "riscv64": ("riscv64", "riscv", "flat"),
}
"""By build: ``ARCH``, the folder of its tests, and what its images are called."""


def recorded(build: str) -> Iterator[tuple[str, list[str]]]:
    for path in sorted((RECORDINGS / build / "logs").glob("*.log")):
        text = path.read_text(errors="replace")
        match = re.search(
            r"--foreground \w+ (qemu-system-\w+ .*?) # -initrd ENVIRON", text, re.DOTALL
        )
        if match is not None:
            yield path.stem, match[1].split()


def ours(directory: Path, test: Test) -> list[str]:
    build = read_build(directory)
    binary = Binary(
        "system", build.architecture, f"qemu-system-{build.architecture}", (7, 2, 22), ""
    )
    variant = Variant(build.architecture, Accelerator.TCG)
    case = Case("id", "scenario", "suite", test, variant, build)
    launch = launch_for(case, binary, Accelerator.TCG)
    return " ".join(launch.argv).replace(f"{directory}/", "").split()


def normalised(words: list[str]) -> list[str]:
    """Without what is meant to differ: the time of day, and the image of a run that was dry."""
    text = " ".join(words)
    text = re.sub(r"\b1\d{9}\b", "NOW", text)
    return re.sub(r"-kernel \S+", "-kernel IMAGE", text).split()


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=WHY)
@pytest.mark.parametrize("build", ["x86_64", "arm64", "ppc64le", "s390x", "riscv64"])
def test_command_lines_equal_those_of_the_runner(build: str) -> None:
    tests = {
        test.name: test for test in read_tests(read_build(RECORDINGS / build), max_smp=MAX_SMP)
    }
    compared = 0
    different = []
    for name, words in recorded(build):
        if (build, name) in DIFFERENCES:
            continue
        found = normalised(ours(RECORDINGS / build, replace(tests[name], unsupported="")))
        if found != normalised(words):
            different.append(f"{name}:\n  theirs {' '.join(words)}\n  ours   {' '.join(found)}")
        compared += 1
    assert not different, "\n".join(different)
    assert compared > 2


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=WHY)
def test_several_lines_of_parameters_are_whole() -> None:
    (test,) = [
        test
        for test in read_tests(read_build(RECORDINGS / "s390x"), max_smp=MAX_SMP)
        if test.name == "topology-3"
    ]
    words = ours(RECORDINGS / "s390x", test)
    assert words.count("-device") > 5
    assert not any("\\" in word for word in words)


X86 = (
    "qemu-system-x86_64 --no-reboot -nodefaults -global kvm-pit.lost_tick_policy=discard -device"
    " pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=0x4 -display none -serial stdio -device"
    " pci-testdev -machine accel=tcg"
)
ARM64 = (
    "qemu-system-aarch64 -nodefaults -machine virt -accel tcg -cpu max -device"
    " virtio-serial-device -device virtconsole,chardev=ctd -chardev testdev,id=ctd -device"
    " pci-testdev -display none -serial stdio"
)
PPC64 = (
    "qemu-system-ppc64 -nodefaults -accel tcg -machine"
    " pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off -bios"
    " powerpc/boot_rom.bin -display none -serial stdio"
)
S390X = (
    "qemu-system-s390x -nodefaults -nographic -machine s390-ccw-virtio,accel=tcg -chardev"
    " stdio,id=con0 -device sclpconsole,chardev=con0"
)
RISCV64 = "qemu-system-riscv64 -nodefaults -nographic -serial mon:stdio -machine virt -accel tcg"


@pytest.mark.parametrize(
    ("arch", "processor", "section", "command"),
    [
        ("x86_64", "", "smp = 3", f"{X86} -kernel IMAGE -smp 3"),
        (
            "x86_64",
            "",
            "qemu_params = -cpu qemu64,-pcid,-invpcid",
            f"{X86} -kernel IMAGE -smp 1 -cpu qemu64,-pcid,-invpcid",
        ),
        (
            "arm64",
            "max",
            "smp = 1\ntest_args = mmio\nqemu_params = -machine gic-version=2",
            f"{ARM64} -kernel IMAGE -smp 1 -append mmio -machine gic-version=2",
        ),
        ("ppc64le", "", "smp = 8,threads=4", f"{PPC64} -kernel IMAGE -smp 8,threads=4"),
        (
            "s390x",
            "",
            'qemu_params = """-smp 1,maxcpus=3\n-cpu qemu"""',
            f"{S390X} -kernel IMAGE -smp 1 -smp 1,maxcpus=3 -cpu qemu",
        ),
        ("riscv64", "max", "smp = $MAX_SMP", f"{RISCV64} -cpu max -kernel IMAGE -smp 2"),
    ],
)
def test_command_lines_of_sections_of_each_kind(
    tmp_path: Path, arch: str, processor: str, section: str, command: str
) -> None:
    name, folder, kind = FOLDERS[arch]
    (tmp_path / folder).mkdir()
    (tmp_path / folder / f"it.{kind}").touch()
    (tmp_path / folder / "unittests.cfg").write_text(f"[it]\nfile = it.{kind}\n{section}\n")
    (tmp_path / "config.mak").write_text(
        f"ARCH={name}\nTEST_DIR={folder}\nTARGET=qemu\n"
        f"DEFAULT_QEMU_CPU={processor}\nFIRMWARE={'powerpc/boot_rom.bin' * (name == 'ppc64')}\n"
    )
    (test,) = read_tests(read_build(tmp_path), max_smp=MAX_SMP)
    assert normalised(ours(tmp_path, test)) == command.split()
