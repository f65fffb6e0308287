import contextlib
import os
import select
from pathlib import Path

import pytest

from matrix.suites.shell import ShellAnswer, ShellError, ShellKind, ShellRequest, evaluate


def words(*texts: str, **variables: str) -> list[tuple[str, ...]]:
    requests = [ShellRequest(ShellKind.WORDS, text) for text in texts]
    answers = evaluate(requests, directory=Path("/"), variables=variables)
    assert all(answer.valid for answer in answers)
    return [answer.words for answer in answers]


def answer(kind: ShellKind, text: str, **variables: str) -> ShellAnswer:
    (only,) = evaluate([ShellRequest(kind, text)], directory=Path("/"), variables=variables)
    return only


def test_words_as_a_shell_expands_them() -> None:
    assert words(
        "$MAX_SMP",
        "$((($MAX_SMP < 8)?$MAX_SMP:8))",
        '"a $(echo "b  c")" `echo d e`',
        "-rtc base=\"2006-06-17\" '$x'",
        "",
        "a # comment",
        "a{1,2}",
        "a\nb\\\nc",
        MAX_SMP="6",
    ) == [
        ("6",),
        ("6",),
        ("a b  c", "d", "e"),
        ("-rtc", "base=2006-06-17", "$x"),
        (),
        ("a",),
        ("a1", "a2"),
        ("a", "bc"),
    ]


def test_words_are_not_globbed() -> None:
    assert words("ept_access* /*") == [("ept_access*", "/*")]


def test_conditions() -> None:
    def status(text: str) -> int:
        return answer(ShellKind.CONDITION, text, TARGET="qemu", CONFIG_EFI="y").status

    assert status('[[ "$TARGET" != qemu ]]') == 1
    assert status('[[ "$TARGET" != qemu ]] || [[ "$CONFIG_EFI" = y ]]') == 0
    assert status("(( 1 ))") == 0
    assert status("no-such-command") == 127


def test_texts_do_not_affect_each_other() -> None:
    assert words("${x:=1}", "x$x", "$(exit 3)a", "b") == [("1",), ("x",), ("a",), ("b",)]
    requests = [
        ShellRequest(ShellKind.CONDITION, "exit 7"),
        ShellRequest(ShellKind.CONDITION, "cd /usr; x=1"),
        ShellRequest(ShellKind.WORDS, "$PWD"),
    ]
    answers = evaluate(requests, directory=Path("/"), variables={})
    assert [answer.status for answer in answers] == [7, 0, 0]
    assert answers[2].words == ("/",)


def test_text_that_is_no_shell() -> None:
    for text in ("$(", "'a", "a ) b", "`x", "a; b"):
        broken = answer(ShellKind.WORDS, text)
        assert not broken.valid
        assert broken.message
    broken = answer(ShellKind.CONDITION, "[[ a")
    assert not broken.valid
    assert "line 1" not in broken.message


def test_what_fails_says_why() -> None:
    failed = answer(ShellKind.WORDS, "a$(no-such-command)")
    assert (failed.valid, failed.status, failed.words) == (True, 127, ("a",))
    assert failed.message == "no-such-command: command not found"
    loud = answer(ShellKind.CONDITION, "echo out; echo err >&2; exit 4")
    assert (loud.status, loud.message) == (4, "out")


def test_the_environment_is_the_configuration_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("BASH_ENV", "/nonexistent")
    assert words("a$SECRET$TEST_DIR") == [("a",)]
    assert words("$TEST_DIR", TEST_DIR="x86", PATH="/nonexistent", LD_PRELOAD="/x") == [("x86",)]
    assert words("$(date --date='2006-06-17 UTC' +%s)", PATH="/nonexistent") == [("1150502400",)]


def test_input_is_empty() -> None:
    assert words("$(cat)a", "b") == [("a",), ("b",)]


def test_no_requests_need_no_bash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert evaluate([], directory=Path("/"), variables={}) == ()
    with pytest.raises(ShellError, match="bash is needed to evaluate it") as caught:
        words("a")
    assert caught.value.answered == 0


def test_time_is_limited_and_children_are_killed(tmp_path: Path) -> None:
    child = tmp_path / "child"
    requests = [
        ShellRequest(ShellKind.WORDS, "a"),
        ShellRequest(ShellKind.WORDS, f"$(echo $BASHPID > {child}; exec sleep 600)"),
        ShellRequest(ShellKind.WORDS, "b"),
    ]
    with pytest.raises(ShellError, match="bash took more than") as caught:
        evaluate(requests, directory=tmp_path, variables={}, time_limit=4)
    assert caught.value.answered == 1
    wait_until_gone(int(child.read_text()))


def wait_until_gone(pid: int) -> None:
    """Until there is no such process, for a minute at most."""
    with contextlib.suppress(ProcessLookupError):  # gone already
        pidfd = os.pidfd_open(pid)
        try:
            assert select.select([pidfd], [], [], 60)[0], "it lives on"
        finally:
            os.close(pidfd)


def test_bash_that_dies_is_an_error() -> None:
    with pytest.raises(ShellError, match="bash ended early") as caught:
        words("a", "$(kill -KILL $$)", "b")
    assert caught.value.answered == 1


def test_many_texts_in_one_go() -> None:
    assert words(*[f"$(({number} + 1))" for number in range(200)])[-1] == ("200",)


def test_texts_that_are_large() -> None:
    text = "-device x " * 20_000 + "$MAX_SMP"
    assert len(words(text, MAX_SMP="1")[0]) == 40_001
