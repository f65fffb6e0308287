"""Make text that a guest, QEMU or a stranger wrote safe to show: no control reaches a terminal.

A console line may hold escape sequences that retitle, clear or fake a terminal, bidirectional
overrides that swap what is read, or bytes that XML and TAP forbid. What :func:`printable` lets
through is harmless in all three, because ``str.isprintable`` refuses every character of the
Unicode categories "other" and "separator" but the space.
"""

import re
import unicodedata
from collections.abc import Mapping

_ESCAPE_SEQUENCE = re.compile(
    r"""\x1b\[ [0-?]* [\x20-/]* [@-~]           # control sequence: colours, cursor
      | \x1b[\]PX^_] [^\x07\x1b]* (?:\x07|\x1b\\)   # operating system command and its kin
      | \x1b (?: [\x20-/]+ [0-~] | [0-OQ-WYZ\\`-~] )   # charsets; all two-character ones else
    """,
    re.VERBOSE,
)
"""Escape sequences of ECMA-48 (5.4, 5.6): they only dress text up, so they are dropped whole."""


CI_VARIABLES = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD")
"""What CI systems set; Azure Pipelines has TF_BUILD alone."""

_CI_COMMAND = re.compile(
    r"""(?:^|[\n\r]) [^\S\n\r]* ::   # GitHub (ActionCommand.cs): ::name::, after white space
      | \#\# \w* \[                   # anywhere in a line: GitHub's and Azure's ##[name], ##vso[
      | section_(?:start|end):       # GitLab's, before a time, a name and an escape sequence
    """,
    re.VERBOSE,
)
"""Commands that a CI system obeys where they are in a job's log."""

_HASH = re.compile("#(?=#)")

_LONGEST_START = 64
"""Characters of a line that are kept to know a command that comes in pieces."""


def in_ci(environment: Mapping[str, str]) -> bool:
    """Whether a CI system reads what is printed."""
    return any(environment.get(name, "").lower() not in ("", "0", "false") for name in CI_VARIABLES)


class CommandSpeller:
    r"""Spells a character of every command of a CI system: ``::error::`` is ``:\x3aerror::``.

    One for each stream, called with each piece of text in turn: where a line begins depends on the
    pieces before, and a command may be cut anywhere.
    """

    def __init__(self) -> None:
        self._line = ""
        """What the line has so far, or its last characters behind one that is none of a command."""

    def __call__(self, text: str) -> str:
        """The next piece, spelt."""
        shown = _CI_COMMAND.sub(_last_spelt, self._line + text)
        spelt = shown[len(self._line) :]
        line = re.split(r"[\n\r]", shown)[-1]
        if len(line) > _LONGEST_START and line.strip():
            line = "." + line[-_LONGEST_START:]
        self._line = line
        return spelt


def without_commands(text: str, environment: Mapping[str, str]) -> str:
    """``text`` for a reader of a CI job's log: no commands where a CI system would obey them."""
    return CommandSpeller()(text) if in_ci(environment) else text


def shown_json(text: str) -> str:
    r"""JSON that is printed: ``##`` in its texts is ``\u0023#``, the same to who parses it.

    A CI system that reads a log obeys ``##[name]`` and ``##vso[`` anywhere in a line.
    """
    return _HASH.sub(r"\\u0023", text)


def printable(text: str) -> str:
    r"""``text`` as one line: escape sequences dropped, what is left of controls spelt ``\x1b``.

    Bytes that were no UTF-8 (surrogate escapes, PEP 383) come out as ``\xff``, a tab as a space.
    """
    if text.isprintable():
        return text
    text = _ESCAPE_SEQUENCE.sub("", text).rstrip("\r\n")
    return "".join(map(_spelt, text))


def printable_block(text: str) -> str:
    """``text`` with its line breaks kept and each line made :func:`printable`."""
    return "\n".join(printable(line) for line in re.split(r"\r?\n", text))


def decoded(data: bytes) -> str:
    """Bytes of unknown encoding as :func:`printable` text with its line breaks kept."""
    return printable_block(data.decode("utf-8", "surrogateescape"))


def shortened(text: str, length: int) -> str:
    """``text``, printable, in at most ``length`` columns, with an ellipsis where it was cut."""
    text = printable(text)
    if display_width(text) <= length:
        return text
    kept, used = [], 0
    for character in text:
        used += display_width(character)
        if used > length - 1:
            break
        kept.append(character)
    return "".join(kept) + "…"


def display_width(text: str) -> int:
    """Columns that ``text`` takes in a terminal (wide characters take two, combining ones none)."""
    if text.isascii():
        return len(text)
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _spelt(character: str) -> str:
    if character.isprintable():
        return character
    if character == "\t":
        return " "
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def _last_spelt(match: re.Match[str]) -> str:
    """A command with its last character spelt."""
    return f"{match.group()[:-1]}\\x{ord(match.group()[-1]):02x}"
