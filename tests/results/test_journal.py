import errno
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.attempt import Attempt
from matrix.errors import HostError, Problem, UsageError
from matrix.results import journal as journal_module
from matrix.results.journal import Entry, Journal, JournalReader, replay
from matrix.verdicts import Verdict

TIME = "2026-11-21T09:30:00.000Z"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def write(path: Path, *events: dict[str, Any]) -> None:
    with Journal(path, now=lambda: TIME) as journal:
        for event in events:
            journal.append(event)


def read(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The events and, in words, the problems."""
    problems: list[Problem] = []
    events = [entry.event for entry in replay(path, problems.append)]
    return events, [str(problem) for problem in problems]


def event(number: int, **more: Any) -> dict[str, Any]:
    return {"event": "test", "number": number, **more}


def test_a_line_is_there_when_append_returns(path: Path) -> None:
    with Journal(path, now=lambda: TIME) as journal:
        journal.append(event(1))
        assert path.read_text() == f'{{"event":"test","time":"{TIME}","number":1}}\n'


def test_what_was_written_is_read_again(path: Path) -> None:
    write(path, event(1), event(2, text="line\nbreak \x1b ü \0"))
    events, problems = read(path)
    assert events == [
        {"event": "test", "time": TIME, "number": 1},
        {"event": "test", "time": TIME, "number": 2, "text": "line\nbreak \x1b ü \0"},
    ]
    assert problems == []


def test_no_journal_is_an_empty_one(path: Path) -> None:
    assert read(path) == ([], [])


def test_bytes_that_are_no_text_are_spelt(path: Path) -> None:
    write(path, event(1, path=os.fsdecode(b"/a/\xff"), other="\ud83d\ude00 \ud83d"))
    (one,), _ = read(path)
    assert one["path"] == "/a/\\xff"
    assert one["other"] == "\\ud83d\\ude00 \\ud83d"


def test_numbers_that_json_lacks_survive(path: Path) -> None:
    write(path, event(1, much=float("inf")))
    assert read(path)[0][0]["much"] == "Infinity"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values=st.lists(json_values, max_size=4), data=st.data())
def test_a_journal_cut_at_any_byte_gives_the_lines_before(
    values: list[Any], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "events.jsonl"
    write(path, *(event(number, value=value) for number, value in enumerate(values)))
    whole = path.read_bytes() if values else b""
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    events, problems = read(path)
    # A line that lacks nothing but its break is whole.
    complete = whole[: cut + 1].count(b"\n")
    assert [each["number"] for each in events] == list(range(complete))
    assert [each["value"] for each in events] == values[:complete]
    assert problems == []
    write(path, event(99))
    events, problems = read(path)
    assert [each["number"] for each in events] == [*range(complete), 99]
    assert len(problems) <= 1


def test_every_cut_of_one_journal(path: Path) -> None:
    write(path, event(0, text="größer"), event(1), event(2))
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        events, problems = read(path)
        assert [each["number"] for each in events] == list(range(whole[: cut + 1].count(b"\n")))
        assert problems == []


def test_garbage_in_the_middle_is_named_and_skipped(path: Path) -> None:
    lines = [b'{"event": "a"}', b"\xff\x00garbage", b"[1]", b'{"event": 5}', b"", b'{"event": "b"}']
    path.write_bytes(b"\n".join(lines) + b"\n")
    events, problems = read(path)
    assert [each["event"] for each in events] == ["a", "b"]
    assert problems == [
        f"{path}:2: not JSON: expected value at line 1 column 1; the line is ignored",
        f"{path}:3: not an event: an object with the key 'event' is expected; the line is ignored",
        f"{path}:4: not an event: an object with the key 'event' is expected; the line is ignored",
        f"{path}:5: not JSON: EOF while parsing a value at line 2 column 0; the line is ignored",
    ]


@given(data=st.binary(max_size=300))
def test_any_bytes_are_read_without_an_exception(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "events.jsonl"
    path.write_bytes(data)
    events, problems = read(path)
    assert len(events) + len(problems) <= data.count(b"\n") + 1


@pytest.mark.parametrize("line", [b"[" * 100_000, b"9" * 10_000, b'{"event": "' + b"x" * 200_000])
def test_hard_json_is_a_problem(path: Path, line: bytes) -> None:
    path.write_bytes(line + b'\n{"event": "b"}\n')
    events, problems = read(path)
    assert [each["event"] for each in events] == ["b"]
    assert len(problems) == 1


def test_a_line_that_is_too_long_is_no_event(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "LONGEST_LINE", 100)
    path.write_bytes(json.dumps(event(1, text="x" * 500)).encode() + b'\n{"event": "b"}\n')
    events, problems = read(path)
    assert [each["event"] for each in events] == ["b"]
    assert problems


def test_a_giant_is_not_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UsageError, match="too large for a journal"):
        read(path)


def test_single_lines_are_read_again(path: Path) -> None:
    with Journal(path) as journal:
        attempts = [Attempt(number, Verdict.FAIL, "ü" * number, 1.0) for number in range(5)]
        spans = [
            journal.append({"event": "attempt-finished", "case": "c", "attempt": each})
            for each in attempts
        ]
        with JournalReader(path) as reader:
            assert [reader.attempt(span) for span in reversed(spans)] == attempts[::-1]
    entries: list[Entry] = list(replay(path))
    assert [entry.span for entry in entries] == spans
    assert [entry.line for entry in entries] == [1, 2, 3, 4, 5]


def test_a_journal_changed_meanwhile_is_said(path: Path) -> None:
    with Journal(path) as journal:
        span = journal.append(event(1))
    path.write_bytes(b"something else")
    with JournalReader(path) as reader, pytest.raises(UsageError, match="was changed while"):
        reader.attempt(span)


def test_one_process_at_a_time(path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from matrix.results.journal import Journal\n"
        "with Journal(pathlib.Path(sys.argv[1])): print('open', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(UsageError, match=f"{path.parent} is being run by another process"):
            Journal(path)
        other.send_signal(signal.SIGKILL)
    with Journal(path):
        pass


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """As a full disk: the last write is short, the next fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_whole_lines(path: Path) -> None:
    with Journal(path) as journal:
        journal.append(event(1))
        size = path.stat().st_size
        with file_size_limit(size + 10), pytest.raises(HostError, match=f"cannot write {path}: "):
            journal.append(event(2))
        assert path.stat().st_size == size
        span = journal.append(event(3))
        assert span.offset == size
    events, problems = read(path)
    assert [each["number"] for each in events] == [1, 3]
    assert problems == []


def test_a_short_write_is_carried_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    with Journal(path) as journal:
        monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
        journal.append(event(1))
        monkeypatch.undo()
        journal.append(event(2))
    assert [each["number"] for each in read(path)[0]] == [1, 2]


def test_no_space_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Journal(path) as journal:
        journal.append(event(1))
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(HostError, match=f"^cannot write {path}: No space left on device$"):
            journal.append(event(2))
        monkeypatch.undo()
    assert [each["number"] for each in read(path)[0]] == [1]


def test_a_file_system_without_locks_is_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    write(path, event(1))
    assert len(read(path)[0]) == 1


def test_a_killed_writer_loses_nothing(path: Path) -> None:
    code = (
        "import os, signal, sys, pathlib\n"
        "from matrix.results.journal import Journal\n"
        "journal = Journal(pathlib.Path(sys.argv[1]))\n"
        "for number in range(100): journal.append({'event': 'test', 'number': number})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert done.returncode == -signal.SIGKILL
    events, problems = read(path)
    assert [each["number"] for each in events] == list(range(100))
    assert problems == []
