"""Children that go on with what this program has loaded, in place of a program of their own.

Loading takes a third of a second of CPU time for each process; a fork takes 1 to 5 ms. It must come
before this process has a second thread or an event loop: a fork has neither.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.vm.process import by_fork

PR_SET_NAME = 15
"""linux/prctl.h."""
DESCRIPTORS = Path("/proc/self/fd")
STANDARD = 2
"""The last of the standard streams' descriptors."""
ARGUMENTS = 45
"""Where, behind the name of the program, ``/proc/self/stat`` says from where and to where the
kernel reads the words of ``/proc/self/cmdline`` (proc(5): arg_start is its 48th field)."""


@dataclass(frozen=True, slots=True)
class Forked:
    """A child that was forked; :class:`matrix.vm.process.Process` watches it in an event loop."""

    pid: int

    def wait(self) -> int:
        """Wait for its end; its status, minus the signal's number if one killed it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self) -> None:
        """Kill it; not to be called once it was waited for."""
        os.kill(self.pid, signal.SIGKILL)


def can_fork() -> bool:
    """Whether a fork would be all of this process: locks that other threads hold stay locked; and
    whether it could see which descriptors it has, where /proc may be hidden."""
    return threading.active_count() == 1 and DESCRIPTORS.is_dir()


def fork(run: Callable[[], object], words: Sequence[str], keep: Collection[int]) -> Forked:
    """Have a child call ``run``, and end.

    It leads a session of its own, is killed by the kernel when we die, and has /dev/null in place
    of standard input and output.

    Args:
        run: in the child; an exception ends it with status 1.
        words: what it is called, as ``ps`` shows it.
        keep: descriptors that it has beside the standard streams.

    Raises:
        OSError: there is no memory, or no room for another process.
    """
    tie = by_fork(os.getpid())
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # else both of us would write what is in it
    pid = os.fork()
    if pid:
        return Forked(pid)
    status = 1
    try:
        os.setsid()
        tie()
        _close_all_but(keep)
        with contextlib.suppress(OSError, ValueError):  # it is only shown
            _name(words)
        run()
        status = 0
    except Exception as error:  # noqa: BLE001 - nobody above us: this is the end of the process
        print(f"{' '.join(words)}: {error}", file=sys.stderr)
    finally:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it
            sys.stderr.flush()
        os._exit(status)


def _close_all_but(keep: Collection[int]) -> None:
    """Have /dev/null for standard input and output, and beside stderr only what is kept."""
    for path in list(DESCRIPTORS.iterdir()):
        if (number := int(path.name)) > STANDARD and number not in keep:
            with contextlib.suppress(OSError):  # what listed them
                os.close(number)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nothing, number)
    os.close(nothing)


def _name(words: Sequence[str]) -> None:
    """Be called so: to ``top`` by what the kernel keeps, to ``ps`` by our arguments, which are
    written over where the kernel reads them."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, " ".join(words).encode(), 0, 0, 0)
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    first, end = int(fields[ARGUMENTS]), int(fields[ARGUMENTS + 1])
    if 0 < first < end:
        room = end - first
        ctypes.memmove(first, "\0".join(words).encode()[: room - 1].ljust(room, b"\0"), room)
