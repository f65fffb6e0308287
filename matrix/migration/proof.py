"""The guest's own proof, read from its console: beats that are numbered and carry its clock. Pure.

The ``ram-integrity`` guest prints ``INTEGRITY: START key=value …`` once, ``INTEGRITY: BEAT n=
clock= gap= verified= passes=`` every 100 ms and whenever :data:`ASK` is typed, and ``INTEGRITY: END
…``; times in ns. Beats that are missing or come twice mean that the console, or the guest's memory,
was not carried over as it was.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

LINE_LIMIT = 4096
PROBLEMS_KEPT = 20
NANOSECOND = 1e-9
ASK = b"\n"
"""What has the guest beat at once; those of earlier builds ignore it."""

_PREFIX = b"INTEGRITY: "
_PAIR = re.compile(r"(\w+)=(\S+)")


@dataclass(frozen=True, slots=True)
class Beat:
    """One beat."""

    number: int
    clock: float
    """Seconds on the guest's clock."""
    gap: float
    """Seconds: the largest gap that the guest saw on its clock since the beat before."""
    passes: int
    requests: int | None
    """Requests to its disk that have been answered, or frames that it has received; None of a
    guest without such a device."""
    in_flight: int | None
    """How many were not answered yet during that gap."""
    balloon: int | None
    """Pages that its balloon has; None of a guest without one, as what follows."""
    plugged: int | None
    """Bytes of virtio-mem's blocks that are plugged."""
    at: float
    """Unix time at which it reached us."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the beats around a hop say."""

    blackout: float
    """Largest gap that the guest saw."""
    silence: float
    """Largest gap between two beats on the host's clock."""
    requests: int | None
    """Answered since, or received; None of a guest without such a device."""
    in_flight: int | None
    """Of them during the largest gap."""
    clock_jump: float
    """How much more (or, negative, less) the guest's clock went forward than the host's."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a proof is at one moment, to be taken up from there again."""

    partial: bytes
    settings: dict[str, str]
    last: Beat | None


class Proof:
    """Takes in the joined console, in pieces of any size, with bounded memory."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """``changed`` is called after each line that is the proof's."""
        self._changed = changed
        self._partial = b""
        self.settings: dict[str, str] = {}
        """What START said; empty until then, and of guests that prove nothing."""
        self.last: Beat | None = None
        self.beats = 0
        self.ended = False
        self.problems: list[str] = []
        """What is wrong with the beats, bounded; ``problem_count`` counts them all."""
        self.problem_count = 0
        self._before: Beat | None = None
        self._in_flight: int | None = None
        self._gap = self._silence = 0.0

    @property
    def present(self) -> bool:
        """Whether the guest is one that proves its memory, and has begun to."""
        return bool(self.settings)

    def feed(self, data: bytes, at: float) -> None:
        """Take in what came at the Unix time ``at``."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-LINE_LIMIT:]
        for line in lines:
            if line.startswith(_PREFIX):
                self._take(line[len(_PREFIX) :].decode(errors="replace").strip(), at)

    def mark(self) -> Mark:
        """Where it is; all that the guest has said must have been taken in."""
        return Mark(self._partial, self.settings, self.last)

    def rewind(self, mark: Mark) -> None:
        """The guest goes on from there, and says once more what it has said since."""
        self._partial, self.settings, self.last = mark.partial, mark.settings, mark.last

    def renew(self) -> None:
        """The guest begins anew: it was reset."""
        self._partial, self.settings, self.last = b"", {}, None

    def begin(self) -> None:
        """A hop begins: what comes from here on is its evidence."""
        self._before, self._in_flight = self.last, None
        self._gap = self._silence = 0.0

    def evidence(self) -> Evidence | None:
        """What the beats since :meth:`begin` say; None where there was none before or after."""
        before, after = self._before, self.last
        if before is None or after is None or after.number <= before.number:
            return None
        jump = (after.clock - before.clock) - (after.at - before.at)
        requests = None
        if before.requests is not None and after.requests is not None:
            requests = after.requests - before.requests
        return Evidence(self._gap, self._silence, requests, self._in_flight, jump)

    def _take(self, line: str, at: float) -> None:
        word, _, rest = line.partition(" ")
        values = dict(_PAIR.findall(rest))
        match word:
            case "START":
                if self.settings:
                    self._wrong("the guest started anew")
                self.settings = values or {"": ""}
            case "BEAT":
                self._beat(values, at)
            case "END":
                self.ended = True
            case _:
                return
        self._changed()

    def _beat(self, values: dict[str, str], at: float) -> None:
        try:
            beat = Beat(
                number=int(values["n"]),
                clock=int(values["clock"]) * NANOSECOND,
                gap=int(values["gap"]) * NANOSECOND,
                passes=int(values.get("passes", "0")),
                requests=_whole(values.get("requests")),
                in_flight=_whole(values.get("inflight")),
                balloon=_whole(values.get("balloon")),
                plugged=_whole(values.get("plugged")),
                at=at,
            )
        except (KeyError, ValueError):
            self._wrong(f"a beat cannot be read: {values}")
            return
        self.beats += 1
        last, self.last = self.last, beat
        if beat.gap >= self._gap:
            self._gap, self._in_flight = beat.gap, beat.in_flight
        if last is None:
            return
        self._silence = max(self._silence, at - last.at)
        if beat.number != last.number + 1:
            kind = "twice or out of order" if beat.number <= last.number else "lost"
            self._wrong(f"beats {kind}: {beat.number} after {last.number}")
        if beat.clock < last.clock:
            self._wrong(f"the guest's clock went back by {last.clock - beat.clock:.6f} s")

    def _wrong(self, what: str) -> None:
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(what)


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)
