"""QEMU's migration parameters: how each is written in a scenario, and in which unit QEMU takes it.

Names, units and ranges are those of ``MigrationParameters`` in QEMU's qapi/migration.json (7.2 to
11.1). Not among them: what the strategy, the transport or the hop itself sets (``mode``,
``tls-…``), and what belongs to storage or COLO.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from matrix.migrating import Strategy
from matrix.scenario.units import (
    DURATION_PATTERN,
    RATE_PATTERN,
    SIZE_PATTERN,
    parse_duration,
    parse_rate,
    parse_size,
)
from matrix.scenario.values import (
    BOOLEAN_SHAPE,
    Shape,
    names_parser,
    names_shape,
    parse_boolean,
)
from matrix.scenario.wording import Refused, quoted

ParameterValue = int | bool | str

_EVERY = frozenset(Strategy)
_COMPRESSED = frozenset({Strategy.MULTIFD})
_MULTIFD = _COMPRESSED | {Strategy.MAPPED_RAM}
"""A mapped-ram file may be written by several threads too, which is asked for by this."""
_POSTCOPY = frozenset({Strategy.POSTCOPY, Strategy.POSTCOPY_PREEMPT})
_MAX_DOWNTIME = 2_000_000
"""Milliseconds (MAX_MIGRATE_DOWNTIME)."""
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: ``parse`` reads it from its text and gives QEMU's value (raises Refused)."""

    name: str
    description: str
    shape: Shape
    parse: Callable[[str], ParameterValue]
    strategies: frozenset[Strategy] = field(default=_EVERY)
    """Those to which it means something."""


def _milliseconds(high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        milliseconds = parse_duration(text) * 1000
        if abs(milliseconds - round(milliseconds)) > 1e-6:
            raise Refused(f"{quoted(text)} is not a whole number of ms", "as in 300ms")
        if milliseconds > high:
            raise Refused(f"{quoted(text)} is out of range", f"at most {high}ms")
        return round(milliseconds)

    return parse


def _count(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch("0|[1-9][0-9]{0,9}", text) or not low <= int(text) <= high:
            raise Refused(f"{quoted(text)} is out of range", f"allowed: {low} to {high}")
        return int(text)

    return parse


def _mebibytes(text: str) -> int:
    """QEMU takes whole MB/s and means MiB (softmmu/dirtylimit.c shifts by 20)."""
    rate = parse_rate(text)
    if not rate or rate % _MIB:
        raise Refused(f"{quoted(text)} is not a whole number of MiB/s", "as in 64MiB/s")
    return rate // _MIB


def _cache_size(text: str) -> int:
    size = parse_size(text)
    if size < 64 << 10 or size & (size - 1):
        raise Refused(f"{quoted(text)} is not a power of two", "as in 64MiB, at least 64KiB")
    return size


def _time(
    name: str, description: str, high: int, strategies: frozenset[Strategy] = _EVERY
) -> Parameter:
    shape = {"type": "string", "pattern": DURATION_PATTERN}
    return Parameter(name, description, shape, _milliseconds(high), strategies)


def _rate(name: str, description: str, strategies: frozenset[Strategy] = _EVERY) -> Parameter:
    shape = {"type": "string", "pattern": RATE_PATTERN}
    return Parameter(name, description, shape, parse_rate, strategies)


def _number(
    name: str, description: str, low: int, high: int, strategies: frozenset[Strategy] = _EVERY
) -> Parameter:
    shape = {"type": "integer", "minimum": low, "maximum": high}
    return Parameter(name, description, shape, _count(low, high), strategies)


def _switch(name: str, description: str, strategies: frozenset[Strategy]) -> Parameter:
    return Parameter(name, description, BOOLEAN_SHAPE, parse_boolean, strategies)


def _one_of(
    name: str, description: str, names: tuple[str, ...], strategies: frozenset[Strategy] = _EVERY
) -> Parameter:
    return Parameter(
        name, description, names_shape(names), names_parser(names, "is not known"), strategies
    )


_AUTO_CONVERGE = frozenset({Strategy.AUTO_CONVERGE})
_DIRTY_LIMIT = frozenset({Strategy.DIRTY_LIMIT})
_INTO_FILE = frozenset({Strategy.MAPPED_RAM})

PARAMETERS: Mapping[str, Parameter] = {
    parameter.name: parameter
    for parameter in (
        _rate(
            "max-bandwidth",
            "Most that precopy may send; QEMU's default is 128MiB/s. Multifd exceeds it by some"
            " 5MiB/s per channel (seen with 10.0 and 11.1).",
        ),
        _rate("avail-switchover-bandwidth", "What QEMU is to reckon with at the switchover."),
        _rate("max-postcopy-bandwidth", "Most that postcopy may send in bulk.", _POSTCOPY),
        _time("downtime-limit", "Downtime that QEMU aims at.", _MAX_DOWNTIME),
        _number(
            "multifd-channels",
            "Connections of multifd, or threads of mapped-ram.",
            1,
            255,
            _MULTIFD,
        ),
        _one_of(
            "multifd-compression",
            "How multifd compresses.",
            ("none", "zlib", "zstd", "qatzip", "qpl", "uadk"),
            _COMPRESSED,
        ),
        _number("multifd-zlib-level", "1 is fastest, 9 is smallest.", 0, 9, _COMPRESSED),
        _number("multifd-zstd-level", "1 is fastest, 20 is smallest.", 0, 20, _COMPRESSED),
        _one_of(
            "zero-page-detection",
            "Which threads find pages that are all zero.",
            ("none", "legacy", "multifd"),
        ),
        Parameter(
            "xbzrle-cache-size",
            "Cache of pages that were sent.",
            {"type": "string", "pattern": SIZE_PATTERN},
            _cache_size,
            frozenset({Strategy.XBZRLE}),
        ),
        _number("throttle-trigger-threshold", "Percent.", 1, 100, _AUTO_CONVERGE),
        _number("cpu-throttle-initial", "Percent taken at first.", 1, 99, _AUTO_CONVERGE),
        _number("cpu-throttle-increment", "Percent taken in addition.", 1, 99, _AUTO_CONVERGE),
        _number("max-cpu-throttle", "Most percent taken.", 1, 99, _AUTO_CONVERGE),
        _switch("cpu-throttle-tailslow", "Throttle gently at the end.", _AUTO_CONVERGE),
        Parameter(
            "vcpu-dirty-limit",
            "Rate at which each vCPU may dirty memory, whole MiB/s.",
            {"type": "string", "pattern": RATE_PATTERN},
            _mebibytes,
            _DIRTY_LIMIT,
        ),
        _time("x-vcpu-dirty-limit-period", "How often it is measured.", 1000, _DIRTY_LIMIT),
        _switch("direct-io", "Write past the page cache.", _INTO_FILE),
        _time("announce-initial", "Until the first announcement.", 100_000),
        _time("announce-max", "Longest between announcements.", 100_000),
        _number("announce-rounds", "Announcements.", 0, 1000),
        _time("announce-step", "Longer after each announcement.", 10_000),
    )
}
