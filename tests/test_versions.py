"""Version ranges: what is in them, how they are written, and what is refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.versions import (
    RANGE_PATTERN,
    Version,
    VersionRange,
    parse_range,
    series,
    version_of,
)

_number = st.one_of(st.integers(0, 12), st.integers(0, 999_999))
_written = st.lists(_number, min_size=1, max_size=4).map(tuple)
_versions = st.tuples(_number, _number, _number, _number)
_operators = st.sampled_from([">=", ">", "==", "<=", "<"])
_comparisons = st.lists(st.tuples(_operators, _written), min_size=1, max_size=8)


def text_of(comparisons: list[tuple[str, tuple[int, ...]]]) -> str:
    return ",".join(f"{operator}{'.'.join(map(str, v))}" for operator, v in comparisons)


def parsed(text: str) -> VersionRange | str:
    """The range, or why there is none."""
    try:
        return parse_range(text)
    except ValueError as error:
        return str(error)


def holds(operator: str, written: tuple[int, ...], version: Version) -> bool:
    """By definition: the version is compared as far as the bound is written."""
    seen = version[: len(written)]
    return {
        ">=": seen >= written,
        ">": seen > written,
        "==": seen == written,
        "<=": seen <= written,
        "<": seen < written,
    }[operator]


@given(_comparisons, _versions)
def test_a_version_is_in_a_range_when_every_comparison_holds(
    comparisons: list[tuple[str, tuple[int, ...]]], version: Version
) -> None:
    expected = all(holds(operator, written, version) for operator, written in comparisons)
    wanted = parsed(text_of(comparisons))
    if isinstance(wanted, str):
        assert wanted == "no version is in that range"
        assert not expected
        return
    assert (version in wanted) == expected
    assert wanted.low in wanted


@given(_comparisons)
def test_a_range_comes_back_from_its_text(comparisons: list[tuple[str, tuple[int, ...]]]) -> None:
    text = text_of(comparisons)
    assert re.fullmatch(RANGE_PATTERN, text)
    wanted = parsed(text)
    if isinstance(wanted, VersionRange):
        assert parse_range(str(wanted)) == wanted
        assert re.fullmatch(RANGE_PATTERN, str(wanted))


@given(st.one_of(st.text(max_size=30), st.text(">=<,. 0179x", max_size=30)))
def test_any_text_is_a_range_or_a_value_error(text: str) -> None:
    wanted = parsed(text)
    well_formed = isinstance(wanted, VersionRange) or wanted == "no version is in that range"
    assert well_formed == bool(re.fullmatch(RANGE_PATTERN, text))


@pytest.mark.parametrize(
    ("text", "within", "without"),
    [
        ("==7.2", ["7.2", "7.2.0", "7.2.22", "7.2.22 (Debian 1:7.2+dfsg-7)"], ["7.1.9", "7.3"]),
        ("==7.2.22", ["7.2.22"], ["7.2.21", "7.2.23"]),
        ("<=7.2", ["7.2.22", "6.9"], ["7.3"]),
        (">7.2", ["7.3", "8"], ["7.2.22"]),
        (" >=7.2 , <10.1 ", ["7.2", "10.0.9"], ["7.1", "10.1"]),
        ("<6.2", ["6.1.0-44-amd64", "0.0"], ["6.2.0-rc1"]),
        (">=6.12", ["6.12-rc1", "6.12.63+deb13"], ["6.2", "6.11.9"]),
        (">5.15.0.1", ["5.15.0.2"], ["5.15.0.1", "5.15"]),
    ],
)
def test_examples(text: str, within: list[str], without: list[str]) -> None:
    wanted = parse_range(text)
    for name in (*within, *without):
        version = version_of(name)
        assert version is not None
        assert (version in wanted) == (name in within), name


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (">=7.2,<7.3", "==7.2"),
        (">=7", ">=7.0"),
        ("<10.1.2", "<10.1.2"),
        (">=7.2,<=10", ">=7.2,<11.0"),
        (">7.2", ">=7.3"),
    ],
)
def test_they_are_written_in_one_way(text: str, written: str) -> None:
    assert str(parse_range(text)) == written


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no comparison"),
        ("7.2", "no comparison"),
        ("!=7.2", "no comparison"),
        ("==7.2.*", "no comparison"),
        (">=7.2,", "no comparison"),
        (">=07", "no comparison"),
        (">=1.2.3.4.5", "no comparison"),
        (">=7.2\n", "no comparison"),
        (">=10,<7.2", "no version"),
        ("<0", "no version"),
        (",".join([">=1"] * 9), "more than 8"),
    ],
)
def test_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_range(text)


def test_a_series_is_all_stable_releases() -> None:
    assert str(series((7, 2, 22, 0))) == "==7.2"
    assert series((10, 0, 3, 0)) == VersionRange((10, 0, 0, 0), (10, 1, 0, 0))


@pytest.mark.parametrize("text", ["", "v7", "unknown", " 7.2"])
def test_no_version(text: str) -> None:
    assert version_of(text) is None


def test_numbers_after_the_fourth_are_left_out() -> None:
    assert version_of("1.2.3.4.5") == (1, 2, 3, 4)
