"""A disk in a file, for requests of virtio-blk: VIRTIO 1.2, 5.2."""

import os
import struct
from pathlib import Path

from matrix.vhost_user.vhost_memory import Memory
from matrix.vhost_user.vhost_messages import ProtocolError
from matrix.vhost_user.vhost_ring import Chain

SECTOR = 512
READ, WRITE, FLUSH = 0, 1, 4
DONE, FAILED, UNKNOWN = 0, 1, 2
_HEAD = struct.Struct("<IIQ")
"""Type, reserved, first sector."""


class Disk:
    """The file, which several connections may share."""

    def __init__(self, path: Path) -> None:
        """Raises OSError: it cannot be opened."""
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.sectors = os.fstat(self._file).st_size // SECTOR

    @property
    def configuration(self) -> bytes:
        """What the device says of itself: its size, and nothing else."""
        return struct.pack("<Q", self.sectors)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def serve(self, chain: Chain, memory: Memory) -> int:
        """Carry a request out; how many bytes were written to the guest's memory.

        Raises:
            ProtocolError: it is no request of a disk.
        """
        if not chain.read or chain.read[0][1] < _HEAD.size or not chain.written:
            raise ProtocolError("a request without its head, or without room for its status")
        kind, _, sector = _HEAD.unpack(memory.at(chain.read[0][0], _HEAD.size))
        status_at = chain.written[-1][0]
        status, written = UNKNOWN, 0
        if kind == READ:
            status, written = self._read(sector, chain.written[:-1], memory)
        elif kind == WRITE:
            status = self._write(sector, chain.read[1:], memory)
        elif kind == FLUSH:
            status = DONE
        memory.write(status_at, [bytes([status])])
        return written + 1

    def _read(
        self, sector: int, pieces: tuple[tuple[int, int], ...], memory: Memory
    ) -> tuple[int, int]:
        size = sum(length for _, length in pieces)
        if not self._has(sector, size):
            return FAILED, 0
        at = sector * SECTOR
        for address, length in pieces:
            memory.write(address, [os.pread(self._file, length, at)])
            at += length
        return DONE, size

    def _write(self, sector: int, pieces: tuple[tuple[int, int], ...], memory: Memory) -> int:
        if not self._has(sector, sum(length for _, length in pieces)):
            return FAILED
        at = sector * SECTOR
        for address, length in pieces:
            os.pwrite(self._file, memory.at(address, length), at)
            at += length
        return DONE

    def _has(self, sector: int, size: int) -> bool:
        return size % SECTOR == 0 and sector + size // SECTOR <= self.sectors
