"""Runs one guest from start to end and says how it ended: the only entry point for cases."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matrix.attempt import Assist, Ending, Outcome
from matrix.errors import HostError
from matrix.model import Launch
from matrix.vm.session import Conclusion, Session, open_session
from matrix.vm.tasks import first_of

STDERR_LINES = 20
"""Lines of QEMU's stderr that an outcome carries; all of it is in qemu.log."""
HUNG = (Ending.TIMEOUT, Ending.STALL, Ending.INTERNAL_ERROR)
"""Endings of a guest that is looked at before it is killed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a guest may take."""

    timeout: float
    """Seconds of wall time for the guest, from the moment at which it runs."""
    stall: float
    """Seconds without console output and without CPU time (or in a dead loop)."""
    log_bytes: int = 16 * 2**20
    """Bytes of console.log and of qemu.log, each."""
    start: float = 60.0
    """Seconds until QEMU has answered on its monitor and lets its guest run."""
    translated: bool = False
    """The guest is run by TCG, which may be helped while it works silently
    (:mod:`matrix.vm.tlb`)."""


def _nobody(_data: bytes) -> None:
    pass


async def run_guest(
    launch: Launch,
    directory: Path,
    limits: Limits,
    *,
    on_console: Callable[[bytes], None] = _nobody,
    interrupt: asyncio.Event | None = None,
    turn: asyncio.Event | None = None,
) -> Outcome:
    """Run one QEMU to its end, whatever that is, and tell it.

    Args:
        launch: the command line; the monitor and ``-S`` are added here.
        directory: exists, private (0700) and without files of ours: console.log, qemu.log and
            qmp.jsonl are written as things happen, diagnosis/ of a guest that hangs.
        limits: time and space.
        on_console: gets the console's bytes as they come; not to block.
        interrupt: when it is set, QEMU is asked to quit, then made to.
        turn: until it is set, QEMU is started and its guest stays stopped, which counts as nobody's
            time.

    Nothing that QEMU, its guest or the host does raises: a host that fails (no program, no space,
    no descriptors) is :attr:`~matrix.attempt.Ending.ERROR` with the reason. An ``exit_status`` is
    told only of a QEMU that exited by itself, and None where it had to be ended because its guest
    was over (paused after a panic or a shutdown); ``kvm_enabled`` only where the command line
    names KVM.

    Raises:
        CancelledError: after QEMU has been killed and reaped.
        Exception: whatever ``on_console`` raised, after the same.
    """
    session: Session | None = None
    doing = ""
    try:
        async with open_session(launch, directory, limits.log_bytes, on_console) as session:
            conclusion = await _conclude(session, limits, interrupt, turn)
            doing = await end_session(session, conclusion)
    except (OSError, HostError) as error:
        conclusion = Conclusion(Ending.ERROR, words(error))
        if session is None:
            return Outcome(Ending.ERROR, 0.0, reason=conclusion.reason)
    if session.failure is not None:
        if not isinstance(session.failure, OSError):
            raise session.failure
        conclusion = Conclusion(Ending.ERROR, words(session.failure))
    return outcome_of(session, conclusion, doing)


async def _conclude(
    session: Session, limits: Limits, interrupt: asyncio.Event | None, turn: asyncio.Event | None
) -> Conclusion:
    """Boot the guest and wait for the first thing that ends it."""

    async def drive() -> Conclusion:
        if turn is not None and not turn.is_set():
            failed = await session.connect(limits.start)
            if failed is not None:
                return failed
            await session.wait_for(turn)
        failed = await session.boot(limits.start)
        from matrix.vm.watch import Watch  # loaded while a guest starts

        if failed is not None:
            return failed
        watch = Watch(session, limits.timeout, limits.stall, translated=limits.translated)
        return await watch.run()

    async def interrupted(event: asyncio.Event) -> Conclusion:
        await event.wait()
        return Conclusion(Ending.INTERRUPTED, "interrupted")

    waits = [drive()]
    if interrupt is not None:
        waits.append(interrupted(interrupt))
    return await first_of(session.ended, *waits)


async def end_session(session: Session, conclusion: Conclusion) -> str:
    """End QEMU in the way that suits: a hung one will not listen to its monitor.

    Returns:
        What a guest that hangs was last doing; empty for others.

    Raises:
        HostError: it survives SIGKILL.
        OSError: what is looked at of a guest that hangs cannot be written.
    """
    doing = ""
    if conclusion.ending in HUNG:
        from matrix.vm.diagnosis import diagnose  # most guests never hang

        doing = await diagnose(session)
    await session.stop(politely=conclusion.ending in (Ending.EXITED, Ending.INTERRUPTED))
    return doing


def outcome_of(session: Session, conclusion: Conclusion, doing: str) -> Outcome:
    """What is known of a QEMU after its end; ``doing`` is what a hung guest was last doing."""
    status = session.process.status if session.process is not None else None
    by_itself = session.ended.done() and session.ended.result() == conclusion
    own = status if by_itself else None
    lines = session.errors.lines()
    return Outcome(
        ending=conclusion.ending,
        seconds=session.seconds,
        exit_status=own if own is not None and own >= 0 else None,
        signal=-own if own is not None and own < 0 else None,
        panicked=session.panic_action is not None,
        shutdown_reason=session.shutdown_reason,
        kvm_enabled=session.kvm_enabled,
        stderr_tail=lines[-STDERR_LINES:],
        last_line=session.console.last_line(),
        monitor_broken=session.monitor.broken if session.monitor is not None else "",
        doing=doing,
        reason=conclusion.reason,
        assists=tuple((each, session.assists[each]) for each in Assist if session.assists[each]),
    )


def words(error: OSError | HostError) -> str:
    """What the host failed at."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot write {error.filename}: {error.strerror}"
    return str(error)
