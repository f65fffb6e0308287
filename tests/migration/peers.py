"""QEMUs that are peers in this very process: they start and migrate at once.

A peer has what a program would be given (the ends of its pipes and of its monitor's socket), speaks
QMP, and answers ``migrate`` at once.
"""

import asyncio
import functools
import json
import os
import time
from collections.abc import Callable
from signal import Signals
from typing import Any

CAPABILITIES = ("events", "return-path", "postcopy-ram", "multifd", "xbzrle")
ANSWERS: dict[str, object] = {
    "query-migrate-capabilities": [{"capability": name, "state": False} for name in CAPABILITIES],
    "query-migrate-parameters": {
        "max-bandwidth": 1 << 27,
        "downtime-limit": 300,
        "multifd-channels": 2,
        "xbzrle-cache-size": 1 << 26,
    },
    "query-cpus-fast": [{"cpu-index": 0, "qom-path": "/machine/cpu", "thread-id": 1}],
}


class Guest:
    """Beats whenever it has been carried over, on whoever runs it."""

    def __init__(self) -> None:
        self.beats = 0
        self.hops = 0
        self.listening: dict[str, Peer] = {}
        """By address: two may listen at once."""
        self.dies: tuple[str, ...] = ()
        """Ends of addresses of listeners that end as soon as they listen."""
        self.dies_once = False
        """The first of them alone does."""
        self.human: Callable[[Peer, str], str] = lambda _peer, _words: ""
        """What the human monitor answers."""

    def beat(self) -> bytes:
        self.beats += 1
        clock = time.monotonic_ns()
        return b"INTEGRITY: BEAT n=%d clock=%d gap=1000000 verified=1 passes=1\n" % (
            self.beats,
            clock,
        )


class Program:
    """What :func:`matrix.vm.process.spawn` returns, of a program that is none."""

    def __init__(self, argv: tuple[str, ...], descriptors: tuple[int, ...]) -> None:
        self.argv = argv
        self.pid = os.getpid()
        self.ended_by_us = False
        self.peer: Peer | None = None
        self._descriptors = descriptors
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def status(self) -> int | None:
        return self._exit.result() if self._exit.done() else None

    def on_exit(self, callback: Callable[[], None]) -> None:
        self._exit.add_done_callback(lambda _: callback())

    async def ended_within(self, seconds: float) -> bool:
        await asyncio.wait((self._exit,), timeout=seconds)
        return self._exit.done()

    def cpu_seconds(self) -> float | None:
        return time.process_time()

    def kill_group(self, _number: Signals) -> None:
        self.end(-9)

    async def stop(self, _grace: float) -> None:
        self.end(-15)

    async def destroy(self) -> None:
        self.end(-9)

    def end(self, status: int) -> None:
        if self._exit.done():
            return
        self._exit.set_result(status)
        if self.peer is not None:
            self.peer.transport.close()
        for descriptor in self._descriptors:
            os.close(descriptor)


class Peer(asyncio.Protocol):
    """A QEMU's end of its monitor."""

    transport: asyncio.Transport

    def __init__(self, program: Program, guest: Guest, console: int) -> None:
        self._program, self._guest, self._console = program, guest, console
        self._text = ""
        self.running = False
        self._status = "none"
        self._port = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        version = {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": "peer"}
        self._send({"QMP": {"version": version, "capabilities": ["oob"]}})

    def data_received(self, data: bytes) -> None:
        self._text += data.decode()
        while self._text:
            try:
                message, end = json.JSONDecoder().raw_decode(self._text)
            except json.JSONDecodeError:
                return
            self._text = self._text[end:].lstrip()
            self._execute(message)

    def _execute(self, message: dict[str, Any]) -> None:
        name = message.get("execute") or message.get("exec-oob")
        after: Callable[[], None] | None = None
        match name:
            case "cont":
                self.resume()
                after = self.begin
            case "migrate-incoming":
                uri = message["arguments"]["uri"].partition(",to=")[0]
                self._guest.listening[uri] = self
                self._port = uri.rpartition(":")[2]
                if uri.endswith(self._guest.dies):
                    after = self.die
                    if self._guest.dies_once:
                        self._guest.dies = ()
            case "migrate":
                uri = message["arguments"]["uri"]
                after = functools.partial(self._migrate, uri)
            case "quit":
                after = self._quit
            case _:
                pass
        number = {"id": message["id"]} if "id" in message else {}
        if name == "human-monitor-command":
            said: object = self._guest.human(self, message["arguments"]["command-line"])
        else:
            said = self._answer(str(name))
        self._send({"return": said, **number})
        if after is not None:
            after()

    def _answer(self, name: str) -> object:
        if name == "query-status":
            return {"status": "running" if self.running else "paused", "running": self.running}
        if name == "query-migrate":
            ram = {"transferred": 10**6 + self._guest.hops % 97, "remaining": 0, "page-size": 4096}
            counts = {"dirty-sync-count": 2 + self._guest.hops % 3, "mbps": 800.0}
            times = {"total-time": 20 + self._guest.hops % 13, "downtime": 1}
            where = {"socket-address": [{"port": self._port}]}
            return {"status": self._status, **times, "ram": {**ram, **counts}, **where}
        return ANSWERS.get(name, {})

    def begin(self) -> None:
        os.write(self._console, b"INTEGRITY: START vcpus=1 page=4096\n" + self._guest.beat())

    def _migrate(self, uri: str) -> None:
        destination = self._guest.listening.pop(uri, None)
        if destination is None or destination.transport.is_closing():
            self.migration("setup")
            self.migration("failed")
            return
        self._guest.hops += 1
        for side in (destination, self):
            side.migration("setup")
            side.migration("active")
        self._event("MIGRATION_PASS", {"pass": 1})
        self.stop()
        self.migration("completed")
        destination.take_over()

    def take_over(self) -> None:
        self.resume()
        os.write(self._console, self._guest.beat())
        self.migration("completed")

    def migration(self, status: str) -> None:
        self._status = status
        self._event("MIGRATION", {"status": status})

    def resume(self) -> None:
        self.running = True
        self._event("RESUME")

    def stop(self) -> None:
        self.running = False
        self._event("STOP")

    def die(self) -> None:
        self._program.end(1)

    def _quit(self) -> None:
        self._program.end(0)

    def _event(self, name: str, data: dict[str, object] | None = None) -> None:
        now = time.time()
        stamp = {"seconds": int(now), "microseconds": int(now % 1 * 1e6)}
        self._send({"timestamp": stamp, "event": name, **({"data": data} if data else {})})

    def _send(self, message: dict[str, object]) -> None:
        self.transport.write(json.dumps(message).encode() + b"\r\n")
