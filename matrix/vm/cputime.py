"""CPU time that a process and its threads have used, from /proc (proc_pid_stat(5))."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
RUNNABLE = "R"
STOPPED = "T"


@dataclass(frozen=True, slots=True)
class Thread:
    """One thread: ``state`` is the kernel's letter (R runnable, S asleep, D in the kernel, …)."""

    number: int
    name: str
    state: str
    seconds: float
    waiting_in: str = ""
    """The kernel function that it sleeps in, where the kernel tells."""


def process_seconds(pid: int) -> float | None:
    """Seconds of CPU, user and system, of all threads so far; None where there is no such process.

    The resolution is one tick (10 ms on most kernels). Time in a KVM guest is part of it.
    """
    try:
        return _parse(Path(f"/proc/{pid}/stat").read_bytes())[2]
    except (OSError, ValueError, IndexError):
        return None


def threads(pid: int) -> tuple[Thread, ...]:
    """The threads of a process, by number; empty where there is no such process."""
    found = []
    try:
        folders = sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda path: int(path.name))
    except OSError:
        return ()
    for folder in folders:
        try:
            name, state, seconds = _parse((folder / "stat").read_bytes())
        except (OSError, ValueError, IndexError):
            continue  # it ended while we looked
        found.append(Thread(int(folder.name), name, state, seconds, _waiting_in(folder)))
    return tuple(found)


def _parse(stat: bytes) -> tuple[str, str, float]:
    # The name is in parentheses and may hold any character, parentheses and blanks too.
    head, _, rest = stat.rpartition(b")")
    name = head.partition(b"(")[2].decode("utf-8", "replace")
    fields = rest.split()
    return name, fields[0].decode(), (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def _waiting_in(folder: Path) -> str:
    try:
        name = (folder / "wchan").read_text("ascii", "replace")
    except OSError:
        return ""
    return "" if name == "0" else name
