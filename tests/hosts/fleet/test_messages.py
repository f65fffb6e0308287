"""What an orchestrator and an agent say to each other."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.hosts.fleet.messages import Chunk, FleetKind, Join, Part, decode, encode
from matrix.hosts.lines import Line, WireError


@given(st.binary(max_size=200), st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_what_is_said_is_heard(data: bytes, text: str, flag: bool) -> None:
    bodies = {
        FleetKind.PART: Part(text, data, flag),
        FleetKind.CHUNK: Chunk(text, data, flag),
        FleetKind.JOIN: Join(text, text, text, 1.5),
        FleetKind.LAPSED: text,
        FleetKind.TAKEN: None,
    }
    for kind, body in bodies.items():
        line = encode(kind, 7, body)
        assert line.count(b"\n") == 1
        assert decode(line) == Line(kind, 7, body)


@given(st.binary(max_size=100))
def test_nothing_but_a_wire_error_is_raised(line: bytes) -> None:
    with contextlib.suppress(WireError):  # and nothing else
        decode(line)


@pytest.mark.parametrize(
    "line",
    [
        b'part 1 {"path": "x", "data": "no base64!", "first": true}',
        b'part 1 {"path": "x", "data": 5, "first": true}',
        b'part 1 {"path": "x", "first": true}',
        b'beat 0 "now"',
        b"taken 1 {}",
        b"welcome 0 null",
    ],
)
def test_what_is_no_line(line: bytes) -> None:
    with pytest.raises(WireError, match="not a line of this protocol"):
        decode(line)
