"""A split virtqueue, from the device's end: VIRTIO 1.2, 2.7."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from matrix.vhost_user.vhost_memory import Memory
from matrix.vhost_user.vhost_messages import ProtocolError

NEXT, WRITTEN = 1, 2
"""Flags of a descriptor; written: by the device."""
NO_INTERRUPT = 1
"""Flag of the ring of what is available."""
LOGGED = 1
"""Flag of a ring's addresses: what is written to it is to be logged."""
_DESCRIPTOR = struct.Struct("<QIHH")
_USED = struct.Struct("<II")
_WORD = struct.Struct("<H")
HEAD = 4
"""Bytes of a ring before its entries: flags and index."""
ONE = struct.pack("<Q", 1)


@dataclass(frozen=True, slots=True)
class Chain:
    """A request: the number of its first descriptor, and its pieces by address and size."""

    number: int
    read: tuple[tuple[int, int], ...]
    """What the device reads."""
    written: tuple[tuple[int, int], ...]
    """What it writes."""


class Ring:
    """One queue, as QEMU has described it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.size = 0
        self.taken = 0
        """How many requests have been taken, modulo 65536: where it goes on."""
        self.kick = self.call = -1
        """Descriptors of its events; -1 where there is none."""
        self.enabled = False
        self._descriptors = self._available = self._used = self._logged = 0

    @property
    def runs(self) -> bool:
        """Whether requests are to be taken from it."""
        return self.enabled and self.kick >= 0

    def set_addresses(self, flags: int, descriptors: int, used: int, available: int) -> None:
        """Take QEMU's addresses of its parts in.

        Raises:
            ProtocolError: they are not in the guest's memory.
        """
        self._descriptors = self._memory.guest_address(descriptors)
        self._used = self._memory.guest_address(used)
        self._available = self._memory.guest_address(available)
        self._logged = flags & LOGGED

    def take(self) -> Chain | None:
        """The next request; None where there is none.

        Raises:
            ProtocolError: the guest has put none there.
        """
        if self.taken == self._word(self._available + 2):
            return None
        number = self._word(self._available + HEAD + 2 * (self.taken % self.size))
        self.taken = (self.taken + 1) % 65536
        pieces = list(self._chain(number))
        return Chain(
            number,
            tuple((address, size) for address, size, written in pieces if not written),
            tuple((address, size) for address, size, written in pieces if written),
        )

    def _chain(self, number: int) -> Iterator[tuple[int, int, bool]]:
        for _ in range(self.size):
            at = self._descriptors + _DESCRIPTOR.size * (number % self.size)
            address, size, flags, following = _DESCRIPTOR.unpack(
                self._memory.at(at, _DESCRIPTOR.size)
            )
            yield address, size, bool(flags & WRITTEN)
            if not flags & NEXT:
                return
            number = following
        raise ProtocolError("a request that is longer than its queue")

    def finish(self, chain: Chain, written: int) -> None:
        """Give a request back, of which so many bytes were written, and interrupt the guest."""
        index = self._word(self._used + 2)
        entry = self._used + HEAD + _USED.size * (index % self.size)
        self._memory.at(entry, _USED.size)[:] = _USED.pack(chain.number, written)
        self._wrote(entry, _USED.size)
        # The index comes last: with it the guest sees the entry.
        self._memory.at(self._used + 2, 2)[:] = _WORD.pack((index + 1) % 65536)
        self._wrote(self._used + 2, 2)
        if self.call >= 0 and not self._word(self._available) & NO_INTERRUPT:
            os.write(self.call, ONE)

    def _wrote(self, address: int, size: int) -> None:
        if self._logged:
            self._memory.wrote(address, size)

    def _word(self, address: int) -> int:
        return self._memory.at(address, 2).cast("H")[0]

    def stop(self) -> None:
        """Take no more requests, and forget its events."""
        self.enabled = False
        self.set_event("kick", -1)
        self.set_event("call", -1)

    def set_event(self, name: str, descriptor: int) -> None:
        """Take a descriptor for ``kick`` or ``call``, and close what was there before."""
        before = getattr(self, name)
        if before >= 0:
            os.close(before)
        setattr(self, name, descriptor)
