"""Every tagged version of kvm-unit-tests since 2019, by what its ``configure`` writes.

The facts are read from the tags; the samples are ours, and hold what differs between them:

v2022-03-08  PROCESSOR names the CPU to compile for and to run on; EFI is TARGET_EFI, for x86_64
             alone; TARGET is written for arm and arm64 only; arguments stand in extra_params,
             with -append; several files of ``check`` in a line.
v2023-01-05  EFI is CONFIG_EFI; CONFIG_DUMP, CONFIG_WERROR; groups panic and migration of s390x.
v2024-01-08  EFI of arm64; pv-host.
v2025-06-05  TARGET_CPU and DEFAULT_QEMU_CPU, which RISC-V has, too; EFI_DIRECT; ``machine``;
             comments in config.mak; values over several lines.
v2025-07-31  test_args and qemu_params; kvmtool_params, disabled_if; TARGET of RISC-V.
v2026-04-17  as before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from matrix.model import Architecture, Build, Test
from matrix.suites.build import CONFIGURE_NAMES, TEST_DIRECTORIES, read_build
from matrix.suites.unittests import read_tests

RISCV = (Architecture.RISCV64, Architecture.RISCV32)


@dataclass(frozen=True)
class Release:
    """What one tag's ``configure`` writes."""

    tag: str
    efi: str = "CONFIG_EFI"
    cpus: bool = True
    arguments: bool = True
    """Whether test_args is there."""
    machines: bool = True

    def config(self, architecture: Architecture, *, efi: bool = False) -> str:
        name = CONFIGURE_NAMES[architecture]
        processor = {"arm": "cortex-a15", "arm64": "cortex-a57"}.get(name, name)
        default = "cortex-a15" if name == "arm" else "max" if name in ("arm64", *RISCV) else ""
        lines = ["SRCDIR=.", f"ARCH={name}", f"PROCESSOR={processor}"]
        if self.cpus:
            lines = ["# a comment", *lines, "TARGET_CPU=", f"DEFAULT_QEMU_CPU={default}"]
        lines += [f"TEST_DIR={TEST_DIRECTORIES[architecture]}", "ENVIRON_DEFAULT=yes"]
        lines += ["FIRMWARE=powerpc/boot_rom.bin" if name == "ppc64" else "FIRMWARE="]
        lines += [f"{self.efi}={'y' if efi else ''}", "GEN_SE_HEADER=", "GENPROTIMG=genprotimg"]
        lines += ["TARGET=qemu"] if name.startswith("arm") else []
        return "".join(f"{line}\n" for line in lines)

    def tests(self, architecture: Architecture) -> str:
        name = CONFIGURE_NAMES[architecture]
        parameters = "qemu_params" if self.arguments else "extra_params"
        told = f"{parameters} = -m 1g -append 'sel=0 x'\n"
        if self.arguments:
            told = f"{parameters} = -m 1g\ntest_args = 'sel=0 x'\nkvmtool_params = --mem 256\n"
        if self.arguments and name.startswith("arm"):
            told += 'disabled_if = [[ "$TARGET" != qemu ]]\n'
        told += "machine = m\n" if self.machines else ""
        return (
            f"# comment\n[plain]\nfile = plain.flat\nsmp = $MAX_SMP\narch = {name}\n"
            "check = /a=Y /b=0\ngroups = g migration\ntimeout = 5\naccel = kvm\n\n"
            f"[told]\nfile = plain.flat\n{told}\n[next]\nfile = plain.flat\n"
            f'{parameters} = -append "$((($MAX_SMP < 8)?$MAX_SMP:8))"\n'
        )


RELEASES = (
    Release("v2022-03-08", "TARGET_EFI", cpus=False, arguments=False, machines=False),
    Release("v2023-01-05", cpus=False, arguments=False, machines=False),
    Release("v2024-01-08", cpus=False, arguments=False, machines=False),
    Release("v2025-06-05", arguments=False),
    Release("v2025-07-31"),
    Release("v2026-04-17"),
)
NOT_THERE = (Architecture.MIPS64EL, Architecture.LOONGARCH64)
ARCHITECTURES = [each for each in Architecture if each not in NOT_THERE]


def cases() -> Iterator[tuple[Release, Architecture]]:
    for release in RELEASES:
        for architecture in ARCHITECTURES:
            if architecture not in RISCV or release.cpus:
                yield release, architecture


def written(
    folder: Path, release: Release, architecture: Architecture, *, efi: bool = False
) -> tuple[Build, dict[str, Test]]:
    images = folder / TEST_DIRECTORIES[architecture]
    images.mkdir()
    (folder / "config.mak").write_text(release.config(architecture, efi=efi))
    (images / "unittests.cfg").write_text(release.tests(architecture))
    (images / f"plain.{'efi' if efi else 'flat'}").touch()
    build = read_build(folder, architecture)
    return build, {test.name: test for test in read_tests(build, max_smp=4)}


@pytest.mark.parametrize(("release", "architecture"), list(cases()))
def test_builds(release: Release, architecture: Architecture, tmp_path: Path) -> None:
    build, tests = written(tmp_path, release, architecture)
    arm64 = "max" if release.cpus else "cortex-a57"
    known = {
        Architecture.ARM: "cortex-a15",
        Architecture.AARCH64: arm64,
        **dict.fromkeys(RISCV, "max"),
    }
    assert (build.default_cpu, build.target_cpu) == (known.get(architecture, ""), "")
    assert (build.target, build.efi, build.own) == (
        "qemu",
        False,
        ("environment",),
    )
    rom = str(tmp_path / "powerpc/boot_rom.bin") if architecture is Architecture.PPC64 else ""
    assert build.firmware == rom
    plain, told = tests["plain"], tests["told"]
    assert {test.unsupported for test in tests.values()} == {""}
    assert (plain.smp, plain.groups, plain.accelerator) == (4, ("g", "migration"), "kvm")
    assert (plain.checks, plain.timeout) == ((("/a", "Y"), ("/b", "0")), 5.0)
    assert (told.qemu_params, told.arguments) == (("-m", "1g"), "sel=0 x")
    assert told.machine == ("m" if release.machines else "")
    assert (tests["next"].qemu_params, tests["next"].arguments) == ((), "4")


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.tag)
def test_builds_for_efi(release: Release, tmp_path: Path) -> None:
    build, tests = written(tmp_path, release, Architecture.X86_64, efi=True)
    assert build.efi
    assert tests["plain"].image.endswith("plain.efi")


@pytest.mark.parametrize(("processor", "cpu"), [("riscv64", "max"), ("rv64", "rv64")])
def test_riscv_before_it_had_a_cpu_of_its_own(tmp_path: Path, processor: str, cpu: str) -> None:
    (tmp_path / "config.mak").write_text(f"ARCH=riscv64\nPROCESSOR={processor}\n")
    assert read_build(tmp_path).default_cpu == cpu


@pytest.mark.parametrize(
    ("parameters", "left", "arguments"),
    [
        ("-append 'a b' -m 1", ("-m", "1"), "a b"),
        ("-append a --append ''", (), ""),
        ("-m 1 -append", ("-m", "1", "-append"), "of test_args"),
        ("-m 1", ("-m", "1"), "of test_args"),
    ],
)
def test_arguments_among_the_parameters(
    tmp_path: Path, parameters: str, left: tuple[str, ...], arguments: str
) -> None:
    (tmp_path / "config.mak").write_text("ARCH=arm64\nTEST_DIR=arm\n")
    (tmp_path / "arm").mkdir()
    text = f"[one]\nfile = a.flat\ntest_args = 'of test_args'\nextra_params = {parameters}\n"
    (tmp_path / "arm/unittests.cfg").write_text(text)
    (test,) = read_tests(read_build(tmp_path), max_smp=1)
    assert (test.qemu_params, test.arguments) == (left, arguments)
