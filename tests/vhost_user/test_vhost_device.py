"""A vhost-user disk from QEMU's end: what it is asked, and what its guest's requests come to."""

import mmap
import os
import select
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix.vhost_user.vhost_device import CONFIG, FEATURES, LOG_ALL, LOG_SHMFD, PROTOCOL, Device
from matrix.vhost_user.vhost_disk import FLUSH, READ, WRITE, Disk
from matrix.vhost_user.vhost_messages import HEADER, NEED_REPLY, VERSION, ProtocolError, Request

PATIENCE = 60.0
"""Seconds; none is waited for."""
PAGE = 4096
PAGES = 16
GUEST, QEMU = 1 << 20, 0x7F0000000000
"""Where the memory is in the guest, and in QEMU."""
DESCRIPTORS, AVAILABLE, USED, HEAD, DATA, STATUS = (number * PAGE for number in range(6))
SIZE = 8
SECTOR = 512
SECTORS = 64
UNKNOWN = 9


class Qemu:
    """QEMU's end of a connection, and its guest's driver."""

    def __init__(self, disk: Disk) -> None:
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(PATIENCE)
        memory = os.memfd_create("memory")
        os.ftruncate(memory, PAGES * PAGE)
        self.memory = mmap.mmap(memory, PAGES * PAGE)
        log = os.memfd_create("log")
        os.ftruncate(log, PAGE)
        self.log = mmap.mmap(log, PAGE)
        self._files = [memory, log]
        self.kick, self.call = os.eventfd(0), os.eventfd(0)
        self.error = ""
        self._thread = threading.Thread(target=self._serve, args=(Device(theirs, disk, 0.0),))
        self._thread.start()
        self._requests = 0

    def _serve(self, device: Device) -> None:
        try:
            device.run()
        except ProtocolError as error:
            self.error = str(error)

    def close(self) -> None:
        """Hang up; it must have gone then."""
        self.ours.close()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        for each in (*self._files, self.kick, self.call):
            os.close(each)

    def tell(self, request: int, payload: bytes = b"", *descriptors: int) -> None:
        """And wait until it is done."""
        head = HEADER.pack(request, VERSION | NEED_REPLY, len(payload))
        socket.send_fds(self.ours, [head + payload], descriptors)
        self._reply()

    def ask(self, request: int, payload: bytes = b"") -> bytes:
        self.ours.sendall(HEADER.pack(request, VERSION, len(payload)) + payload)
        return self._reply()

    def _reply(self) -> bytes:
        head = self.ours.recv(HEADER.size)
        if not head:
            return b""
        *_, size = HEADER.unpack(head)
        return self.ours.recv(size) if size else b""

    def start(self, *, base: int = 0) -> None:
        """Set the ring up, as of so many requests."""
        self._requests = base
        if base:
            for place in (AVAILABLE, USED):
                self.memory[place + 2 : place + 4] = struct.pack("<H", base)
        self.tell(Request.SET_OWNER)
        table = struct.pack("<IIQQQQ", 1, 0, GUEST, PAGES * PAGE, QEMU, 0)
        self.tell(Request.SET_MEM_TABLE, table, self._files[0])
        self.tell(Request.SET_VRING_NUM, struct.pack("<II", 0, SIZE))
        self._set_addresses(0)
        self.tell(Request.SET_VRING_BASE, struct.pack("<II", 0, base))
        self.tell(Request.SET_VRING_CALL, struct.pack("<Q", 0), self.call)
        self.tell(Request.SET_VRING_KICK, struct.pack("<Q", 0), self.kick)
        self.tell(Request.SET_VRING_ENABLE, struct.pack("<II", 0, 1))

    def _set_addresses(self, flags: int) -> None:
        places = (QEMU + DESCRIPTORS, QEMU + USED, QEMU + AVAILABLE)
        self.tell(Request.SET_VRING_ADDR, struct.pack("<IIQQQQ", 0, flags, *places, 0))

    def start_log(self) -> None:
        """As at the begin of a migration."""
        head = HEADER.pack(Request.SET_LOG_BASE, VERSION, 16)
        socket.send_fds(self.ours, [head + struct.pack("<QQ", PAGE, 0)], [self._files[1]])
        assert self._reply() == bytes(8)
        self.tell(Request.SET_FEATURES, struct.pack("<Q", FEATURES))
        self._set_addresses(1)

    def submit(self, kind: int, sector: int, data: bytes | int = b"") -> None:
        """One request: what is written to the disk, or how many bytes are read from it."""
        length = data if isinstance(data, int) else len(data)
        self.memory[HEAD : HEAD + 16] = struct.pack("<IIQ", kind, 0, sector)
        if isinstance(data, bytes):
            self.memory[DATA : DATA + length] = data
        self.memory[STATUS] = 0xFF
        flags = 1 | (2 if kind == READ else 0)
        chain = [(HEAD, 16, 1, 1), (DATA, length, flags, 2), (STATUS, 1, 2, 0)]
        for number, (at, size, flag, following) in enumerate(chain):
            entry = struct.pack("<QIHH", GUEST + at, size, flag, following)
            start = DESCRIPTORS + 16 * number
            self.memory[start : start + 16] = entry
        slot = AVAILABLE + 4 + 2 * (self._requests % SIZE)
        self.memory[slot : slot + 2] = struct.pack("<H", 0)
        self._requests += 1
        self.memory[AVAILABLE + 2 : AVAILABLE + 4] = struct.pack("<H", self._requests % 65536)

    def interrupted(self) -> None:
        """Wait for the interrupt."""
        assert select.select([self.call], [], [], PATIENCE)[0], self.error
        os.eventfd_read(self.call)

    def answered(self) -> tuple[int, int]:
        """Wait for the interrupt; the status, and how many bytes were written."""
        self.interrupted()
        entry = USED + 4 + 8 * ((self._requests - 1) % SIZE)
        number, written = struct.unpack_from("<II", self.memory, entry)
        assert number == 0
        return self.memory[STATUS], written

    def logged(self) -> set[int]:
        """The pages of the log, by their place in the guest's memory."""
        bits = {at * 8 + bit for at in range(PAGE) for bit in range(8) if self.log[at] & 1 << bit}
        return {(page - GUEST // PAGE) * PAGE for page in bits}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(SECTORS * SECTOR))
    made = Disk(path)
    yield made
    made.close()


@pytest.fixture
def qemu(disk: Disk) -> Iterator[Qemu]:
    made = Qemu(disk)
    yield made
    made.close()


def test_it_says_what_it_can(qemu: Qemu) -> None:
    (features,) = struct.unpack("<Q", qemu.ask(Request.GET_FEATURES))
    (protocol,) = struct.unpack("<Q", qemu.ask(Request.GET_PROTOCOL_FEATURES))
    assert features & LOG_ALL  # or QEMU would not migrate its guest
    assert protocol == PROTOCOL
    assert protocol & LOG_SHMFD
    assert protocol & CONFIG
    answer = qemu.ask(Request.GET_CONFIG, struct.pack("<III60x", 0, 60, 0))
    assert struct.unpack_from("<IIIQ", answer) == (0, 60, 0, SECTORS)
    assert len(answer) == 12 + 60


def test_what_is_written_is_read_again(qemu: Qemu) -> None:
    qemu.start()
    data = bytes(range(256)) * 4
    qemu.submit(WRITE, 3, data)
    assert qemu.answered() == (0, 1)
    qemu.submit(READ, 4, SECTOR)
    assert qemu.answered() == (0, SECTOR + 1)
    assert qemu.memory[DATA : DATA + SECTOR] == data[SECTOR:]
    assert not qemu.logged()


@pytest.mark.parametrize(
    ("kind", "sector", "data", "status"),
    [
        (READ, SECTORS, SECTOR, 1),
        (WRITE, SECTORS - 1, bytes(2 * SECTOR), 1),
        (READ, 0, SECTOR - 1, 1),
        (FLUSH, 0, b"", 0),
        (UNKNOWN, 0, b"", 2),
    ],
)
def test_requests_that_are_no_reads_and_writes(
    qemu: Qemu, kind: int, sector: int, data: bytes | int, status: int
) -> None:
    qemu.start()
    qemu.submit(kind, sector, data)
    assert qemu.answered() == (status, 1)


def test_what_is_written_while_a_guest_is_migrated_is_logged(qemu: Qemu) -> None:
    qemu.start()
    qemu.start_log()
    qemu.submit(READ, 0, SECTOR)
    assert qemu.answered() == (0, SECTOR + 1)
    assert qemu.logged() == {USED, DATA, STATUS}
    qemu.log[:] = bytes(PAGE)
    qemu.submit(WRITE, 0, bytes(SECTOR))
    assert qemu.answered() == (0, 1)
    assert qemu.logged() == {USED, STATUS}


def test_a_ring_that_stops_goes_on_elsewhere(qemu: Qemu, disk: Disk) -> None:
    """What has not been taken stays in it, for the other side of a migration."""
    qemu.start(base=65535)
    qemu.submit(WRITE, 1, b"x" * SECTOR)
    assert qemu.answered() == (0, 1)
    assert qemu.ask(Request.GET_VRING_BASE, struct.pack("<II", 0, 0)) == struct.pack("<II", 0, 0)
    qemu.submit(READ, 1, SECTOR)  # nobody takes it
    other = Qemu(disk)
    try:
        os.close(other._files[0])
        other._files[0], other.memory = os.dup(qemu._files[0]), qemu.memory
        other.start(base=0)
        other._requests = qemu._requests - 65535
        other.interrupted()
        assert qemu.memory[DATA : DATA + SECTOR] == b"x" * SECTOR
        assert qemu.memory[STATUS] == 0
    finally:
        other.close()


@pytest.mark.parametrize(
    ("request_number", "payload", "why"),
    [
        (99, b"", "request 99 was not agreed on"),
        (Request.SET_VRING_NUM, b"\0", "request 8 is too short"),
        (Request.SET_LOG_BASE, bytes(16), "a log without a file"),
        (Request.SET_MEM_TABLE, struct.pack("<II", 2, 0), "2 regions with 0 descriptors"),
        (Request.SET_VRING_ADDR, bytes(40), "0x0 is not in the guest's memory"),
        (Request.SET_VRING_KICK, struct.pack("<Q", 3), "there is no queue 3"),
        (Request.SET_VRING_CALL, struct.pack("<Q", 0), "comes without its descriptor"),
    ],
)
def test_what_is_wrong_ends_the_connection_and_is_said(
    qemu: Qemu, request_number: int, payload: bytes, why: str
) -> None:
    assert qemu.ask(request_number, payload) == b""
    qemu._thread.join(PATIENCE)
    assert why in qemu.error


@pytest.mark.parametrize(
    ("request_number", "size", "sent"),
    [
        (Request.SET_MEM_TABLE, 40, b""),  # it hangs up before the payload has come
        (Request.SET_MEM_TABLE, 8, struct.pack("<II", 1, 0)),  # a region is missing
        (Request.SET_FEATURES, 8, bytes(8)),  # which has no use for a descriptor
        (Request.SET_VRING_ERR, 8, bytes(8)),
        (99, 0, b""),
    ],
)
def test_no_descriptor_of_a_message_stays(
    qemu: Qemu, request_number: int, size: int, sent: bytes
) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    head = HEADER.pack(request_number, VERSION, size)
    socket.send_fds(qemu.ours, [head + sent], [qemu.kick])
    qemu.ours.shutdown(socket.SHUT_RDWR)
    qemu._thread.join(PATIENCE)
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1  # the connection's
