"""Moments at which no interrupt may come."""

import signal
import threading
import time

import pytest

from matrix.cli.interrupts import interrupts_put_off


def test_an_interrupt_waits_until_all_is_known(interrupt: int) -> None:
    """Also one that another thread gets: its handler runs in ours."""
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    known = []

    def starting() -> None:
        with interrupts_put_off():
            assert other.ident is not None
            signal.pthread_kill(other.ident, interrupt)
            for _ in range(100):
                time.sleep(0.001)
            known.append("all")

    try:
        with pytest.raises(KeyboardInterrupt):
            starting()
    finally:
        over.set()
        other.join()
    assert known
