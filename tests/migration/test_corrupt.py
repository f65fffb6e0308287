"""corrupt against a gdbstub of ours: what it says, what it refuses, and what it leaves behind."""

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from matrix.errors import MonitorError
from matrix.vm.monitor import Monitor
from tests.migration import corrupt as module
from tests.migration.corrupt import CHANGED_BITS, corrupt

ADDRESS = 0x41234567
Answer = Callable[[str], str | None]


def frame(body: str) -> bytes:
    return f"${body}#{sum(body.encode()) & 0xFF:02x}".encode()


class Stub:
    """A QEMU with one byte of memory: its monitor, and its gdbstub once that is asked for."""

    alive = True

    def __init__(self, answer: Answer | None = None) -> None:
        self.byte = 0x5A
        self.packets: list[str] = []
        self.commands: list[str] = []
        self.status = "running"
        self.listens = True
        self.spoils = False
        self._answer = answer
        self._server: asyncio.Server | None = None

    async def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:
        self.commands.append(command)
        if command == "cont":
            self.status = "running"
        return {"running": self.status == "running", "status": self.status}

    async def human(self, line: str) -> str:
        self.commands.append(line)
        if line == "gdbserver none":
            if self._server is not None:
                self._server.close()
            return ""
        place = re.fullmatch(r'gdbserver "unix:(.*),server=on,wait=off"', line)
        assert place
        if not self.listens:
            return "Could not open gdbserver on device\n"
        path = re.sub(r"\\(.)", r"\1", place[1]).replace(",,", ",")
        self._server = await asyncio.start_unix_server(self._serve, path)
        return "Waiting for gdb connection\n"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.status = "paused"
        try:
            while True:
                await reader.readuntil(b"$")
                packet = (await reader.readuntil(b"#"))[:-1].decode()
                assert await reader.readexactly(2) == frame(packet)[-2:]
                self.packets.append(packet)
                reply = self._reply(packet)
                if reply is None:
                    break
                writer.write(b"+" + (frame(reply)[:-2] + b"zz" if self.spoils else frame(reply)))
        except asyncio.IncompleteReadError:
            pass  # the other end hung up
        finally:
            writer.close()

    def _reply(self, packet: str) -> str | None:
        if self._answer is not None and (answer := self._answer(packet)) != "":
            return answer
        if packet.startswith("m"):
            return f"{self.byte:02x}"
        if packet.startswith("M"):
            self.byte = int(packet.partition(":")[2], 16)
        if packet == "D":
            self.status = "running"
        return "OK"

    def corrupt(self, directory: Path) -> None:
        asyncio.run(corrupt(cast("Monitor", self), ADDRESS, directory=directory))


@pytest.mark.parametrize("name", ["plain", 'odd, "name" \\ here', "long" * 50])
def test_one_byte_is_flipped_and_nothing_stays_behind(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    directory.mkdir()
    stub = Stub()
    stub.corrupt(directory)
    assert stub.byte == 0x5A ^ CHANGED_BITS
    assert stub.packets == [
        "Qqemu.PhyMemMode:1",
        "m41234567,1",
        "M41234567,1:0f",
        "m41234567,1",
        "Qqemu.PhyMemMode:0",
        "D",
    ]
    assert "gdbserver none" in stub.commands
    assert "cont" not in stub.commands
    assert list(directory.iterdir()) == []


def test_a_guest_that_does_not_run_is_left_alone(tmp_path: Path) -> None:
    stub = Stub()
    stub.status = "paused"
    with pytest.raises(MonitorError, match="does not run"):
        stub.corrupt(tmp_path)
    assert stub.commands == ["query-status"]


@pytest.mark.parametrize(
    ("packet", "reply", "message"),
    [
        ("Qqemu.PhyMemMode:1", "E01", "'E01', not 'OK'"),
        ("m41234567,1", "E14", "nothing at 0x41234567"),
        ("M41234567,1:0f", "E14", "'E14', not 'OK'"),
        ("D", None, "connection lost"),
    ],
)
def test_a_refusal_is_told_and_the_guest_runs_on(
    tmp_path: Path, packet: str, reply: str | None, message: str
) -> None:
    stub = Stub(lambda asked: reply if asked == packet else "")
    with pytest.raises(MonitorError, match=re.escape(message)):
        stub.corrupt(tmp_path)
    assert stub.status == "running"
    assert "gdbserver none" in stub.commands
    assert list(tmp_path.iterdir()) == []


def test_memory_that_keeps_its_value_is_no_success(tmp_path: Path) -> None:
    stub = Stub(lambda asked: "5a" if asked.startswith("m") else "")
    with pytest.raises(MonitorError, match="not '0f'"):
        stub.corrupt(tmp_path)


def test_stop_replies_in_between_are_no_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = iter(["T05thread:01;"])

    def answer(packet: str) -> str:
        return next(replies, "") if packet == "m41234567,1" else ""

    stub = Stub(answer)
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    with pytest.raises(MonitorError, match="no answer"):
        stub.corrupt(tmp_path)
    assert stub.status == "running"


def test_a_wrong_checksum_is_an_error(tmp_path: Path) -> None:
    stub = Stub()
    stub.spoils = True
    with pytest.raises(MonitorError, match="wrong checksum"):
        stub.corrupt(tmp_path)


def test_a_qemu_that_does_not_listen_says_why(tmp_path: Path) -> None:
    stub = Stub()
    stub.listens = False
    with pytest.raises(MonitorError, match="Could not open gdbserver"):
        stub.corrupt(tmp_path)
