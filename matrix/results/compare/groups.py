"""Cases that share a reason, for people: how many, the reason, and the first few ids."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from matrix.results.segments import Line, Style, line, wrapped

MOST_IDS = 10
"""How many of the cases that share a reason are named."""

MOST_REASONS = 20
"""How many reasons are named of each kind."""


@dataclass(slots=True)
class _Group:
    ids: list[str] = field(default_factory=list)
    count: int = 0


@dataclass(slots=True)
class Groups:
    """Cases by reason."""

    by_reason: dict[str, _Group] = field(default_factory=dict)

    def add(self, reason: str, case_id: str) -> None:
        """Take one case in."""
        group = self.by_reason.setdefault(reason, _Group())
        group.count += 1
        if len(group.ids) < MOST_IDS:
            group.ids.append(case_id)

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
