"""The selection that commands take, as options."""

from dataclasses import fields
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from matrix.cli.arguments import OPTIONS, Execution, taking
from matrix.cli.run_command import resume_run
from matrix.errors import UsageError
from matrix.run.options import Selection


def given(*words: str) -> tuple[Selection, Execution, int]:
    """What a command that takes everything gets."""
    found = []
    app = typer.Typer()

    @app.command()
    @taking(*OPTIONS)
    def command(selection: Selection, execution: Execution, own: int = 1) -> None:
        found.append((selection, execution, own))

    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return found[0]


def test_every_field_is_an_option() -> None:
    names = {field.name for kind in (Selection, Execution) for field in fields(kind)}
    assert names == OPTIONS.keys()


def test_nothing_given_is_the_default() -> None:
    assert given() == (Selection(), Execution(), 1)


def test_options_come_as_typed() -> None:
    words = "a.yaml b.yaml --qemu x --qemu y --set smp=2 --no-assist --retries 0 -j 3 --own 2"
    assert given(*words.split()) == (
        Selection(
            scenarios=(Path("a.yaml"), Path("b.yaml")),
            qemu=("x", "y"),
            set_axis=("smp=2",),
            no_assist=True,
            retries=0,
        ),
        Execution(jobs=3),
        2,
    )


def test_a_command_has_no_option_but_those_it_takes() -> None:
    with pytest.raises(KeyError, match="jobs"):

        @taking("qemu", "jobs")
        def command(selection: Selection) -> None: ...


@pytest.mark.parametrize(
    ("selection", "execution"),
    [
        (Selection(durations=Path("d")), Execution()),
        (Selection(retries=0), Execution()),
        (Selection(), Execution(strict=True)),
        (Selection(), Execution(tap=14)),
    ],
)
def test_a_run_that_is_resumed_stays_as_planned(selection: Selection, execution: Execution) -> None:
    with pytest.raises(UsageError, match="beside it only -j"):
        resume_run(Path("run"), selection, execution)
