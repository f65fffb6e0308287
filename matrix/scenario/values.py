"""Single values of a scenario: how each is read from its text, and between which bounds it lies.

Beside each parser stands the JSON Schema of what it takes (its shape), so that the two stay
together; bounds that a schema cannot express (of sizes and durations) are the parser's alone.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from matrix.migrating import Fault, Strategy, Transport
from matrix.model import (
    AMBIGUOUS_ARCHITECTURES,
    ARCHITECTURE_ALIASES,
    Accelerator,
    Architecture,
    Endian,
    HostDevice,
    HostIommu,
    KvmMode,
    MemoryBackend,
)
from matrix.scenario.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)
from matrix.scenario.wording import Refused, one_of, quoted
from matrix.verdicts import SkipCause

AxisValue = str | int
"""A member of an enumeration, a text, or a count or number of bytes."""

Shape = Mapping[str, Any]
"""A JSON Schema with its ``type``."""

MAX_SMP = 4096
"""The most vCPUs that any QEMU machine takes (q35 since QEMU 9.0)."""
MAX_REPEAT = 10_000
MAX_RETRIES = 100
MAX_REQUIRED = 1_000_000
MAX_HOPS = 1_000_000_000
MAX_HOSTS = 1000

_MIB = 1 << 20
_MAX_MEMORY = 16 << 40
_MAX_TEXT = 200
_MAX_NAME = 64
_MAX_PROSE = 4000
_MIN_DURATION = 0.1
_DAY = 86400.0
_MAX_DURATION = 30 * _DAY

MODULE_PARAMETER_NAME = r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"
MODULE_PARAMETER_VALUE = r"[^\x00-\x20\x7f\"]+"
_MODULE_PARAMETER = f"{MODULE_PARAMETER_NAME}={MODULE_PARAMETER_VALUE}"

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


def names_shape(names: Iterable[str]) -> Shape:
    """The shape of one of these names."""
    return {"type": "string", "enum": [str(name) for name in names]}


ARCH_SHAPE = names_shape([*Architecture, *ARCHITECTURE_ALIASES])
ACCEL_SHAPE = names_shape(Accelerator)
SMP_SHAPE: Shape = {"type": "integer", "minimum": 1, "maximum": MAX_SMP}
MEMORY_SHAPE: Shape = {"type": "string", "pattern": SIZE_PATTERN}
DURATION_SHAPE: Shape = {"type": "string", "pattern": DURATION_PATTERN}
REPEAT_SHAPE: Shape = {"type": "integer", "minimum": 1, "maximum": MAX_REPEAT}
RETRIES_SHAPE: Shape = {"type": "integer", "minimum": 0, "maximum": MAX_RETRIES}
HOSTS_SHAPE: Shape = {"type": "integer", "minimum": 2, "maximum": MAX_HOSTS}
HOPS_SHAPE: Shape = {"type": "integer", "minimum": 1, "maximum": MAX_HOPS}
BOOLEAN_SHAPE: Shape = {"type": "boolean"}
REQUIRE_SHAPE: Shape = {
    "type": ["integer", "string"],
    "minimum": 1,
    "maximum": MAX_REQUIRED,
    "pattern": "^([1-9][0-9]?|100)%$",
}
SKIP_PATTERN_SHAPE: Shape = {
    "type": ["string", "boolean"],
    "not": {"const": False},
    "minLength": 1,
    "maxLength": _MAX_TEXT,
}
PER_MINUTE_SHAPE: Shape = {"type": ["number"], "exclusiveMinimum": 0, "maximum": 60_000}
BACKEND_SHAPE = names_shape(MemoryBackend)
ENDIAN_SHAPE = names_shape(Endian)
MODE_SHAPE = names_shape(KvmMode)
DEVICE_SHAPE = names_shape(HostDevice)
IOMMU_SHAPE = names_shape(HostIommu)
MODULE_PARAMETERS_SHAPE: Shape = {
    "type": "string",
    "pattern": f"^{_MODULE_PARAMETER}( +{_MODULE_PARAMETER})*$",
    "maxLength": _MAX_TEXT,
}
STRATEGY_SHAPE = names_shape(Strategy)
TRANSPORT_SHAPE = names_shape(Transport)
FAULT_SHAPE = names_shape(Fault)

_Name = TypeVar("_Name", bound=str)


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


def parse_module_parameters(text: str) -> str:
    """Parameters of kernel modules: ``module.parameter=value``, separated by spaces.

    Returns them sorted, so that the same ones are the same value.

    Raises:
        Refused: it says something else, or one parameter twice.
    """
    words = sorted(parse_axis_text(text).split())
    for word in words:
        if not re.fullmatch(_MODULE_PARAMETER, word):
            raise Refused(
                f"{quoted(word)} is not a module parameter",
                "MODULE.PARAMETER=VALUE, as in kvm.nx_huge_pages=off",
            )
    names = [word.partition("=")[0].replace("-", "_") for word in words]
    for name in names:
        if names.count(name) > 1:
            raise Refused(f"{quoted(name)} is given twice", "every parameter once")
    return " ".join(words)


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


parse_kernel = parse_qemu
"""Name of a kernel, as the user of a scenario may give one."""
parse_host = parse_qemu
"""Name or tag of a host."""


def _name(text: str, shape: Shape, punctuation: str) -> str:
    if not re.fullmatch(shape["pattern"], text):
        allowed = f"letters, digits, {punctuation}, beginning with a letter or digit"
        raise Refused(f"{quoted(text)} is not a name", allowed)
    if len(text) > shape["maxLength"]:
        message = f"{quoted(text)} has {len(text)} characters"
        raise Refused(message, f"at most {shape['maxLength']}")
    return text


def parse_arch(text: str) -> Architecture:
    """An architecture by QEMU's name for it or one of the aliases.

    Raises:
        Refused: there is no such architecture, or several.
    """
    if several := AMBIGUOUS_ARCHITECTURES.get(text):
        names = [arch.value for arch in several]
        raise Refused(f"{quoted(text)} may be {' or '.join(names)}", "write the one that is meant")
    try:
        return ARCHITECTURE_ALIASES.get(text) or Architecture(text)
    except ValueError:
        names = [arch.value for arch in Architecture]
        raise Refused(
            f"{quoted(text)} is not an architecture",
            one_of(text, names, also=ARCHITECTURE_ALIASES),
        ) from None


def names_parser(names: Iterable[_Name], refusal: str) -> Callable[[str], _Name]:
    """A parser of one of ``names``, perhaps members of an enumeration; another one ``refusal``."""
    known = {str(name): name for name in names}

    def parse(text: str) -> _Name:
        if text not in known:
            raise Refused(f"{quoted(text)} {refusal}", one_of(text, known))
        return known[text]

    return parse


parse_accel = names_parser(Accelerator, "is not an accelerator")
parse_backend = names_parser(MemoryBackend, "is not a memory backend")
parse_endian = names_parser(Endian, "is no byte order")
parse_strategy = names_parser(Strategy, "is not a migration strategy")
parse_device = names_parser(HostDevice, "is not a device of virtual hosts")
parse_iommu = names_parser(HostIommu, "is not an IOMMU of virtual hosts")
parse_mode = names_parser(KvmMode, "is not a mode of KVM on aarch64")
parse_fault = names_parser(Fault, "is not a fault")
_parse_transport = names_parser(Transport, "is not a migration transport")


def parse_transport(text: str) -> Transport:
    """A transport of migrations.

    Raises:
        Refused: there is no such transport.
    """
    if text == "file":
        raise Refused(
            "'file' is not a migration transport",
            "a migration through a file is a strategy: file, mapped-ram, background-snapshot; "
            "postcopy and multifd need a destination that answers",
        )
    return _parse_transport(text)


def integer_parser(what: str, high: int, low: int = 1) -> Callable[[str], int]:
    """A parser of integers from ``low`` to ``high`` written in decimal; ``what`` names them."""

    def parse(text: str) -> int:
        pattern = f"0|[1-9][0-9]{{0,{len(str(high)) - 1}}}"
        if not re.fullmatch(pattern, text) or not low <= int(text) <= high:
            raise Refused(f"{quoted(text)} is not {what}", f"allowed: {low} to {high}")
        return int(text)

    return parse


parse_smp = integer_parser("a number of vCPUs", MAX_SMP)
parse_repeat = integer_parser("a number of repeats", MAX_REPEAT)
parse_retries = integer_parser("a number of retries", MAX_RETRIES, 0)
parse_hops = integer_parser("a number of hops", MAX_HOPS)
parse_hosts = integer_parser("a number of hosts", MAX_HOSTS, 2)


def parse_require(text: str) -> str:
    """How many cases have to run: a number, or a share of them in per cent.

    Raises:
        Refused: neither.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,6})(%?)", text)
    if not match or int(match[1]) > (100 if match[2] else MAX_REQUIRED):
        raise Refused(f"{quoted(text)} is not a number of cases", "as in 20, or 80% of them")
    return text


def parse_skip_pattern(text: str) -> str:
    """A pattern (:mod:`fnmatch`) of causes of skips or of ids; ``true`` is every skip.

    Raises:
        Refused: it can match nothing.
    """
    if text == "true":
        return "*"
    causes = [cause.value for cause in SkipCause if not cause.intended]
    if "." not in text and not any(fnmatchcase(cause, text) for cause in causes):
        allowed = f"{one_of(text, causes)}; or a pattern of ids, with a '.' in it"
        raise Refused(f"{quoted(text)} is not a skip cause that counts", allowed)
    return parse_text(text)


def parse_boolean(text: str) -> bool:
    """``true`` or ``false``.

    Raises:
        Refused: anything else.
    """
    if text not in ("true", "false"):
        raise Refused(f"{quoted(text)} is not a boolean", "allowed: true, false")
    return text == "true"


def parse_memory(text: str) -> int:
    """Bytes of guest memory, a whole number of MiB as QEMU's ``-m`` takes.

    Raises:
        Refused: no size, or not one that a guest can have.
    """
    size = parse_size(text)
    if not _MIB <= size <= _MAX_MEMORY:
        allowed = f"allowed: {format_size(_MIB)} to {format_size(_MAX_MEMORY)}"
        raise Refused(f"{quoted(text)} is not a memory size for a guest", allowed)
    if size % _MIB:
        raise Refused(f"{quoted(text)} is not a whole number of MiB", "as in 256MiB or 1.5GiB")
    return size


def parse_limit(text: str) -> float:
    """Seconds that a case may take in all, or be silent.

    Raises:
        Refused: no duration, or out of bounds.
    """
    return check_limit(parse_duration(text), text)


def parse_bound(text: str) -> float:
    """Seconds that something may take; none is allowed too.

    Raises:
        Refused: no duration, or longer than a day.
    """
    seconds = parse_duration(text)
    if seconds > _DAY:
        raise Refused(f"{quoted(text)} is out of range", f"at most {format_duration(_DAY)}")
    return seconds


def parse_per_minute(text: str) -> float:
    """A number of things per minute.

    Raises:
        Refused: no number, or out of bounds.
    """
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,6})?", text) or not 0 < float(text) <= 60_000:
        raise Refused(f"{quoted(text)} is not a number per minute", "as in 20, above 0")
    return float(text)


def check_limit(seconds: float, text: str) -> float:
    """``seconds``, if a case can be given so long; ``text`` is how the user wrote it.

    Raises:
        Refused: too short or too long.
    """
    if not _MIN_DURATION <= seconds <= _MAX_DURATION:
        allowed = f"{format_duration(_MIN_DURATION)} to {format_duration(_MAX_DURATION)}"
        raise Refused(f"{quoted(text)} is out of range", f"allowed: {allowed}")
    return seconds
