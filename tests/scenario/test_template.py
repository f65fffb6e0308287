"""${VARIABLE} and {arch} in paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.scenario.template import fill, refusals

VARIABLES = {"HOME": "/home/u", "A": "{b}", "ARCH": "{arch}"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("${HOME}/x", "/home/u/x"),
        ("${HOME}/{arch}/${HOME}", "/home/u/{arch}//home/u"),
        ("$HOME/$$/}", "$HOME/$$/}"),
        ("${A}", "{b}"),
        ("/b/${ARCH}", "/b/{arch}"),
    ],
)
def test_filling(text: str, filled: str) -> None:
    assert not list(refusals(text, VARIABLES))
    assert fill(text, VARIABLES) == filled


@given(st.text(alphabet="${}ahH AOME_archb/"))
def test_what_is_not_refused_can_be_filled(text: str) -> None:
    if not list(refusals(text, VARIABLES)):
        assert "${" not in fill(text, VARIABLES)
