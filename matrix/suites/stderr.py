"""What QEMU says on its stderr: what is only noise, what each message is about, which one says why.

The one table of QEMU's messages: whoever watches a process and whoever judges its end read it here.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from matrix.patterns import late

MAXIMUM = 300
"""Characters of an explanation: it stands in a table."""

_PROGRAM = late(r"\A\s*(?:\S*/)?qemu(?:[-.][\w.-]*)?: ")

_NOISE = late(
    r"""
      (?:^\s*|:\s)(?:[Ww]arning|info|note):\s # error-report.c's warnings, kvmtool's
    | \bis\ deprecated\b
    | \bmodule\ \S+\ not\ found               # hints of a packaged QEMU without its user interfaces
    | (?:^|[-:\s])(?:WARNING|CRITICAL|Message|INFO|DEBUG)\ \*\*  # GLib's, but for its ERROR
    | \b(?:pulseaudio|ALSA|dbus|XDG_RUNTIME_DIR)\b
    """,
    re.VERBOSE,
)

# A hint that QEMU prints below a warning or an error: no program's name, and no trouble in it.
_HINT = late(r"^(?:Use|Try|Did you mean|See|Supported|Valid|Available|Possible|Run) ")
_TROUBLE = late(
    r"(?i)error|fail|fatal|abort|assert|bail out|kvm|cannot|could not|unable|invalid|\*\*|terminat"
    r"|unavailable|no space|too many"
)

_ASSERTION = late(r"Assertion [`'].*failed|assertion failed|^Bail out!|should not be reached")

_KVM = late(
    r"(?i)KVM internal error|KVM: (?:entry|unknown exit)|kvm run failed|kvm_\w+\b.*(?:fail|error)"
    r"|KVM_[A-Z_0-9]+\b.*fail|failed to (?:set|get) MSR|failed to initialize kvm"
    r"|error: kvm|kvm_buf_set_msrs"
)

_IMAGE = late(
    r"(?i)(?:could not|unable to) (?:load|open) (?:the )?(?:kernel|PVH|initrd|firmware|bios)"
    r"|error loading"
    r"|failed to open file '"  # a Multiboot module
    r"|failed to load|could not load"
)

# By strerror(3), of ENOMEM, ENOSPC, EMFILE, ENFILE, EAGAIN (threads, by pthread_create(3)), EDQUOT;
# GLib's g_malloc.
_HOST = late(
    r"Cannot allocate memory|No space left on device|Too many open files"
    # A destination whose source was killed says EAGAIN of the load, too.
    r"|(?<!load of migration failed: )Resource temporarily unavailable|Disk quota exceeded"
    r"|failed to allocate \d+ bytes"
)

_ENDED = late(r"\bterminating on signal\b")
"""Said where someone else ends QEMU; of our own doing nobody asks."""

_LOAD_FAILED = late(r": load of migration failed: [^:]+$")


def error_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines that are not harmless, without the name of the program.

    kvm-unit-tests takes anything but warnings for a failure of QEMU. Here so are deprecations and
    missing user interface modules, and the hints that QEMU prints below a message.
    """
    return tuple(without_program(line) for line in _telling(lines))


def without_program(line: str) -> str:
    """The line without the program's name at its start, on one line and stripped."""
    return _PROGRAM.sub("", line.strip(), count=1).strip()


def complaint(lines: Iterable[str]) -> str:
    """What says best why QEMU ended, without the program's name; empty where nothing does.

    A failed assertion, with the line before it (``error: failed to set MSR …``), comes before what
    KVM fails at, that before QEMU's last own message, and that before any last line. That someone
    ended it is told where there is nothing else.
    """
    told = _telling(lines)
    for number, line in enumerate(told):
        if _ASSERTION.search(line):
            return _joined(told[max(number - 1, 0) : number + 1])
    kvm = [line for line in told if _KVM.search(line)]
    rest = [line for line in told if not _ENDED.search(line)]
    own = [line for line in rest if _PROGRAM.search(line)]
    return _joined(kvm[:1] or own[-1:] or rest[-1:] or told[-1:])


def refusal(lines: Iterable[str]) -> str:
    """What a destination says of a stream that it does not take, in one line; empty for nothing.

    QEMU tells it from the inside out: first what is wrong, then in which device that was, and at
    last that the load failed, which says nothing new.
    """
    told = [line for line in _telling(lines) if _PROGRAM.search(line)]
    told = [line for line in told if not _ENDED.search(line)]
    telling = [line for line in told if not _LOAD_FAILED.search(line)]
    return _joined(list(dict.fromkeys(telling or told)))


def kvm_complaint(lines: Iterable[str]) -> str:
    """The first line in which QEMU says that KVM failed it, or empty."""
    return _first(lines, _KVM.search)


def image_complaint(lines: Iterable[str]) -> str:
    """The first line in which QEMU says that it cannot load the guest, or empty."""
    return _first(lines, _IMAGE.search)


def host_complaint(lines: Iterable[str]) -> str:
    """The first line in which QEMU says that the host lacks memory, space, threads or the like, or
    empty."""
    return _first(lines, _HOST.search)


def ended_by(lines: Iterable[str]) -> str:
    """The line in which QEMU says that it was sent a signal to end it, and by whom, or empty."""
    return _first(lines, _ENDED.search)


def _telling(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines that are neither harmless nor hints below a message, in order."""
    told: list[str] = []
    below = False
    for line in lines:
        if not line.strip():
            continue
        if _NOISE.search(line):
            below = True
        elif _PROGRAM.search(line):
            told.append(line)
            below = True
        elif not (below or (told and _HINT.search(line))) or _TROUBLE.search(line):
            told.append(line)
            below = False
    return tuple(told)


def _first(lines: Iterable[str], found: Callable[[str], object]) -> str:
    return next((without_program(line) for line in _telling(lines) if found(line)), "")


def _joined(lines: Sequence[str]) -> str:
    text = "; ".join(without_program(line) for line in lines if line.strip(" *"))
    return text if len(text) <= MAXIMUM else text[: MAXIMUM - 1] + "…"
