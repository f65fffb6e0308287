"""The manual page has every command and option, and is roff without a fault."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import typer

from matrix.cli.main import app
from matrix.cli.manual import ENVIRONMENT, EXIT_CODES, manual
from matrix.errors import ExitCode
from matrix.hosts import cache, hostfile, project
from matrix.results.history import place
from matrix.suites.registry import KINDS


@pytest.fixture(scope="module")
def page() -> str:
    return manual()


@pytest.fixture(scope="module")
def plain(page: str) -> str:
    """The page without fonts and escapes."""
    return re.sub(r"\\f.", "", page).replace("\\-", "-").replace("\\e", "\\")


def test_every_command_and_option_is_in_it(plain: str) -> None:
    group: Any = typer.main.get_command(app)
    shown = {name: each for name, each in group.commands.items() if not each.hidden}
    for name, command in shown.items():
        _, heading, rest = plain.partition(f".SS {name}\n")
        assert heading
        section = re.split(r"\n\.S[SH] ", rest)[0]
        assert " ".join((command.help or "").split()) in section
        for parameter in command.params:
            if parameter.help:
                assert " ".join(parameter.help.split()) in section
        options = [each for each in command.params if each.param_type_name == "option"]
        for option in (each for each in options if not each.hidden):
            for word in option.opts:
                assert word in section


def test_every_exit_code_and_variable_is_in_it(plain: str) -> None:
    assert EXIT_CODES.keys() == set(ExitCode)
    variables = {
        cache.ENVIRONMENT_VARIABLE,
        hostfile.ENVIRONMENT_VARIABLE,
        project.ENVIRONMENT_VARIABLE,
        place.DATABASE_VARIABLE,
        place.STATE_VARIABLE,
        *(kind.variable for kind in KINDS.values()),
    }
    assert variables <= ENVIRONMENT.keys()
    for text in (*EXIT_CODES.values(), *ENVIRONMENT):
        assert text in plain


@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff")
def test_roff_has_nothing_to_complain_of(page: str) -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", "-rCHECKSTYLE=3"],
        input=page,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "EXIT STATUS" in re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)


def test_no_line_is_taken_for_a_request(page: str) -> None:
    """Text that begins with a dot or a quote would vanish."""
    known = {"TH", "SH", "SS", "TP", "PP", "B", "BR", "nf", "fi", "RS", "RE"}
    for line in page.splitlines():
        assert not line.startswith("'")
        if line.startswith("."):
            assert line[1:].split()[0] in known
