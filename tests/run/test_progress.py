"""The last line of a console, as it comes in pieces."""

import pytest

from matrix.run.progress import TAIL, ConsoleTail


@pytest.mark.parametrize(
    ("pieces", "line"),
    [
        ((), ""),
        (("one\ntw", "o"), "two"),
        (("one\n", "\n  \n"), "one"),
        (("one\r\ntwo\r\n",), "two"),
        (("one\n\x1b[2Jtwo\x1b[0m\n",), "two"),
        (("gr\xc3\xbcn\n",), "grün"),
        (("x" * (3 * TAIL), "\nend"), "end"),
        (tuple("many\n" * TAIL), "many"),
    ],
)
def test_the_last_line(pieces: tuple[str, ...], line: str) -> None:
    tail = ConsoleTail()
    for piece in pieces:
        tail.write(piece)
    assert tail.last_line == line
