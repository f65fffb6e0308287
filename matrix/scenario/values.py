"""Single values of a scenario: how each is read from its text, and between which bounds it lies.

Beside each parser stands the JSON Schema of what it takes (its shape), so that the two stay
together; bounds that a schema cannot express (of sizes and durations) are the parser's alone.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from matrix.model import ARCHITECTURE_ALIASES, Accelerator, Architecture
from matrix.scenario.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)
from matrix.scenario.wording import Refused, one_of, quoted

AxisValue = str | int
"""A member of Architecture or Accelerator, a text, or a count or number of bytes."""

Shape = Mapping[str, Any]
"""A JSON Schema with its ``type``."""

MAX_SMP = 4096
"""The most vCPUs that any QEMU machine takes (q35 since QEMU 9.0)."""
MAX_REPEAT = 10_000

_MIB = 1 << 20
_MAX_MEMORY = 16 << 40
_MAX_TEXT = 200
_MAX_NAME = 64
_MAX_PROSE = 4000
_MIN_DURATION = 0.1
_MAX_DURATION = 30 * 86400.0

TEXT_SHAPE: Shape = {
    "type": ["string", "number"],
    "pattern": r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$",
    "maxLength": _MAX_TEXT,
}
PROSE_SHAPE: Shape = {"type": ["string", "number"], "maxLength": _MAX_PROSE}
NAME_SHAPE: Shape = {
    "type": ["string", "number"],
    "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$",
    "maxLength": _MAX_NAME,
}
QEMU_SHAPE: Shape = {
    "type": ["string", "number"],
    "pattern": "^[A-Za-z0-9][A-Za-z0-9._+-]*$",
    "maxLength": _MAX_NAME,
}
ARCH_SHAPE: Shape = {
    "type": "string",
    "enum": [*(arch.value for arch in Architecture), *ARCHITECTURE_ALIASES],
}
ACCEL_SHAPE: Shape = {"type": "string", "enum": [accel.value for accel in Accelerator]}
SMP_SHAPE: Shape = {"type": "integer", "minimum": 1, "maximum": MAX_SMP}
MEMORY_SHAPE: Shape = {"type": "string", "pattern": SIZE_PATTERN}
DURATION_SHAPE: Shape = {"type": "string", "pattern": DURATION_PATTERN}
REPEAT_SHAPE: Shape = {"type": "integer", "minimum": 1, "maximum": MAX_REPEAT}


def parse_text(text: str) -> str:
    """A free text on one line, as a machine or a CPU model is.

    Raises:
        Refused: empty, too long, with characters that do not print, or spaces around it.
    """
    if not text:
        raise Refused("is empty", "a text is wanted")
    if len(text) > _MAX_TEXT:
        raise Refused(f"{quoted(text)} has {len(text)} characters", f"at most {_MAX_TEXT}")
    if not text.isprintable():
        raise Refused(f"{quoted(text)} has characters that do not print", "one line of plain text")
    if text != text.strip():
        wanted = f"write {quoted(text.strip())}"
        raise Refused(f"{quoted(text)} begins or ends with a space", wanted)
    return text


def parse_axis_text(text: str) -> str:
    """As :func:`parse_text`, but no variables: case ids must not depend on the host."""
    if "${" in text:
        raise Refused(
            f"{quoted(text)}: variables are not filled in here",
            "they are only in 'build' of 'suite'",
        )
    return parse_text(text)


def parse_prose(text: str) -> str:
    """A description, of any number of lines.

    Raises:
        Refused: too long, or with characters that do not print.
    """
    if len(text) > _MAX_PROSE:
        raise Refused(f"has {len(text)} characters", f"at most {_MAX_PROSE}")
    if not text.replace("\n", "").replace("\t", "").isprintable():
        raise Refused(f"{quoted(text)} has characters that do not print", "plain text is wanted")
    return text


def parse_name(text: str) -> str:
    """A scenario's name, which is part of file names and case ids.

    Raises:
        Refused: other characters, or too many.
    """
    return _name(text, NAME_SHAPE, "'.', '_' and '-'")


def parse_qemu(text: str) -> str:
    """Name of a QEMU installation, as one may be called by ``--qemu NAME=DIR``.

    Raises:
        Refused: other characters, or too many.
    """
    return _name(text, QEMU_SHAPE, "'.', '_', '+' and '-'")


def _name(text: str, shape: Shape, punctuation: str) -> str:
    if not re.fullmatch(shape["pattern"], text):
        allowed = f"letters, digits, {punctuation}, beginning with a letter or digit"
        raise Refused(f"{quoted(text)} is no name", allowed)
    if len(text) > shape["maxLength"]:
        message = f"{quoted(text)} has {len(text)} characters"
        raise Refused(message, f"at most {shape['maxLength']}")
    return text


def parse_arch(text: str) -> Architecture:
    """An architecture by QEMU's name for it or one of the aliases.

    Raises:
        Refused: there is no such architecture.
    """
    try:
        return ARCHITECTURE_ALIASES.get(text) or Architecture(text)
    except ValueError:
        names = [arch.value for arch in Architecture]
        raise Refused(
            f"{quoted(text)} is not an architecture",
            one_of(text, names, also=ARCHITECTURE_ALIASES),
        ) from None


def parse_accel(text: str) -> Accelerator:
    """An accelerator.

    Raises:
        Refused: there is no such accelerator.
    """
    try:
        return Accelerator(text)
    except ValueError:
        names = [accel.value for accel in Accelerator]
        raise Refused(f"{quoted(text)} is not an accelerator", one_of(text, names)) from None


def _integer_parser(what: str, high: int) -> Callable[[str], int]:
    """A parser of integers from 1 to ``high`` written in decimal; ``what`` names them."""

    def parse(text: str) -> int:
        if not re.fullmatch(f"[1-9][0-9]{{0,{len(str(high)) - 1}}}", text) or int(text) > high:
            raise Refused(f"{quoted(text)} is not {what}", f"allowed: 1 to {high}")
        return int(text)

    return parse


parse_smp = _integer_parser("a number of vCPUs", MAX_SMP)
parse_repeat = _integer_parser("a number of repeats", MAX_REPEAT)


def parse_memory(text: str) -> int:
    """Bytes of guest memory, a whole number of MiB as QEMU's ``-m`` takes.

    Raises:
        Refused: no size, or not one that a guest can have.
    """
    size = parse_size(text)
    if not _MIB <= size <= _MAX_MEMORY:
        allowed = f"allowed: {format_size(_MIB)} to {format_size(_MAX_MEMORY)}"
        raise Refused(f"{quoted(text)} is no memory size for a guest", allowed)
    if size % _MIB:
        raise Refused(f"{quoted(text)} is not a whole number of MiB", "as in 256MiB or 1.5GiB")
    return size


def parse_limit(text: str) -> float:
    """Seconds that a case may take in all, or be silent.

    Raises:
        Refused: no duration, or out of bounds.
    """
    return check_limit(parse_duration(text), text)


def check_limit(seconds: float, text: str) -> float:
    """``seconds``, if a case can be given so long; ``text`` is how the user wrote it.

    Raises:
        Refused: too short or too long.
    """
    if not _MIN_DURATION <= seconds <= _MAX_DURATION:
        allowed = f"{format_duration(_MIN_DURATION)} to {format_duration(_MAX_DURATION)}"
        raise Refused(f"{quoted(text)} is out of range", f"allowed: {allowed}")
    return seconds
