"""Watches a running guest: silence without work (stall), dead loops, halted states.

Nothing is polled while a guest prints. After a second of silence QEMU's CPU time is looked at once
a second. A guest that uses none for the stall period is asleep for good. A guest that uses some may
sit in a dead loop, which CPU time cannot tell from work, but its registers can: they are sampled,
evenly over the stall period, as long as they are what they were before.
"""

import asyncio

from matrix.attempt import Ending
from matrix.errors import MonitorError
from matrix.suites.stderr import complaint
from matrix.vm import registers
from matrix.vm.qemu_session import Conclusion, Session
from matrix.vm.tlb import TlbFlusher

PATIENCE = 1.0
"""Seconds of silence before anything is looked at, and between two looks (at most)."""
IDLE_SHARE = 0.01
"""An idle QEMU serves timers; below this share of the stall period it counts as asleep."""
IDLE_MINIMUM = 0.02
"""Seconds: /proc counts CPU time in ticks of 10 ms."""
WORKING_SHARE = 0.05
"""Share of one CPU from which a guest counts as working: a loop gets that on a crowded host too."""
SAMPLES = 50
"""Samples that must be the same, at least, over at least the stall period."""
CIRCLE_SAMPLES = 200
"""Samples per stall period of a guest that comes back to states: one in which the same fault was
taken for ever was seen in 20 in 100 samples, in 8 more in the next 100, in 34 in 400."""
BURST = 3
"""Samples that are taken of a guest at a time: if it goes round in a circle, some are the same."""
STRANGE = 0.2
"""Share of :data:`SAMPLES` samples outside of the states learnt above which it is no circle."""
SLACK = 10
"""States that so few samples may be of without telling anything."""
SAMPLE_TIMEOUT = 2.0
LONGEST_PAUSE = 5.0
"""Seconds until a guest that was seen working is sampled again: it can die later."""


HALT_GRACE = 5.0
"""Seconds that a QEMU whose guest is over may take to exit, on a crowded host too."""


def _patience(stall: float) -> float:
    return min(PATIENCE, stall / 4)


class IdleClock:
    """Tells from looks at the CPU time since when a silent process has been asleep. Pure."""

    def __init__(self, stall: float) -> None:
        self._stall = stall
        self._tolerated = max(IDLE_SHARE * stall, IDLE_MINIMUM)
        self._interval = _patience(stall)
        self._since = self._looked = 0.0
        self._used_then: float | None = None
        self._used_last = 0.0
        self.working = False
        """Whether a share of CPU worth the name was used of late."""

    def reset(self) -> None:
        """The guest has printed something: the next look begins a new period."""
        self._used_then, self.working = None, False

    def look(self, now: float, used: float) -> bool:
        """Take in the CPU seconds used up to ``now``; True: asleep for the stall period."""
        if self._used_then is None:
            self._since, self._used_then = now, used
            self._looked, self._used_last = now, used
            return False
        if now - self._looked >= self._interval:
            self.working = used - self._used_last > WORKING_SHARE * (now - self._looked)
            self._looked, self._used_last = now, used
        if used - self._used_then > self._tolerated:
            self._since, self._used_then = now, used
        return now - self._since >= self._stall


class DeadLoopClock:
    """Tells from samples of all registers since when a guest does nothing new. Pure.

    A guest that works is hardly ever seen twice in the same state: it counts something. One in a
    dead loop is always in the same state: that for the stall period, and it is dead. Or it comes
    back to a state that it had left, as where it takes the same fault again and again. Then its
    states are learnt, over half a stall period, and it is dead if it is seen in these alone, but
    for rare ones, over a whole one more.
    """

    def __init__(self, stall: float) -> None:
        self._stall = stall
        self._pause = _patience(stall)
        self.pause = self._pause
        """Seconds until the next sample."""
        self.samples = 0
        """For how many it has done nothing new."""
        self._since = 0.0
        self._last: int | None = None
        self._seen: set[int] = set()
        self._burst = 0
        self._circle: _Circle | None = None

    @property
    def states(self) -> int:
        """How many different ones were seen in these samples, rare ones left out."""
        return len(self._circle.states) if self._circle else 1

    @property
    def period(self) -> float:
        """Seconds that :meth:`sample` says dead after."""
        return 1.5 * self._stall if self._circle else self._stall

    def reset(self) -> None:
        """The guest has printed something: it lives."""
        self._pause = self.pause = _patience(self._stall)
        self._begin()

    def sample(self, now: float, fingerprint: int | None) -> bool:
        """Take in one sample (None: it was incomplete); True: dead for the stall period."""
        if fingerprint is None:
            self._begin()
            self.pause = self._pause
            return False
        if self._circle is None and fingerprint != self._last and fingerprint in self._seen:
            self._circle = _Circle(self._stall, now)
            self.samples = 0
        if self._circle is not None and not self._circle.holds(now, fingerprint):
            self._begin()
        if self._circle is not None:
            self.samples += 1
            self.pause = self._stall / CIRCLE_SAMPLES
            return self._circle.closed
        return self._alone(now, fingerprint)

    def _begin(self) -> None:
        self.samples = 0
        self._last, self._circle, self._burst = None, None, 0
        self._seen.clear()

    def _alone(self, now: float, fingerprint: int) -> bool:
        """Outside of a circle: always the same, or something new?"""
        self._seen.add(fingerprint)
        if fingerprint != self._last:
            self._last, self._since, self.samples = fingerprint, now, 0
            self._burst += 1
        self.samples += 1
        if self.samples > 1:
            self.pause = self._stall / SAMPLES
        elif self._burst % BURST:
            self.pause = self._stall / CIRCLE_SAMPLES
        else:  # it works: leave it alone for a while, longer each time
            self.pause = self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return self.samples >= SAMPLES and now - self._since >= self._stall


class _Circle:
    """The states that a guest comes back to."""

    def __init__(self, stall: float, now: float) -> None:
        self.states: set[int] = set()
        self.closed = False
        """Whether nothing else was seen for long enough."""
        self._stall = stall
        self._began = now
        self._learnt: float | None = None
        self._samples = 0
        self._strange = 0

    def holds(self, now: float, state: int) -> bool:
        """Take in one sample; False: it is none, the guest works."""
        self._samples += 1
        if self._learnt is None:
            self.states.add(state)
            if now - self._began >= self._stall / 2 and self._samples >= CIRCLE_SAMPLES / 2:
                self._learnt, self._samples = now, 0
                return True
            return len(self.states) <= SLACK + self._samples / 2
        if self._samples % SAMPLES == 0:
            self._strange = 0
        self._strange += state not in self.states
        self.closed = now - self._learnt >= self._stall and self._samples >= CIRCLE_SAMPLES
        return self._strange <= STRANGE * SAMPLES


class Watch:
    """Watches one guest. :meth:`run` ends only with a conclusion; cancel it when QEMU has ended."""

    def __init__(self, session: Session, stall: float, *, translated: bool = False) -> None:
        """``translated``: by TCG, which may be helped (:mod:`matrix.vm.tlb`)."""
        self._session = session
        self._tlb = TlbFlusher(session) if translated else None
        self._stall = stall
        self._patience = _patience(stall)
        self._idle = IdleClock(stall)
        self._loop = DeadLoopClock(stall)
        self._next_sample = 0.0
        self._vcpus = 0
        self._sampled = ""

    async def run(self) -> Conclusion:
        """Wait until the guest is dead, or halted by QEMU."""
        while True:
            conclusion = await self._turn()
            if conclusion is not None:
                return conclusion

    async def _turn(self) -> Conclusion | None:
        if await self._halted_within(self._delay()):
            return await self._judge_halt()
        now = self._session.loop.time()
        if now - self._session.last_output < self._patience:
            self._idle.reset()
            self._loop.reset()
            return None
        asleep = self._judge_idleness(now)
        if asleep is not None:
            return asleep
        await self._help()
        return await self._judge_registers()

    async def _help(self) -> None:
        if self._tlb is not None and self._idle.working:
            await self._tlb.flush(self._session.loop.time())

    def _delay(self) -> float:
        """Seconds until there is something to look at."""
        now = self._session.loop.time()
        quiet_at = self._session.last_output + self._patience
        if now < quiet_at:
            return quiet_at - now
        delay = self._patience
        if self._idle.working and self._next_sample > now:
            delay = min(delay, self._next_sample - now)
        if self._idle.working and self._tlb is not None and self._tlb.next > now:
            delay = min(delay, self._tlb.next - now)
        return delay

    async def _halted_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._session.halted.wait()
        except TimeoutError:
            return False
        return True

    async def _judge_halt(self) -> Conclusion | None:
        """QEMU has stopped the vCPUs: over, or will it go on?"""
        session = self._session
        # Before the question: a STOP that comes while it is answered must wake us again.
        session.halted.clear()
        if session.monitor is None:
            return None
        try:
            status = await session.monitor.execute("query-status")
        except MonitorError:
            return None  # QEMU is exiting, or its exit or the timeout will tell
        session.run_state = str(status.get("status", "")) if isinstance(status, dict) else ""
        match session.run_state:
            case "internal-error":
                told = complaint(session.errors.lines())
                reason = "QEMU's run state is internal-error" + (told and f": {told}")
                return Conclusion(Ending.INTERNAL_ERROR, reason)
            case "guest-panicked" | "shutdown":
                # Mostly QEMU is on its way out; with -action …=pause or -no-shutdown it stays. 10.0
                # and 11.1 are held at isa-debug-exit, too, where 7.2 exits, and "quit" ends them
                # with the guest's status (hw/misc/debugexit.c). Sent before SHUTDOWN, it would
                # take the place of that status.
                if session.shutdown_reason:
                    session.quit()
                if session.panic_action != "pause" and await session.exits_within(HALT_GRACE):
                    # Its end is concluded once its last words are in, a moment after its exit.
                    return await session.over()
                return Conclusion(Ending.EXITED, f"QEMU's run state is {session.run_state}")
            case _:
                return None

    def _judge_idleness(self, now: float) -> Conclusion | None:
        process = self._session.process
        used = process.cpu_seconds() if process is not None else None
        if used is None or not self._idle.look(now, used):
            return None
        return Conclusion(Ending.STALL, f"no output and no CPU time used for {self._stall:g} s")

    async def _judge_registers(self) -> Conclusion | None:
        session = self._session
        monitor = session.monitor
        if not self._idle.working or monitor is None or not monitor.alive:
            return None
        if session.loop.time() < self._next_sample:
            return None
        printed = session.last_output
        fingerprint = await self._sample()
        now = session.loop.time()
        if session.last_output != printed:
            # It printed while it was sampled: the registers are of a guest that lives.
            self._loop.reset()
        elif self._loop.sample(now, fingerprint):
            return Conclusion(Ending.STALL, self._dead_loop())
        self._next_sample = now + self._loop.pause
        return None

    async def _sample(self) -> int | None:
        """The fingerprint of the registers of all vCPUs; None where they are not all there."""
        monitor = self._session.monitor
        if monitor is None:
            return None
        try:
            if self._loop.samples == 0:
                vcpus = await monitor.execute("query-cpus-fast", timeout=SAMPLE_TIMEOUT)
                self._vcpus = len(vcpus) if isinstance(vcpus, list) else 0
            self._sampled = await monitor.human("info registers -a", SAMPLE_TIMEOUT)
        except MonitorError:
            return None
        found = registers.parse(self._sampled)
        complete = len(found) == self._vcpus > 0 and all(
            vcpu.program_counter is not None for vcpu in found
        )
        return registers.fingerprint(self._sampled) if complete else None

    def _dead_loop(self) -> str:
        places = registers.describe(registers.parse(self._sampled))
        loop = self._loop
        seen = "the same registers" if loop.states == 1 else f"only {loop.states} register states"
        return (
            f"dead loop: no output and {seen} in {loop.samples} samples over "
            f"{loop.period:g} s, {places}"
        )
