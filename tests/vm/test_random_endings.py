"""Hundreds of monitors and guests that end at random moments: asyncio has nothing to say.

What it finds fault with (an exception that nobody looked at, a task that was destroyed, a transport
that was left open) it tells the loop's exception handler, or prints when the garbage is collected.
"""

import asyncio
import contextlib
import gc
import json
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from matrix.errors import MonitorError
from matrix.model import ExitChannel, Launch
from matrix.vm.machine import Limits, run_guest
from matrix.vm.monitor import Ahead, Monitor
from matrix.vm.tasks import put_off_cancellation

MONITORS = 600
GUESTS = 60
FAKE = Path(__file__).parents[1] / "fake_qemu.py"
GREETING = (
    b'{"QMP": {"version": {"qemu": {"major": 8, "minor": 1, "micro": 2}, "package": ""},'
    b' "capabilities": ["oob"]}}\r\n'
)
GARBAGE = (b"\xff\xfe\r\n", b"[1, 2]\r\n", b'{"error": {}}\r\n', b'{"return": {}, "id": 5}\r\n')


class Peer(asyncio.Protocol):
    """Greets and answers, and hangs up, falls silent or talks nonsense after so many messages."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._left = draw.randrange(6)
        self._last = draw.choice(("hang up", "half", "garbage", "silence", "deaf", "abort"))
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._say(GREETING)

    def data_received(self, data: bytes) -> None:
        for piece in data.split(b'"id":"')[1:] or [b""]:
            number = piece.partition(b'"')[0]
            answer = b'{"return": {}, "id": "%s"}\r\n' % number if number else b'{"return": {}}\r\n'
            event = b'{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 0}}\r\n'
            self._say(answer + event * self._draw.randrange(3))

    def _say(self, data: bytes) -> None:
        assert self.transport is not None
        if self.transport.is_closing():
            return
        self._left -= 1
        if self._left > 0 or self._last == "silence":
            if self._left > 0:
                self.transport.write(data)
            return
        match self._last:
            case "half":
                self.transport.write(data[: len(data) // 2])
                self.transport.close()
            case "garbage":
                self.transport.write(self._draw.choice(GARBAGE))
            case "deaf":
                self.transport.pause_reading()
            case "abort":
                self.transport.abort()
            case _:
                self.transport.write(data)
                self.transport.close()


async def some_turns(draw: random.Random) -> None:
    for _ in range(draw.randrange(12)):
        await asyncio.sleep(0)


async def use_once(monitor: Monitor, draw: random.Random) -> None:
    match draw.randrange(5):
        case 0:
            monitor.close()
        case 1:
            await monitor.wait_closed(0.01)
        case 2:
            await monitor.execute("device_add", {"id": "x" * 400_000}, 0.01)
        case 3:
            monitor.sample("query-migrate", lambda _: None)
        case _:
            await monitor.execute("query-status", None, 0.01)


async def use(ours: socket.socket, draw: random.Random) -> None:
    """Connect, execute and close from several tasks, each of which may be cut off."""
    ahead = [Ahead("query-kvm")] if draw.random() < 0.3 else []
    timeout = draw.choice((0.0, 0.002, 0.05))
    monitor = await Monitor.connect(ours, timeout, ahead=ahead)

    async def several() -> None:
        for _ in range(draw.randrange(4)):
            await some_turns(draw)
            with contextlib.suppress(MonitorError):  # and nothing else
                await use_once(monitor, draw)

    tasks = [asyncio.create_task(several()) for _ in range(3)]
    try:
        for task in tasks:
            await some_turns(draw)
            if draw.random() < 0.7:
                task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        try:
            await put_off_cancellation(asyncio.wait(tasks))
        finally:
            monitor.close()


async def ending(draw: random.Random) -> None:
    ours, theirs = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(
        lambda: Peer(draw), sock=theirs
    )
    using = asyncio.create_task(use(ours, draw))
    await asyncio.sleep(0)  # one that is cancelled before that never gets the socket
    await some_turns(draw)
    for _ in range(draw.choice((0, 0, 1, 2))):
        using.cancel()
        await some_turns(draw)
    await asyncio.wait((using,))
    if not using.cancelled() and not isinstance(using.exception(), MonitorError):
        using.result()
    with contextlib.suppress(AttributeError):  # 3.11 forgets the loop of one that has flushed
        transport.abort()
    await asyncio.sleep(0)


LAST_STEPS: tuple[list[object], ...] = (
    ["exit", 0], ["abort"], ["signal", 9], ["hang up"], ["storm", 3000], ["serve", None],
    ["qmp", "[1, 2]\r\n"], ["deep", 100_000],
)  # fmt: skip


async def guest(draw: random.Random) -> None:
    """A QEMU that misbehaves at a random command, whose guest may be given up at any moment."""
    steps = [["sleep", draw.random() / 100], draw.choice(LAST_STEPS), ["stdout", "still here\n"]]
    place = draw.choice(("start", "cont", "before", "after"))
    command = draw.choice(("qmp_capabilities", "cont", "query-status", "quit"))
    script = {place: steps if place in ("start", "cont") else {command: steps}}
    argv = (sys.executable, "-I", "-S", str(FAKE), "-fake", json.dumps(script))
    with tempfile.TemporaryDirectory() as folder:
        running = asyncio.create_task(
            run_guest(
                Launch(argv, ExitChannel.QEMU_EXIT),
                Path(folder),
                Limits(timeout=draw.choice((0.01, 0.2)), stall=60, start=1),
                on_console=lambda _: None,
            )
        )
        for _ in range(draw.choice((0, 0, 1, 2))):
            await asyncio.wait((running,), timeout=draw.random() / 5)
            running.cancel()
        await asyncio.wait((running,))
        if not running.cancelled():
            running.result()


async def endings(
    make: Callable[[random.Random], Coroutine[Any, Any, None]], count: int, at_once: int
) -> None:
    """Each is seeded by its number, so that one can be repeated alone."""
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(str(context)))
    gc.freeze()
    for number in range(0, count, at_once):
        await asyncio.gather(*(make(random.Random(number + each)) for each in range(at_once)))
        gc.collect()
        await asyncio.sleep(0)
        assert not told, f"ending {number}: {told}"
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, f"ending {number}: {others}"


@pytest.mark.parametrize("kind", ["monitors", "guests"])
def test_endings(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__, kind], capture_output=True, text=True, timeout=600
    )
    assert (done.returncode, done.stderr) == (0, "")


if __name__ == "__main__":
    if sys.argv[1] == "guests":
        asyncio.run(endings(guest, GUESTS, 30))
    else:
        asyncio.run(endings(ending, MONITORS, 1))
