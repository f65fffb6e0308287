"""A guest as a test sees it: plain calls that return when it is done, each with its deadline."""

import re
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from matrix.errors import MatrixError
from matrix.migrating import Hop
from matrix.pytest_plugin.looping import LoopThread
from matrix.pytest_plugin.moving import Way
from matrix.pytest_plugin.running import PlannedGuest, RunningGuest
from matrix.pytest_plugin.transcript import Wanted
from matrix.results.directory import COMMAND_FILE
from matrix.results.printable import printable
from matrix.verdicts import Verdict

T = TypeVar("T")

LINES_SHOWN = 15
"""Of the console, in what a failed wait says."""
GRACE = 90.0
"""Seconds beyond a guest's own time limit for it to be looked at, ended and judged."""


class GuestError(AssertionError):
    """A guest did not do what the test waited for; says what it did instead."""


class Guest:
    """A guest that runs. Made by the ``vm`` fixture, which also ends it."""

    def __init__(self, loop: LoopThread, planned: PlannedGuest) -> None:
        self._loop = loop
        self._guest = RunningGuest(planned)

    def start(self) -> None:
        """Start it; called by the fixture.

        Raises:
            GuestError: QEMU could not be started.
        """
        __tracebackhide__ = True
        self._have_done(self._guest.start())

    @property
    def directory(self) -> Path:
        """Where its console.log, qemu.log, qmp.jsonl and command.sh are."""
        return self._guest.planned.directory

    @property
    def command(self) -> Path:
        """A script that runs the same QEMU by hand."""
        return self.directory / COMMAND_FILE

    @property
    def lines(self) -> tuple[str, ...]:
        """What it has printed, as whole lines; characters that are not printable are spelt out."""
        return self._loop.call(self._guest.printed())

    @property
    def hops(self) -> tuple[Hop, ...]:
        """Its migrations so far."""
        return tuple(self._guest.hops)

    @property
    def running(self) -> bool:
        """Whether it has not come to its end."""
        return not self._guest.over

    @property
    def reason(self) -> str:
        """Why it came to its verdict; empty before that, and where there is nothing to say."""
        attempt = self._guest.attempt
        return "" if attempt is None else attempt.reason

    def wait_for(self, wanted: str | re.Pattern[str], timeout: float = 60.0) -> str:
        """Wait for a line on its console, and return that line.

        Args:
            wanted: part of a line, or a compiled pattern that is searched for in lines.
            timeout: seconds.

        Each call looks behind the line that the last one returned, so that the same text can be
        waited for again and again.

        Raises:
            GuestError: the time was over, or the guest; says what it printed last.
        """
        __tracebackhide__ = True
        line = self._loop.call(self._guest.wait_for(wanted, timeout))
        if line is None:
            raise GuestError(f"{self._why_not(timeout)} without {_words(wanted)}\n{self._tail()}")
        return line

    def verdict(self, timeout: float | None = None) -> Verdict:
        """Wait for its end, and say what its test came to; equal to ``"pass"``, ``"fail"``, ….

        Args:
            timeout: seconds; None for what the guest's own time limit takes, at which it is ended
                and the verdict is ``timeout``.

        Raises:
            GuestError: it runs on, or was stopped by the test itself.
        """
        __tracebackhide__ = True
        limit = self._guest.guest.time_limit + GRACE if timeout is None else timeout
        if not self._loop.call(self._guest.ended_within(limit)):
            raise GuestError(f"the guest runs on after {limit:g} s\n{self._tail()}")
        attempt = self._guest.attempt
        if attempt is None or self._guest.was_stopped:
            raise GuestError("the test stopped the guest, which has no verdict then")
        return attempt.verdict

    def qmp(
        self, command: str, arguments: Mapping[str, object] | None = None, timeout: float = 30.0
    ) -> Any:
        """Execute a QMP command and return what QEMU returned.

        Raises:
            GuestError: QEMU refused, did not answer within ``timeout`` seconds, or has ended.
        """
        __tracebackhide__ = True
        return self._have_done(self._guest.execute(command, arguments, timeout))

    def type(self, text: str) -> None:
        """Type on its console."""
        self._have_done(self._guest.type(text.encode()))

    def stop(self) -> None:
        """End it now, if it runs. The fixture does so at the end of the test."""
        self._loop.call(self._guest.stop())

    def migrate(self, planned: PlannedGuest | None, way: Way) -> Hop:
        """Migrate it; see the ``migrate`` fixture, which calls this.

        Args:
            planned: the same guest on another QEMU; None for its own.
            way: how.

        Raises:
            GuestError: the hop did not end as it had to, or the guest is over.
        """
        __tracebackhide__ = True
        hop = self._have_done(self._hop(planned, way))
        if not hop.good:
            what = f"hop {hop.number}, {hop.strategy.value} to QEMU {hop.destination}"
            raise GuestError(f"{what}, {hop.outcome.value}: {hop.reason}\n{self._tail()}")
        return hop

    async def _hop(self, planned: PlannedGuest | None, way: Way) -> Hop:
        emulator = self._guest.emulator if planned is None else await planned.emulator()
        return await self._guest.migrate(emulator, way)

    def _have_done(self, coroutine: Coroutine[Any, Any, T]) -> T:
        __tracebackhide__ = True
        try:
            return self._loop.call(coroutine)
        except MatrixError as error:
            raise GuestError(str(error)) from None

    def _why_not(self, timeout: float) -> str:
        attempt = self._guest.attempt
        if attempt is None:
            return f"{timeout:g} s have passed"
        return f"the guest ended ({attempt.verdict.value}: {attempt.reason})"

    def _tail(self) -> str:
        lines = self.lines[-LINES_SHOWN:]
        if not lines:
            return "it printed nothing"
        return "\n".join(["it printed last:", *(f"  {line}" for line in lines)])


def _words(wanted: Wanted) -> str:
    if isinstance(wanted, str):
        return f"a line with {printable(wanted)!r}"
    return f"a line that matches {printable(wanted.pattern)!r}"
