"""Messages of vhost-user: a header, a payload, and file descriptors beside them."""

import array
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

HEADER = struct.Struct("<III")
"""Request, flags, bytes of the payload."""
VERSION = 1
REPLY, NEED_REPLY = 1 << 2, 1 << 3
MOST_PAYLOAD = 4096
MOST_DESCRIPTORS = 8
"""Of one message: regions of memory."""


class Request(IntEnum):
    """What QEMU asks for, as far as a disk hears of it."""

    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    RESET_OWNER = 4
    SET_MEM_TABLE = 5
    SET_LOG_BASE = 6
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    SET_VRING_KICK = 12
    SET_VRING_CALL = 13
    SET_VRING_ERR = 14
    GET_PROTOCOL_FEATURES = 15
    SET_PROTOCOL_FEATURES = 16
    SET_VRING_ENABLE = 18
    GET_CONFIG = 24


class ProtocolError(Exception):
    """QEMU asks for what was not agreed on, or says what cannot be: the message says which."""


@dataclass(frozen=True, slots=True)
class Message:
    """One that has come. Whoever received it closes its descriptors once it is dealt with, whatever
    came of that; who keeps one keeps a copy."""

    request: int
    needs_reply: bool
    payload: bytes
    descriptors: tuple[int, ...] = ()

    @property
    def number(self) -> int:
        """The payload, where it is one number of 64 bits.

        Raises:
            ProtocolError: it is not.
        """
        return int(self.unpacked("<Q")[0])

    def unpacked(self, layout: str) -> tuple[int, ...]:
        """The payload's first numbers.

        Raises:
            ProtocolError: it is too short.
        """
        try:
            return struct.unpack_from(layout, self.payload)
        except struct.error as error:
            raise ProtocolError(f"request {self.request} is too short: {error}") from error


def receive(connection: socket.socket) -> Message | None:
    """The next message; None where the other side is gone.

    Raises:
        ProtocolError: it is none.
    """
    descriptors: list[int] = []
    message = None
    try:
        message = _received(connection, descriptors)
    except ConnectionError:
        pass  # gone, like one that has hung up
    finally:
        if message is None:  # cut off, and nobody else's to close
            close_all(descriptors)
    return message


def _received(connection: socket.socket, descriptors: list[int]) -> Message | None:
    """The next message, whose descriptors are put into that list as soon as they have come."""
    numbers: array.array[int] = array.array("i")
    room = socket.CMSG_SPACE(MOST_DESCRIPTORS * numbers.itemsize)
    head, ancillary, _, _ = connection.recvmsg(HEADER.size, room)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    descriptors += numbers
    head += _exactly(connection, HEADER.size - len(head)) if head else b""
    if len(head) < HEADER.size:
        return None
    request, flags, size = HEADER.unpack(head)
    if size > MOST_PAYLOAD:
        raise ProtocolError(f"request {request} has {size} bytes")
    payload = _exactly(connection, size)
    if len(payload) < size:
        return None
    return Message(request, bool(flags & NEED_REPLY), payload, tuple(descriptors))


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            return b""
        data += piece
    return data


def reply(connection: socket.socket, request: int, payload: bytes) -> None:
    """Answer a request.

    Raises:
        OSError: the other side is gone.
    """
    connection.sendall(HEADER.pack(request, VERSION | REPLY, len(payload)) + payload)


def close_all(descriptors: Iterable[int]) -> None:
    """Close those of a message."""
    for descriptor in descriptors:
        os.close(descriptor)
