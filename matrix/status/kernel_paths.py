"""Which files of a kernel are KVM's, and which part of KVM each of them is of.

KVM began in ``drivers/kvm`` (2.6.20) and went to ``arch/x86/kvm`` (2.6.25); headers were in
``include/asm-*`` until 2.6.28, what arm and arm64 share in ``virt/kvm/arm`` until 5.7.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from matrix.model import Architecture

COMMON, SELFTESTS, DOCUMENTATION = "common", "selftests", "documentation"
KERNEL_NAMES = {
    Architecture.X86_64: "x86",
    Architecture.I386: "x86",
    Architecture.AARCH64: "arm64",
    Architecture.ARM: "arm",
    Architecture.PPC64: "powerpc",
    Architecture.S390X: "s390",
    Architecture.RISCV64: "riscv",
    Architecture.RISCV32: "riscv",
    Architecture.MIPS64EL: "mips",
    Architecture.LOONGARCH64: "loongarch",
}
SELFTEST_FOLDER = "tools/testing/selftests/kvm"
_FOLDERS = {"x86_64": "x86", "aarch64": "arm64", "s390x": "s390"}
"""Of the selftests' until 6.14, and of kvm-unit-tests: the kernel's name."""

PATHSPECS = (
    *("arch", "virt", "include", "drivers/kvm", SELFTEST_FOLDER),
    *("Documentation/virt/kvm", "Documentation/virtual/kvm", "Documentation/kvm"),
)
"""What git is asked for: few, and no patterns. It tries each of them with every entry of a folder,
and with patterns for each architecture took ten times as long."""
_KVM = re.compile(
    rf"""virt/(?:kvm|lib)/ | drivers/kvm/ | {SELFTEST_FOLDER}/
      | Documentation/(?:virt/|virtual/)?kvm/
      | include/(?:(?:uapi/)?linux/kvm | kvm/ | trace/events/kvm | asm-\w+/kvm)
      | arch/\w+/(?:kvm/ | include/(?:uapi/)?asm/(?:kvm|vmx|svm))
    """,
    re.VERBOSE,
)
_SPECIAL = re.compile("virt/kvm/arm/|include/kvm/arm_")
_OF_ARCHITECTURE = re.compile(r"arch/(\w+)/|include/asm-(\w+)/")
_SELFTEST = re.compile(rf"{SELFTEST_FOLDER}/(?:(?!lib/|include/)(\w+)/)?([\w-]+)\.c")


@lru_cache(maxsize=100_000)
def part_of(path: str) -> str | None:
    """An architecture as the kernel calls it, or ``common``, ``selftests``, ``documentation``; None
    for a file that is not KVM's."""
    if not _KVM.match(path):
        return None
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
