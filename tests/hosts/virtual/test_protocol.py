"""The protocol of a virtual host: what is sent, and what comes back in whatever pieces."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.hosts.virtual import protocol
from matrix.hosts.virtual.protocol import (
    Data,
    Decoder,
    Done,
    KernelRecord,
    Message,
    Output,
    ProgramEnded,
    ProtocolError,
    Ready,
    Refused,
)

CONVERSATION = (
    b"ready 1 0 6.12.1 aarch64\n"
    b"output 3 6\nab\n\0cd"
    b"kernel 33\n4,812,2653457,-;WARNING: a line\n\n"
    b"ended 3 exit 70 limit 1500000000 12\n"
    b"ended 4 signal 9 - 1 0\n"
    b"error 5 no process\n"
    b"done 28\n"
    b"data 3\nx\ny"
)
MESSAGES: list[Message] = [
    Ready(1, 0, "6.12.1", "aarch64"),
    Output(3, b"ab\n\0cd"),
    KernelRecord(812, 4, 2.653457, "WARNING: a line"),
    ProgramEnded(3, 70, None, True, 1.5, 12),
    ProgramEnded(4, None, 9, False, 1e-9, 0),
    Refused(5, "no process"),
    Done(28),
    Data(b"x\ny"),
]


@given(st.lists(st.integers(1, len(CONVERSATION)), max_size=12))
def test_messages_come_in_any_pieces(cuts: list[int]) -> None:
    decoder, at = Decoder(), 0
    found: list[Message] = []
    for cut in sorted({*cuts, len(CONVERSATION)}):
        found += decoder.feed(CONVERSATION[at:cut])
        at = cut
    assert found == MESSAGES


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\n",
        b"ready 1 x 6.12 aarch64\n",
        b"output 1 99999999999999999999\n",
        b"ended 1 vanished 0 - 1 0\n",
        b"kernel 3\nabc",
        b"x" * 5000,
    ],
)
def test_what_is_not_the_protocol_is_an_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(Decoder().feed(data))


@given(st.binary(max_size=300))
def test_any_bytes_are_messages_or_an_error(data: bytes) -> None:
    with suppress(ProtocolError):  # and nothing else
        list(Decoder().feed(data))


def test_requests_carry_any_words() -> None:
    words = ("/init", "two words", "", "line\nend")
    sent = protocol.run(7, words, seconds=0.2, output_bytes=10)
    assert sent == b"run 7 1 10 0 4\n5\n/init9\ntwo words0\n8\nline\nend"
    assert protocol.put_file("/a", b"\n\0", executable=True) == b"file /a 493 2\n\n\0"
    assert protocol.type_to(7, b"q") == b"input 7 1\nq"
