"""One connection: a QEMU's requests, and beside them those of its guest."""

import os
import select
import socket
import struct
import time
from collections.abc import Callable

from matrix.vhost_user.vhost_disk import Disk
from matrix.vhost_user.vhost_memory import Memory
from matrix.vhost_user.vhost_messages import (
    Message,
    ProtocolError,
    Request,
    close_all,
    receive,
    reply,
)
from matrix.vhost_user.vhost_ring import Chain, Ring

VERSION_1, LOG_ALL, PROTOCOL_FEATURES = 1 << 32, 1 << 26, 1 << 30
FEATURES = VERSION_1 | LOG_ALL | PROTOCOL_FEATURES
LOG_SHMFD, REPLY_ACK, CONFIG = 1 << 1, 1 << 3, 1 << 9
PROTOCOL = LOG_SHMFD | REPLY_ACK | CONFIG
"""No postcopy (PAGEFAULT): QEMU refuses that then, and says so. No INFLIGHT_SHMFD: a request that
was taken is answered before its ring stops, and the others stay in the ring for whoever goes on."""
QUEUE_NUMBER, NO_DESCRIPTOR = 0xFF, 0x100
"""Parts of the number that comes with an event's descriptor."""
CONFIG_HEAD = struct.Struct("<III")
Deed = Callable[[Message], bytes | None]


class Device:
    """Serves one QEMU until it hangs up."""

    def __init__(self, connection: socket.socket, disk: Disk, pace: float) -> None:
        """``pace``: seconds between two requests of the guest, so that others wait meanwhile."""
        self._connection = connection
        self._disk = disk
        self._pace = pace
        self._due = 0.0
        self.memory = Memory()
        self.ring = Ring(self.memory)
        self._deeds: dict[int, Deed] = {
            Request.GET_FEATURES: lambda _: struct.pack("<Q", FEATURES),
            Request.SET_FEATURES: self._set_features,
            Request.SET_OWNER: lambda _: None,
            Request.RESET_OWNER: lambda _: None,
            Request.SET_MEM_TABLE: self.memory.set_table,
            Request.SET_LOG_BASE: self._set_log,
            Request.SET_VRING_NUM: self._set_size,
            Request.SET_VRING_ADDR: self._set_addresses,
            Request.SET_VRING_BASE: self._go_on,
            Request.GET_VRING_BASE: lambda message: self.stop(message),
            Request.SET_VRING_KICK: self._set_event,
            Request.SET_VRING_CALL: self._set_event,
            Request.SET_VRING_ERR: self._set_event,
            Request.GET_PROTOCOL_FEATURES: lambda _: struct.pack("<Q", PROTOCOL),
            Request.SET_PROTOCOL_FEATURES: lambda _: None,
            Request.SET_VRING_ENABLE: self._enable,
            Request.GET_CONFIG: self._configuration,
        }
        """What each request does, with its reply where it has one of its own."""

    def run(self) -> None:
        """Serve it. Nothing of it is left afterwards.

        Raises:
            ProtocolError: it does not keep to the protocol.
            OSError: memory cannot be mapped, or the disk not be used.
        """
        try:
            while self._serve():
                pass
        finally:
            self.ring.stop()
            self.memory.close_table()
            self.memory.close_log()
            self._connection.close()

    def _serve(self) -> bool:
        """Wait for a message or for what is due in the ring; False once QEMU has hung up."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        for descriptor, _ in poll.poll(self._patience()):
            if descriptor == self._connection.fileno():
                message = receive(self._connection)
                if message is None:
                    return False
                try:
                    self._answer(message)
                finally:
                    close_all(message.descriptors)
        self._work()
        return True

    def _patience(self) -> float | None:
        """Milliseconds until the ring is looked at; None: it does not run.

        The ring is looked at so often as requests may be answered, not when it is kicked.
        """
        if not self.ring.runs:
            return None
        return max(0.0, (self._due - time.monotonic()) * 1000)

    def _work(self) -> None:
        if not self.ring.runs or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._pace
        chain = self.ring.take()
        if chain is not None:
            self.finish(chain, self.serve(chain))

    def serve(self, chain: Chain) -> int:
        """Carry a request out; how many bytes were written to the guest's memory."""
        return self._disk.serve(chain, self.memory)

    def finish(self, chain: Chain, written: int) -> None:
        """A request is done."""
        self.ring.finish(chain, written)

    def _answer(self, message: Message) -> None:
        answer = self._deal_with(message)
        if answer is not None:
            reply(self._connection, message.request, answer)
        elif message.needs_reply:
            reply(self._connection, message.request, struct.pack("<Q", 0))

    def _deal_with(self, message: Message) -> bytes | None:
        """Do what is asked; the reply where this request has one of its own."""
        deed = self._deeds.get(message.request)
        if deed is None:
            raise ProtocolError(f"request {message.request} was not agreed on")
        return deed(message)

    def _set_features(self, message: Message) -> None:
        self.memory.logging = bool(message.number & LOG_ALL)

    def _set_log(self, message: Message) -> bytes:
        self.memory.set_log(message)
        return struct.pack("<Q", 0)

    def _set_size(self, message: Message) -> None:
        _, self.ring.size = message.unpacked("<II")

    def _set_addresses(self, message: Message) -> None:
        _, flags, descriptors, used, available = message.unpacked("<IIQQQ")
        self.ring.set_addresses(flags, descriptors, used, available)

    def _go_on(self, message: Message) -> None:
        _, self.ring.taken = message.unpacked("<II")

    def stop(self, message: Message) -> bytes:
        """Stop the ring; how far it has come."""
        queue, _ = message.unpacked("<II")
        self.ring.stop()
        return struct.pack("<II", queue, self.ring.taken)

    def _enable(self, message: Message) -> None:
        _, enabled = message.unpacked("<II")
        self.ring.enabled = bool(enabled)

    def _set_event(self, message: Message) -> None:
        number = message.number
        if number & QUEUE_NUMBER:
            raise ProtocolError(f"there is no queue {number & QUEUE_NUMBER}")
        if message.request == Request.SET_VRING_ERR:
            return  # there is nothing that we would tell by it
        name = "kick" if message.request == Request.SET_VRING_KICK else "call"
        if number & NO_DESCRIPTOR:
            self.ring.set_event(name, -1)
        elif message.descriptors:
            self.ring.set_event(name, os.dup(message.descriptors[0]))
        else:
            raise ProtocolError(f"request {message.request} comes without its descriptor")

    def _configuration(self, message: Message) -> bytes:
        offset, size, flags = message.unpacked("<III")
        whole = self._disk.configuration.ljust(offset + size, b"\0")
        return CONFIG_HEAD.pack(offset, size, flags) + whole[offset : offset + size]
