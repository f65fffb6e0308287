"""Lines of text for people, as segments that name their style; colours are the caller's."""

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from matrix.results.printable import printable
from matrix.verdicts import Verdict


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

MOST_IDS = 10
"""How many of the cases that share a reason are named, where nobody says otherwise."""

MOST_REASONS = 20
"""How many reasons are named of each kind."""


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


@dataclass(slots=True)
class _Group:
    ids: list[str] = field(default_factory=list)
    count: int = 0


@dataclass(slots=True)
class Groups:
    """Cases that share a reason: how many, the reason, and the first few ids."""

    most_ids: int = MOST_IDS
    by_reason: dict[str, _Group] = field(default_factory=dict)

    def add(self, reason: str, case_id: str) -> None:
        """Take one case in."""
        group = self.by_reason.setdefault(reason, _Group())
        group.count += 1
        if len(group.ids) < self.most_ids:
            group.ids.append(case_id)

    @property
    def count(self) -> int:
        """All cases."""
        return sum(group.count for group in self.by_reason.values())

    def lines(self, width: int) -> Iterator[Line]:
        """The reasons, the most frequent first."""
        ordered = sorted(self.by_reason.items(), key=lambda each: -each[1].count)
        for reason, group in ordered[:MOST_REASONS]:
            words = reason or "no reason given"
            yield from wrapped(f"{group.count:>3}  {words}", width, " " * 7, first="  ")
            more = group.count - len(group.ids)
            ids = ", ".join(group.ids) + (f", … {more:,} more" if more else "")
            yield from wrapped(ids, width, " " * 7, Style.FAINT)
        if len(ordered) > MOST_REASONS:
            more = len(ordered) - MOST_REASONS
            yield line(f"       … and {more:,} more reasons", Style.FAINT)


def plain(lines: Iterable[Line]) -> str:
    """The lines without styles, each ended by a line break."""
    return "".join("".join(text for text, _ in each).rstrip() + "\n" for each in lines)
