"""Starting, stopping and reaping processes: the only module that starts any, but for the forks of
:mod:`matrix.vm.forking`.

A process started here is the leader of its own session, is killed by the kernel when the
orchestrator dies, inherits only the descriptors named, and is always reaped; what is left of its
group goes with it.

Exits are seen through a pidfd in the event loop: no thread and no SIGCHLD handler per process, and
nothing is reaped behind our back.

The kernel kills it: the parent-death signal (prctl(2), PR_SET_PDEATHSIG) must be set in the child,
and it comes too late if the parent has died by then, so that the child must see whether it still
lives. Two ways:

- :func:`by_setpriv`: setpriv(1) sets the signal, then executes the program by its path through
  ``/proc/OURS/root``, which is gone once we are: an orphan finds no program to execute. It needs
  neither a fork of Python (subprocess uses vfork then) nor our code in the child.
- :func:`by_fork`: the same in Python between fork and exec, where setpriv does not do.

Measured until ``/bin/true`` had ended, by a process of 24, 62 and 112 MB: setpriv 1.5 ms always, of
which 0.2 ms block the event loop; the fork 2.2, 3.0 and 4.6 ms, nearly all of which block it.
"""

import asyncio
import contextlib
import errno
import functools
import os
import select
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from matrix.errors import HostError, SpawnError
from matrix.vm import cputime
from matrix.vm.cputime import Thread
from matrix.vm.tasks import put_off_cancellation

PR_SET_PDEATHSIG = 1
"""linux/prctl.h."""
ORPHANED_STATUS = 127
"""Exit status of a child whose parent died before the signal was set: setpriv's for no program."""
PROBE_TIMEOUT = 10.0
"""Seconds that setpriv may take to say its version, once."""
ENDING = (signal.SIGTERM, signal.SIGKILL)
UNKILLABLE = 20.0
"""Seconds after which a process that survives SIGKILL (stuck in the kernel) is given up."""


_kept: list[int] = []
"""Descriptors that every process inherits."""


def keep_open(descriptor: int) -> None:
    """Have all processes that are started from here on inherit a descriptor.

    One end of a pipe tells whoever has the other that they are all gone, however they went.
    """
    _kept.append(descriptor)


class _Streams(NamedTuple):
    stdin: int
    stdout: int
    stderr: int


class Child(Protocol):
    """What has been started, however that was done."""

    @property
    def pid(self) -> int:
        """Its number."""

    def wait(self) -> int:
        """Wait for its end; its status, minus the signal's number if one killed it."""


class Process:
    """A running child process and, once it has ended, its status."""

    def __init__(self, child: Child, argv: tuple[str, ...]) -> None:
        self.argv = argv
        self.pid = child.pid
        self.ended_by_us = False
        """It was still alive when we sent it SIGTERM or SIGKILL."""
        self._child = child
        self._loop = asyncio.get_running_loop()
        self._exit: asyncio.Future[int] = self._loop.create_future()
        self._pidfd = os.pidfd_open(child.pid)
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def status(self) -> int | None:
        """Exit status, minus the signal's number if one killed it, None while it runs."""
        return self._exit.result() if self._exit.done() else None

    def on_exit(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called from the event loop once the process has ended."""
        self._exit.add_done_callback(lambda _: callback())

    async def wait(self) -> int:
        """Wait for the end and return :attr:`status`; may be cancelled and called again."""
        await asyncio.wait((self._exit,))
        return self._exit.result()

    async def ended_within(self, seconds: float) -> bool:
        """Whether the process ends in that time (or has ended already)."""
        if not self._exit.done():
            await asyncio.wait((self._exit,), timeout=seconds)
        return self._exit.done()

    def kill_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and all that it started; nothing if it has ended."""
        if not self._exit.done():
            if number in ENDING:
                # The pidfd of a process that has ended is readable, also where the event loop has
                # yet to see its exit.
                self.ended_by_us |= not _readable(self._pidfd)
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.killpg(self.pid, number)

    async def stop(self, grace: float) -> None:
        """End the process: SIGTERM, ``grace`` seconds to comply, then as :meth:`destroy`.

        Raises:
            HostError: the kernel does not let it die.
        """
        self.kill_group(signal.SIGTERM)
        if not await self.ended_within(grace):
            await self.destroy()

    async def destroy(self) -> None:
        """Kill the process and wait until it is gone. Cancellation is put off until then.

        Raises:
            HostError: the kernel does not let it die: it is stuck in an uninterruptible sleep.
        """
        if self._exit.done():
            return
        self.kill_group(signal.SIGKILL)
        if not await put_off_cancellation(self.ended_within(UNKILLABLE)):
            raise HostError(f"process {self.pid} ({self.argv[0]}) survives SIGKILL")

    def cpu_seconds(self) -> float | None:
        """Seconds of CPU that it has used; None once it is gone."""
        return cputime.process_seconds(self.pid)

    async def threads(self, seconds: float = 0.0) -> tuple[Thread, ...]:  # noqa: ARG002 - at once
        """Its threads, by number; empty once it is gone."""
        return cputime.threads(self.pid)

    def _reap(self) -> None:
        """The process has ended: take its group along while the number is still its own."""
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it left no group
            os.killpg(self.pid, signal.SIGKILL)
        self._exit.set_result(self._child.wait())


def _readable(descriptor: int) -> bool:
    poll = select.poll()  # select(2) takes no number above 1023
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


async def spawn(
    argv: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
    pass_fds: Iterable[int] = (),
    environment: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    cwd: Path | None = None,
) -> Process:
    """Start ``argv`` without a shell and return it running.

    ``stdin``, ``stdout`` and ``stderr`` are file descriptors (by default /dev/null) that stay the
    caller's to close; ``pass_fds`` keep their numbers in the child; ``environment`` is added to our
    own. The caller owns the process and ends it with :meth:`Process.destroy` or
    :meth:`Process.stop`, also when it is cancelled itself.

    The parent-death signal is tied to the thread that calls this, which is the event loop's.

    Raises:
        SpawnError: no such program, not executable, no memory, no descriptors left, …
    """
    streams = _Streams(stdin, stdout, stderr)
    added = dict(environment)
    # Ours is inherited as it is where nothing is added: copying it takes a third of a start.
    whole = {**os.environ, **added} if added else None
    return _start(tuple(argv), streams, (*pass_fds, *_kept), whole, cwd)


def _start(
    argv: tuple[str, ...],
    streams: _Streams,
    pass_fds: tuple[int, ...],
    environment: dict[str, str] | None,
    cwd: Path | None,
) -> Process:
    try:
        parent = os.getpid()
        program = _find(argv[0], os.environ if environment is None else environment, cwd)
        setpriv = _setpriv(parent)
        start = by_setpriv(setpriv, parent, program) if setpriv else (program,)
        popen = subprocess.Popen(
            (*start, *argv[1:]),
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
            preexec_fn=None if setpriv else by_fork(parent),
            pass_fds=pass_fds,
            env=environment,
            cwd=cwd,
            start_new_session=True,
            umask=0o077,
        )
    except OSError as error:
        raise SpawnError(argv, error.strerror or str(error)) from error
    except (ValueError, subprocess.SubprocessError) as error:  # a NUL in a word; the child's error
        raise SpawnError(argv, str(error)) from error
    try:
        return Process(popen, argv)
    except OSError as error:  # no descriptor left for the pidfd
        popen.kill()
        popen.wait()
        raise SpawnError(argv, error.strerror or str(error)) from error


def _find(program: str, environment: Mapping[str, str], cwd: Path | None) -> str:
    """The absolute path of a program, searched as execvp(3) does.

    Raises:
        OSError: there is none, or it is not executable.
    """
    if os.sep not in program:
        found = shutil.which(program, path=environment.get("PATH"))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such program in PATH", program)
        return str(Path(found).absolute())
    path = program if program.startswith(os.sep) else str(Path(cwd or "", program).absolute())
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - for each process
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program) from None
    if not is_file or not os.access(path, os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), program)
    return path


@functools.cache
def _setpriv(parent: int) -> str | None:
    """The path of a setpriv(1) that works here: busybox's does not, and /proc may be hidden."""
    found = shutil.which("setpriv")
    if found is None:
        return None
    setpriv = str(Path(found).absolute())
    try:
        probe = subprocess.run(
            (*by_setpriv(setpriv, parent, setpriv), "--version"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PROBE_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return setpriv if probe.returncode == 0 else None


def by_setpriv(setpriv: str, parent: int, program: str) -> tuple[str, ...]:
    """The words to start in place of ``program``, an absolute path, tied to process ``parent``."""
    return (setpriv, "--pdeathsig", "KILL", "--", f"/proc/{parent}/root{program}")


def by_fork(parent: int) -> Callable[[], None]:
    """What subprocess is to call in the child: nothing but system calls, as threads may exist."""
    import ctypes  # 2 ms, which hosts with setpriv need not wait for

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]
    prctl.restype = ctypes.c_int

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(ORPHANED_STATUS)

    return tie
