"""One hop: the guest goes from a running QEMU to one that waits for it.

The order: capabilities and parameters on both sides, the destination listens, ``migrate`` on the
source. Success is that the source says completed, the destination says completed and has sent
RESUME, and lives. Whatever else happens, one of the two runs the guest afterwards and the other has
been ended, or the end says that the guest was lost.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from math import isfinite

from matrix.attempt import Ending, signal_name
from matrix.errors import MonitorError
from matrix.migrating import HopOutcome
from matrix.migration.endpoint import YANKED, Endpoint
from matrix.migration.live_hop import HopEnd, Injector, LiveHop
from matrix.migration.samples import Sampler
from matrix.migration.strategies import (
    capability_settings,
    parameter_settings,
)
from matrix.plan.strategy_settings import RECIPES
from matrix.suites.stderr import complaint, refusal
from matrix.vm.tasks import put_off_cancellation

GIVING_UP = 10.0
"""Seconds for what must follow at once: a cancelled migration to say so, a source to run again."""
SETTLING = 3.0
"""Seconds from the loss of a monitor to QEMU's exit and last words (2 s at most)."""
LAST_MOMENT = 1.0
"""Seconds in which the end of a guest on the destination is seen, after its source has told."""
NOT_CLEANED_UP = "duplicate yank instance"
"""What QEMU says of a ``migrate`` that comes before it has cleaned up after the one before."""
LAST_WORDS = 0.5
"""Seconds in which a destination that does not take the stream says so and exits."""
WORKED_OUT = 20
"""Times that a source is asked again: 7.2 says that it has completed before it has worked out the
times (``migration_calculate_complete``), which are 0 until then."""
AT_ONCE = 0.05
"""Seconds in which the exit of a destination is seen that has done nothing yet."""
TAKING = ("active", "failed", "postcopy-active")
"""Statuses of a destination that has begun to read."""
GONE_WRONG = ("failed", "cancelled")
IN_POSTCOPY = ("postcopy-active", "postcopy-paused", "postcopy-recover", "postcopy-recover-setup")


async def run_hop(hop: LiveHop, injector: Injector, sampler: Sampler) -> HopEnd:
    """Make the hop over ``hop.route``. Returns and raises as :func:`framed_hop`."""

    async def carry_over() -> HopEnd:
        end = await _migrated(hop, injector)
        await concluded(hop, end, sampler)
        return end

    return await framed_hop(hop, injector, sampler, lambda: set_up(hop, injector), carry_over)


async def framed_hop(
    hop: LiveHop,
    injector: Injector,
    sampler: Sampler,
    prepare: Callable[[], Awaitable[None]],
    carry_over: Callable[[], Awaitable[HopEnd]],
) -> HopEnd:
    """A hop of any kind, and how it ended. Nothing that QEMU does raises.

    Afterwards the guest runs on the destination where the outcome is ``completed``, on no one where
    it is ``lost``, else on the source, and the other process has been ended or is to be: the
    source's, of a completed hop, is left to the caller.

    Args:
        hop: the hop.
        injector: who interferes.
        sampler: who samples.
        prepare: everything before ``migrate``.
        carry_over: ``migrate``, and all that follows until it is decided who runs the guest.

    Raises:
        HostError: a process survives SIGKILL, or the host has no sockets left.
    """
    try:
        await prepare()
        hop.restart_clock()
        async with alongside(hop, injector, sampler):
            end = await carry_over()
    except MonitorError as error:
        end = await ended_meanwhile(hop.source) or HopEnd(HopOutcome.FAILED, str(error))
    await injector.before_ending(hop, end)
    if end.outcome in (HopOutcome.FAILED, HopOutcome.CANCELLED):
        end = await leave_on_source(hop, end)
    elif end.outcome is HopOutcome.LOST:
        # Leave no half of it behind.
        await put_off_cancellation(hop.source.kill())
        await put_off_cancellation(hop.destination.kill())
    end.information = end.information or sampler.last
    await injector.after_end(hop, end)
    return end


async def set_up(hop: LiveHop, injector: Injector) -> None:
    """Everything before ``migrate``.

    Raises:
        MonitorError: one of the two refuses, or has ended.
    """
    await injector.before_listening(hop)
    if hop.ahead is not None:
        hop.ahead.check(hop.destination)
    # Two processes: side by side, and one's refusal does not leave the other half set.
    sides = [_set_up_source(hop)] if hop.ahead else [_set_up_destination(hop), _set_up_source(hop)]
    for error in await asyncio.gather(*sides, return_exceptions=True):
        if error is not None:
            raise error
    if hop.route is not None:
        await hop.route.connect(hop.source)
    await injector.before_migrating(hop)


async def _set_up_destination(hop: LiveHop) -> None:
    """It takes its capabilities with ``migrate-incoming``, and only then listens."""
    await set_side(hop, hop.destination)
    if hop.route is not None:
        await hop.route.listen(hop.destination)


async def _set_up_source(hop: LiveHop) -> None:
    await set_side(hop, hop.source)
    if hop.route is not None:
        await hop.route.arrange(hop.source)


async def set_side(hop: LiveHop, side: Endpoint) -> None:
    """Capabilities and parameters of one side.

    Raises:
        MonitorError: it refuses them.
    """
    able = hop.abilities[side.emulator.key]
    parameters = parameter_settings(hop.strategy, able, hop.parameters, side.parameters)
    capabilities = capability_settings(hop.strategy, able, hop.capabilities)
    # A source was a destination before: mostly it has what this hop needs.
    if hop.ahead is None or not side.has_set(parameters, capabilities):
        side.parameters |= parameters.keys()
        await side.set_migration(parameters, capabilities)


async def _migrated(hop: LiveHop, injector: Injector) -> HopEnd:
    """``migrate``, and who runs the guest then."""
    assert hop.route is not None  # noqa: S101 - hops through files are run by another function
    try:
        starting = [hop.source.execute("migrate", {"uri": hop.route.outgoing})]
        if RECIPES[hop.strategy].postcopy and injector.starts_postcopy:
            # In its turn, not a round trip later. It is over already, or has failed, if refused.
            starting.append(hop.source.execute("migrate-start-postcopy"))
        (error, *_) = await asyncio.gather(*starting, return_exceptions=True)
        if isinstance(error, BaseException):
            raise error
    except MonitorError as error:
        why = str(error)
        if NOT_CLEANED_UP in why:
            why = f"QEMU has not cleaned up after the hop before, and makes no other: {why}"
        return await ended_meanwhile(hop.source) or HopEnd(HopOutcome.FAILED, why)
    return await decided(hop, injector)


async def concluded(hop: LiveHop, end: HopEnd, sampler: Sampler) -> None:
    """Note how long it took, and what the source says of it."""
    end.seconds = hop.elapsed
    end.stop_to_resume, end.clock_bound = stop_to_resume(hop)
    await last_look(hop, end, sampler)


async def last_look(hop: LiveHop, end: HopEnd, sampler: Sampler) -> None:
    """What the source says at the end: its numbers, or why it has failed."""
    if hop.source.alive:
        end.information = await sampler.take()
        for _ in range(WORKED_OUT):
            if end.outcome is not HopOutcome.COMPLETED or end.information.get("total-time") != 0:
                break
            await asyncio.sleep(0.005)
            end.information = await sampler.take()
    if "ram" not in end.information:
        reason = end.information.get("error-desc")
        if isinstance(reason, str) and end.outcome is HopOutcome.FAILED:
            end.reason = f"{end.gave_up}; {reason}" if end.gave_up else reason
        end.information = sampler.last


@contextlib.asynccontextmanager
async def alongside(hop: LiveHop, injector: Injector, sampler: Sampler) -> AsyncIterator[None]:
    """Sample, and tell the injector what happens, while the body waits for the hop's end."""
    tasks = [
        asyncio.create_task(sampler.run()),
        asyncio.create_task(_tell(hop, injector, sampler)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await put_off_cancellation(asyncio.wait(tasks))
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error


async def _tell(hop: LiveHop, injector: Injector, sampler: Sampler) -> None:
    while True:
        side, what = await hop.happened.get()
        if (side, what) == ("source", "STOP") and hop.source.in_postcopy:
            # QEMU answers when the switchover is over, and knows only then how long it took.
            sampler.ask()
        try:
            await injector.on_event(hop, side, what)
        except MonitorError as error:
            hop.note(str(error))


async def decided(hop: LiveHop, injector: Injector) -> HopEnd:
    """Wait until the hop has ended, one way or the other; give it up when its time is over."""
    board = hop.source.board
    await board.until(lambda: not hop.left or decide(hop, injector) is not None, hop.left)
    if decide(hop, injector) is not None:
        return await _considered(hop, injector)
    reason = f"not over within {hop.seconds:g} s"
    if hop.source.status in IN_POSTCOPY or hop.destination.resumed is not None:
        return HopEnd(HopOutcome.LOST, f"{reason}, in {hop.source.status or 'no status'}")
    if hop.source.place.host != hop.destination.place.host:
        # A link between hosts that is cut is noticed by nobody: QEMU waits for as long as TCP does.
        # 7.2's and 11.1's multifd do not even cancel then, but all of them can be yanked.
        hop.note("yank")
        with contextlib.suppress(MonitorError):  # before 6.0 there is none
            instances = {"instances": [YANKED]}
            await hop.source.execute("yank", instances, seconds=GIVING_UP, oob=True)
    hop.note("migrate_cancel")
    with contextlib.suppress(MonitorError):  # seen below: it does not end
        await hop.source.execute("migrate_cancel", seconds=GIVING_UP)
    if not await board.until(lambda: decide(hop, injector) is not None, GIVING_UP):
        # 7.2's multifd waits for channels that no one reads (seen); without a peer it cannot.
        hop.note("kill the destination, as the source does not cancel")
        await put_off_cancellation(hop.destination.kill())
        await board.until(lambda: decide(hop, injector) is not None, GIVING_UP)
    if decide(hop, injector) is None:
        return HopEnd(HopOutcome.LOST, f"{reason}, and it cannot be cancelled")
    end = await _considered(hop, injector)
    end.gave_up = reason
    end.reason = f"{reason}; {end.reason}" if end.reason else reason
    return end


async def _considered(hop: LiveHop, injector: Injector) -> HopEnd:
    """The decision, once it is certain.

    A guest that comes to its end on the destination cuts the connection in postcopy; the source
    tells of that a moment before the destination's exit is seen. Nor does a source always tell
    first that the hop has failed.
    """
    end = decide(hop, injector)
    destination, source = hop.destination, hop.source
    if end is not None and end.outcome is HopOutcome.LOST:
        if destination.resumed is not None:
            await destination.board.until(lambda: not destination.alive, LAST_MOMENT)
        else:
            # Who never ran the guest may end before its source, which has all of it, says that the
            # hop has failed and goes on: so 11.1 in postcopy.
            await source.board.until(lambda: source.status in GONE_WRONG, LAST_MOMENT)
        end = decide(hop, injector)
    return end or HopEnd(HopOutcome.LOST)


def decide(hop: LiveHop, injector: Injector) -> HopEnd | None:
    """What the two sides have come to, by what is known now; None while it is open."""
    source, destination = hop.source, hop.destination
    # In precopy a destination sends RESUME just before it says completed
    # (process_incoming_migration_bh in migration/migration.c), in postcopy long before
    # (loadvm_postcopy_handle_run_bh in migration/savevm.c): it has the guest, and all of its
    # memory, only where it has said both. A source that is gone by then is missed by nobody.
    arrived = destination.status == "completed" and destination.resumed is not None
    if arrived and (source.status == "completed" or not source.alive):
        return HopEnd(HopOutcome.COMPLETED)
    if source.guest_is_over and not destination.guest_is_over:
        return end_with(source)  # what is carried over, if anything, is a guest that has shut down
    if destination.resumed is not None and not destination.alive:
        # A short guest may power off there before the source has heard that it arrived: that is an
        # end as good as any, whatever the source says of the connection that went with it.
        if by_itself(destination):
            return HopEnd(HopOutcome.COMPLETED, guest_ended=True)
        if source.in_postcopy or source.status == "completed" or not source.alive:
            return HopEnd(HopOutcome.LOST, f"the destination ended: {why_ended(destination)}")
    if not source.alive:
        # With no RESUME the guest never ran elsewhere, so that its end was on the source.
        if destination.resumed is None:
            return end_with(source)
        return HopEnd(HopOutcome.LOST, "the source ended before the destination had all memory")
    if source.status in GONE_WRONG:
        if destination.resumed is not None and source.in_postcopy:
            return HopEnd(HopOutcome.LOST, f"the source has {source.status} in postcopy")
        # One that is cancelled at the last moment runs on, and the destination runs too: of the
        # two it is the source that has all memory for certain.
        cancelled = source.status == "cancelled"
        return HopEnd(HopOutcome.CANCELLED if cancelled else HopOutcome.FAILED)
    if not destination.alive and (source.status == "completed" or source.status in IN_POSTCOPY):
        return HopEnd(HopOutcome.LOST, f"the destination ended: {why_ended(destination)}")
    if source.status == "postcopy-paused" and not injector.patient(hop):
        return HopEnd(HopOutcome.LOST, "the connection was lost in postcopy")
    return None


async def leave_on_source(hop: LiveHop, end: HopEnd) -> HopEnd:
    """The hop has not happened: end the destination, and see to it that the source runs."""
    if end.outcome is HopOutcome.FAILED:
        # The source sees no more than a broken pipe; why it broke is said by who broke it.
        taking = hop.destination.status in TAKING or not end.reason
        await hop.destination.settled(SETTLING)
        await hop.destination.board.until(
            lambda: not hop.destination.alive, LAST_WORDS if taking else AT_ONCE
        )
    await put_off_cancellation(hop.destination.kill())
    if end.guest_ended:
        return end
    if hop.transport is None and hop.destination.resumed is not None:
        # Through a file there is no source that would know: what the guest has done since, to a
        # disk say, the source would do again.
        return HopEnd(HopOutcome.LOST, f"{end.reason}; by then the destination ran the guest")
    if end.outcome is HopOutcome.FAILED and (
        said := refusal(hop.destination.session.errors.lines())
    ):
        end.reason = f"{end.reason}; the destination: {said}" if end.reason else said
    source = hop.source
    try:
        # A ``migrate`` before that is refused (:data:`NOT_CLEANED_UP`) and leaves 7.2 in ``setup``
        # for ever.
        if not await source.cleaned_up():
            hop.note("QEMU has not cleaned up")
        if await source.running():
            return end
        if source.session.run_state == Ending.INTERNAL_ERROR:
            return HopEnd(HopOutcome.CANCELLED, "KVM gave the vCPU up", guest_ended=True)
        if source.status in GONE_WRONG:  # after a failed switchover it resumes by itself
            await source.board.until(lambda: not source.alive or _resumed(source), 1.0)
        # One that has completed is stopped: it may go on, as the destination is no more.
        if not await source.running():
            hop.note("cont")
            await source.execute("cont")
            if not await source.running():
                return HopEnd(HopOutcome.LOST, f"{end.reason}; the source is {_state(source)}")
    except MonitorError as error:
        over = await ended_meanwhile(source)
        return over or HopEnd(HopOutcome.LOST, f"{end.reason}; the source does not answer: {error}")
    return end


def stop_to_resume(hop: LiveHop) -> tuple[float | None, float]:
    """Seconds from the source's STOP to the destination's RESUME, where there were both; and by how
    much they may be off because two hosts' clocks stamped them."""
    stopped, resumed = hop.source.stopped, hop.destination.resumed
    if stopped is None or resumed is None:
        return None, 0.0
    seconds = resumed - stopped
    if hop.source.place.host == hop.destination.place.host:
        return seconds, 0.0
    there, here = hop.destination.clock_since_role(), hop.source.clock_since_role()
    bound = there.bound + here.bound
    if not isfinite(bound):
        return None, 0.0
    seconds += hop.destination.reading.ahead - there.ahead
    return seconds - (hop.source.reading.ahead - here.ahead), bound


def _resumed(source: Endpoint) -> bool:
    return source.resumed is not None and source.resumed >= (source.stopped or 0.0)


async def ended_meanwhile(source: Endpoint) -> HopEnd | None:
    """How a hop ended whose source has, or does not answer because it is about to; else None."""
    if not source.guest_is_over:
        await source.settled(SETTLING)
    return None if source.alive and not source.guest_is_over else end_with(source)


def end_with(source: Endpoint) -> HopEnd:
    """How a hop ends with its source: the guest came to its end, or was lost with its QEMU.

    A guest that has shut down is not lost with a QEMU that aborts in its last moments, as 11.1 was
    seen to do.
    """
    if by_itself(source) or source.guest_is_over:
        return HopEnd(HopOutcome.CANCELLED, "the guest came to its end", guest_ended=True)
    return HopEnd(HopOutcome.LOST, f"the source ended: {why_ended(source)}")


def by_itself(endpoint: Endpoint) -> bool:
    """Whether a process has ended because its guest had come to its end."""
    ended = endpoint.session.ended
    return ended.done() and ended.result().ending is Ending.EXITED


def why_ended(endpoint: Endpoint, known: str = "") -> str:
    """How a process has ended, and QEMU's last words unless ``known`` has them."""
    session = endpoint.session
    status = session.process.status if session.process is not None else None
    if status is None:
        return "it exited"
    if session.ended.done() and (told := session.ended.result()).ending is Ending.ERROR:
        return told.reason  # the host's trouble
    by_signal = status < 0
    how = f"was killed by {signal_name(-status)}" if by_signal else f"exited with status {status}"
    words = complaint(session.errors.lines())
    return f"QEMU {how}" + (f": {words}" if words and words not in known else "")


def ended_by_itself(endpoint: Endpoint) -> bool:
    """Whether a process is over that we have not ended."""
    process = endpoint.session.process
    return not endpoint.alive and process is not None and not process.ended_by_us


def explain_end(hop: LiveHop, end: HopEnd) -> None:
    """Add to the reason of a hop that has not happened which side ended by itself, how, and how far
    the hop had come."""
    if end.outcome is HopOutcome.COMPLETED or end.guest_ended:
        return
    told = [end.reason] if end.reason else []
    for name, side in (("source", hop.source), ("destination", hop.destination)):
        if ended_by_itself(side) and f"the {name} ended: " not in end.reason:
            told.append(f"the {name} ended: {why_ended(side, end.reason)}")
    end.reason = f"{'; '.join(told) or 'QEMU says not why'} ({hop.step})"


def _state(endpoint: Endpoint) -> str:
    return endpoint.session.run_state or "not running"
