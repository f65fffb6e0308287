"""Measured values as people write them: three digits that matter, and the unit that fits."""

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SCALED = ("Hz", "B", "B/s", "bit/s")
"""Units that take a prefix, if a value is large."""

_LARGEST = 1e15
"""From here on an exponent is easier to read than digits."""


def human(value: float, unit: str) -> str:
    """``300 ms``, ``4.4 us``, ``62.5 MHz``, ``1,500 cycles``, ``0.25``."""
    if unit in _SECONDS:
        return _time(value * _SECONDS[unit])
    if unit in _SCALED:
        for factor, prefix in _PREFIXES:
            if abs(_rounded(value, 3)) >= factor:
                return f"{_digits(value / factor, 3)} {prefix}{unit}"
    return f"{_digits(value, 4)} {unit}".rstrip()


def _time(seconds: float) -> str:
    shown = abs(_rounded(seconds, 3))
    for unit in ("s", "ms", "us"):
        if shown >= _SECONDS[unit] or not shown:
            return f"{_digits(seconds / _SECONDS[unit], 3)} {unit}"
    return f"{_digits(seconds / _SECONDS['ns'], 3)} ns"


def _digits(value: float, digits: int) -> str:
    """``value`` rounded to so many digits, without an exponent as long as people can read it."""
    rounded = _rounded(value, digits)
    return f"{rounded:,.0f}" if 1000 <= abs(rounded) < _LARGEST else f"{value:.{digits}g}"


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")
