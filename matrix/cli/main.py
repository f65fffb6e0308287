"""The program: its commands, in order, and exit codes out.

Nothing heavy is imported here: ``matrix --help`` answers at once, and every command imports what it
needs when it runs. This is the only place that catches the exception tree.
"""

import contextlib
import errno
import gc
import os
import resource
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from matrix import __version__
from matrix.cli import guests, results
from matrix.cli.arguments import FAIL_ON_SKIP, FAILED, LAST_FAILED, REUSE
from matrix.cli.bash_words import answer, asked_by_bash
from matrix.cli.hints import HintingCommand
from matrix.cli.streams import take_streams
from matrix.errors import ExitCode, MatrixError, UsageError
from matrix.results.latest import LATEST
from matrix.run.options import HISTORY

EXHAUSTED = (
    *(errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE),
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS),
)
"""Errors of a host that has nothing left of something, wherever in the program they come up."""

NO_FOLDER = "No usable temporary directory"
"""What :mod:`tempfile` says where there is none, wherever in the program one is wanted."""

app = typer.Typer(
    name="matrix",
    help="Run a matrix of guests under QEMU, with KVM where it works and TCG where it does not.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


BISECT = "--bisect"
GIT_CODES: dict[int, int] = {
    ExitCode.ERROR: 125,
    ExitCode.NOTHING_SELECTED: 125,
    ExitCode.USAGE: 128,
}
"""What ``git bisect run`` is told with ``--bisect``: 125 for what cannot be tested, and 128, which
ends the bisection, for wrong usage. It takes every other code up to 127 for bad (git-bisect(1))."""


def _version(value: bool) -> None:
    if value:
        typer.echo(f"matrix {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# In the order in which --help lists them.
app.command()(guests.doctor)
app.command()(guests.scenarios)
app.command(name="list")(guests.list_)
app.command()(guests.run)
app.command()(guests.soak)
app.command()(guests.debug)
app.command()(guests.bisect)
app.command()(guests.host)
app.command()(guests.fleet)
app.command()(guests.worker)
app.command()(guests.migratable)
app.command()(guests.explore)
app.command()(results.show)
app.command()(results.compare)
app.command()(results.report)
app.command()(results.status)
app.command()(results.expect)
app.command()(results.history)
app.command()(results.ci)
app.command()(results.schema)
for each in app.registered_commands:
    each.cls = HintingCommand


def lacking(error: BaseException) -> str:
    """What the host has run out of, where that and no bug raised ``error``; else empty."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(lacking, error.exceptions)), "")
    if isinstance(error, MemoryError):
        return "no memory left"
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return "no thread can be started"
    if isinstance(error, FileNotFoundError) and NO_FOLDER in str(error):
        return f"{error.strerror}; TMPDIR names another folder"
    if isinstance(error, OSError) and error.errno in EXHAUSTED:
        return str(error)
    return ""


RERUNS = (FAILED, LAST_FAILED, "--lf", REUSE)
RUNNING = ("run", "soak")
"""Commands whose product is on disk, and not on standard output."""


def raise_open_files() -> None:
    """Raise the soft limit of open files to the hard one: a run may need more than 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a kernel that allows none that high
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _arguments(words: list[str]) -> list[str]:
    """Options whose value may be left out; to typer an option takes a value or none.

    ``--fail-on-skip`` alone means every skip, ``--failed`` the latest run; a run may follow it as
    a word of its own.
    """
    found: list[str] = []
    for word in words:
        if found and found[-1] in RERUNS:
            named = word.partition(":")[0] in (LATEST, *((HISTORY,) if found[-1] == REUSE else ()))
            if named or os.path.lexists(f"{word}/run.json"):
                found[-1] += f"={word}"
                continue
            _check_scenario(found[-1], word)
            found[-1] += f"={LATEST}"
        found.append(f"{FAIL_ON_SKIP}=*" if word == FAIL_ON_SKIP else word)
    if found and found[-1] in RERUNS:
        found[-1] += f"={LATEST}"
    return found


def _check_scenario(option: str, word: str) -> None:
    """See that what follows ``--failed`` and is no run is an option or a scenario.

    Raises:
        UsageError: it is none of these, as a run's name that was mistyped.
    """
    if word.startswith("-") or os.path.lexists(word):
        return
    from matrix.scenario.shipped import scenarios

    if word not in {path.stem for path in scenarios()}:
        raise UsageError(f"{option} {word}: there is neither a run nor a scenario of that name")


def main() -> NoReturn:
    """The entry point of ``matrix`` and ``python -m matrix``."""
    # Loading makes thousands of objects that live to the end: collecting garbage among them, now
    # and again when Python exits, is a sixth of what a short command takes. A run switches the
    # collector on for its own objects.
    gc.disable()
    raise_open_files()
    streams = take_streams()
    code = answer(_exit_code, os.environ) if asked_by_bash() else _exit_code()
    lost = streams.lost()
    if lost and not code and not {*sys.argv[1:2]} & {*RUNNING}:
        print(f"matrix: standard output cannot be written: {lost}", file=sys.stderr)
        code = ExitCode.ERROR
    gc.freeze()
    # Looked for here, as it holds for arguments that cannot be parsed, too.
    sys.exit(GIT_CODES.get(code, code) if BISECT in sys.argv[1:] else code)


def _exit_code() -> int:
    """Run the command; what it ends with, its trouble having been told."""
    try:
        app(args=_arguments(sys.argv[1:]))
    except MatrixError as error:
        print(f"matrix: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("matrix: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
            return ExitCode.USAGE
        if isinstance(getattr(ended.__context__, "__cause__", None), KeyboardInterrupt):
            print("matrix: interrupted", file=sys.stderr)  # typer caught it, and said nothing
        return ended.code or ExitCode.OK
    except Exception as error:  # noqa: BLE001 - the last resort: a bug of ours, reported as such
        if lack := lacking(error):
            print(f"matrix: this host cannot go on: {lack}", file=sys.stderr)
            return ExitCode.ERROR
        traceback.print_exc()
        print("matrix: internal error, please report it with the lines above", file=sys.stderr)
        return ExitCode.ERROR
    return ExitCode.OK
