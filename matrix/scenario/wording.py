"""How messages about scenario files are worded: quoting, listing, and the nearest match."""

from collections.abc import Iterable
from difflib import get_close_matches

from matrix.errors import UsageError

_QUOTED_LENGTH = 60
_LISTED = 20


class Refused(UsageError, ValueError):
    """A value that is not allowed: what is wrong with it, and what would be right.

    It is a UsageError so that an option that is parsed by the same function needs no translation,
    and a ValueError because that is what pydantic collects from its validators. ``path`` leads
    from the value that was parsed to the part that is wrong (an index of a list).
    """

    def __init__(self, message: str, allowed: str = "", path: tuple[str | int, ...] = ()) -> None:
        self.message = message
        self.allowed = allowed
        self.path = path
        super().__init__(f"{message}; {allowed}" if allowed else message)


def quoted(text: str) -> str:
    """``text`` in single quotes on one line, cut where it is long, unprintables escaped."""
    cut = text if len(text) <= _QUOTED_LENGTH else text[: _QUOTED_LENGTH - 1] + "…"
    return "'" + "".join(c if c.isprintable() else _escaped(c) for c in cut) + "'"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def nearest(word: str, candidates: Iterable[str]) -> str:
    """The candidate that ``word`` is most likely a typo of, or empty."""
    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    # Long words are no typos, and comparing them takes time quadratic in their length.
    matches = get_close_matches(word[:_QUOTED_LENGTH].casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else ""


def one_of(word: str, candidates: Iterable[str], *, also: Iterable[str] = ()) -> str:
    """``did you mean 'x'? allowed: x, y``; ``also`` are matched but not listed."""
    listed = list(candidates)
    match = nearest(word, [*listed, *also])
    shown = ", ".join(listed[:_LISTED]) + (", …" if len(listed) > _LISTED else "")
    hint = f"did you mean {match!r}? " if match else ""
    return f"{hint}allowed: {shown}"
