"""Ranges of versions as users write them: ``>=7.2,<10.1``, ``==7.2``.

A version is one to four numbers. A comparison says as much as it is written with: ``==7.2`` is
true of 7.2.22, ``<=7.2`` too, and ``>7.2`` begins with 7.3. Every comparison is thus an interval
that contains its lower end and not its upper one, and so is what several of them have in common.
Pure: no I/O.
"""

import re
from dataclasses import dataclass

Version = tuple[int, int, int, int]
"""Missing numbers are zeros."""

NUMBERS = 4
MAX_COMPARISONS = 8

_NUMBER = "(?:0|[1-9][0-9]{0,5})"
_VERSION = rf"{_NUMBER}(?:\.{_NUMBER}){{0,{NUMBERS - 1}}}"
_COMPARISON = rf" *(?:>=|<=|==|>|<) *{_VERSION} *"
RANGE_PATTERN = rf"^{_COMPARISON}(?:,{_COMPARISON}){{0,{MAX_COMPARISONS - 1}}}$"
"""Of the text that :func:`parse_range` takes, but for ranges that nothing is in."""

_SPLIT = re.compile(rf" *(?P<operator>>=|<=|==|>|<) *(?P<version>{_VERSION}) *")
_LEADING = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}")


@dataclass(frozen=True, slots=True)
class VersionRange:
    """The versions from ``low`` up to, and without, ``high``; None: without end."""

    low: Version
    high: Version | None = None

    def __contains__(self, version: Version) -> bool:
        return self.low <= version and (self.high is None or version < self.high)

    def __str__(self) -> str:
        """As :func:`parse_range` reads it."""
        for length in range(1, NUMBERS + 1):
            if self.high == _after(self.low[:length]) and not any(self.low[length:]):
                return f"=={_text(self.low, length)}"
        if self.high is None:
            return f">={_text(self.low)}"
        low = f">={_text(self.low)}," if any(self.low) else ""
        return f"{low}<{_text(self.high)}"


def parse_range(text: str) -> VersionRange:
    """The versions that all comparisons in ``text`` are true of; commas stand between them.

    Raises:
        ValueError: it is no range, or no version is in it; says which in one sentence.
    """
    parts = [_SPLIT.fullmatch(part) for part in text.split(",", MAX_COMPARISONS)]
    if len(parts) > MAX_COMPARISONS:
        raise ValueError(f"there are more than {MAX_COMPARISONS} comparisons")
    low, high = _padded(()), None
    for part in parts:
        if part is None:
            raise ValueError("that is no comparison with a version")
        one = _interval(part["operator"], _numbers(part["version"]))
        low = max(low, one.low)
        if one.high is not None:
            high = one.high if high is None else min(high, one.high)
    if high is not None and low >= high:
        raise ValueError("no version is in that range")
    return VersionRange(low, high)


def series(version: Version) -> VersionRange:
    """All versions that begin with the same two numbers: QEMU's stable releases, one kernel's."""
    return _interval("==", version[:2])


def version_of(text: str) -> Version | None:
    """The version that ``text`` begins with, as ``6.1.0-44-amd64`` does; None where there is none.

    Numbers after the fourth are left out.
    """
    match = _LEADING.match(text)
    return _padded(_numbers(match[0])) if match else None


def _interval(operator: str, numbers: tuple[int, ...]) -> VersionRange:
    low, after = _padded(numbers), _after(numbers)
    match operator:
        case ">=":
            return VersionRange(low)
        case ">":
            return VersionRange(after)
        case "<":
            return VersionRange(_padded(()), low)
        case "<=":
            return VersionRange(_padded(()), after)
        case _:
            return VersionRange(low, after)


def _after(numbers: tuple[int, ...]) -> Version:
    """The first version after all those that begin with ``numbers``."""
    return _padded((*numbers[:-1], numbers[-1] + 1))


def _padded(numbers: tuple[int, ...]) -> Version:
    first, second, third, fourth, *_ = (*numbers, 0, 0, 0, 0)
    return first, second, third, fourth


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split("."))


def _text(version: Version, length: int = 0) -> str:
    """At least two numbers, for ``7`` reads less like a version than ``7.0``; no zeros after."""
    wanted = length or max(2, *(index + 1 for index, number in enumerate(version) if number), 0)
    return ".".join(map(str, version[:wanted]))
