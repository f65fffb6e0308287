"""Joins the consoles of the processes that a guest passes through into one, byte for byte.

A guest prints on the source until that has stopped, and on the destination from then on. So
whatever comes from a destination comes after everything that its source has printed, and all of
that lies in the source's pipe by then: it is drained before the first byte of the destination is
passed on. Nothing is lost and nothing comes twice.

A source on another host is heard over a network. What its destination prints is kept until the
source has said that it stopped, after which nothing comes of it.
"""

from collections.abc import Callable

STRAY_BYTES = 4096
"""Kept of what a process says that does not have the word."""

Sink = Callable[[bytes], None]


class Voice:
    """The console of one process."""

    def __init__(self, joined: "JoinedConsole") -> None:
        self._joined = joined
        self.drain: Callable[[], None] = _nothing
        """Takes in what its pipe holds, without waiting; set once there is one."""
        self.has_ended: Callable[[], bool] = _always
        """Whether nothing more comes of it, once it is drained."""

    def take(self, data: bytes) -> None:
        """What the process has printed."""
        self._joined.take(self, data)


class JoinedConsole:
    """One console out of many. ``sink`` gets its bytes, in the order of the guest's time."""

    def __init__(self, sink: Sink) -> None:
        self.on_hand_over: Callable[[], None] = _nothing
        """Called when the source has had its last word."""
        self._sink = sink
        self._current: Voice | None = None
        self._next: Voice | None = None
        self._held: bytearray | None = None
        self._held_limit = 0
        self._early = bytearray()
        """What the next one has said while the current one may still be heard."""
        self.stray = bytearray()
        """What was said by processes that did not have the word: there should be none."""
        self.strays = 0
        """Bytes of it, also those that were not kept."""

    def voice(self) -> Voice:
        """A voice for a new process; it has no word yet."""
        return Voice(self)

    def begin(self, voice: Voice) -> None:
        """The first process: it has the word."""
        self._current = voice

    def expect(self, voice: Voice) -> None:
        """The process that the guest is migrated to: it takes the word with its first byte."""
        self._next = voice

    def hand_over(self) -> None:
        """The guest runs on the destination: take in the source's last words."""
        if self._next is None:
            return
        if self._current is not None:
            self._current.drain()
        self._current, self._next = self._next, None
        self._held = None
        self.on_hand_over()
        early, self._early = bytes(self._early), bytearray()
        if early:
            self.take(self._current, early)

    def on_silence(self) -> None:
        """A process has stopped its guest, or ended: perhaps another one waits for the word."""
        if self._early and self._current is not None and self._current.has_ended():
            self.hand_over()

    def keep(self, voice: Voice) -> None:
        """The hop has failed: the source, ``voice``, keeps the word, or has it back."""
        self._current, self._next = voice, None
        early, self._early = self._early, bytearray()
        self._note_stray(bytes(early))

    def hold(self, limit: int) -> None:
        """From here on keep what the source says to ourselves: it may turn out not to have been.

        A snapshot's destination goes on from this moment, and says it all again.
        """
        if self._current is not None:
            self._current.drain()
        self._held, self._held_limit = bytearray(), limit

    @property
    def overheld(self) -> bool:
        """Whether more had to be held than was allowed."""
        return self._held is not None and len(self._held) > self._held_limit

    def release(self) -> None:
        """It has been: pass on what was held."""
        held, self._held = self._held, None
        if held:
            self._sink(bytes(held))

    def take(self, voice: Voice, data: bytes) -> None:
        """What the process of ``voice`` has printed."""
        if voice is self._next:
            if self._current is not None and not self._current.has_ended():
                self._early += data
                return
            self.hand_over()
        if voice is not self._current:
            self._note_stray(data)
        elif self._held is not None:
            self._held += data[: self._held_limit + 1 - len(self._held)]
        else:
            self._sink(data)

    def _note_stray(self, data: bytes) -> None:
        self.strays += len(data)
        self.stray += data[: STRAY_BYTES - len(self.stray)]


def _nothing() -> None:
    pass


def _always() -> bool:
    return True
