"""The last resort of a lease: the kernel kills this process at a time, even one that is stopped.

A POSIX timer whose signal is SIGKILL (timer_create(2)). The QEMUs of this process die with it, by
their parent-death signal. An agent that hangs, or that someone has stopped (SIGSTOP), ends nothing
by itself; a stopped process takes SIGKILL all the same.
"""

import ctypes
import os
import signal
import time

SIGEV_SIGNAL = 0
TIMER_ABSTIME = 1


def now() -> float:
    """Seconds of the clock that leases are kept by (CLOCK_BOOTTIME): nobody sets it, and it goes on
    while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class _Event(ctypes.Structure):
    """struct sigevent, of 64 bytes on every Linux."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_byte * (56 - ctypes.sizeof(ctypes.c_void_p))),
    )


class _Times(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Deadline:
    """A timer of this process, not set at first."""

    def __init__(self) -> None:
        """Raises OSError: the kernel gives none."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = ctypes.c_void_p()
        event = _Event(None, signal.SIGKILL, SIGEV_SIGNAL)
        self._checked(
            self._libc.timer_create(
                time.CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(self._timer)
            )
        )

    def set(self, at: float | None) -> None:
        """Be killed at that time of :func:`now`; None: not at all."""
        seconds, fraction = divmod(at or 0.0, 1)
        times = _Times(0, 0, int(seconds), int(fraction * 1e9))
        self._checked(
            self._libc.timer_settime(self._timer, TIMER_ABSTIME, ctypes.byref(times), None)
        )

    def _checked(self, result: int) -> None:
        if result:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
