"""Interrupts, and moments at which none may come."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interrupts_put_off() -> Iterator[None]:
    """What comes meanwhile comes at the end.

    To start a process takes a while in which it runs already and nobody knows of it: whoever is
    interrupted then leaves it behind. To block signals is not enough, nor always right. A started
    program would have them blocked too, and what another thread gets is handled in the main one all
    the same.
    """
    came: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        came.append(number)

    handlers = {number: signal.getsignal(number) for number in INTERRUPTS}
    taken = [number for number, handler in handlers.items() if callable(handler)]
    for each in taken:
        signal.signal(each, remember)
    try:
        yield
    finally:
        for each in taken:
            signal.signal(each, handlers[each])
        for number in dict.fromkeys(came):
            signal.raise_signal(number)
