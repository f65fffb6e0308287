"""A guest's memory, mapped from the descriptors that QEMU sends, and the log of what is written."""

import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from matrix.vhost_user.vhost_messages import Message, ProtocolError

LOG_PAGE = 4096
"""Bytes for which there is one bit in the log, whatever the guest's pages are."""
_HEAD = struct.Struct("<II")
_REGION = struct.Struct("<QQQQ")


@dataclass(frozen=True, slots=True)
class Region:
    """A piece of the guest's memory."""

    guest: int
    """Physical address in the guest."""
    size: int
    qemu: int
    """Address in QEMU, by which rings are named."""
    view: memoryview
    map: mmap.mmap


class Memory:
    """All pieces, as of the latest table that QEMU has sent, and the log where there is one."""

    def __init__(self) -> None:
        self.regions: tuple[Region, ...] = ()
        self.logging = False
        """Whether what is written is to be logged."""
        self._log: mmap.mmap | None = None

    def set_table(self, message: Message) -> None:
        """Take a table of memory in.

        Raises:
            ProtocolError: it has other descriptors than regions.
            OSError, ValueError: one cannot be mapped.
        """
        count, _ = message.unpacked("<II")
        if count != len(message.descriptors):
            raise ProtocolError(f"{count} regions with {len(message.descriptors)} descriptors")
        if len(message.payload) < _HEAD.size + count * _REGION.size:
            raise ProtocolError(f"request {message.request} is too short for {count} regions")
        self.close_table()
        regions = []
        for number, descriptor in enumerate(message.descriptors):
            at = _HEAD.size + number * _REGION.size
            guest, size, qemu, offset = _REGION.unpack_from(message.payload, at)
            mapped = mmap.mmap(descriptor, size + offset)
            regions.append(Region(guest, size, qemu, memoryview(mapped)[offset:], mapped))
        self.regions = tuple(regions)

    def set_log(self, message: Message) -> None:
        """Take a log in: its size and its offset in the file that comes with it.

        Raises:
            ProtocolError: there is no file.
            OSError, ValueError: it cannot be mapped.
        """
        size, offset = message.unpacked("<QQ")
        if len(message.descriptors) != 1:
            raise ProtocolError("a log without a file")
        self.close_log()
        self._log = mmap.mmap(message.descriptors[0], size, offset=offset)

    def at(self, guest: int, size: int) -> memoryview:
        """So many bytes at a physical address of the guest.

        Raises:
            ProtocolError: they are not all in one region.
        """
        for region in self.regions:
            if region.guest <= guest and guest + size <= region.guest + region.size:
                return region.view[guest - region.guest :][:size]
        raise ProtocolError(f"{size} bytes at {guest:#x} are not in the guest's memory")

    def guest_address(self, qemu: int) -> int:
        """The guest's address of what QEMU has there.

        Raises:
            ProtocolError: it is in no region.
        """
        for region in self.regions:
            if region.qemu <= qemu < region.qemu + region.size:
                return region.guest + qemu - region.qemu
        raise ProtocolError(f"{qemu:#x} is not in the guest's memory")

    def write(self, guest: int, pieces: Sequence[memoryview | bytes]) -> None:
        """Write to the guest's memory, and log it. Raises as :meth:`at`."""
        for piece in pieces:
            self.at(guest, len(piece))[:] = piece
            self.wrote(guest, len(piece))
            guest += len(piece)

    def wrote(self, guest: int, size: int) -> None:
        """Log that so many bytes were written there."""
        if not self.logging or self._log is None or not size:
            return
        for page in range(guest // LOG_PAGE, (guest + size - 1) // LOG_PAGE + 1):
            self.log(page)

    def log(self, page: int) -> None:
        """Set the bit of a page.

        QEMU takes words out and leaves zeros meanwhile (``vhost_dev_sync_region`` in its
        hw/virtio/vhost.c): bits of the same byte may come back, which costs a page sent twice, and
        none is lost.
        """
        at, bit = divmod(page, 8)
        if self._log is not None and at < len(self._log):
            self._log[at] |= 1 << bit

    def close_table(self) -> None:
        """Unmap the guest's memory."""
        for region in self.regions:
            region.view.release()
            region.map.close()
        self.regions = ()

    def close_log(self) -> None:
        """Unmap the log."""
        if self._log is not None:
            self._log.close()
            self._log = None
