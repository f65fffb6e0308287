"""Where lines of results go: to a terminal with colours, or as plain text to whatever reads it.

Most runs are read by a pipe or a CI log, and need not load what draws on terminals.
"""

import os
import shutil
import sys
from collections.abc import Iterable
from typing import Protocol

from matrix.results.printable import shown_json, without_commands
from matrix.results.segments import Line, plain


class Output(Protocol):
    """Takes lines of results."""

    @property
    def width(self) -> int:
        """Columns to keep to."""
        ...

    def say(self, lines: Iterable[Line]) -> None:
        """Print lines as they are: they keep to the width themselves."""
        ...


class PlainOutput:
    """Standard output without colours; ``COLUMNS`` says how wide, 80 where it does not."""

    def __init__(self) -> None:
        self.width = shutil.get_terminal_size().columns

    def say(self, lines: Iterable[Line]) -> None:
        """See :class:`Output`; what is said is there at once, as a log is read while it grows."""
        for line in lines:
            sys.stdout.write(plain([line]))
        sys.stdout.flush()


def is_live() -> bool:
    """Whether standard output is a terminal on which lines can be drawn over."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def write_json(data: bytes) -> int:
    """Write a piece of a JSON document to standard output, in UTF-8 whatever the locale."""
    sys.stdout.buffer.write(shown_json(data.decode()).encode())
    return len(data)


def write_text(text: str) -> None:
    """Write a document for people to standard output, in UTF-8 whatever the locale."""
    sys.stdout.buffer.write(without_commands(text, os.environ).encode())


def standard_output() -> Output:
    """Standard output: with colours on a terminal or where ``FORCE_COLOR`` asks for them."""
    if is_live() or os.environ.get("FORCE_COLOR"):
        from matrix.cli.style import ColourOutput

        return ColourOutput()
    return PlainOutput()
