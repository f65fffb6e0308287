"""What a shell is offered for the values of options and arguments."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from matrix.cli import completing
from matrix.cli.main import app
from tests import make
from tests.results.conftest import RunMaker, recorded  # noqa: F401 - a fixture


@pytest.mark.parametrize(
    ("complete", "incomplete", "offered"),
    [
        (completing.architectures, "", ["x86_64", "i386", "aarch64"]),
        (completing.architectures, "arm6", ["arm64"]),
        (completing.accelerators, "k", ["kvm"]),
        (completing.axes, "sm", ["smp="]),
        (completing.axes, "accel=", ["accel=auto", "accel=kvm", "accel=tcg"]),
        (completing.axes, "accel=kvm,t", ["accel=kvm,tcg"]),
        (completing.axes, "smp=", []),
        (completing.axes, "nonsense=", []),
        (completing.scenarios, "smo", ["smoke"]),
    ],
)
def test_values(complete: object, incomplete: str, offered: list[str]) -> None:
    assert callable(complete)
    assert complete(incomplete)[:3] == offered


def test_files_of_scenarios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.yaml").touch()
    (tmp_path / "minimal.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert sorted(completing.scenarios("min")) == ["mine/a.yaml", "minimal.yaml"]
    assert completing.scenarios(f"{tmp_path}/mini") == [f"{tmp_path}/minimal.yaml"]
    for pattern in ("**x", "min*", "[m"):
        assert completing.scenarios(pattern) == []


def test_runs_and_their_cases(
    tmp_path: Path,
    recorded: RunMaker,  # noqa: F811 - the fixture imported above
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    case = make.case("boot")
    recorded([(make.run(case), [make.attempt()])])
    assert completing.runs("") == ["latest", "run-0"]
    context = SimpleNamespace(params={"run": Path("run-0")})
    assert completing.cases(context, "boot") == [case.id]
    assert completing.cases(context, "hang") == []
    assert completing.cases(SimpleNamespace(params={"run": Path("no-run")}), "") == []
    assert completing.debugged(SimpleNamespace(params={"words": None}), "lat") == [
        "latest",
        "latency",
    ]
    assert completing.debugged(SimpleNamespace(params={"words": ["run-0"]}), "boot") == [case.id]


def test_a_shell_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"_MATRIX_COMPLETE": "complete_bash", "COMP_WORDS": "matrix run --arch riscv"}
    done = CliRunner().invoke(app, [], env={**asked, "COMP_CWORD": "3"}, prog_name="matrix")
    assert done.output.split() == ["riscv64", "riscv32", "riscv"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("run --maxfail 2", "--max-failures"),
        ("run -n 4", "--jobs"),
        ("run --collect-only", "the command 'matrix list'"),
        ("list --smp 4", "--set smp=VALUE"),
        ("run --fail-fas", "--fail-fast"),
    ],
)
def test_an_option_of_another_runner_is_told_by_its_name_here(words: str, hint: str) -> None:
    done = CliRunner().invoke(app, words.split(), env={"COLUMNS": "120", "TERM": "dumb"})
    assert done.exit_code == 2
    assert "No such option" in done.output
    assert hint in done.output
