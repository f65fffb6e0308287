"""Watches a running guest: its timeout, silence without work (stall), dead loops, halted states.

Nothing is polled while a guest prints. After a second of silence QEMU's CPU time is looked at once
a second. A guest that uses none for the stall period is asleep for good. A guest that uses some may
sit in a dead loop, which CPU time cannot tell from work, but its registers can: they are sampled,
evenly over the stall period, until two samples differ.
"""

import asyncio

from matrix.errors import MonitorError
from matrix.model import Ending
from matrix.vm import cputime, registers
from matrix.vm.session import Conclusion, Session
from matrix.vm.stderr import explain

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
    """Tells from samples of all registers since when nothing has changed in them. Pure."""

    def __init__(self, stall: float) -> None:
        self._stall = stall
        self._since = 0.0
        self._same: int | None = None
        self.samples = 0
        self._pause = _patience(stall)
        self.pause = self._pause
        """Seconds until the next sample."""

    def reset(self) -> None:
        """The guest has printed something: it lives."""
        self._same, self.samples = None, 0
        self._pause = self.pause = _patience(self._stall)

    def sample(self, now: float, fingerprint: int | None) -> bool:
        """Take in one sample (None: it was incomplete); True: dead for the stall period."""
        if fingerprint is None or fingerprint != self._same:
            if self.samples:  # it works: leave it alone for a while, longer each time
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
                self._same, self.samples, self.pause = None, 0, self._pause
                return False
            self._since = now
        self._same = fingerprint
        self.samples = 0 if fingerprint is None else self.samples + 1
        self.pause = self._stall / SAMPLES if self.samples else self._pause
        return self.samples >= SAMPLES and now - self._since >= self._stall


class Watch:
    """Watches one guest. :meth:`run` ends only with a conclusion; cancel it when QEMU has ended."""

    def __init__(self, session: Session, timeout: float, stall: float) -> None:
        self._session = session
        self._timeout = timeout
        self._stall = stall
        self._patience = _patience(stall)
        self._idle = IdleClock(stall)
        self._loop = DeadLoopClock(stall)
        self._next_sample = 0.0
        self._vcpus = 0
        self._sampled = ""

    async def run(self) -> Conclusion:
        """Wait until the guest is past its timeout, dead, or halted by QEMU."""
        timer = asyncio.timeout(self._timeout)
        try:
            async with timer:
                while True:
                    conclusion = await self._turn()
                    if conclusion is not None:
                        return conclusion
        except TimeoutError:
            if not timer.expired():
                raise
        return Conclusion(Ending.TIMEOUT, f"no end within {self._timeout:g} s")

    async def _turn(self) -> Conclusion | None:
        if await self._halted_within(self._delay()):
            return await self._judge_halt()
        now = self._session.loop.time()
        if now - self._session.last_output < self._patience:
            self._idle.reset()
            self._loop.reset()
            return None
        return self._judge_idleness(now) or await self._judge_registers()

    def _delay(self) -> float:
        """Seconds until there is something to look at."""
        now = self._session.loop.time()
        quiet_at = self._session.last_output + self._patience
        if now < quiet_at:
            return quiet_at - now
        if self._idle.working and self._next_sample > now:
            return min(self._next_sample - now, self._patience)
        return self._patience

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
                told = explain(session.errors.lines())
                reason = "QEMU's run state is internal-error" + (told and f": {told}")
                return Conclusion(Ending.INTERNAL_ERROR, reason)
            case "guest-panicked" | "shutdown":
                # Mostly QEMU is on its way out; with -action …=pause or -no-shutdown it stays.
                if session.panic_action != "pause":
                    await session.exits_within(HALT_GRACE)
                return Conclusion(Ending.EXITED, f"QEMU's run state is {session.run_state}")
            case _:
                return None

    def _judge_idleness(self, now: float) -> Conclusion | None:
        process = self._session.process
        used = cputime.process_seconds(process.pid) if process is not None else None
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
        return (
            f"dead loop: no output and the same registers in {self._loop.samples} samples over "
            f"{self._stall:g} s, {places}"
        )
