"""Regular expressions that are compiled when they are first used.

Compiling one takes 0.1 to 1 ms, and there are dozens for what hardly any run meets: an abort of
QEMU, registers of a hung guest, the measurements of one test. A command should not wait for them.
"""

import re
from typing import Any, cast


class _Late:
    def __init__(self, text: str, flags: int) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        # Kept as our own: asked for only once. re keeps what it compiled.
        value = getattr(re.compile(self._text, self._flags), name)
        setattr(self, name, value)
        return value


def late(text: str, flags: int = 0) -> re.Pattern[str]:
    """What ``re.compile`` gives, with its methods and attributes, compiled by the first use.

    Raises:
        re.error: with the first use, where the text is no regular expression.
    """
    return cast("re.Pattern[str]", _Late(text, flags))
