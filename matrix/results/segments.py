"""Lines of text for people, as segments that name their style; colours are the caller's."""

import textwrap
from collections.abc import Iterable
from enum import StrEnum

from matrix.model import Verdict
from matrix.results.printable import printable


class Style(StrEnum):
    """What a segment is. A verdict's style is named as the verdict."""

    PLAIN = ""
    HEADING = "heading"
    FAINT = "faint"
    PATH = "path"
    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    SKIP = "skip"
    XFAIL = "xfail"
    XPASS = "xpass"
    TIMEOUT = "timeout"
    STALL = "stall"
    CRASH = "crash"
    ERROR = "error"
    FLAKY = "flaky"

    @classmethod
    def of(cls, verdict: Verdict) -> "Style":
        """The style of a verdict."""
        return cls(verdict.value)


Segment = tuple[str, Style]
Line = tuple[Segment, ...]

BLANK: Line = ()


def line(text: str, style: Style = Style.PLAIN) -> Line:
    """A line of one segment, printable."""
    return ((printable(text), style),)


def wrapped(
    text: str, width: int, indent: str, style: Style = Style.PLAIN, first: str | None = None
) -> list[Line]:
    """``text`` in lines of at most ``width`` columns, words longer than that left whole.

    A path that was broken could not be copied. ``first`` stands before the first line instead of
    ``indent``.
    """
    lines = textwrap.wrap(
        printable(text),
        max(width, len(indent) + 20),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [((each, style),) for each in lines]


def plain(lines: Iterable[Line]) -> str:
    """The lines without styles, each ended by a line break."""
    return "".join("".join(text for text, _ in each).rstrip() + "\n" for each in lines)
