"""The words for what has ended a process."""

import pytest

from matrix.attempt import is_signal, signal_name


@pytest.mark.parametrize(
    ("number", "name", "there"),
    [(9, "SIGKILL", True), (40, "signal 40", False), (0, "signal 0", False)],
)
def test_signals_are_named_where_they_have_a_name(number: int, name: str, *, there: bool) -> None:
    assert (signal_name(number), is_signal(number)) == (name, there)
