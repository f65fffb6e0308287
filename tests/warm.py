"""Commands of the program as forks of a process that has it loaded.

Loading takes most of what a short command costs, and the tests run a thousand. What is forked is a
process like any other: in a session of its own, with its own folder, environment, standard streams
and end. How the program starts is tested by those who start it cold.
"""

import array
import atexit
import gc
import json
import os
import pkgutil
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST_REQUEST = 1 << 20
STREAMS = 3
SECONDS = 100.0
"""What a command may take; on a busy host the longest take half of it."""

COMMAND = """#!{python} -IS
import array, json, os, socket, sys

request = {{"words": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
streams = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", (0, 1, 2)))
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect({address!r})
connection.sendmsg([json.dumps(request).encode()], [streams])
connection.recv(32)
status = int(connection.recv(32))
sys.exit(status if status >= 0 else 128 - status)
"""


class WarmProgram:
    """The process that has ``matrix`` loaded, until :meth:`close`."""

    def __init__(self) -> None:
        self._python = _read_by_python(os.environ)
        self._folder = Path(tempfile.mkdtemp(prefix="warm-", dir="/tmp"))
        self._address = str(self._folder / "socket")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with listener:
            listener.bind(self._address)
            listener.listen()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm", str(listener.fileno())],
                cwd=ROOT,
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,
            )
        self._process.wait()  # what serves is no child of ours: tests look that none is left
        self.bin = self._folder / "bin"
        """A folder for ``PATH``, with ``matrix`` in it."""
        self.bin.mkdir()
        command = self.bin / "matrix"
        command.write_text(COMMAND.format(python=sys.executable, address=self._address))
        command.chmod(0o755)

    def suits(self, folder: Path, environment: Mapping[str, str]) -> bool:
        """Whether ``python -m matrix`` would start there as it did here."""
        own = (folder / "matrix/__main__.py").exists()
        return _read_by_python(environment) == self._python and not own

    def run(
        self,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
    ) -> "subprocess.CompletedProcess[str]":
        """Run ``matrix`` with these words to its end; ``environment`` is ours by default.

        Raises:
            TimeoutError: it took longer than ``seconds``, and was killed.
        """
        environment = dict(os.environ if environment is None else environment)
        request = {"words": words, "folder": str(folder), "environment": environment}
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection,
            Path(os.devnull).open("rb") as nothing,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            connection.settimeout(seconds)
            connection.connect(self._address)
            streams = array.array("i", (nothing.fileno(), out.fileno(), err.fileno()))
            ancillary = (socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)
            connection.sendmsg([json.dumps(request).encode()], [ancillary])
            pid = int(connection.recv(32))
            try:
                status = int(connection.recv(32))
            except BaseException:  # a cancellation too: no process stays
                with suppress(ProcessLookupError):  # it has ended
                    os.kill(pid, signal.SIGKILL)
                raise
            out.seek(0)
            err.seek(0)
            said = (out.read().decode(), err.read().decode())
        return subprocess.CompletedProcess(words, status, *said)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        shutil.rmtree(self._folder)


def _read_by_python(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith("PYTHON")}


def _serve(listener: socket.socket) -> None:
    """Fork a process for every request, which returns from here, until stdin is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            os._exit(0)
        connection, _ = listener.accept()
        with connection:
            message, streams, _, _ = socket.recv_fds(connection, LONGEST_REQUEST, STREAMS)
            if message and not os.fork():
                listener.close()
                _fork_command(connection)
                break
        for each in streams:
            os.close(each)
    request = json.loads(message)
    os.setsid()
    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[1:] = request["words"]


def _fork_command(asker: socket.socket) -> None:
    """Fork once more: the child returns, the parent tells ``asker`` how it ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if not pid:
        return
    with suppress(OSError):  # it has given up
        asker.send(b"%d" % pid)
        _, status = os.waitpid(pid, 0)
        asker.send(b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _load() -> None:
    """Import all that commands may need."""
    import matrix

    for module in pkgutil.walk_packages(matrix.__path__, "matrix."):
        if not module.name.startswith("matrix.pytest_plugin") and "__main__" not in module.name:
            __import__(module.name)
    import typer.rich_utils  # noqa: F401 - what --help loads

    gc.freeze()


def _leave(code: "str | int | None") -> None:
    """End as Python does, but for taking everything that was loaded apart: that is half of it."""
    threading._shutdown()  # type: ignore[attr-defined] # no other waits for them
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed, or nobody reads
            stream.flush()
    os._exit(int(code or 0))


if __name__ == "__main__":
    if os.fork():
        os._exit(0)
    _load()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    sys.argv[0] = str(ROOT / "matrix/__main__.py")

    from matrix.__main__ import main

    try:
        main()
    except SystemExit as ended:
        _leave(ended.code)
