"""Lets QEMU's translator (TCG) look addresses up faster for a guest that works long and silently.

TCG's table of translated addresses begins with 256 entries and is made larger, to twice its size
at a time, only when it is flushed and was well filled (``tlb_mmu_resize_locked`` in QEMU's
accel/tcg/cputlb.c). A guest that never flushes its own and goes over more memory than a MiB stays
with what it began with: kvm-unit-tests' sieve on s390x takes five times as long as it needs to.
Whenever QEMU begins or ends to note which pages are written to, it flushes.

From 8.2 on QEMU is asked to measure its dirty rate, which does both while the guest runs; it sees
nothing of that. Before 8.1.1 a flush raced with the vCPU that it is of (``tcg_commit`` in
softmmu/physmem.c), and 7.2 was seen to die of it. Such a QEMU stops its vCPUs for some
milliseconds, in which it begins to migrate to nobody and is told to leave that: what it notes ends
with the ``cont``, before a vCPU runs (``memory_vm_change_state_handler`` in softmmu/memory.c).
"""

import asyncio
import contextlib
import math
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from matrix.attempt import Assist
from matrix.errors import MonitorError
from matrix.vm.monitor import Monitor
from matrix.vm.qemu_session import Session

MEASUREMENT = {"calc-time": 100, "calc-time-unit": "millisecond", "mode": "dirty-bitmap"}
"""A table counts as well filled only if it was for 100 ms. QEMU knows the unit from 8.2."""
EVENTS = {"capabilities": [{"capability": "events", "state": True}]}
MANY = 10
"""Flushes, or measurements with two each, after which the table is as large as it can become."""
BETWEEN = 0.2
"""Seconds from one to the next until then."""
SELDOM = 10.0
"""Seconds between them after that: another part of a test may need another size."""
TIMEOUT = 2.0
PATIENCE = 20.0
"""Seconds for the states of a migration to change, on a crowded host too: the vCPUs must not run
before it is over."""
NOT_FINALIZED = 0.02
"""Seconds from one ``cont`` that is refused to the next."""
MIGRATED = ("finish-migrate", "postmigrate")
"""Run states of a guest whose migration was through: before QEMU has cleaned up, and after it."""
NOBODY = "matrix-nobody"
"""The name that QEMU knows /dev/null by."""
OVER = ("cancelled", "completed", "failed")
"""States of a migration that has ended; a small guest is through before it is told to stop."""


class TlbFlusher:
    """Flushes the table of one QEMU now and then, and counts that in the session's ``assists``."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._made = 0
        self._way: Callable[[Monitor], Awaitable[None]] = _measure
        self._assist = Assist.CALC_DIRTY_RATE
        self.next = 0.0
        """When there is something to do next, infinite for never."""

    async def flush(self, now: float) -> None:
        """Flush if it is time to, ``now`` in seconds. Nothing is raised; a QEMU that refuses is not
        asked again."""
        monitor = self._session.monitor
        if now < self.next or monitor is None or not monitor.alive:
            return
        self._made += 1
        self.next = now + (BETWEEN if self._made < MANY else SELDOM)
        # Counted before it is done: the guest may be ended in the middle of it.
        self._session.assists[self._assist] += 1
        try:
            await self._way(monitor)
        except MonitorError as error:
            if error.error_class and self._way is _measure:
                self._session.assists[self._assist] -= 1  # refused: nothing was done
                self._way, self._made, self.next = Stopped(self._session).flush, 0, now
                self._assist = Assist.MIGRATE_TO_NOBODY
            else:
                self.next = math.inf


async def _measure(monitor: Monitor) -> None:
    await monitor.execute("calc-dirty-rate", MEASUREMENT, TIMEOUT)


class Stopped:
    """Flushes while no vCPU runs. What events say is heard here, of a session that nobody else
    listens to."""

    def __init__(self, session: Session) -> None:
        self._status = ""
        self._changed = asyncio.Event()
        session.on_event = self._heard

    def _heard(self, name: str, data: Mapping[str, Any], _at: float) -> None:
        if name == "MIGRATION":
            self._status = str(data.get("status", ""))
            self._changed.set()

    async def flush(self, monitor: Monitor) -> None:
        """Stop the guest, flush, and let it go on.

        Raises:
            MonitorError: QEMU cannot migrate its guest, or does not answer.
        """
        halted = False
        try:
            await monitor.execute("stop")
            status = await monitor.execute("query-status")
            halted = not isinstance(status, dict) or status.get("status") != "paused"
            if not halted:
                await self._note_writes(monitor)
        finally:
            # Broken off, or answered late, it would leave a guest stopped that is then said to have
            # hung. One that was halted before, as by a panic, is not ours to continue.
            if not halted:
                await self._go_on(monitor)

    async def _go_on(self, monitor: Monitor) -> None:
        """Continue the guest, whatever has become of the migration.

        One that was through before it was cancelled is "completed" before QEMU has cleaned up
        after it. Until then it refuses ("Migration is not finalized yet", qmp_cont() in
        monitor/qmp-cmds.c of 7.2), and no event tells when: seen with ppc64 under 7.2.
        """
        with contextlib.suppress(TimeoutError, MonitorError):  # QEMU is dead, or will be found so
            async with asyncio.timeout(PATIENCE):
                while not await self._continued(monitor):  # noqa: ASYNC110 - there is no event
                    await asyncio.sleep(NOT_FINALIZED)

    async def _continued(self, monitor: Monitor) -> bool:
        """Whether it is of no use to ask once more."""
        try:
            await monitor.execute("cont")
        except MonitorError as error:
            status = await monitor.execute("query-status") if error.error_class else None
            return not isinstance(status, dict) or status.get("status") not in MIGRATED
        return True

    async def _note_writes(self, monitor: Monitor) -> None:
        await monitor.execute("migrate-set-capabilities", EVENTS)
        # A socket would be shut down at the end, and QEMU complain on stderr that it cannot write:
        # with status 1, by which x86 guests pass, that is a QEMU that has failed.
        nobody = os.open(os.devnull, os.O_WRONLY)
        try:
            await monitor.send_descriptor(NOBODY, nobody)
        finally:
            os.close(nobody)
        self._status = ""
        await monitor.execute("migrate", {"uri": f"fd:{NOBODY}"})
        try:
            await self._until("active", *OVER)
        finally:
            # A failure here must not take the place of a cancellation; the next one is refused.
            with contextlib.suppress(MonitorError):  # as said above
                await monitor.execute("migrate_cancel")
                await self._until(*OVER)

    async def _until(self, *states: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while self._status not in states:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            raise MonitorError("migrate", f"not {' or '.join(states)} in time") from error
