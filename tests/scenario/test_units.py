"""Sizes, rates and durations."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.errors import UsageError
from matrix.scenario.units import (
    format_duration,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)
from matrix.scenario.wording import Refused


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1KiB", 1024),
        ("256MiB", 256 << 20),
        ("1.5GiB", 1536 << 20),
        ("0.5KiB", 512),
        ("2TiB", 2 << 40),
        ("007MiB", 7 << 20),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300ms", 0.3), ("90s", 90), ("5min", 300), ("8h", 28800), ("1.5h", 5400), ("2d", 172800)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_rates() -> None:
    assert parse_rate("64MiB/s") == 64 << 20
    with pytest.raises(Refused, match=r"did you mean 64MiB/s\?"):
        parse_rate("64M/s")


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "MiB", "1MiB ", " 1MiB", "1MiB\n", "-1MiB", "+1MiB", "1e3MiB", "1.MiB", ".5MiB"),
        *("1MB", "1M", "1 MiB", "1mib", "١MiB", "0.3KiB", "9" * 5000 + "KiB", "1MiB/s"),
    ],
)
def test_no_sizes(text: str) -> None:
    with pytest.raises(Refused):
        parse_size(text)


@pytest.mark.parametrize(
    "text", ["", "1", "s", "1m", "1:30", "1s\n", "1min 3s", "inf", "nans", "1e9s"]
)
def test_no_durations(text: str) -> None:
    with pytest.raises(Refused):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("1M", "1MiB"), ("1mb", "1MiB"), ("1 g", "1GiB"), ("1mib", "1MiB"), ("2Tb", "2TiB")],
)
def test_the_size_that_was_meant(text: str, meant: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_size(text)
    assert caught.value.allowed == f"did you mean {meant}?"


def test_a_refusal_is_fit_for_an_option() -> None:
    with pytest.raises(UsageError, match=r"^'90' has no unit; write a number with ms, s, min"):
        parse_duration("90")


def test_sizes_are_shown_whole() -> None:
    assert format_size(1536 << 20) == "1536MiB"
    assert format_size(1 << 40) == "1TiB"
    assert format_size(1000) == "1000B"
    assert format_size(0) == "0B"


def test_durations_are_shown_whole() -> None:
    assert format_duration(90) == "90s"
    assert format_duration(120) == "2min"
    assert format_duration(0.3) == "300ms"
    assert format_duration(0) == "0s"
    assert format_duration(30 * 86400) == "30d"


@given(st.integers(min_value=1, max_value=10**12 - 1))
def test_sizes_come_back(kibibytes: int) -> None:
    assert parse_size(format_size(kibibytes << 10)) == kibibytes << 10


@given(st.integers(min_value=1, max_value=10**11))
def test_durations_come_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_size, parse_rate, parse_duration):
        with contextlib.suppress(Refused):  # what it may raise, and nothing else
            assert parse(text) >= 0
