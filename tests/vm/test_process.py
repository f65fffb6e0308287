import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from matrix.errors import SpawnError
from matrix.vm import process
from matrix.vm.process import Process, keep_open, spawn

PYTHON = (sys.executable, "-I", "-S", "-c")
ORCHESTRATOR = """
import asyncio, sys
from matrix.vm import process
if sys.argv[1] == "fork":
    process._setpriv = lambda parent: None
async def main():
    child = await process.spawn(sys.argv[2:])
    print(child.pid, flush=True)
    await child.wait()
asyncio.run(main())
"""


@pytest.fixture(params=["setpriv", "fork"], autouse=True)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with both ways of tying a child to us."""
    if request.param == "fork":
        monkeypatch.setattr(process, "_setpriv", lambda parent: None)
    elif process._setpriv(os.getpid()) is None:
        pytest.skip("setpriv(1) is not installed")


def ended(*argv: str) -> int:
    async def body() -> int:
        return await (await spawn(argv)).wait()

    return asyncio.run(body())


def told(code: str, *, pass_fds: tuple[int, ...] = (), **environment: str) -> str:
    """What a child prints."""

    async def body() -> str:
        ours, theirs = os.pipe()
        try:
            process = await spawn(
                (*PYTHON, code), stdout=theirs, pass_fds=pass_fds, environment=environment
            )
            await process.wait()
            return os.read(ours, 65536).decode().strip()
        finally:
            os.close(ours)
            os.close(theirs)

    return asyncio.run(body())


def test_status() -> None:
    assert ended("/bin/sh", "-c", "exit 3") == 3
    assert ended("/bin/sh", "-c", "kill -ABRT $$") == -signal.SIGABRT


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("/nonexistent/qemu",), "No such file or directory"),
        (("nonexistent-qemu",), "no such program in PATH"),
        (("/etc/passwd",), "Permission denied"),
        (("/",), "Permission denied"),
        (("/bin/true", "a\0b"), "embedded null byte"),
        (("/bin/tr\0ue",), "No such file or directory"),
        (("/bin/true/x",), "No such file or directory"),
    ],
)
def test_what_cannot_be_started(argv: tuple[str, ...], why: str) -> None:
    with pytest.raises(SpawnError, match=why) as caught:
        ended(*argv)
    assert caught.value.argv == argv


def test_no_descriptors_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(SpawnError, match="Too many open files"):
        ended("/bin/sleep", "60")


def test_a_child_leads_its_own_session() -> None:
    assert told("import os; print(os.getsid(0) == os.getpid() == os.getpgid(0))") == "True"


def test_a_child_inherits_only_what_is_named() -> None:
    ours, theirs = os.pipe()
    try:
        code = "import os; print([fd for fd in range(3, 200) if os.path.exists(f'/dev/fd/{fd}')])"
        assert told(code) == "[]"
        assert told(code, pass_fds=(theirs,)) == f"[{theirs}]"
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_child_has_no_input_and_a_private_umask() -> None:
    assert told("import os, sys; print(sys.stdin.read() == '', oct(os.umask(0)))") == "True 0o77"


def test_the_environment_is_added_to_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "1")
    assert told("import os; print(os.environ['KEPT'], os.environ['NEW'])", NEW="2") == "1 2"
    assert told("import os; print(os.environ['KEPT'])") == "1"


def stopped(code: str, grace: float) -> int | None:
    """The status of a Python program that is stopped once it has printed something."""

    async def body() -> int | None:
        ours, theirs = os.pipe()
        process = await spawn((sys.executable, "-I", "-S", "-u", "-c", code), stdout=theirs)
        os.close(theirs)
        await asyncio.to_thread(os.read, ours, 1)
        os.close(ours)
        await process.stop(grace)
        return process.status

    return asyncio.run(body())


def test_a_relative_program_is_searched_in_the_childs_directory(tmp_path: Path) -> None:
    script = tmp_path / "here.sh"
    script.write_text("#!/bin/sh\nexit 4\n")
    script.chmod(0o700)

    async def body() -> int:
        return await (await spawn(("./here.sh",), cwd=tmp_path)).wait()

    assert asyncio.run(body()) == 4


def test_a_program_is_searched_in_the_childs_path(tmp_path: Path) -> None:
    script = tmp_path / "only-here"
    script.write_text("#!/bin/sh\nexit 5\n")
    script.chmod(0o700)

    async def body() -> int:
        path = f"{tmp_path}:{os.environ['PATH']}"
        return await (await spawn(("only-here",), environment={"PATH": path})).wait()

    assert asyncio.run(body()) == 5


def test_stop_waits_for_a_clean_exit() -> None:
    code = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7))"
    assert stopped(f"{code}; print(1, end=''); time.sleep(60)", grace=60) == 7


def test_stop_kills_what_ignores_sigterm() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN)"
    started = time.monotonic()
    assert stopped(f"{code}; print(1, end=''); time.sleep(60)", grace=0.2) == -signal.SIGKILL
    assert time.monotonic() - started < 30


def test_what_a_child_started_goes_with_it() -> None:
    code = "import os, time; pid = os.fork(); pid and print(pid); pid or time.sleep(60)"
    grandchild = int(told(code))
    assert _gone(grandchild)


def test_cancellation_of_destroy_is_put_off_until_the_process_is_gone() -> None:
    async def body() -> Process:
        process = await spawn(("/bin/sleep", "60"))
        task = asyncio.ensure_future(process.destroy())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return process

    assert asyncio.run(body()).status == -signal.SIGKILL


@pytest.mark.parametrize("by_itself", [True, False])
def test_who_ended_a_process_is_known_before_its_exit_is_seen(by_itself: bool) -> None:
    async def run() -> bool:
        process = await spawn(("sleep", "1000"))
        if by_itself:
            os.kill(process.pid, signal.SIGKILL)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - unseen
        await process.destroy()
        assert process.status == -signal.SIGKILL
        return process.ended_by_us

    assert asyncio.run(run()) is not by_itself


def test_signals_to_a_process_that_has_ended_are_dropped() -> None:
    async def body() -> None:
        process = await spawn(("/bin/true",))
        await process.wait()
        process.kill_group(signal.SIGKILL)
        await process.stop(1)
        await process.destroy()
        assert await process.ended_within(0)

    asyncio.run(body())


@pytest.mark.parametrize("way", ["setpriv", "fork"])
def test_a_child_dies_with_the_orchestrator(way: str) -> None:
    root = Path(__file__).parents[2]
    argv = (sys.executable, "-c", ORCHESTRATOR, way, "/bin/sleep", "60")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=root) as orchestrator:
        assert orchestrator.stdout is not None
        child = int(orchestrator.stdout.readline())
        assert psutil.pid_exists(child)
        pidfd = os.pidfd_open(child)
        orchestrator.kill()
        try:
            assert select.select([pidfd], [], [], 60)[0], "the child lives on"
        finally:
            os.close(pidfd)


def _gone(pid: int) -> bool:
    """Whether a process of that number has ended, or does so within a minute."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], 60)[0])
    finally:
        os.close(pidfd)


async def all_gone(reader: int) -> None:
    """When nobody holds the other end of a pipe any more."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(reader, gone.set)
    try:
        async with asyncio.timeout(60):
            await gone.wait()
    finally:
        loop.remove_reader(reader)


def test_what_is_kept_open_is_open_until_the_last_process_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[int] = []
    monkeypatch.setattr("matrix.vm.process._kept", kept)

    async def run() -> None:
        reader, writer = os.pipe()
        keep_open(writer)
        waiting = await spawn(("/bin/sleep", "60"))
        os.close(writer)
        kept.clear()
        gone = asyncio.create_task(all_gone(reader))
        assert not (await asyncio.wait((gone,), timeout=0.2))[0]
        await waiting.destroy()
        await gone
        os.close(reader)

    asyncio.run(run())
