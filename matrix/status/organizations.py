"""Whom an author worked for, by the address in the commit; nothing is guessed from names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from matrix.errors import UsageError
from matrix.results.files import read_bounded, shown
from matrix.results.printable import printable

UNKNOWN = "(unknown)"
LARGEST = 4 << 20
"""Bytes of a mapping file."""
_LINE = re.compile(r"(\S+)\s+(.*?)\s*(?:<\s*(\d{4}-\d\d-\d\d))?")


@dataclass(frozen=True, slots=True)
class _Entry:
    organization: str
    before: float
    """Unix time until which it holds."""


class Organizations:
    """Addresses and domains with their organizations; what is read later goes before."""

    def __init__(self) -> None:
        self._known: dict[str, list[_Entry]] = {}
        text = (resources.files("matrix.status") / "assets/organizations.txt").read_text("utf-8")
        self._take(text.splitlines(), "organizations.txt")

    def read(self, path: Path) -> None:
        """Take a file of the user in.

        Raises:
            UsageError: a line is none of ``ADDRESS ORGANIZATION [< YYYY-MM-DD]``.
            HostError: it cannot be read.
        """
        text = read_bounded(path, LARGEST).decode("utf-8", "replace")
        self._take(text.splitlines(), shown(path))

    def of(self, address: str, time: float) -> str:
        """The organization of an address at a time, :data:`UNKNOWN` where no line is of it."""
        _, _, domain = address.rpartition("@")
        labels = domain.split(".")
        keys = (address, *(".".join(labels[place:]) for place in range(len(labels))))
        for key in keys:
            for entry in self._known.get(key, ()):
                if time < entry.before:
                    return entry.organization
        return UNKNOWN

    def _take(self, lines: Iterable[str], source: str) -> None:
        added: dict[str, list[_Entry]] = {}
        for number, text in enumerate(lines, 1):
            line = text.partition("#")[0].strip()
            if not line:
                continue
            found = _LINE.fullmatch(line)
            before = None if found is None else _before(found[3])
            if found is None or not found[2] or before is None:
                raise UsageError(
                    f"{source}:{number}: {printable(line)!r} is no mapping; write"
                    " ADDRESS ORGANIZATION, or ADDRESS ORGANIZATION < 2019-04-01"
                )
            entry = _Entry(printable(found[2]), before)
            added.setdefault(found[1].lower().lstrip("@"), []).append(entry)
        for key, entries in added.items():
            entries.sort(key=lambda each: each.before)
            self._known[key] = [*entries, *self._known.get(key, ())]


def _before(text: str | None) -> float | None:
    """The Unix time of a day; for ever where none is said, None where there is no such day."""
    if text is None:
        return float("inf")
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
