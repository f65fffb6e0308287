"""What a run tells whoever watches it, while it goes on."""

from dataclasses import dataclass
from typing import Protocol

from matrix.attempt import Attempt
from matrix.migrating import Hop
from matrix.model import Case
from matrix.plan.decisions import Decision, Run
from matrix.suites.output import LINE_LIMIT, OutputParser

TAIL = 2 * LINE_LIMIT
"""Characters of a console that are kept: whole its last line, of which not more is looked at."""


class ConsoleTail:
    """The end of what a guest has printed."""

    def __init__(self) -> None:
        self._text = ""

    def write(self, text: str) -> None:
        """The guest has printed that (see :class:`matrix.hosts.interface.Console`)."""
        self._text = text[-TAIL:] if len(text) >= TAIL else (self._text + text)[-TAIL:]

    @property
    def last_line(self) -> str:
        """The last line that is not blank, unfinished or not, printable characters only."""
        for raw in reversed(self._text.replace("\r", "\n").split("\n")):
            parser = OutputParser()
            parser.feed(raw.encode("latin-1"))
            if line := parser.last_line:
                return line
        return ""


@dataclass(frozen=True, slots=True)
class Running:
    """A case that runs at this moment."""

    decision: Run
    attempt: int
    since: float
    """``time.monotonic()`` at its start."""
    console: ConsoleTail
    """Its ``last_line`` is what the guest said last."""


class Progress(Protocol):
    """A watcher; every call must be quick."""

    def planned(self, decisions: list[Decision], attempts: int) -> None:
        """The run begins; ``attempts`` are to be made in it, as far as that is known."""

    def expected(self, attempts: int) -> None:
        """What ended has made them more or fewer: ``attempts`` in all, finished ones among them."""

    def started(self, running: Running) -> None:
        """An attempt has begun."""

    def hopped(self, case_id: str, hop: Hop) -> None:
        """The guest of a case that runs has been migrated, or should have been."""

    def finished(self, running: Running, attempt: Attempt, left: float | None) -> None:
        """An attempt has ended and is on disk; ``left`` seconds likely remain, None: unknown."""

    def moved(self, running: Running, attempt: Attempt) -> None:
        """An attempt was ended by trouble of its host, and will be started on another one."""

    def host_lost(self, host: str, why: str) -> None:
        """A host gets no more cases of the run."""

    def host_back(self, host: str) -> None:
        """A host that was quarantined has been proven, and gets cases again."""

    def interrupted(self, cases: tuple[Case, ...]) -> None:
        """The user ended the run while these were running."""


class NullProgress:
    """A watcher that says nothing."""

    def planned(self, decisions: list[Decision], attempts: int) -> None:
        """Nothing."""

    def expected(self, attempts: int) -> None:
        """Nothing."""

    def started(self, running: Running) -> None:
        """Nothing."""

    def hopped(self, case_id: str, hop: Hop) -> None:
        """Nothing."""

    def finished(self, running: Running, attempt: Attempt, left: float | None) -> None:
        """Nothing."""

    def moved(self, running: Running, attempt: Attempt) -> None:
        """Nothing."""

    def host_lost(self, host: str, why: str) -> None:
        """Nothing."""

    def host_back(self, host: str) -> None:
        """Nothing."""

    def interrupted(self, cases: tuple[Case, ...]) -> None:
        """Nothing."""


class CompositeProgress:
    """Several watchers as one."""

    def __init__(self, *watchers: Progress) -> None:
        self._watchers = watchers

    def planned(self, decisions: list[Decision], attempts: int) -> None:
        """Tell all."""
        for watcher in self._watchers:
            watcher.planned(decisions, attempts)

    def expected(self, attempts: int) -> None:
        """Tell all."""
        for watcher in self._watchers:
            watcher.expected(attempts)

    def started(self, running: Running) -> None:
        """Tell all."""
        for watcher in self._watchers:
            watcher.started(running)

    def hopped(self, case_id: str, hop: Hop) -> None:
        """Tell all."""
        for watcher in self._watchers:
            watcher.hopped(case_id, hop)

    def finished(self, running: Running, attempt: Attempt, left: float | None) -> None:
        """Tell all."""
        for watcher in self._watchers:
            watcher.finished(running, attempt, left)

    def moved(self, running: Running, attempt: Attempt) -> None:
        """Tell all."""
        for watcher in self._watchers:
            watcher.moved(running, attempt)

    def host_lost(self, host: str, why: str) -> None:
        """Tell all."""
        for watcher in self._watchers:
            watcher.host_lost(host, why)

    def host_back(self, host: str) -> None:
        """Tell all."""
        for watcher in self._watchers:
            watcher.host_back(host)

    def interrupted(self, cases: tuple[Case, ...]) -> None:
        """Tell all."""
        for watcher in self._watchers:
            watcher.interrupted(cases)
