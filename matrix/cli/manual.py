"""``man matrix``, made from the commands themselves when the package is built.

The page is roff with the macros of man(7). Only what ``matrix --help`` imports is imported.
"""

import re
from collections.abc import Iterator
from typing import Any

import typer

from matrix import __version__
from matrix.cli.main import app
from matrix.errors import ExitCode
from matrix.suites.registry import KINDS

EXIT_CODES = {
    ExitCode.OK: "A case ran; every one passed, was skipped, or failed as it is known to.",
    ExitCode.NOT_PASSED: "A case did not pass, or too few ran; of compare: something became worse.",
    ExitCode.USAGE: "Wrong usage, an invalid scenario, or something named that is not there.",
    ExitCode.ERROR: "The host or a QEMU failed, or the program itself.",
    ExitCode.NOTHING_SELECTED: "No case was selected, or all were skipped.",
    ExitCode.INTERRUPTED: "The run was interrupted.",
}

ENVIRONMENT = {
    "MATRIX_CACHE": "Folder where answers of QEMU and KVM, and scenarios that were read, are kept.",
    "MATRIX_STATE": "Folder where the history of runs is kept.",
    "MATRIX_DATABASE": "The history of runs instead: a file, or a URL of PostgreSQL.",
    "MATRIX_HOST": "The host file, instead of the one below.",
    "MATRIX_PROJECT": "The project file, instead of one that is found; none where it is empty.",
    **{
        kind.variable: f"Folder with a {kind.name} build per architecture, for scenarios that name"
        " no build."
        for kind in KINDS.values()
    },
    "FORCE_COLOR": "Colours also where the output is no terminal.",
}

FILES = {
    "~/.config/matrix/host.yaml": "QEMU installations and suite builds by name, and defaults.",
    "matrix.yaml, pyproject.toml": "The same of a project, here or in a folder above.",
    "fleet.yaml": "The hosts of a fleet; fleet.state.json has those that runs leave alone.",
    "runs/DATE-SCENARIO/": "Where a run goes without -o.",
}

EXAMPLES = {
    "Boot guests of every architecture:": "matrix run scenarios/smoke.yaml",
    "What this host can run:": "matrix doctor",
    "Between two runs:": "matrix compare runs/A runs/B",
    "The rest of a run that was interrupted:": "matrix run --resume RUN",
}

SUMMARY = "run a matrix of guests under QEMU and KVM"


def manual() -> str:
    """The page as roff."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    group: Any = typer.main.get_command(app)
    yield f'.TH MATRIX 1 "" "qemu\\-matrix {_text(__version__)}" "User Commands"'
    yield ".SH NAME"
    yield f"matrix \\- {_text(SUMMARY)}"
    yield ".SH SYNOPSIS"
    yield ".B matrix"
    yield "[\\fIOPTION\\fR] \\fICOMMAND\\fR [\\fIARGUMENT\\fR]..."
    yield ".SH DESCRIPTION"
    yield _text(group.help or "")
    yield "A scenario says what to run and over which axes. Each case comes to a verdict with its"
    yield "reason, and a run leaves everything that it saw in a directory."
    yield ".SH OPTIONS"
    yield from _parameters(group.params)
    yield ".SH COMMANDS"
    for name, command in group.commands.items():
        if not command.hidden:
            yield from _command(name, command)
    yield from _table("EXIT STATUS", {str(int(code)): text for code, text in EXIT_CODES.items()})
    yield from _table("ENVIRONMENT", ENVIRONMENT)
    yield from _table("FILES", FILES)
    yield ".SH EXAMPLES"
    for what, command in EXAMPLES.items():
        yield from (".PP", _text(what), ".PP", ".nf", ".RS", _text(command), ".RE", ".fi")
    yield ".SH SEE ALSO"
    yield ".BR qemu (1),"
    yield ".BR pytest (1)"


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [_argument(each) for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    yield f".SS {_text(name)}"
    words = ["\\fBmatrix " + _text(name) + "\\fR"]
    words += ["[\\fIOPTION\\fR]..."] if options else []
    yield " ".join([*words, *arguments])
    yield ".PP"
    yield _text(" ".join((command.help or "").split()))
    yield from _parameters(command.params)


def _argument(parameter: Any) -> str:
    name = _text(parameter.metavar or parameter.name.upper())
    name = f"\\fI{name}\\fR"
    return name if parameter.required else f"[{name}]"


def _parameters(parameters: list[Any]) -> Iterator[str]:
    for parameter in parameters:
        if getattr(parameter, "hidden", False) or not parameter.help:
            continue
        yield ".TP"
        if parameter.param_type_name == "argument":
            yield _argument(parameter)
        else:
            yield _option(parameter)
        yield _text(" ".join(parameter.help.split()))


def _option(parameter: Any) -> str:
    names = ", ".join(f"\\fB{_text(name)}\\fR" for name in parameter.opts)
    if parameter.is_flag:
        return names
    value = parameter.metavar or parameter.name.upper()
    return f"{names} \\fI{_text(value)}\\fR"


def _table(title: str, rows: dict[str, str]) -> Iterator[str]:
    yield f".SH {title}"
    for name, meaning in rows.items():
        yield from (".TP", f"\\fB{_text(name)}\\fR", _text(meaning))


def _text(text: str) -> str:
    """``text`` with what means something to roff spelt out (groff_char(7), man(7))."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)
