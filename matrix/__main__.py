"""The entry point of ``matrix``, which ``python -m matrix`` is the same as."""

import signal
import sys
from types import FrameType
from typing import NoReturn

from matrix.errors import ExitCode

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""What ends a command as Ctrl-C does: the word of a CI system, or that the terminal is gone."""


def take_signals() -> None:
    """Have :data:`ENDING` do what SIGINT does, but for those that were ignored when we started.

    A command that was killed by them would leave its temporary folders, and say nothing of what it
    had found.
    """
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Do as on Ctrl-C: an event loop cancels its main task then, all else gets the exception."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # ignored, as in a job of a shell's background
        raise KeyboardInterrupt
    handler(number, frame)


def main() -> NoReturn:
    """Load the program and run it; Ctrl-C while it loads is an interrupt like any other."""
    try:
        take_signals()
        from matrix.cli.main import main as run
    except KeyboardInterrupt:
        print("matrix: interrupted", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
