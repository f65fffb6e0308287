"""Words as bash completes them: it takes ``strategy=postcopy`` and ``latest:smoke`` for three each.

They are put together before the program is asked, and of what it answers bash gets the part behind
the last separator, which is all that it replaces (``COMP_WORDBREAKS`` in bash(1)).
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, MutableMapping

SEPARATORS = ("=", ":")


def asked_by_bash() -> bool:
    """Whether bash wants to know how a command line goes on."""
    return os.environ.get("_MATRIX_COMPLETE") == "complete_bash"


def answer(program: Callable[[], int], environment: MutableMapping[str, str]) -> int:
    """Have ``program`` complete whole words, and print what bash can put in its own last one's
    place; gives the program's exit code."""
    words = environment.get("COMP_WORDS", "").split()
    place = int(environment.get("COMP_CWORD", "0"))
    whole = whole_words([*words, *[""] * (place + 1 - len(words))][: place + 1])
    environment["COMP_WORDS"] = " ".join(whole)
    environment["COMP_CWORD"] = str(len(whole) - 1)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = program()
    known = whole[-1][: max(map(whole[-1].rfind, SEPARATORS)) + 1]
    for line in said.getvalue().splitlines():
        sys.stdout.write(f"{line.removeprefix(known)}\n")
    return code


def whole_words(words: list[str]) -> list[str]:
    """The words with what bash has cut at separators put together again."""
    found: list[str] = []
    glued = False
    for word in words:
        separator = bool(word) and not word.strip("".join(SEPARATORS))
        if found and (glued or separator):
            found[-1] += word
        else:
            found.append(word)
        glued = separator
    return found
