import contextlib
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.suites.shell_words import WordsError, needs_shell, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("  -m 256 \t -smp 2 ", ("-m", "256", "-smp", "2")),
        ("'setup smp=2 mem=256'", ("setup smp=2 mem=256",)),
        ('"a \\"b\\" \\\\ \\n c"', ('a "b" \\ \\n c',)),
        ('-rtc base="2006-06-17"', ("-rtc", "base=2006-06-17")),
        ("a\\ b", ("a b",)),
        ("a '' b", ("a", "", "b")),
        ("a # b", ("a",)),
        ("a#b 'c'#d", ("a#b", "c#d")),
        ("a # b\nc", ("a", "c")),
        ("a\\\nb c\nd", ("ab", "c", "d")),
        ("smp={smp} $x `y`", ("smp={smp}", "$x", "`y`")),
    ],
)
def test_words(text: str, words: tuple[str, ...]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(("text", "column"), [("a 'b", 2), ('"b', 0), ("a\\", 1)])
def test_what_is_not_closed(text: str, column: int) -> None:
    with pytest.raises(WordsError, match="is not closed") as caught:
        split_words(text)
    assert caught.value.column == column


@given(st.text(alphabet="ab '\"\\\n\t", max_size=30))
def test_same_words_as_the_standard_library(text: str) -> None:
    """But for an escaped newline, which shlex keeps and a shell does not."""
    try:
        expected = tuple(shlex.split(text.replace("\\\n", "")))
    except ValueError:
        return
    if "\\\n" not in text:
        assert split_words(text) == expected


@given(st.text(max_size=60))
def test_any_text_gives_words_or_a_words_error(text: str) -> None:
    with contextlib.suppress(WordsError):  # what it may raise, and nothing else
        assert sum(map(len, split_words(text))) <= len(text)


def test_what_needs_a_shell() -> None:
    assert needs_shell("$((2 + 1))")
    assert needs_shell("`date`")
    assert not needs_shell("-device 'a,b=c' -m 1g # x")
