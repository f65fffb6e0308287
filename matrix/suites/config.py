"""``config.mak``: the assignments in it, read as text and never executed.

kvm-unit-tests' ``configure`` writes the file for both make and the shell: ``NAME=value`` lines, the
value usually unquoted even where it has spaces, and ``#`` comments. Nothing in it is expanded here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from matrix.errors import Place, Problem, SuiteError
from matrix.suites.suite_files import shortened

CONFIG_NAME = "config.mak"
_ASSIGNMENT = re.compile(
    r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*(?::{1,3}|\?)?=[ \t]*(.*)"
)
_QUOTED = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)\"""")
_COMMENT = re.compile(r"(?:^|[ \t])#.*")


@dataclass(frozen=True, slots=True)
class Config:
    """The variables of one ``config.mak`` and the places where they are set."""

    file: str
    values: Mapping[str, str]
    lines: Mapping[str, int]

    def get(self, name: str) -> str:
        """The variable's value, empty where it is not set."""
        return self.values.get(name, "")

    def enabled(self, name: str) -> bool:
        """Whether the variable says yes, in any of the ways in which ``configure`` writes it."""
        return self.get(name).lower() in {"y", "yes", "1"}

    def place(self, name: str) -> Place:
        """Where the variable is set; the file itself where it is not."""
        return Place(self.file, self.lines.get(name, 0))


def parse_config(text: str, file: str) -> Config:
    """The assignments in ``text``, the last of each name.

    Raises:
        SuiteError: lines that are neither an assignment, nor a comment, nor empty.
    """
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    for number, line in _logical_lines(text):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            message = f"{shortened(line)!r} is not an assignment"
            problems.append(Problem(Place(file, number), message, "lines are NAME=value"))
            continue
        values[match[1]] = _value(match[2])
        lines[match[1]] = number
    if problems:
        raise SuiteError(problems)
    return Config(file, values, lines)


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines with the number of their first, backslash-newline pairs joined as make does."""
    result: list[tuple[int, str]] = []
    pending: list[str] = []
    start = 0
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.rstrip("\r")
        start = start if pending else number
        pending.append(stripped)
        backslashes = len(stripped) - len(stripped.rstrip("\\"))
        if backslashes % 2:
            pending[-1] = stripped[:-1]
            continue
        result.append((start, "".join(pending)))
        pending = []
    if pending:
        result.append((start, "".join(pending)))
    return result


def _value(text: str) -> str:
    """The value that is meant: one quoted word without its quotes, else the text as it stands."""
    text = text.strip()
    if text[:1] in {"'", '"'}:
        match = _QUOTED.match(text)
        if match and not _COMMENT.sub("", text[match.end() :]).strip():
            if match[1] is not None:
                return match[1]
            return re.sub(r'\\(["\\$`])', r"\1", match[2])
    return _COMMENT.sub("", text).rstrip()
