"""Splitting text into words as a shell does, without a shell: quotes and comments, no expansion."""

import re

SHELL_CHARACTERS = frozenset("$`{~;|&<>()")
"""Text without any of these means the same to a shell as it does here."""

_PIECE = re.compile(
    r"""
    (?P<blank>[ \t\r\n]+)
  | (?P<comment>\#[^\n]*)
  | '(?P<single>[^']*)'
  | "(?P<double>(?:[^"\\]|\\.)*)"
  | \\(?P<escaped>.)
  | (?P<plain>[^ \t\r\n'"\\]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLANKS = re.compile(r"[ \t\r\n]+")
_DOUBLE_ESCAPE = re.compile(r'\\(["\\])')
_QUOTING = frozenset("'\"\\#")


class WordsError(ValueError):
    """The text's quoting is not closed; ``column`` counts from 0."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column


def needs_shell(text: str) -> bool:
    """Whether a shell would do more with ``text`` than split it into words."""
    return not SHELL_CHARACTERS.isdisjoint(text)


def split_words(text: str) -> tuple[str, ...]:
    """The words of ``text``, quotes removed; nothing is expanded.

    Raises:
        WordsError: a quote or a backslash at the end stands alone.
    """
    if _QUOTING.isdisjoint(text):
        return tuple(word for word in _BLANKS.split(text) if word)
    words: list[str] = []
    word: str | None = None
    position = 0
    while position < len(text):
        match = _PIECE.match(text, position)
        if match is None:
            raise WordsError(f"{text[position]} is not closed", position)
        kind, piece = match.lastgroup, match[match.lastgroup or 0]
        if kind == "comment" and word is not None:
            kind, piece = "plain", "#"
            position += 1
        else:
            position = match.end()
        if kind in {"blank", "comment"}:
            if word is not None:
                words.append(word)
            word = None
        elif kind == "double":
            word = (word or "") + _DOUBLE_ESCAPE.sub(r"\1", piece)
        elif kind != "escaped" or piece != "\n":  # an escaped newline is nothing at all
            word = (word or "") + piece
    if word is not None:
        words.append(word)
    return tuple(words)
