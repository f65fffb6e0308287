"""What QEMU's stderr says, in one line: which lines matter, and which are only noise."""

import re
from collections.abc import Sequence

from matrix.patterns import late

MAXIMUM = 300
"""Characters of an explanation: it stands in a table."""

_NOISE = late(
    r"""
      (?:^\ *|:\ )(?:[Ww]arning|info|note):\ # error-report.c's warnings, deprecations; kvmtool's
    | \bmodule\ \S+\ not\ found              # hints of a packaged QEMU without its user interfaces
    | ^\(process:\d+\)|-WARNING\ \*\*        # GLib's
    | \b(?:pulseaudio|ALSA|dbus|XDG_RUNTIME_DIR)\b
    | terminating\ on\ signal                # our own doing
    """,
    re.VERBOSE,
)
_HINT = late(r"^(?:Use|Try|Did you mean|See|Supported|Valid|Available|Possible|Run) ")
_PROGRAM = late(r"^(?:\S*/)?qemu[\w.-]*: ")
_ASSERTION = late(r"Assertion [`'].*failed|assertion failed|^Bail out!|should not be reached")
_LOAD_FAILED = late(r": load of migration failed: [^:]+$")
_KVM = late(r"^(?:KVM internal error|error: kvm run failed|KVM: entry failed)")


def meaningful(lines: Sequence[str]) -> tuple[str, ...]:
    """The lines that are neither warnings nor a packager's hints, in order."""
    return tuple(line for line in lines if line.strip() and not _NOISE.search(line))


def explain(lines: Sequence[str]) -> str:
    """The line that says why QEMU ended, without the program's name; empty where none does.

    A failed assertion, with the line before it (``error: failed to set MSR …``), comes before a
    failure that KVM reports, that before QEMU's last own error, and that before any last line.
    """
    told = meaningful(lines)
    for number, line in enumerate(told):
        if _ASSERTION.search(line):
            return _joined(told[max(number - 1, 0) : number + 1])
    errors = [line for line in told if _KVM.search(line)]
    errors = errors or [line for line in told if _PROGRAM.search(line)][-1:]
    errors = errors or [line for line in told if not _HINT.search(line)][-1:]
    return _joined(errors or told[-1:])


def refusal(lines: Sequence[str]) -> str:
    """What a destination says of a stream that it does not take, in one line; empty for nothing.

    QEMU tells it from the inside out: first what is wrong, then in which device that was, and at
    last that the load failed, which says nothing new.
    """
    told = [line for line in meaningful(lines) if _PROGRAM.search(line)]
    telling = [line for line in told if not _LOAD_FAILED.search(line)]
    return _joined(list(dict.fromkeys(telling or told)))


def _joined(lines: Sequence[str]) -> str:
    text = "; ".join(_PROGRAM.sub("", line.strip()) for line in lines if line.strip(" *"))
    return text if len(text) <= MAXIMUM else text[: MAXIMUM - 1] + "…"
