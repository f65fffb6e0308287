"""The protocol of a virtual host's first program: requests as bytes, answers as messages. Pure.

``matrix/guests/host/README.md`` describes it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matrix.errors import HostLostError

VERSION = 1
LONGEST_LINE = 4096
LARGEST_DATA = 64 << 20


class ProtocolError(HostLostError):
    """A virtual host sent something else."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The host is there."""

    version: int
    kvm_error: int
    """The kernel's number of the error with which /dev/kvm does not open; 0 where it does."""
    release: str
    machine: str


@dataclass(frozen=True, slots=True)
class Output:
    """A program has printed."""

    run: int
    data: bytes


@dataclass(frozen=True, slots=True)
class KernelRecord:
    """The kernel has logged (Linux, Documentation/ABI/testing/dev-kmsg)."""

    sequence: int
    level: int
    """0 (emergency) to 7 (debug)."""
    seconds: float
    """Since the kernel's start."""
    text: str


@dataclass(frozen=True, slots=True)
class ProgramEnded:
    """A program is over, with all that it started."""

    run: int
    status: int | None
    """Its exit status; None where a signal killed it."""
    signal: int | None
    limit: bool
    """Its time was over."""
    seconds: float
    cut: int
    """Bytes of output over the limit, which were not sent."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A program was not started."""

    run: int
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """A request was carried out; ``error`` is the kernel's number, 0 for none."""

    error: int


@dataclass(frozen=True, slots=True)
class Data:
    """A file's content."""

    data: bytes


Message = Ready | Output | KernelRecord | ProgramEnded | Refused | Done | Data

_WITH_DATA = {b"output", b"kernel", b"data"}
_RECORD = re.compile(r"(\d+),(\d+),(\d+),[^;]*;([^\n]*)")


class Decoder:
    """Takes bytes as they come; gives the messages that are complete."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that ``data`` completes.

        Raises:
            ProtocolError: it is none of the protocol's.
        """
        self._bytes += data
        while (end := self._bytes.find(b"\n")) >= 0:
            words = bytes(self._bytes[:end]).split()
            size = 0
            if words and words[0] in _WITH_DATA:
                size = _number(words[-1])
                if size > LARGEST_DATA:
                    raise ProtocolError(f"it announces {size} bytes at once")
                if len(self._bytes) < end + 1 + size:
                    return
            content = bytes(self._bytes[end + 1 : end + 1 + size])
            del self._bytes[: end + 1 + size]
            if words:
                yield _message(words, content)
        if len(self._bytes) > LONGEST_LINE:
            raise ProtocolError("a line without end")


def _number(word: bytes) -> int:
    if not word.isdigit() or len(word) > 20:
        raise ProtocolError(f"{word[:40]!r} in place of a number")
    return int(word)


def _message(words: list[bytes], content: bytes) -> Message:
    match words:
        case [b"ready", version, error, release, machine]:
            names = (release.decode("ascii", "replace"), machine.decode("ascii", "replace"))
            return Ready(_number(version), _number(error), *names)
        case [b"output", run, _]:
            return Output(_number(run), content)
        case [b"kernel", _]:
            return parse_record(content)
        case [b"ended", run, how, number, limit, nanoseconds, cut] if how in (b"exit", b"signal"):
            exited, value = how == b"exit", _number(number)
            return ProgramEnded(
                _number(run),
                value if exited else None,
                None if exited else value,
                limit == b"limit",
                _number(nanoseconds) / 1e9,
                _number(cut),
            )
        case [b"error", run, *reason]:
            return Refused(_number(run), b" ".join(reason).decode("utf-8", "replace"))
        case [b"done", error]:
            return Done(_number(error))
        case [b"data", _]:
            return Data(content)
        case _:
            raise ProtocolError(f"it sends {b' '.join(words)[:80]!r}")


def parse_record(content: bytes) -> KernelRecord:
    """One read of /dev/kmsg: ``LEVEL,SEQUENCE,MICROSECONDS,FLAGS;TEXT`` and lines of context."""
    match = _RECORD.match(content.decode("utf-8", "replace"))
    if match is None:
        raise ProtocolError(f"{content[:60]!r} in place of a record of the kernel's log")
    level, sequence, microseconds, text = match.groups()
    return KernelRecord(int(sequence), int(level) & 7, int(microseconds) / 1e6, text)


def hello() -> bytes:
    """Asks whether the host is there."""
    return b"hello\n"


def run(
    number: int,
    words: Sequence[str],
    *,
    seconds: float,
    output_bytes: int,
    memory_bytes: int = 0,
) -> bytes:
    """Starts a program. ``memory_bytes`` bounds its address space; 0 does not."""
    limits = f"{max(1, round(seconds))} {output_bytes} {memory_bytes}"
    encoded = [word.encode("utf-8", "surrogateescape") for word in words]
    head = f"run {number} {limits} {len(words)}\n".encode()
    return head + b"".join(b"%d\n%b" % (len(word), word) for word in encoded)


def kill(number: int) -> bytes:
    """Ends a program at once."""
    return b"kill %d\n" % number


def type_to(number: int, data: bytes) -> bytes:
    """Input of a program, 4096 bytes at most."""
    return b"input %d %d\n%b" % (number, len(data), data)


def put_file(path: str, content: bytes, *, executable: bool = False) -> bytes:
    """Writes a file there. The path has no blanks."""
    mode = 0o755 if executable else 0o644
    return f"file {path} {mode} {len(content)}\n".encode() + content


def get_file(path: str) -> bytes:
    """Asks for a file's content."""
    return f"get {path}\n".encode()


def mount(device: str, folder: str, kind: str) -> bytes:
    """Mounts a device, read-only."""
    return f"mount {device} {folder} {kind}\n".encode()


def unmount(folder: str) -> bytes:
    """Takes a device off a folder."""
    return f"unmount {folder}\n".encode()


def flush_log() -> bytes:
    """Asks for what the kernel has logged since the last time."""
    return b"log\n"


def reload(module: str) -> bytes:
    """Unloads a module and loads it again."""
    return f"reload {module}\n".encode()


def power_off() -> bytes:
    """Turns the host off."""
    return b"power-off\n"
