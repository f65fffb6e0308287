import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.suites.expansion import UnexpandedError, expand_words, is_true
from matrix.suites.shell_words import WordsError

VARIABLES = {"MAX_SMP": "4", "TARGET": "qemu", "ODD": "a b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("-m 256 -append 'a b'", ("-m", "256", "-append", "a b")),
        ("$MAX_SMP", ("4",)),
        ("x=${MAX_SMP},y", ("x=4,y",)),
        ("$((($MAX_SMP < 8)?$MAX_SMP:8))", ("4",)),
        ("$((($MAX_SMP < 3)?$MAX_SMP:3))", ("3",)),
        ("$((MAX_SMP / 2)),threads=2", ("2,threads=2",)),
        ("$((7 % 4 + 2 * 3 - 1))", ("8",)),
        ("$((1 == 1 != 0))", ("1",)),
        ("$((2 >= 3 ? 1 : 2 <= 2 ? 5 : 6))", ("5",)),
        ("$NONE", ()),
        ('-append "date=$(date --date="2006-06-17 UTC" +%s)"', ("-append", "date=1150502400")),
    ],
)
def test_words(text: str, words: tuple[str, ...]) -> None:
    assert expand_words(text, VARIABLES) == words


@pytest.mark.parametrize("text", ['"1 `date +%s`"', '"1 $(date +%s)"'])
def test_the_time(text: str) -> None:
    before = int(time.time())
    (word,) = expand_words(text, VARIABLES)
    assert before <= int(word.removeprefix("1 ")) <= time.time()


@pytest.mark.parametrize(
    "text",
    [
        "$(touch /tmp/x)",
        "`reboot`",
        "$((1 / 0))",
        "$((1 +))",
        "$((x[$(reboot)]))",
        "$ODD",
        "a; reboot",
        "> file",
        "'$MAX_SMP' $MAX_SMP",
        "\\$MAX_SMP",
        f"$(({'(' * 5000}",
    ],
)
def test_what_takes_a_shell(text: str) -> None:
    with pytest.raises(UnexpandedError):
        expand_words(text, VARIABLES)


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ('[[ "$TARGET" != qemu ]]', False),
        ('[[ "$TARGET" = qemu ]]', True),
        ("[ $TARGET == kvmtool ]", False),
        ('[[ "$NONE" != y ]]', True),
    ],
)
def test_conditions(text: str, *, true: bool) -> None:
    assert is_true(text, VARIABLES) is true


def test_conditions_that_take_a_shell() -> None:
    with pytest.raises(UnexpandedError):
        is_true("reboot", VARIABLES)


@given(st.text(alphabet="$({[`'\"\\MAX_SP )}]<?:+-*/%0178", max_size=60))
def test_any_text(text: str) -> None:
    try:
        words = expand_words(text, VARIABLES)
    except (UnexpandedError, WordsError):
        return
    assert all(isinstance(word, str) for word in words)
