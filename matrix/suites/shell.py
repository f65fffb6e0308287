"""Evaluating values of a build's ``unittests.cfg`` by bash, as kvm-unit-tests' own runner does.

Only for text that comes out of an external build: whoever points this program at a build trusts its
files, and its images are run anyway. Scenario text never gets here.

One bash process evaluates all values of a file. It is started with ``subprocess`` although
:mod:`matrix.vm` owns the processes of a run: this one is short, synchronous, and ends before any
run begins; and that layer lies above this one.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

TIME_LIMIT = 10.0
"""Seconds that all values of a file may take together."""

MEMORY_LIMIT = 1 << 20
"""KiB of address space for bash and what it runs."""

# Reads (kind, text) pairs from descriptor 3 and answers on 4, every field ended by a NUL byte:
# "parsed" once the text is known to be valid shell, "word" WORD for each word, then "status" N TEXT
# with what was printed. Each text is evaluated in a subshell, so that none affects another; no
# globbing, since no file of the working directory is ever meant.
_SCRIPT = r"""
set -f
ulimit -v "$1" 2>/dev/null
exec 4>&1 3<&0 </dev/null >/dev/null 2>&1
while IFS= read -r -d '' -u 3 _matrix_kind && IFS= read -r -d '' -u 3 _matrix_text; do
    _matrix_said=$(
        exec 2>&1 3<&-
        declare -a _matrix_words=()
        if [[ $_matrix_kind == words ]]; then
            # As arguments of a command, read but not run: an unmatched parenthesis shows.
            eval "if false; then : $_matrix_text"$'\nfi' || exit
            _matrix_text="printf 'parsed\0' >&4; _matrix_words=( $_matrix_text"$'\n)'
        else
            _matrix_text="printf 'parsed\0' >&4; $_matrix_text"
        fi
        eval "$_matrix_text"
        _matrix_status=$?
        if (( ${#_matrix_words[@]} )); then
            printf 'word\0%s\0' "${_matrix_words[@]}" >&4
        fi
        exit "$_matrix_status"
    )
    printf 'status\0%s\0%s\0' "$?" "$_matrix_said" >&4
done
"""

# Variables that would change how bash itself works; config.mak has no business setting them.
_RESERVED = ("BASH", "LD_", "PATH", "IFS", "ENV", "SHELLOPTS", "PS4", "HOME", "_matrix_")


class ShellKind(StrEnum):
    """What a text is to bash."""

    WORDS = "words"
    """Arguments, to be expanded and split."""
    CONDITION = "condition"
    """A command whose exit status answers."""


@dataclass(frozen=True, slots=True)
class ShellRequest:
    """One text to evaluate."""

    kind: ShellKind
    text: str


@dataclass(frozen=True, slots=True)
class ShellAnswer:
    """What became of one text."""

    status: int
    """Exit status of the condition, or of the last command substitution in the words."""
    words: tuple[str, ...] = ()
    valid: bool = True
    """Whether the text is valid shell at all; if not, ``message`` says why."""
    message: str = ""
    """What was printed, to either stream."""


class ShellError(Exception):
    """Bash could not answer; ``answered`` is how many requests it had answered before."""

    def __init__(self, message: str, answered: int) -> None:
        super().__init__(message)
        self.answered = answered


def evaluate(
    requests: Iterable[ShellRequest],
    *,
    directory: Path,
    variables: Mapping[str, str],
    time_limit: float = TIME_LIMIT,
) -> tuple[ShellAnswer, ...]:
    """Have bash evaluate all ``requests`` in ``directory``, with ``variables`` in its environment.

    Raises:
        ShellError: there is no bash, it took more than ``time_limit`` seconds, or it died.
    """
    asked = tuple(requests)
    if not asked:
        return ()
    data = b"".join(
        part.encode(errors="surrogateescape") + b"\0"
        for request in asked
        for part in (request.kind.value, request.text)
    )
    command = ["bash", "--noprofile", "--norc", "-c", _SCRIPT, "bash", str(MEMORY_LIMIT)]
    environment = {
        name: value for name, value in variables.items() if not name.startswith(_RESERVED)
    }
    environment |= {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment["LC_ALL"] = "C"
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=directory,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        message = f"bash is needed to evaluate it, but cannot be started: {error.strerror or error}"
        raise ShellError(message, 0) from error
    with process:
        output, in_time = _communicate(process, data, time_limit)
    answers = _parse_answers(output)
    if len(answers) < len(asked):
        why = "bash ended early" if in_time else f"bash took more than {time_limit:g} s"
        raise ShellError(f"it cannot be evaluated: {why}", len(answers))
    return answers


def _communicate(
    process: subprocess.Popen[bytes], data: bytes, time_limit: float
) -> tuple[bytes, bool]:
    """What bash answered, and whether it ended in time; else all of its session is killed."""
    try:
        return process.communicate(data, time_limit)[0], True
    except subprocess.TimeoutExpired:
        _kill_session(process)
        return process.communicate()[0], False
    except BaseException:  # above all KeyboardInterrupt: leave nothing behind
        _kill_session(process)
        raise


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill bash, which has not been waited for yet, and its children, which may hold the pipe."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or another's by now
        os.killpg(process.pid, signal.SIGKILL)


def _parse_answers(output: bytes) -> tuple[ShellAnswer, ...]:
    answers: list[ShellAnswer] = []
    words: list[str] = []
    valid = False
    fields = iter(output.decode(errors="replace").split("\0"))
    for tag in fields:
        if tag == "parsed":
            valid = True
        elif tag == "word":
            words.append(next(fields, ""))
        elif tag == "status":
            status, message = next(fields, ""), next(fields, None)
            if message is None or not status.isdecimal():
                break
            message = _without_position(message)
            answers.append(ShellAnswer(int(status), tuple(words), valid, message))
            words, valid = [], False
    return tuple(answers)


def _without_position(message: str) -> str:
    """The first line of what bash printed, without bash's own line numbers."""
    line = next((line for line in message.splitlines() if line.strip()), "")
    parts = line.split(": ")
    kept = [part for part in parts if part not in {"bash", "eval"} and not part.startswith("line ")]
    return ": ".join(kept)
