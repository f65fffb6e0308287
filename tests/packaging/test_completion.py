"""Shells complete commands and options, and that is no burden on what is not completed."""

import os
import subprocess
import sys

import pytest

from matrix.cli.bash_words import whole_words
from matrix.cli.completion import PLACES, completion_script

PROGRAM = "import sys; sys.argv[0] = 'matrix'; from matrix.cli.main import main; main()"


def completed(words: str) -> list[str]:
    """What bash is offered for the last of the words."""
    environment = {
        **os.environ,
        "_MATRIX_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("matrix co", ["compare"]),
        ("matrix run --sha", ["--shard"]),
        ("matrix ci --nat", ["--native"]),
        ("matrix run --arch aarc", ["aarch64"]),
        # Cut by bash at "=", behind which it puts what it gets.
        ("matrix run --set strategy = multi", ["multifd"]),
        ("matrix run --arch = aarc", ["aarch64"]),
    ],
)
def test_commands_and_options_are_completed(words: str, expected: list[str]) -> None:
    assert completed(words) == expected


@pytest.mark.parametrize("shell", sorted(PLACES))
def test_scripts_ask_the_command(shell: str) -> None:
    script = completion_script(shell)
    assert "_MATRIX_COMPLETE" in script
    assert f"complete_{shell}" in script
    assert "matrix" in PLACES[shell]


def test_bash_takes_its_script() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{completion_script('bash')}\ncomplete -p matrix"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "-F _matrix_completion matrix" in done.stdout


@pytest.mark.parametrize(
    ("cut", "whole"),
    [
        (["matrix", "run", ""], ["matrix", "run", ""]),
        (["matrix", "--set", "qemu", "=", "11"], ["matrix", "--set", "qemu=11"]),
        (["matrix", "--set", "qemu", "="], ["matrix", "--set", "qemu="]),
        (["matrix", "show", "latest", ":", "smoke", "b"], ["matrix", "show", "latest:smoke", "b"]),
    ],
)
def test_words_that_bash_has_cut_are_whole_again(cut: list[str], whole: list[str]) -> None:
    assert whole_words(cut) == whole
