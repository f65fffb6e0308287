"""What orchestrator and worker say to each other."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.attempt import Attempt
from matrix.hosts.interface import Console, Ended
from matrix.hosts.lines import Line, WireError
from matrix.hosts.workers.wire import Kind, decode, encode
from matrix.verdicts import Verdict

TEXTS = st.text(st.characters(max_codepoint=255))
BODIES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.CONSOLE: st.builds(Console, TEXTS),
    Kind.ENDED: st.builds(
        Ended, st.none() | st.builds(Attempt, st.integers(1), st.sampled_from(Verdict), TEXTS)
    ),
    Kind.LOST: st.text(st.characters(exclude_categories=["Cs"])),
    Kind.FAILED: st.text(st.characters(exclude_categories=["Cs"])),
    Kind.BEAT: st.none(),
    Kind.CANCEL: st.none(),
}


@given(st.data(), st.sampled_from(list(BODIES)), st.integers(0, 2**40))
def test_what_is_said_is_heard(data: st.DataObject, kind: Kind, number: int) -> None:
    body = data.draw(BODIES[kind])
    line = encode(kind, number, body)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == Line(kind, number, body)


@given(st.binary(max_size=200))
def test_nothing_but_a_wire_error_is_raised(line: bytes) -> None:
    with contextlib.suppress(WireError):  # and nothing else
        decode(line)


@pytest.mark.parametrize(
    "line",
    [b"", b"beat", b"beat 0", b"sing 0 null", b"beat x null", b"ended 1 {}", b'console 1 "text"'],
)
def test_what_is_no_line(line: bytes) -> None:
    with pytest.raises(WireError, match="not a line of this protocol"):
        decode(line)
