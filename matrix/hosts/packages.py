"""Which packages of a distribution bring the emulator for an architecture."""

from dataclasses import dataclass
from pathlib import Path

from matrix.model import Architecture

DEBIAN = {
    Architecture.X86_64: "qemu-system-x86",
    Architecture.I386: "qemu-system-x86",
    Architecture.AARCH64: "qemu-system-arm",
    Architecture.ARM: "qemu-system-arm",
    Architecture.PPC64: "qemu-system-ppc",
    Architecture.S390X: "qemu-system-s390x",
    Architecture.RISCV64: "qemu-system-riscv",
    Architecture.RISCV32: "qemu-system-riscv",
    Architecture.MIPS64EL: "qemu-system-mips",
    Architecture.LOONGARCH64: "qemu-system-misc",
}

DEBIAN_MISC = frozenset({Architecture.S390X, Architecture.RISCV64, Architecture.RISCV32})
"""In ``qemu-system-misc`` up to Debian 12, in packages of their own from 13 on; releases derived
from Debian split them at times of their own."""

FEDORA = {
    Architecture.X86_64: "qemu-system-x86",
    Architecture.I386: "qemu-system-x86",
    Architecture.AARCH64: "qemu-system-aarch64",
    Architecture.ARM: "qemu-system-arm",
    Architecture.PPC64: "qemu-system-ppc",
    Architecture.S390X: "qemu-system-s390x",
    Architecture.RISCV64: "qemu-system-riscv",
    Architecture.RISCV32: "qemu-system-riscv",
    Architecture.MIPS64EL: "qemu-system-mips",
    Architecture.LOONGARCH64: "qemu-system-loongarch64",
}


@dataclass(frozen=True, slots=True)
class Distribution:
    """The names in os-release(5) that matter here."""

    identifiers: frozenset[str]
    """``ID`` and the words of ``ID_LIKE``."""
    version: float
    """``VERSION_ID``; infinite where there is none (Debian testing and unstable)."""


def read_distribution(path: Path = Path("/etc/os-release")) -> Distribution:
    """Read ``os-release``; without it no identifiers are known."""
    values: dict[str, str] = {}
    try:
        for line in path.read_text(errors="replace").splitlines():
            key, equals, value = line.partition("=")
            if equals:
                values[key.strip()] = value.strip().strip("\"'")
    except OSError:
        pass  # a system without the file has no name
    identifiers = {values.get("ID", ""), *values.get("ID_LIKE", "").split()} - {""}
    try:
        version = float(values.get("VERSION_ID", ""))
    except ValueError:
        version = float("inf")
    return Distribution(frozenset(identifiers), version)


def install_command(architecture: Architecture, distribution: Distribution) -> str:
    """What to type to get the emulator; both families' commands where the host is of neither."""
    debian = f"apt-get install {_debian(architecture, distribution)}"
    fedora = f"dnf install {FEDORA[architecture]}"
    if "debian" in distribution.identifiers:
        return debian
    if distribution.identifiers & {"fedora", "rhel"}:
        return fedora
    return f"Debian: {debian}; Fedora: {fedora}"


def _debian(architecture: Architecture, distribution: Distribution) -> str:
    package = DEBIAN[architecture]
    if architecture not in DEBIAN_MISC:
        return package
    if distribution.identifiers == {"debian"}:
        return package if distribution.version >= 13 else "qemu-system-misc"
    return f"{package} (older releases: qemu-system-misc)"
