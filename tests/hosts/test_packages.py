"""What to install for a missing emulator."""

from pathlib import Path

import pytest

from matrix.hosts.packages import Distribution, install_command, read_distribution
from matrix.model import Architecture

DEBIAN_12 = 'ID=debian\nVERSION_ID="12"\nNAME="x"\nnonsense\n'
DEBIAN_13 = "ID=debian\nVERSION_ID='13'\n"
SID = "ID=debian\n"
UBUNTU = 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n'
FEDORA = "ID=fedora\nVERSION_ID=42\n"
CENTOS = 'ID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="9"\n'


@pytest.mark.parametrize(
    ("text", "architecture", "command"),
    [
        (DEBIAN_12, Architecture.S390X, "apt-get install qemu-system-misc"),
        (DEBIAN_12, Architecture.AARCH64, "apt-get install qemu-system-arm"),
        (DEBIAN_13, Architecture.S390X, "apt-get install qemu-system-s390x"),
        (SID, Architecture.RISCV64, "apt-get install qemu-system-riscv"),
        (UBUNTU, Architecture.I386, "apt-get install qemu-system-x86"),
        (
            UBUNTU,
            Architecture.RISCV64,
            "apt-get install qemu-system-riscv (older releases: qemu-system-misc)",
        ),
        (FEDORA, Architecture.AARCH64, "dnf install qemu-system-aarch64"),
        (CENTOS, Architecture.MIPS64EL, "dnf install qemu-system-mips"),
    ],
)
def test_command(tmp_path: Path, text: str, architecture: Architecture, command: str) -> None:
    (tmp_path / "os-release").write_text(text)
    assert install_command(architecture, read_distribution(tmp_path / "os-release")) == command


def test_unknown_distribution_gets_both(tmp_path: Path) -> None:
    distribution = read_distribution(tmp_path / "os-release")
    assert distribution == Distribution(frozenset(), float("inf"))
    command = install_command(Architecture.PPC64, distribution)
    assert command == (
        "Debian: apt-get install qemu-system-ppc; Fedora: dnf install qemu-system-ppc"
    )


def test_every_architecture_has_packages() -> None:
    for architecture in Architecture:
        for identifier in ("debian", "fedora"):
            distribution = Distribution(frozenset({identifier}), 13)
            assert "qemu-system-" in install_command(architecture, distribution)
