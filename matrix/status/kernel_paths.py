"""Which files of a kernel are KVM's, and which part of KVM each of them is of.

KVM began in ``drivers/kvm`` (2.6.20) and went to ``arch/x86/kvm`` (2.6.25); headers were in
``include/asm-*`` until 2.6.28, what arm and arm64 share in ``virt/kvm/arm`` until 5.7.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from matrix.model import Architecture
from matrix.status.git import git_lines

COMMON, SELFTESTS, DOCUMENTATION = "common", "selftests", "documentation"
ARCHITECTURES = ("x86", "arm64", "arm", "powerpc", "s390", "riscv", "loongarch", "mips", "ia64")
"""That have or had KVM; those that a kernel has besides are found in it."""
KERNEL_NAMES = {
    Architecture.X86_64: "x86",
    Architecture.I386: "x86",
    Architecture.AARCH64: "arm64",
    Architecture.ARM: "arm",
    Architecture.PPC64: "powerpc",
    Architecture.S390X: "s390",
    Architecture.RISCV64: "riscv",
    Architecture.MIPS64EL: "mips",
}
SELFTEST_FOLDER = "tools/testing/selftests/kvm"
_FOLDERS = {"x86_64": "x86", "aarch64": "arm64", "s390x": "s390"}
"""Of the selftests' until 6.14, and of kvm-unit-tests: the kernel's name."""

_EVERYWHERE = (
    *("virt/kvm", "virt/lib", "drivers/kvm", SELFTEST_FOLDER),
    *("Documentation/virt/kvm", "Documentation/virtual/kvm", "Documentation/kvm"),
    *(":(glob)include/linux/kvm*", ":(glob)include/uapi/linux/kvm*", "include/kvm"),
    *(":(glob)include/trace/events/kvm*", ":(glob)include/asm-*/kvm*"),
)
_HEADERS = ("kvm", "vmx", "svm")
_SPECIAL = re.compile("virt/kvm/arm/|include/kvm/arm_")
_OF_ARCHITECTURE = re.compile(r"arch/(\w+)/|include/asm-(\w+)/")
_SELFTEST = re.compile(rf"{SELFTEST_FOLDER}/(?:(?!lib/|include/)(\w+)/)?([\w-]+)\.c")


def pathspecs(repository: Path, commit: str) -> list[str]:
    """The arguments that have git look at KVM's files alone. Raises as ``git_lines``."""
    folders = git_lines(repository, "ls-tree", "-d", "--name-only", commit, "arch/")
    inner = [f"{folder}/kvm" for folder in folders]
    found = git_lines(repository, "ls-tree", "-d", "--name-only", commit, *inner) if inner else []
    names = dict.fromkeys((*ARCHITECTURES, *(path.split("/")[1] for path in found)))
    headers = (
        f":(glob)arch/{name}/include/{place}/{header}*"
        for name in names
        for place in ("asm", "uapi/asm")
        for header in _HEADERS
    )
    return [*_EVERYWHERE, *(f"arch/{name}/kvm" for name in names), *headers]


@lru_cache(maxsize=10_000)
def part_of(path: str) -> str:
    """An architecture as the kernel calls it, or ``common``, ``selftests``, ``documentation``."""
    if path.startswith("tools/"):
        return SELFTESTS
    if path.startswith("Documentation/"):
        return DOCUMENTATION
    if path.startswith("drivers/kvm/"):
        return "x86"
    if _SPECIAL.match(path):
        return "arm64"
    found = _OF_ARCHITECTURE.match(path)
    return COMMON if found is None else found[1] or found[2]


def home_of(parts: Iterable[str]) -> str:
    """The one part that a commit is counted for, so that the parts add up: its architecture, unless
    it changes several or what they share; selftests and documentation only without code."""
    code = set(parts) - {SELFTESTS, DOCUMENTATION}
    if not code:
        return SELFTESTS if SELFTESTS in set(parts) else DOCUMENTATION
    return next(iter(code)) if len(code) == 1 else COMMON


def selftest_of(path: str) -> tuple[str, str] | None:
    """(part, name) of a selftest's source; None for any other file."""
    found = _SELFTEST.fullmatch(path)
    return None if found is None else (kernel_name(found[1] or COMMON), found[2])


def kernel_name(folder: str) -> str:
    """The kernel's name of an architecture, by a folder of tests."""
    return _FOLDERS.get(folder, folder)
