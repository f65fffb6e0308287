"""Workers that are forked before the run is planned, and wait for their orchestrator's first word.

Each that is started as a program of its own loads all of this one, while the first results could be
there: 0.4 s of CPU time, of which there are as many as workers. ``benchmarks/first_result.py``
measures what that is worth.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from matrix.hosts.workers.worker import serve
from matrix.vm.forking import Forked, can_fork, fork

MOST = 16
"""Workers that are forked, at a few milliseconds each that the plan waits for; others are started
when there is something to do for them."""
WORDS = ("matrix", "worker")


@dataclass(frozen=True, slots=True)
class Spare:
    """A worker that was told nothing yet."""

    child: Forked
    control: socket.socket
    """Our end of the connection."""
    lifeline: int
    """The end that is read."""


@contextmanager
def spare_workers(count: int) -> Iterator[list[Spare]]:
    """Fork so many, as far as that can be done; those that are still in the list at the end end."""
    spares: list[Spare] = []
    try:
        if can_fork():
            with contextlib.suppress(OSError):  # those that are there do, or programs will
                while len(spares) < min(count, MOST):
                    spares.append(_spare())
        yield spares
    finally:
        for spare in spares:
            spare.child.kill()
        for spare in spares:
            spare.child.wait()
            spare.control.close()
            os.close(spare.lifeline)


def _spare() -> Spare:
    ours, theirs = socket.socketpair()
    alive, held = os.pipe()
    numbers = theirs.fileno(), held
    try:
        child = fork(partial(serve, *numbers), WORDS, numbers)
    except OSError:
        ours.close()
        os.close(alive)
        raise
    finally:
        theirs.close()
        os.close(held)
    os.set_blocking(alive, False)
    return Spare(child, ours, alive)
