"""What QEMU says on its stderr: which lines are harmless, and which one says why it failed."""

import re
from collections.abc import Iterable, Sequence

_PROGRAM = re.compile(r"\A\s*(?:\S*/)?qemu(?:-system-[\w-]+|-kvm)?: ")

_HARMLESS = re.compile(
    r"\bwarning\b"
    r"|: info: "
    r"|module (?:ui|audio|hw|accel|chardev|block)-\S* not found"  # a packaging split, said at start
    r"|\bdeprecated\b",
    re.IGNORECASE,
)

# A hint that QEMU prints below a warning or an error: no program name, and no trouble in it.
_TROUBLE = re.compile(
    r"error|fail|abort|assert|bail out|kvm|cannot|could not|unable|invalid|\*\*|terminat",
    re.IGNORECASE,
)

_KVM = re.compile(
    r"KVM internal error|KVM: (?:entry|unknown exit)|kvm run failed|kvm_\w+\b.*(?:fail|error)"
    r"|KVM_[A-Z_0-9]+\b.*fail|failed to (?:set|get) MSR|failed to initialize kvm"
    r"|error: kvm|kvm_buf_set_msrs",
    re.IGNORECASE,
)

_ASSERTION = re.compile(r"Assertion `|assertion failed|code should not be reached|Bail out!")

_IMAGE = re.compile(
    r"(?:could not|unable to) (?:load|open) (?:the )?(?:kernel|PVH|initrd|firmware|bios)"
    r"|error loading"
    r"|failed to open file '"  # a Multiboot module
    r"|failed to load|could not load",
    re.IGNORECASE,
)

_HOST = re.compile(
    r"Cannot allocate memory|No space left on device|Too many open files"
    r"|Resource temporarily unavailable"
)


def error_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines that are not harmless, without the name of the program.

    kvm-unit-tests takes anything but warnings for a failure of QEMU. Here so are deprecations and
    missing user interface modules, and the hints that QEMU prints below a message.
    """
    errors: list[str] = []
    after_message = False
    for line in lines:
        if not line.strip():
            continue
        if _HARMLESS.search(line):
            after_message = True
        elif _PROGRAM.match(line) or not after_message or _TROUBLE.search(line):
            errors.append(without_program(line))
            after_message = bool(_PROGRAM.match(line))
    return tuple(errors)


def without_program(line: str) -> str:
    """The line without the program's name at its start, on one line and stripped."""
    return _PROGRAM.sub("", line.strip(), count=1).strip()


def complaint(lines: Sequence[str]) -> str:
    """The one line that says best why QEMU ended; empty where there is none but harmless ones.

    That is a failed assertion, else the last message of QEMU itself, else the last line.
    """
    for line in reversed(lines):
        if _ASSERTION.search(line):
            return without_program(line)
    errors = error_lines(lines)
    own = [without_program(line) for line in lines if _PROGRAM.match(line.strip())]
    for line in reversed(errors):
        if line in own:
            return line
    return errors[-1] if errors else ""


def kvm_complaint(lines: Iterable[str]) -> str:
    """The first line in which QEMU says that KVM failed it, or empty."""
    return next((without_program(line) for line in lines if _KVM.search(line)), "")


def image_complaint(lines: Iterable[str]) -> str:
    """The first line in which QEMU says that it cannot load the guest, or empty."""
    return next((without_program(line) for line in lines if _IMAGE.search(line)), "")


def host_complaint(lines: Iterable[str]) -> str:
    """The first line in which QEMU says that the host lacks memory, space or the like, or empty."""
    return next((without_program(line) for line in lines if _HOST.search(line)), "")
