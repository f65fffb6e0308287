"""Sizes, rates and durations as they are written with their units: ``256MiB``, ``300ms``, ``8h``.

A number without a unit is refused, as is a unit that means different things to different people
(``M``, ``MB``, ``m``). The exponents are those of IEC 80000-13 (KiB is 1024 bytes).
"""

import re
from decimal import Decimal

from matrix.scenario.wording import Refused, quoted

SIZE_UNITS: dict[str, int] = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
DURATION_UNITS: dict[str, Decimal] = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}

_MAX_DIGITS = 12
_NUMBER = rf"[0-9]{{1,{_MAX_DIGITS}}}(?:\.[0-9]{{1,9}})?"
SIZE_PATTERN = f"^{_NUMBER}(?:{'|'.join(SIZE_UNITS)})$"
RATE_PATTERN = f"^{_NUMBER}(?:{'|'.join(SIZE_UNITS)})/s$"
DURATION_PATTERN = f"^{_NUMBER}(?:{'|'.join(DURATION_UNITS)})$"

_WRITTEN = re.compile(r"\s*(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[^0-9\s][^0-9]{0,11})?\s*")
_SIZE_HINTS = {"k": "KiB", "m": "MiB", "g": "GiB", "t": "TiB"}
_DURATION_HINTS = {
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("msec", "msecs", "millisecond", "milliseconds"), "ms"),
}
_SIZE_ALLOWED = "write a number with KiB, MiB, GiB or TiB, as in 256MiB"
_RATE_ALLOWED = "write a number with KiB/s, MiB/s, GiB/s or TiB/s, as in 64MiB/s"
_DURATION_ALLOWED = "write a number with ms, s, min, h or d, as in 90s or 1.5h"


def parse_size(text: str) -> int:
    """Bytes from ``256MiB`` or ``1.5GiB``.

    Raises:
        Refused: no number, no unit, an unknown unit, or not a whole number of bytes.
    """
    if not re.fullmatch(SIZE_PATTERN, text):
        raise _no_quantity("size", text, _size_unit_meant(text), _SIZE_ALLOWED)
    return _bytes(text)


def parse_rate(text: str) -> int:
    """Bytes per second from ``64MiB/s``.

    Raises:
        Refused: as :func:`parse_size`.
    """
    if not re.fullmatch(RATE_PATTERN, text):
        unit = _size_unit_meant(text.removesuffix("/s"))
        raise _no_quantity("rate", text, f"{unit}/s" if unit else "", _RATE_ALLOWED)
    return _bytes(text.removesuffix("/s"))


def parse_duration(text: str) -> float:
    """Seconds from ``300ms``, ``90s``, ``5min``, ``8h`` or ``2d``.

    Raises:
        Refused: no number, no unit, or an unknown unit.
    """
    if not re.fullmatch(DURATION_PATTERN, text):
        written = _WRITTEN.fullmatch(text)
        unit = (written["unit"] or "").strip() if written else ""
        known = unit.casefold()
        meant = _DURATION_HINTS.get(known, known if known in DURATION_UNITS else "")
        raise _no_quantity("duration", text, meant, _DURATION_ALLOWED)
    unit = text.lstrip("0123456789.")
    return float(Decimal(text.removesuffix(unit)) * DURATION_UNITS[unit])


def format_size(size: int) -> str:
    """``size`` bytes in the largest unit that gives a whole number: 1536MiB, never 1.5GiB.

    Sizes that are no multiple of a KiB have none and end in ``B``.
    """
    for unit, factor in reversed(SIZE_UNITS.items()):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def format_duration(seconds: float) -> str:
    """``seconds`` in the largest unit that gives a whole number, rounded to milliseconds."""
    milliseconds = round(seconds * 1000)
    for unit, factor in reversed(DURATION_UNITS.items()):
        in_unit, rest = divmod(milliseconds, int(factor * 1000))
        if in_unit and not rest:
            return f"{in_unit}{unit}"
    return "0s"


def _bytes(text: str) -> int:
    unit = text.lstrip("0123456789.")
    size = Decimal(text.removesuffix(unit)) * SIZE_UNITS[unit]
    if size != int(size):
        raise Refused(f"{quoted(text)} is not a whole number of bytes", "use a smaller unit")
    return int(size)


def _size_unit_meant(text: str) -> str:
    """``MiB`` for the ``M``, ``mb`` or ``mib`` that users type, empty where there is no telling."""
    written = _WRITTEN.fullmatch(text)
    letters = (written["unit"] or "").strip().casefold() if written else ""
    return _SIZE_HINTS.get(letters[:1], "") if letters[1:] in ("", "b", "ib") else ""


def _no_quantity(kind: str, text: str, unit_meant: str, allowed: str) -> Refused:
    written = _WRITTEN.fullmatch(text)
    if written is None:
        return Refused(f"{quoted(text)} is not a {kind}", allowed)
    number, unit = written["number"], (written["unit"] or "").strip()
    if not unit:
        return Refused(f"{quoted(text)} has no unit", allowed)
    if unit_meant and len(number) <= _MAX_DIGITS:
        return Refused(f"{quoted(text)} is not a {kind}", f"did you mean {number}{unit_meant}?")
    if unit_meant:
        return Refused(f"{quoted(text)} has too many digits", allowed)
    return Refused(f"{quoted(text)} is not a {kind}: unknown unit {quoted(unit)}", allowed)
