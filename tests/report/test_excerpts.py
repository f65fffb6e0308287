"""Bounded pieces of a case's files, safe to show."""

import os
from pathlib import Path

import pytest

from matrix.report.excerpts import WHOLE, Bounds, read_text, texts_of


def test_a_small_file_is_shown_whole(tmp_path: Path) -> None:
    (tmp_path / "console.log").write_bytes(b"one\r\ntwo\n")
    text = read_text(tmp_path / "console.log", Bounds(8, 8))
    assert text is not None
    assert (text.head, text.tail, text.omitted, text.size) == ("one\ntwo\n", "", 0, 9)


def test_a_large_file_loses_its_middle_at_lines(tmp_path: Path) -> None:
    lines = "".join(f"line {number:04}\n" for number in range(1000))
    (tmp_path / "console.log").write_text(lines)
    text = read_text(tmp_path / "console.log", Bounds(head=35, tail=25))
    assert text is not None
    assert text.head == "line 0000\nline 0001\nline 0002\n"
    assert text.tail == "line 0998\nline 0999\n"
    assert text.omitted == 10_000 - 50


def test_controls_are_spelt(tmp_path: Path) -> None:
    hostile = "\x1b[31mred\x1b[0m \x07 \u202egnp\u2028 \xff".encode("latin-1", "ignore")
    (tmp_path / "console.log").write_bytes(hostile + "\u202e\u2028".encode())
    text = read_text(tmp_path / "console.log", Bounds(100, 100))
    assert text is not None
    assert "\x1b" not in text.head
    assert "red" in text.head
    assert "\\u202e\\u2028" in text.head
    assert "\\xff" in text.head


def test_a_case_shows_its_files_and_those_of_the_diagnosis(tmp_path: Path) -> None:
    for name in ("console.log", "qemu.log", "command.sh", "qmp.jsonl"):
        (tmp_path / name).write_text(name)
    (tmp_path / "diagnosis").mkdir()
    (tmp_path / "diagnosis/registers.txt").write_text("RAX=0")
    (tmp_path / "diagnosis/memory.elf").write_bytes(b"\x7fELF")
    names = [text.name for text in texts_of(tmp_path, WHOLE)]
    assert names == ["console.log", "qemu.log", "command.sh", "diagnosis/registers.txt"]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "missing"])
def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path = tmp_path / "case/console.log"
    path.parent.mkdir()
    match kind:
        case "link":
            path.symlink_to(secret)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            pass
    assert read_text(path, Bounds(10, 10)) is None


def test_a_diagnosis_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.txt").write_text("secret")
    case = tmp_path / "case"
    case.mkdir()
    (case / "diagnosis").symlink_to(elsewhere)
    assert texts_of(case, WHOLE) == ()
