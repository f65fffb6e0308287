"""One hop through a file: the source writes its state, and the destination reads it afterwards.

There is no return path: the source has completed when the file has. It is stopped then, and may be
continued where the destination does not take the file, because that is ended first.

``background-snapshot`` is different: the guest goes on running on the source while its state of one
moment is written. The hop goes back to that moment, so that what the guest has done and said since
has not been. It is paused before and its console drained, so that the moment is known to the byte.
"""

import contextlib
import os

from matrix.errors import HostError, MonitorError
from matrix.migrating import HopOutcome, Strategy
from matrix.migration.endpoint import Endpoint
from matrix.migration.hop import (
    GIVING_UP,
    GONE_WRONG,
    ended_meanwhile,
    framed_hop,
    last_look,
    set_up,
    why_ended,
)
from matrix.migration.live_hop import HopEnd, Injector, LiveHop
from matrix.migration.routes import FD_NAME, migrate_incoming
from matrix.migration.samples import Sampler
from matrix.vm.joined_console import JoinedConsole

HELD_BYTES = 16 << 20
"""Of the console, while a snapshot is written: a guest that says more is not carried over."""
EXITING = 1.0
"""Seconds that a QEMU that has failed to load a file has to exit, as it does unless it was told not
to, before it is asked why."""


async def run_file_hop(
    hop: LiveHop, injector: Injector, sampler: Sampler, joined: JoinedConsole
) -> HopEnd:
    """Make the hop through ``hop.file``, which is removed. Returns and raises as
    :func:`.hop.framed_hop`."""

    async def carry_over() -> HopEnd:
        end = await _made(hop, joined, sampler)
        end.seconds = hop.elapsed
        if end.outcome is HopOutcome.COMPLETED:
            joined.hand_over()  # what was held has not been
        joined.release()
        return end

    try:
        return await framed_hop(hop, injector, sampler, lambda: set_up(hop, injector), carry_over)
    finally:
        joined.release()
        if hop.file is not None:
            hop.file.unlink(missing_ok=True)


async def _made(hop: LiveHop, joined: JoinedConsole, sampler: Sampler) -> HopEnd:
    """Both halves."""
    snapshot = hop.strategy is Strategy.BACKGROUND_SNAPSHOT
    try:
        if snapshot:
            await hop.source.execute("stop")
            joined.hold(HELD_BYTES)
        stopped = hop.source.stopped
        end = await _saved(hop, sampler, snapshot=snapshot)
        stopped = stopped or hop.source.stopped
        if end.outcome is not HopOutcome.COMPLETED:
            return end
        if snapshot:
            await hop.source.execute("stop")  # two would run
            if joined.overheld:
                return HopEnd(HopOutcome.FAILED, "the guest printed too much during the snapshot")
        loaded = await _loaded(hop, snapshot=snapshot)
    except MonitorError as error:
        return await ended_meanwhile(hop.source) or HopEnd(HopOutcome.FAILED, str(error))
    loaded.information = end.information
    if stopped is not None and hop.destination.resumed is not None:
        loaded.stop_to_resume = hop.destination.resumed - stopped
    return loaded


async def _saved(hop: LiveHop, sampler: Sampler, *, snapshot: bool) -> HopEnd:
    """Have the source write the file. Raises MonitorError."""
    source = hop.source
    await source.execute("migrate", {"uri": await _address(hop, source, writing=True)})
    if snapshot:  # newer QEMUs leave a guest paused that was
        await source.board.until(
            lambda: source.status in ("active", "completed", *GONE_WRONG) or not source.alive,
            hop.left,
        )
        if source.status in ("active", "completed") and not await source.running():
            await source.execute("cont")

    def over() -> bool:
        return source.status in ("completed", *GONE_WRONG) or not source.alive

    if not await source.board.until(over, hop.left):
        hop.note("migrate_cancel")
        with contextlib.suppress(MonitorError):  # seen below: it does not end
            await source.execute("migrate_cancel", seconds=GIVING_UP)
        await source.board.until(over, GIVING_UP)
        end = HopEnd(HopOutcome.CANCELLED, f"not over within {hop.seconds:g} s")
    elif not source.alive:
        return await ended_meanwhile(source) or HopEnd(HopOutcome.LOST, why_ended(source))
    elif source.status == "completed":
        end = HopEnd(HopOutcome.COMPLETED)
    elif source.status == "cancelled":
        end = HopEnd(HopOutcome.CANCELLED)
    else:
        end = HopEnd(HopOutcome.FAILED)
    await last_look(hop, end, sampler)
    return end


async def _loaded(hop: LiveHop, *, snapshot: bool) -> HopEnd:
    """Have the destination read it. Raises MonitorError."""
    destination = hop.destination
    await migrate_incoming(destination, await _address(hop, destination, writing=False))
    arrived = await destination.until("completed", *GONE_WRONG, seconds=hop.left)
    if snapshot and destination.status == "completed":
        await destination.execute("cont")
    if arrived and destination.status == "completed":
        await destination.board.until(
            lambda: destination.resumed is not None or not destination.alive, hop.left
        )
        if destination.resumed is not None:
            return HopEnd(HopOutcome.COMPLETED)
    if failed := destination.status in GONE_WRONG:
        await destination.board.until(lambda: not destination.alive, EXITING)
    if not destination.alive:
        return HopEnd(HopOutcome.FAILED, f"the destination ended: {why_ended(destination)}")
    said = (await destination.information()).get("error-desc", "")
    silent = "it does not say why" if failed else f"not over within {hop.seconds:g} s"
    why = said or silent
    return HopEnd(HopOutcome.FAILED, f"the destination has not taken it in: {why}")


async def _address(hop: LiveHop, side: Endpoint, *, writing: bool) -> str:
    """What ``side`` calls the file; one that knows no files is given a descriptor of it."""
    file = hop.file
    assert file is not None  # noqa: S101 - that is what makes it a hop of this kind
    # Whoever can map RAM into a file knows files: these came one release before that.
    if "mapped-ram" in hop.abilities[side.emulator.key].capabilities:
        return f"file:{file}"
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC if writing else os.O_RDONLY
    try:
        descriptor = os.open(file, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostError(f"cannot open {file}: {error.strerror}") from error
    try:
        await side.monitor.send_descriptor(FD_NAME, descriptor)
    finally:
        os.close(descriptor)
    return f"fd:{FD_NAME}"
