"""What the plugin costs sessions that have nothing to do with it, and its options."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from matrix.migrating import Strategy
from matrix.model import Accelerator, Architecture
from matrix.pytest_plugin import plugin
from tests.pytest_plugin.conftest import Project, Scripts


def test_it_loads_nothing_of_ours_until_a_scenario_is_collected(project: Project) -> None:
    (project.root / "data.yaml").write_text("name: a\nkind: other\n")
    project.pytester.makepyfile(
        """
        import sys

        def test_nothing():
            ours = {name for name in sys.modules if name.split(".")[0] == "matrix"}
            assert ours <= {
                "matrix",
                "matrix.pytest_plugin",
                "matrix.pytest_plugin.plugin",
                "matrix.pytest_plugin.detecting",
                "matrix.pytest_plugin.stash",
            }
            assert not {"yaml", "pydantic", "qemu"} & set(sys.modules)
        """
    )
    result = project.run_apart(".")
    result.assert_outcomes(passed=1)


def test_importing_it_is_cheap_beside_pytest() -> None:
    script = "import pytest, sys\nbefore = set(sys.modules)\nimport matrix.pytest_plugin.plugin\n"
    script += "print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [
        *("matrix", "matrix.pytest_plugin", "matrix.pytest_plugin.plugin"),
        "matrix.pytest_plugin.stash",
    ]


def test_it_knows_the_words_of_the_model() -> None:
    assert tuple(each.value for each in Architecture) == plugin.ARCHITECTURES
    assert tuple(each.value for each in Accelerator) == plugin.ACCELERATORS
    assert tuple(each.value for each in Strategy) == plugin.STRATEGIES


def test_markers_and_options_are_explained(project: Project) -> None:
    project.run("--markers").stdout.fnmatch_lines(["@pytest.mark.aarch64: *architecture*"])
    project.run("--help").stdout.fnmatch_lines(["*--matrix-qemu=NAME=DIR*", "*--matrix-run=DIR*"])


def test_a_run_directory_that_exists_is_refused(project: Project, scripts: type[Scripts]) -> None:
    project.suite(good=scripts.passing())
    project.scenario()
    (project.root / "run").mkdir()
    result = project.run("scenario.yaml", "--matrix-run", "run")
    result.stderr.fnmatch_lines(["ERROR: --matrix-run: *run exists, and a run never overwrites*"])
    assert result.ret == 4
    assert "good" not in project.started()


def test_options_that_are_wrong_are_told_in_one_line(
    project: Project, scripts: type[Scripts]
) -> None:
    project.suite(good=scripts.passing())
    project.scenario()
    result = project.run("scenario.yaml", "--matrix-build", "z80=/nowhere")
    result.stdout.fnmatch_lines(["*'z80' is not an architecture*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert result.ret == 2


@pytest.mark.skipif(
    not entry_points(group="pytest11", name="matrix"), reason="the package is not installed"
)
def test_it_is_loaded_where_the_package_is_installed(
    project: Project, scripts: type[Scripts], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    project.suite(good=scripts.passing())
    project.scenario()
    arguments = project.arguments("scenario.yaml")
    project.pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=1)
    switched_off = [each for each in arguments if not each.startswith("--matrix")]
    result = project.pytester.runpytest_subprocess(*switched_off, "-p", "no:matrix")
    assert result.ret == pytest.ExitCode.USAGE_ERROR  # nothing knows what to do with the file
