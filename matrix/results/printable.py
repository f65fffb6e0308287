"""Make text that a guest, QEMU or a stranger wrote safe to show: no control reaches a terminal.

A console line may hold escape sequences that retitle, clear or fake a terminal, bidirectional
overrides that swap what is read, or bytes that XML and TAP forbid. What :func:`printable` lets
through is harmless in all three, because ``str.isprintable`` refuses every character of the
Unicode categories "other" and "separator" but the space.
"""

import re
import unicodedata

_ESCAPE_SEQUENCE = re.compile(
    r"""\x1b\[ [0-?]* [\x20-/]* [@-~]           # control sequence: colours, cursor
      | \x1b[\]PX^_] [^\x07\x1b]* (?:\x07|\x1b\\)   # operating system command and its kin
      | \x1b (?: [\x20-/]+ [0-~] | [0-OQ-WYZ\\`-~] )   # charsets; all two-character ones else
    """,
    re.VERBOSE,
)
"""Escape sequences of ECMA-48 (5.4, 5.6): they only dress text up, so they are dropped whole."""


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
