"""What a socket does not take at once is sent when it does."""

import asyncio
import socket

from matrix.hosts.fleet.socket_sender import SocketSender

MUCH = 4 << 20
"""Bytes: more than a pair of sockets holds."""


def test_all_is_sent_in_order_and_then_said() -> None:
    async def talk() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            sent = asyncio.Event()
            sender = SocketSender(ours, sent.set)
            sender.send(b"a" * MUCH)
            sender.send(b"end")
            assert not sent.is_set()
            got = bytearray()
            while not got.endswith(b"end"):
                got += await asyncio.get_running_loop().sock_recv(theirs, 1 << 16)
            await sent.wait()
            assert bytes(got) == b"a" * MUCH + b"end"
            sender.close()

    asyncio.run(asyncio.wait_for(talk(), 60))


def test_what_nobody_reads_is_dropped() -> None:
    async def talk() -> None:
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            sent = asyncio.Event()
            sender = SocketSender(ours, sent.set)
            sender.send(b"a" * MUCH)
            theirs.close()
            await sent.wait()
            sender.close()

    asyncio.run(asyncio.wait_for(talk(), 60))
