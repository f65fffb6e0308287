"""Lines of a console, as they are waited for."""

import re

import pytest

from matrix.pytest_plugin import transcript
from matrix.pytest_plugin.transcript import Lines
from matrix.verdicts import SubtestVerdict


def fed(*pieces: bytes) -> Lines:
    lines = Lines()
    for piece in pieces:
        lines.feed(piece)
    return lines


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_how_it_is_cut_into_pieces_makes_no_difference(size: int) -> None:
    data = b"one\r\ntwo \xc3\xa9\n\nthree"
    lines = fed(*(data[start : start + size] for start in range(0, len(data), size)))
    assert list(lines.lines) == ["one", "two é", ""]
    lines.finish()
    lines.finish()
    assert list(lines.lines) == ["one", "two é", "", "three"]


def test_a_line_is_found_once_it_is_whole() -> None:
    lines = fed(b"PASS: bo")
    assert lines.find("PASS") is None
    lines.feed(b"ot\n")
    assert lines.find("PASS") == "PASS: boot"


def test_what_was_found_is_not_found_again() -> None:
    lines = fed(b"beat 1\nother\nbeat 2\n")
    assert lines.find("beat") == "beat 1"
    assert lines.find(re.compile(r"be.t \d$")) == "beat 2"
    assert lines.find("beat") is None
    assert lines.find("other") is None
    lines.feed(b"beat 3\n")
    assert lines.find("beat") == "beat 3"


def test_what_is_not_found_passes_over_nothing() -> None:
    lines = fed(b"one\ntwo\n")
    assert lines.find("three") is None
    assert lines.find("one") == "one"


def test_only_the_latest_lines_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "LINES_KEPT", 3)
    lines = fed(b"a1\n")
    assert lines.find("a1") == "a1"
    lines.feed(b"a2\na3\na4\na5\n")
    assert lines.lines == ("a3", "a4", "a5")
    assert lines.find("a") == "a3"
    assert lines.find("a5") == "a5"
    lines.feed(b"a6\na7\na8\na9\n")
    assert lines.find("a") == "a7"


def test_escape_sequences_are_no_part_of_lines() -> None:
    assert fed(b"\x1b[31mred\x1b[0m\x07\n").lines == ("red\\x07",)


def test_the_protocol_is_read_too() -> None:
    lines = fed(b"PASS: a\nFAIL: b\nEXIT: STATUS=3\n")
    transcript = lines.finish()
    assert [subtest.verdict for subtest in transcript.subtests] == [
        SubtestVerdict.PASS,
        SubtestVerdict.FAIL,
    ]
    assert transcript.status == 3
    assert lines.last == "EXIT: STATUS=3"


def test_endless_lines_are_cut() -> None:
    lines = fed(*[b"x" * 1000] * 50, b"\nnext\n")
    assert len(lines.lines[0]) <= transcript.LINE_LIMIT + 1000
    assert lines.lines[1] == "next"
