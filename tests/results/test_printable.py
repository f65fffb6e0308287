import json
import re
import unicodedata
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.results.printable import (
    CommandSpeller,
    decoded,
    display_width,
    printable,
    printable_block,
    shortened,
    shown_json,
    without_commands,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("Grüße, 世界", "Grüße, 世界"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hcleared", "cleared"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]0;title\x1b\\text", "text"),
        ("\x1bPdevice\x1b\\text", "text"),
        ("\x1b(Bcharset", "charset"),
        ("cut short \x1b[", "cut short \\x1b["),
        ("lone \x1b", "lone \\x1b"),
        ("bell\x07 back\x08", "bell\\x07 back\\x08"),
        ("\x9b31mC1", "\\x9b31mC1"),
        ("one\ttab", "one tab"),
        ("line\nbreak", "line\\nbreak"),
        ("end\r\n", "end"),
        ("right\u202eleft", "right\\u202eleft"),
        ("\ufeffmark\u200b", "\\ufeffmark\\u200b"),
        ("\u2028", "\\u2028"),
        (b"\xff\xfe".decode("utf-8", "surrogateescape"), "\\xff\\xfe"),
        ("\ud800", "\\ud800"),
        ("\x00", "\\x00"),
        ("\uffff\ufffe", "\\uffff\\ufffe"),
    ],
)
def test_controls_are_dropped_or_spelt(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(codec=None)))
def test_whatever_comes_is_printable_and_stays_so(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown


@given(st.binary())
def test_any_bytes_become_lines_that_xml_takes(data: bytes) -> None:
    text = decoded(data)
    assert all(line.isprintable() for line in text.split("\n"))
    element = ET.Element("e")
    element.text = text
    assert (ET.fromstring(ET.tostring(element, encoding="utf-8")).text or "") == text


def test_a_block_keeps_its_lines() -> None:
    assert printable_block("a\x1b[1m\r\nb\n\nc") == "a\nb\n\nc"


@given(st.text(), st.integers(1, 40))
def test_shortened_text_fits(text: str, length: int) -> None:
    short = shortened(text, length)
    assert display_width(short) <= length
    assert short == printable(text) or short.endswith("…")


def test_width_counts_what_a_terminal_shows() -> None:
    assert display_width("abc") == 3
    assert display_width("世界") == 4
    assert display_width(unicodedata.normalize("NFD", "é")) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", ":\\x3aerror::x"),
        ("  ::error::x", "  :\\x3aerror::x"),
        ("a\n::error::x", "a\n:\\x3aerror::x"),
        ("a\r::error::x", "a\r:\\x3aerror::x"),
        ("std::string", "std::string"),
        ("a ##[error]", "a ##\\x5berror]"),
        ("##vso[task.complete]", "##vso\\x5btask.complete]"),
        ("###[error]", "###\\x5berror]"),
        ("## [x]", "## [x]"),
        ("section_start:1:a", "section_start\\x3a1:a"),
        ("section_end:1:a", "section_end\\x3a1:a"),
    ],
)
def test_commands_of_ci_systems_are_spelt(text: str, shown: str) -> None:
    assert without_commands(text, {"CI": "true"}) == shown
    assert without_commands(text, {"TF_BUILD": "True"}) == shown
    assert without_commands(text, {"CI": "false"}) == text


PIECES = st.sampled_from(
    [":", "::", "#", "##", "[", "vso", "error", " ", "\t", "\n", "\r", "section_start", "x" * 70]
)


@given(st.lists(PIECES))
def test_commands_are_spelt_however_they_are_cut(pieces: list[str]) -> None:
    speller = CommandSpeller()
    shown = "".join(speller(piece) for piece in pieces)
    text = "".join(pieces)
    assert not re.search(r"(^|[\n\r])\s*::|##\w*\[|section_(start|end):", shown)
    assert shown.replace("\\x3a", ":").replace("\\x5b", "[") == text


@given(st.recursive(st.text(st.sampled_from('#[vso\\"')), st.lists))
def test_printed_json_is_the_same_document_without_commands(document: object) -> None:
    shown = shown_json(json.dumps(document))
    assert json.loads(shown) == document
    assert "##" not in shown
