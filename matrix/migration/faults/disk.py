"""A disk that is full when the guest's state is written to it."""

from pathlib import Path

from matrix.migration.faults.base import FaultInjector
from matrix.migration.live import LiveHop

FULL = Path("/dev/full")
"""A device on which every write fails with ENOSPC (full(4)): a disk that really is full would take
a file system of its own, and root to mount it. QEMU from 9.0 on truncates the file that it opens,
which a device refuses (EINVAL): there the hop fails one step before its first write."""


class DiskFull(FaultInjector):
    """The file that the state goes into takes nothing."""

    async def prepare(self, hop: LiveHop) -> None:
        if hop.file is not None:
            hop.file.symlink_to(FULL)
            self.deed(hop, f"{hop.file.name} is {FULL}")
