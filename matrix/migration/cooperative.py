"""Hops that the guest asks for: kvm-unit-tests' migration protocol (its lib/migrate.c).

=================================== ================================================================
the guest prints                    what is done
=================================== ================================================================
``Now migrate the VM…``             one hop, then a key on the console of whoever runs the guest
``Begin continuous migration``      a key at once, then hop after hop …
``End continuous migration``        … until here, then a key; it is printed twice
``Skipped VM migration (quiet)``    a key, and no hop is expected any more
=================================== ================================================================

The guest waits for the key each time. Those that end in ``(quiet)`` are not for people.
"""

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import assert_never

from matrix.migration.hop_runner import HopRunner

KEY = b"\n"
LINE_LIMIT = 4096


class Word(StrEnum):
    """What a guest may ask for, as its line begins."""

    MIGRATE = "Now migrate the VM"
    BEGIN = "Begin continuous migration"
    END = "End continuous migration"
    SKIP = "Skipped VM migration"


class Cooperation:
    """Reads from its console what the guest asks for, in pieces of any size, in bounded memory."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """``changed`` is called when something is asked for."""
        self._changed = changed
        self._partial = b""
        self._continuous = False
        self._asked: deque[Word] = deque(maxlen=16)
        """A guest waits after each word, so that there is one; a mad one may say anything."""

    def feed(self, data: bytes) -> None:
        """Take in the next piece of the guest's console."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-LINE_LIMIT:]
        for line in lines:
            for word in Word:
                if line.startswith(word.value.encode()):
                    self._take(word)

    def _take(self, word: Word) -> None:
        if word is Word.END and not self._continuous:
            return  # it is printed twice, and answered once
        if word in (Word.BEGIN, Word.END):
            self._continuous = word is Word.BEGIN
        self._asked.append(word)
        self._changed()

    def asks(self) -> bool:
        """Whether something is asked for that was not taken yet."""
        return bool(self._asked)

    def take(self) -> Word:
        """What was asked for first."""
        return self._asked.popleft()


async def cooperate(runner: HopRunner, cooperation: Cooperation) -> str:
    """Do what the guest asks for until its end.

    Returns:
        What had to happen and did not: a guest that asks for nothing. Empty where there is nothing
        to complain of.

    Raises:
        NoHopError, NotStartedError: as :meth:`HopRunner.hop`.
    """
    asked = False
    board = runner.processes.board
    while True:
        await board.until(lambda: cooperation.asks() or runner.over, None)
        if not cooperation.asks():
            return "" if asked else "the guest never asked to be migrated, nor said that it skips"
        asked = True
        match word := cooperation.take():
            case Word.MIGRATE:
                if not await runner.hop(more=lambda _: False):
                    return ""
                runner.current.session.type(KEY)
                runner.prepare()
            case Word.BEGIN:
                runner.current.session.type(KEY)
                while not cooperation.asks():
                    if not await runner.hop(more=lambda _: True):
                        return ""
            case Word.END | Word.SKIP:
                runner.current.session.type(KEY)
            case _:
                assert_never(word)
