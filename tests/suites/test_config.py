import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.errors import SuiteError
from matrix.suites.config import parse_config


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X=arm64", "arm64"),
        ("X=", ""),
        ("X = y # comment", "y"),
        ("X := -O2 -g", "-O2 -g"),
        ("export X=y", "y"),
        ("X='a b # c'", "a b # c"),
        ('X="a \\"b\\" $(c)"', 'a "b" $(c)'),
        ("X='a' 'b'", "'a' 'b'"),
        ("X=$(HOME)/x", "$(HOME)/x"),
        ("X=`rm -rf /`", "`rm -rf /`"),
        ("X=a\\\nb", "ab"),
        ("X=1\nX=2", "2"),
        ("X=y\r", "y"),
        ("X=a#b", "a#b"),
    ],
)
def test_values(line: str, value: str) -> None:
    assert parse_config(line, "config.mak").get("X") == value


def test_what_is_not_set_is_empty_and_not_enabled() -> None:
    config = parse_config("A=y\nB=no\nC=YES\n", "config.mak")
    assert config.get("D") == ""
    assert [config.enabled(name) for name in "ABCD"] == [True, False, True, False]


def test_places() -> None:
    config = parse_config("# first\nA=\\\n1\nB=2\n", "config.mak")
    assert str(config.place("A")) == "config.mak:2"
    assert str(config.place("B")) == "config.mak:4"
    assert str(config.place("C")) == "config.mak"


def test_all_lines_that_are_none_are_reported() -> None:
    with pytest.raises(SuiteError) as caught:
        parse_config("A=1\nif true\nfi\n", "config.mak")
    assert str(caught.value) == (
        "config.mak:2: 'if true' is not an assignment; lines are NAME=value\n"
        "config.mak:3: 'fi' is not an assignment; lines are NAME=value"
    )


@given(st.text())
def test_any_text_gives_a_configuration_or_a_suite_error(text: str) -> None:
    with contextlib.suppress(SuiteError):  # what it may raise, and nothing else
        assert parse_config(text, "config.mak").file == "config.mak"
