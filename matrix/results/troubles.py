"""What went wrong with hosts and workers while a run went on, as its journal has it, in words.

A case whose attempt was made again may have passed: this is all that is left of the trouble.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from matrix.results.journal import EventName

MOST = 50
"""Different sentences that are kept; a run of a week over bad links may have many."""


class Troubles:
    """Those of a run so far."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._left_out = 0

    def take(self, event: Mapping[str, Any]) -> None:
        """Fold an event in; those of other kinds are none."""
        if not (sentence := _sentence(event)):
            return
        if sentence in self._counts or len(self._counts) < MOST:
            self._counts[sentence] += 1
        else:
            self._left_out += 1

    def sentences(self) -> tuple[str, ...]:
        """In the order in which they first happened; what happened again has its number."""
        told = [
            sentence + (f" ({count} times)" if count > 1 else "")
            for sentence, count in self._counts.items()
        ]
        if self._left_out:
            told.append(f"… and {self._left_out} more; the run's events.jsonl has all")
        return tuple(told)


def _sentence(event: Mapping[str, Any]) -> str:
    host, reason = event.get("host", ""), event.get("reason", "")
    match event["event"]:
        case EventName.HOST_LOST:
            return f"{host} got no more cases: {reason}"
        case EventName.HOST_BACK:
            return f"{host} got cases again: the embedded guests passed there"
        case EventName.ATTEMPT_MOVED:
            return f"an attempt was made again on another host than {host}: {reason}"
        case EventName.WORKER_LOST:
            return f"{reason}; its cases ran again"
        case _:
            return ""
