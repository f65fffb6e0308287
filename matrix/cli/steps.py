"""Says on stderr what the inventory is taken of, where that takes long.

The first time on a host every emulator is asked and KVM tried with every CPU model that a scenario
names: a minute or two where KVM is broken, and nothing else is printed meanwhile.
"""

import asyncio
import sys

AFTER = 2.0
"""Seconds from the first step until anything is said: mostly it is over by then."""


def say(step: str) -> None:
    """Say at once, on stderr, what is done."""
    print(f"matrix: {step}", file=sys.stderr, flush=True)


class Steps:
    """Called with each step, in words, as it begins, while an event loop runs."""

    def __init__(self) -> None:
        self._latest = ""
        self._saying = False

    def __call__(self, step: str) -> None:
        """Take in that a step begins."""
        if self._saying:
            self._say(step)
            return
        if not self._latest:
            asyncio.get_running_loop().call_later(AFTER, self._begin)
        self._latest = step

    def _begin(self) -> None:
        self._saying = True
        self._say(f"{self._latest}; what is found is kept for the next time")

    def _say(self, step: str) -> None:
        say(step)
