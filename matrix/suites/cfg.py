"""``unittests.cfg`` as its author wrote it: sections of keys and values, each with its place.

The format is kvm-unit-tests' own (docs/unittests.txt there): ``[name]``, then ``key = value``;
``#`` starts a comment line; ``qemu_params`` and its like may run over several lines between triple
quotes. What the values mean is the business of :mod:`matrix.suites.unittests`.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from matrix.errors import Place, Problem
from matrix.suites.suite_files import shortened

KEYS = (
    "file",
    "smp",
    "test_args",
    "qemu_params",
    "extra_params",
    "kvmtool_params",
    "groups",
    "arch",
    "machine",
    "accel",
    "check",
    "timeout",
    "disabled_if",
)

ALIASES = {"extra_params": "qemu_params"}
"""Older names of keys."""

MULTILINE_KEYS = ("qemu_params", "extra_params", "kvmtool_params")

QUOTES = '"""'

_HEADER = re.compile(r"\[(.*)\]\s*(?:#.*)?")
_NAME = re.compile(r"[^\s/\x00-\x20\x7f]+")
_ASSIGNMENT = re.compile(r"([^\s=\[\]]+)\s*=\s*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One ``key = value``; ``place`` is where the value begins, or its key where it is empty."""

    key: str
    """As in KEYS, aliases resolved."""
    value: str
    place: Place


@dataclass(frozen=True, slots=True)
class Section:
    """One test as it is written."""

    name: str
    place: Place
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Parsed:
    """One file: its sections in order, and everything that is wrong with their form."""

    sections: tuple[Section, ...]
    problems: tuple[Problem, ...] = ()
    """What leaves open which tests there are, or what they are."""
    ignored: tuple[Problem, ...] = ()
    """Lines that kvm-unit-tests' runner reads over: keys of other revisions and forks, typos."""


def parse_sections(text: str, file: str) -> Parsed:
    """The sections of ``text``, and what is wrong with it, all at once."""
    parser = _Parser(file)
    parser.parse(text)
    return Parsed(tuple(parser.sections), tuple(parser.problems), tuple(parser.ignored))


def is_name(text: str) -> bool:
    """Whether a test can have that name: it is part of ids, and of files' names."""
    return bool(_NAME.fullmatch(text)) and text not in {".", ".."}


class _Parser:
    """Collects sections and Problems, so that all of a file's mistakes are told at once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.sections: list[Section] = []
        self.problems: list[Problem] = []
        self.ignored: list[Problem] = []
        self._named: dict[str, Section] = {}
        self._header: tuple[str, Place] | None = None
        self._entries: dict[str, Entry] = {}
        self._broken = False

    def parse(self, text: str) -> None:
        """Go through the whole text."""
        lines = enumerate((line.rstrip("\r") for line in text.split("\n")), 1)
        for number, line in lines:
            stripped = line.strip()
            if not stripped or stripped.startswith("#"):
                continue
            if stripped.startswith("["):
                self._begin(stripped, Place(self.file, number, line.index("[") + 1))
            else:
                self._assign(line, number, lines)
        self._end()

    def _problem(self, place: Place, message: str, allowed: str = "") -> None:
        self.problems.append(Problem(place, message, allowed))

    def _ignore(self, place: Place, message: str, allowed: str) -> None:
        self.ignored.append(Problem(place, message, allowed))

    def _begin(self, header: str, place: Place) -> None:
        self._end()
        self._broken = True
        match = _HEADER.fullmatch(header)
        if match is None:
            self._problem(place, "the section's name has no end", "[name]")
            return
        name = match[1].strip()
        if not is_name(name):
            message = f"{name!r} cannot be a test's name"
            self._problem(place, message, "a name has no blanks and no slashes")
            return
        self._broken = False
        self._header = (name, place)

    def _end(self) -> None:
        """Close the current section.

        Releases of kvm-unit-tests had tests twice, to the letter: those are read once.
        """
        if self._header is None:
            return
        section = Section(*self._header, tuple(self._entries.values()))
        self._header, self._entries = None, {}
        earlier = self._named.setdefault(section.name, section)
        if earlier is section:
            self.sections.append(section)
        elif not _same(earlier, section):
            message = f"test {section.name!r} is already defined in line {earlier.place.line}"
            self._problem(section.place, message, "every test has a name of its own")

    def _assign(self, line: str, number: int, lines: Iterator[tuple[int, str]]) -> None:
        indent = len(line) - len(line.lstrip())
        match = _ASSIGNMENT.match(line, indent)
        if match is None:
            place = Place(self.file, number, indent + 1)
            self._ignore(place, f"{shortened(line)!r} is no setting", "key = value, or [name]")
            return
        key, value = match[1], line[match.end() :].rstrip()
        place = Place(self.file, number, (match.end() if value else indent) + 1)
        if (key in MULTILINE_KEYS or key not in KEYS) and value.startswith(QUOTES):
            value = self._multiline(value[len(QUOTES) :], place, lines)
        if key not in KEYS:
            self._ignore(Place(self.file, number, indent + 1), *_unknown(key))
            return
        if self._header is None:
            if not self._broken:  # a broken header has been reported itself
                self._ignore(place, f"{key} stands before any test", "[name] comes first")
            return
        key = ALIASES.get(key, key)
        # The last one counts: so it is to its own runner, and releases rely on it.
        self._entries[key] = Entry(key, value, place)

    def _multiline(self, first: str, place: Place, lines: Iterator[tuple[int, str]]) -> str:
        """The value up to the closing quotes; a backslash at a line's end joins it to the next.

        Only an odd number of backslashes does: an even number is that many escaped ones.
        """
        parts: list[str] = []
        line: str | None = first
        while line is not None:
            stripped = line.rstrip()
            if stripped.endswith(QUOTES):
                parts.append(stripped.removesuffix(QUOTES))
                return "".join(parts).strip()
            backslashes = len(line) - len(line.rstrip("\\"))
            parts.append(line[:-1] if backslashes % 2 else line + "\n")
            line = next((text for _, text in lines), None)
        self._problem(
            place, f"the value that starts with {QUOTES} has no end", f"close it: {QUOTES}"
        )
        return ""


def _same(one: Section, other: Section) -> bool:
    """Whether two sections say the same."""
    return {entry.key: entry.value for entry in one.entries} == {
        entry.key: entry.value for entry in other.entries
    }


def _unknown(key: str) -> tuple[str, str]:
    close = difflib.get_close_matches(key, KEYS, n=1)
    allowed = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(KEYS)}"
    return f"unknown key {shortened(key)!r}", allowed
