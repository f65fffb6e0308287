import asyncio
import json
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from matrix.errors import MonitorError
from matrix.vm.monitor import MESSAGE_LIMIT, YIELD_EVERY, Ahead, Monitor
from tests.vm.conftest import WithPeer

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
GREETING = (
    b'{"QMP": {"version": {"qemu": {"major": 8, "minor": 1, "micro": 2}, "package": ""},'
    b' "capabilities": ["oob"]}}\r\n'
)


async def read(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next message; the client puts nothing between them."""
    data = b""
    while True:
        piece = await reader.readuntil(b"}")
        data += piece
        try:
            message = json.loads(data)
        except ValueError:
            continue  # not whole yet
        assert isinstance(message, dict)
        return message


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GREETING)
    assert (await read(reader))["execute"] == "qmp_capabilities"
    writer.write(b'{"return": {}}\r\n')


def peer(
    *replies: bytes, hang_up: bool = False
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]:
    """A peer that greets and answers each command with one of ``replies``, ``%s`` being the id."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        for reply in replies:
            message = await read(reader)
            writer.write(reply.replace(b"%s", message["id"].encode()))
        if hang_up:
            writer.close()
        await asyncio.sleep(60)

    return serve


def using(
    body: Callable[[Monitor], Coroutine[Any, Any, Any]], **options: Any
) -> Callable[[socket.socket], Coroutine[Any, Any, Any]]:
    async def connected(sock: socket.socket) -> Any:
        monitor = await Monitor.connect(sock, 60, **options)
        try:
            return await body(monitor)
        finally:
            monitor.close()

    return connected


def test_execute(with_peer: WithPeer) -> None:
    sent: list[tuple[str, bytes]] = []

    async def body(monitor: Monitor) -> None:
        assert monitor.version == (8, 1, 2)
        assert monitor.alive
        assert await monitor.execute("query-x", {"a": 1}) == {"answer": [1, 2]}

    reply = b'{"return": {"answer": [1, 2]}, "id": "%s"}\r\n'
    with_peer(peer(reply), using(body, record=lambda *message: sent.append(message)))
    assert [direction for direction, _ in sent] == ["<", ">", "<", ">", "<"]
    assert json.loads(sent[3][1])["arguments"] == {"a": 1}


def test_what_qemu_owed_another_client_is_dropped(with_peer: WithPeer) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        owed = [b'{"return": {"of": "another"}, "id": "%d"}\r\n' % number for number in range(1, 7)]
        writer.write(owed[0] + GREETING + owed[1])
        assert (await read(reader))["id"] == "mine-1"
        writer.write(owed[2] + b'{"return": {}, "id": "mine-1"}\r\n' + owed[3])
        assert (await read(reader))["id"] == "mine-2"
        writer.write(owed[4] + b'{"return": {"status": "running"}, "id": "mine-2"}\r\n' + owed[5])
        await asyncio.sleep(60)

    async def body(monitor: Monitor) -> None:
        assert await monitor.execute("query-status") == {"status": "running"}

    with_peer(serve, using(body, client="mine-"))


def test_samples_are_not_recorded(with_peer: WithPeer) -> None:
    sent: list[bytes] = []

    told: list[object] = []

    async def body(monitor: Monitor) -> None:
        monitor.sample("query-migrate", told.append)
        assert await monitor.execute("stop", {"a": 1}) == {}
        monitor.sample("query-migrate", told.append)
        assert await monitor.execute("cont") == {}

    answers = (
        b'{"return": {"status": "active"}, "id": "%s"}\r\n',
        b'{"return": {}, "id": "%s"}\r\n',
        b'{"error": {"class": "GenericError", "desc": "not now"}, "id": "%s"}\r\n',
        b'{"return": {}, "id": "%s"}\r\n',
    )
    with_peer(peer(*answers), using(body, record=lambda _direction, data: sent.append(data)))
    assert told == [{"status": "active"}, None]
    commands = [json.loads(data).get("execute") for data in sent[3:]]
    assert commands == ["stop", None, "cont", None]


def test_a_sample_of_one_that_has_hung_up_is_not_answered(with_peer: WithPeer) -> None:
    told: list[object] = []

    async def body(monitor: Monitor) -> None:
        monitor.sample("query-migrate", told.append)
        await monitor.wait_closed(60)
        monitor.sample("query-migrate", told.append)
        await asyncio.sleep(0.05)

    with_peer(peer(hang_up=True), using(body))
    assert told == []


def answering_ahead(
    *replies: bytes,
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]:
    """A peer that takes in a command for each reply before it answers the first, then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        assert (await read(reader))["execute"] == "qmp_capabilities"
        messages = [await read(reader) for _ in replies]
        answers = [
            reply.replace(b"%s", message["id"].encode())
            for reply, message in zip(replies, messages, strict=True)
        ]
        writer.write(b'{"return": {}}\r\n' + b"".join(answers))
        writer.close()
        await asyncio.sleep(60)

    return serve


@pytest.mark.filterwarnings("error")  # asyncio only warns of what nobody took
def test_what_is_sent_ahead_may_end_qemu_before_the_connection_stands(
    with_peer: WithPeer, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[object] = []

    async def body(monitor: Monitor) -> None:
        await monitor.wait_closed(60)
        assert not monitor.alive

    ahead = [
        Ahead("query-kvm", sent=lambda: told.append("query"), answered=told.append),
        Ahead("stop", answered=told.append),
        Ahead("cont", sent=lambda: told.append("cont"), answered=told.append),
    ]
    answers = (
        b'{"return": {"enabled": true}, "id": "%s"}\r\n',
        b'{"error": {"class": "GenericError", "desc": "no"}, "id": "%s"}\r\n',
        b'{"return": {}, "id": "%s"}\r\n',
    )
    with_peer(answering_ahead(*answers), using(body, ahead=ahead))
    assert told == ["query", "cont", {"enabled": True}, {}]
    assert not caplog.records  # asyncio tells of what nobody took


@pytest.mark.parametrize("late", [True, False])
def test_the_reply_to_what_was_sent_ahead_is_taken_up_where_it_has_not_come(
    with_peer: WithPeer, late: bool
) -> None:
    """One that has come is over: who executes the command then means it to be done again."""
    executing, answered = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        assert (await read(reader))["execute"] == "qmp_capabilities"
        ahead = [await read(reader) for _ in range(2)]
        writer.write(b'{"return": {}}\r\n')
        if late:
            await executing.wait()
        numbers = [message["id"].encode() for message in ahead]
        writer.write(b'{"return": 1, "id": "%s"}\r\n' % numbers[0])
        no = b'{"class": "GenericError", "desc": "no"}'
        writer.write(b'{"error": %s, "id": "%s"}\r\n' % (no, numbers[1]))
        for value in (2, 3):
            message = await read(reader)
            assert message["execute"] == "one"
            writer.write(b'{"return": %d, "id": "%s"}\r\n' % (value, message["id"].encode()))
        await asyncio.sleep(60)

    async def body(monitor: Monitor) -> None:
        if not late:
            await answered.wait()
        loop = asyncio.get_running_loop()
        loop.call_soon(executing.set)
        assert await monitor.execute("one") == (1 if late else 2)
        with pytest.raises(MonitorError, match="no") as caught:
            await monitor.execute("two")
        assert caught.value.error_class == "GenericError"
        assert await monitor.execute("one") == (2 if late else 3)

    one = Ahead("one", answered=lambda _reply: answered.set())
    with_peer(serve, using(body, ahead=[one, Ahead("two")]))


def test_what_is_finished_gets_no_other_command(with_peer: WithPeer) -> None:
    samples: list[object] = []

    async def body(monitor: Monitor) -> None:
        waiting = asyncio.ensure_future(monitor.execute("query-status"))
        await asyncio.sleep(0)
        monitor.finish("quit")
        assert not monitor.alive
        monitor.finish("quit")
        monitor.sample("query-migrate", samples.append)
        with pytest.raises(MonitorError, match="QEMU was told to quit"):
            await monitor.execute("migrate")
        assert await waiting == {"status": "running"}
        await monitor.wait_closed(60)

    replies = (
        b'{"return": {"status": "running"}, "id": "%s"}\r\n',
        b'{"return": {}, "id": "%s"}\r\n',
    )
    received = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        for reply in replies:
            message = await read(reader)
            received.append(message["execute"])
            writer.write(reply.replace(b"%s", message["id"].encode()))
        writer.close()

    with_peer(serve, using(body))
    assert (received, samples) == (["query-status", "quit"], [])


def test_out_of_band(with_peer: WithPeer) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        assert (await read(reader))["arguments"] == {"enable": ["oob"]}
        writer.write(b'{"return": {}}\r\n')
        message = await read(reader)
        assert message["exec-oob"] == "yank"
        writer.write(b'{"return": 5, "id": "%s"}\r\n' % message["id"].encode())
        await asyncio.sleep(60)

    async def body(monitor: Monitor) -> Any:
        return await monitor.execute("yank", oob=True)

    assert with_peer(serve, using(body)) == 5


def test_a_refusal_has_its_class(with_peer: WithPeer) -> None:
    async def body(monitor: Monitor) -> None:
        with pytest.raises(MonitorError, match=r"^QMP cont: not now$") as caught:
            await monitor.execute("cont")
        assert caught.value.error_class == "GenericError"
        assert monitor.alive

    reply = b'{"error": {"class": "GenericError", "desc": "not now"}, "id": "%s"}\r\n'
    with_peer(peer(reply), using(body))


def test_no_answer_in_time(with_peer: WithPeer) -> None:
    async def body(monitor: Monitor) -> None:
        with pytest.raises(MonitorError, match=r"^QMP stop: no answer within 0\.05 s$"):
            await monitor.execute("stop", timeout=0.05)
        assert await monitor.execute("query-late") == "second"

    late = b'{"return": "first", "id": "2"}\r\n{"return": "second", "id": "%s"}\r\n'
    with_peer(peer(b"", late), using(body))


def test_a_deadline_of_the_caller_is_not_ours(with_peer: WithPeer) -> None:
    async def body(monitor: Monitor) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await monitor.execute("stop", timeout=60)

    with_peer(peer(b""), using(body))


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello?\r\n",
        b"\xff\xfe\x00\r\n",
        b"[1, 2]\r\n",
        b'{"return": ' + b"[" * 100_000 + b"\r\n",
        b'{"return": ' + b"9" * 10_000 + b"}\r\n",
        b'{"error": {"class": "GenericError", "desc": "JSON parse error"}}\r\n',
        b'{"error": 5, "id": "%s"}\r\n',
        b'{"id": "%s"}\r\n',
        b"\r\n",
    ],
)
def test_garbage_in_place_of_an_answer(with_peer: WithPeer, garbage: bytes) -> None:
    async def body(monitor: Monitor) -> None:
        with pytest.raises(MonitorError, match=r"^QMP query-x: "):
            async with asyncio.timeout(30):  # long before the command's own time is over
                await monitor.execute("query-x", timeout=60)

    with_peer(peer(garbage), using(body))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "did not greet within"),
        (b"hello?\r\n", "deserialize"),
        (b'"QMP"\r\n', "not a JSON object"),
        (b'{"QMP": 5}\r\n', "must be a JSON object"),
        (b'{"event": "X"}\r\n', "requires 'QMP' member"),
        (GREETING + b'{"error": {"class": "E", "desc": "no"}}\r\n', ""),
        (GREETING + b'{"return"\r\n', "deserialize"),
    ],
)
def test_a_peer_that_is_no_qemu(with_peer: WithPeer, said: bytes, why: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await asyncio.sleep(60)

    async def connect(sock: socket.socket) -> None:
        with pytest.raises(MonitorError, match=rf"^QMP connect: .*{why}"):
            await Monitor.connect(sock, 60 if said else 0.3)
        assert sock.fileno() == -1

    with_peer(serve, connect)


def test_a_line_without_an_end_is_cut_off(with_peer: WithPeer) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        writer.write(b'{"return": "')
        while True:
            writer.write(b"x" * (1 << 20))
            await writer.drain()

    async def body(monitor: Monitor) -> None:
        with pytest.raises(MonitorError, match="connection lost"):
            await monitor.execute("query-x", timeout=60)
        assert not monitor.alive

    with_peer(serve, using(body))
    assert MESSAGE_LIMIT < 1 << 24


def test_a_peer_that_hangs_up(with_peer: WithPeer) -> None:
    async def body(monitor: Monitor) -> None:
        with pytest.raises(MonitorError, match="connection lost"):
            await monitor.execute("query-x")
        with pytest.raises(MonitorError, match="connection lost"):
            await monitor.execute("query-y")
        assert not monitor.alive
        monitor.close()
        assert monitor.ended == "QEMU closed the monitor"
        assert monitor.broken == ""

    with_peer(peer(b"", hang_up=True), using(body))


def test_events_go_to_the_callback_and_are_not_kept(with_peer: WithPeer) -> None:
    heard: list[tuple[str, Mapping[str, Any], float]] = []
    begun = time.time()
    event = b'{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}\r\n'
    panic = b'{"event": "GUEST_PANICKED", "data": {"action": "pause"}}\r\n'
    odd = b'{"event": ["x"], "data": 7}\r\n'

    async def body(monitor: Monitor) -> None:
        await monitor.execute("query-x")

    with_peer(
        peer(event + panic + odd + b'{"return": 1, "id": "%s"}\r\n'),
        using(body, on_event=lambda *event: heard.append(event)),
    )
    told = [event[:2] for event in heard]
    assert told == [("STOP", {}), ("GUEST_PANICKED", {"action": "pause"}), ("['x']", {})]
    assert heard[0][2] == 1.000002
    assert begun <= heard[1][2] <= time.time()  # without a stamp, or with an odd one: now


def test_a_storm_of_events_does_not_starve_the_loop(with_peer: WithPeer) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        while True:
            writer.write(b'{"event": "RTC_CHANGE", "data": {"offset": 1}}\r\n' * 1000)
            await writer.drain()

    heard = 0

    def hear(*_event: object) -> None:
        nonlocal heard
        heard += 1

    async def body(monitor: Monitor) -> None:
        turns: list[int] = []  # of the loop, each with what was heard in it: no matter of time
        while heard < 5000:
            before = heard
            await asyncio.sleep(0)
            turns.append(heard - before)
        assert max(turns) <= YIELD_EVERY

    with_peer(serve, using(body, on_event=hear))


def test_human_monitor(with_peer: WithPeer) -> None:
    async def body(monitor: Monitor) -> None:
        assert await monitor.human("info registers") == "CPU#0\nPC=0\n"
        with pytest.raises(MonitorError, match="no text"):
            await monitor.human("info registers")

    with_peer(
        peer(
            b'{"return": "CPU#0\\r\\nPC=0\\r\\n", "id": "%s"}\r\n',
            b'{"return": {}, "id": "%s"}\r\n',
        ),
        using(body),
    )


def test_nothing_is_printed(
    with_peer: WithPeer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def body(monitor: Monitor) -> None:
        with pytest.raises(MonitorError):
            await monitor.execute("query-x", timeout=60)

    with_peer(peer(b'{"return": 1, "id": "unknown"}\r\nrubbish\r\n'), using(body))
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


@pytest.mark.parametrize("steps", range(1, 24))
def test_a_connection_that_is_broken_off_says_nothing_else(steps: int) -> None:
    """At whatever moment: a cancellation that is lost lets a chain of hops go on for ever."""

    async def body() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.setblocking(False)
            await loop.sock_sendall(theirs, GREETING)
            connecting = asyncio.ensure_future(
                Monitor.connect(ours, 60, ahead=[Ahead("query-kvm")])
            )
            for _ in range(steps):
                await asyncio.sleep(0)
            connecting.cancel()
            await asyncio.wait((connecting,))
            assert connecting.cancelled()

    asyncio.run(body())


def test_a_command_that_the_socket_does_not_take_at_once(with_peer: WithPeer) -> None:
    """It arrives whole, and nothing is sent past it."""
    text, reading = "x" * 1_000_000, asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        await reading.wait()
        data = b""
        while not data.endswith(b'"id":"3"}'):
            data += await reader.read(1 << 16)
        assert data.startswith(b'{"execute":"query-x","arguments":{"text":"%s"}' % text.encode())
        writer.write(b'{"return": 1, "id": "2"}\r\n{"return": 2, "id": "3"}\r\n')
        await asyncio.sleep(60)

    async def body(monitor: Monitor) -> None:
        first = asyncio.ensure_future(monitor.execute("query-x", {"text": text}))
        second = asyncio.ensure_future(monitor.execute("query-y"))
        await asyncio.sleep(0)
        with pytest.raises(MonitorError, match="does not take in"):
            await monitor.send_descriptor("a", 0)
        reading.set()
        assert (await first, await second) == (1, 2)

    with_peer(serve, using(body))


@pytest.mark.parametrize(
    "stamp", ['{"seconds": 9%s, "microseconds": 0}' % ("0" * 400), '{"seconds": 1}', "[]"]
)
def test_an_event_without_a_time_is_of_now(with_peer: WithPeer, stamp: str) -> None:
    heard: list[float] = []

    async def body(monitor: Monitor) -> None:
        begun = time.time()
        await monitor.execute("query-x")
        assert begun <= heard[0] <= time.time()

    event = b'{"event": "STOP", "timestamp": %s}\r\n' % stamp.encode()
    with_peer(
        peer(event + b'{"return": 1, "id": "%s"}\r\n'),
        using(body, on_event=lambda _name, _data, at: heard.append(at)),
    )
