from pathlib import Path

import pytest

from matrix.errors import SuiteError
from matrix.suites.suite_files import MAXIMUM_SIZE, is_directory, is_file, read_text


def problem_of(path: Path) -> str:
    with pytest.raises(SuiteError) as caught:
        read_text(path)
    return str(caught.value)


def test_text(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("größer\n")
    assert read_text(path) == "größer\n"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert problem_of(path) == f"{path}: cannot be read: No such file or directory"
    assert problem_of(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"
    assert "null byte" in problem_of(Path("a\0b"))
    with path.open("wb") as stream:
        stream.truncate(MAXIMUM_SIZE + 1)
    assert problem_of(path) == f"{path}: cannot be read: it is larger than 4 MiB"


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a\nb\xffc\n")
    assert problem_of(path) == f"{path}:2: byte 0xff is not text; the file must be UTF-8 text"
    path.write_bytes(b"\0")
    assert problem_of(path) == f"{path}:1: byte 0x00 is not text; the file must be UTF-8 text"


def test_questions_about_impossible_paths_are_answered_no() -> None:
    for path in (Path("x" * 5000), Path("a\0b")):
        assert not is_file(path)
        assert not is_directory(path)
