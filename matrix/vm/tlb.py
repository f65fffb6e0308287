"""Lets QEMU's translator (TCG) look addresses up faster for a guest that works long and silently.

TCG's table of translated addresses begins with 256 entries and is made larger, to twice its size
at a time, only when it is flushed and was well filled (``tlb_mmu_resize_locked`` in QEMU's
accel/tcg/cputlb.c). A guest that never flushes its own and goes over more memory than a MiB stays
with what it began with: kvm-unit-tests' sieve on s390x takes five times as long as it needs to.
Whenever QEMU begins or ends to note which pages are written to, it flushes; measuring the dirty
rate does both, and the guest sees nothing of it.

Only QEMUs that know ``calc-time-unit`` are helped, from 8.2: before 8.1.1 the flush raced with the
vCPU that it is of (``tcg_commit`` in softmmu/physmem.c), and 7.2 was seen to die of it.
"""

import math

from matrix.errors import MonitorError
from matrix.vm.monitor import Monitor

MEASUREMENT = {"calc-time": 100, "calc-time-unit": "millisecond", "mode": "dirty-bitmap"}
"""A table counts as well filled only if it was for 100 ms."""
MANY = 10
"""Measurements, each with two flushes, after which the table is as large as QEMU lets it become."""
BETWEEN = 0.2
"""Seconds from one measurement to the next until then."""
SELDOM = 10.0
"""Seconds between them after that: another part of a test may need another size."""
TIMEOUT = 2.0


class TlbFlusher:
    """Flushes the table of one QEMU now and then."""

    def __init__(self) -> None:
        self._made = 0
        self.next = 0.0
        """When there is something to do next, infinite for never."""

    async def flush(self, monitor: Monitor, now: float) -> None:
        """Flush if it is time to, ``now`` in seconds. Nothing is raised; a QEMU that refuses is not
        asked again."""
        if now < self.next:
            return
        self._made += 1
        self.next = now + (BETWEEN if self._made < MANY else SELDOM)
        try:
            await monitor.execute("calc-dirty-rate", MEASUREMENT, TIMEOUT)
        except MonitorError:
            self.next = math.inf
