"""Cases as items: their order, their markers, and what is wrong with a scenario."""

import pytest

from matrix.errors import ExitCode
from matrix.results.run_record import load_run
from tests.pytest_plugin.conftest import Project, Scripts


def collected(result: pytest.RunResult) -> list[str]:
    return [line.partition("::")[2].split(".")[1] for line in result.outlines if "::" in line]


@pytest.fixture
def marked(project: Project, scripts: type[Scripts]) -> Project:
    groups = {"plain": "selftest", "moving": "migration", "odd": "skip xfail gic-v3"}
    project.suite(groups=groups, **{name: scripts.passing() for name in groups})
    project.scenario()
    return project


def test_cases_come_in_the_order_of_the_plan(marked: Project) -> None:
    result = marked.run("--collect-only", "-q", "scenario.yaml")
    assert collected(result) == ["plain", "moving", "odd"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("x86_64 and migration", ["moving"]),
        ("aarch64", []),
        ("tcg and not selftest", ["moving", "odd"]),
        ("gic-v3 and group_skip", ["odd"]),
        ("qemu_fake and selftest", ["plain"]),
        ("matrix(arch='x86_64', qemu='fake') and selftest", ["plain"]),
        ("kvm or auto", []),
    ],
)
def test_markers_select(marked: Project, expression: str, expected: list[str]) -> None:
    result = marked.run("--collect-only", "-q", "scenario.yaml", "-m", expression)
    assert collected(result) == expected


def test_a_group_cannot_switch_its_tests_off(marked: Project) -> None:
    marked.run("scenario.yaml", "-m", "group_skip").assert_outcomes(passed=1, deselected=2)


def test_keywords_select_by_id(marked: Project) -> None:
    result = marked.run("--collect-only", "-q", "scenario.yaml", "-k", "plain or odd")
    assert collected(result) == ["plain", "odd"]


def test_an_invalid_scenario_is_told_with_its_lines(project: Project) -> None:
    project.scenario(more="wrong: 1\n")
    (project.root / "scenario.yaml").write_text(
        "name: fake\nsuite: {kind: nothing}\nmatrix: {arch: [z80]}\n"
    )
    result = project.run("scenario.yaml")
    result.stdout.fnmatch_lines(["*ERROR collecting scenario.yaml*", "*scenario.yaml:2:*nothing*"])
    result.stdout.fnmatch_lines(["*scenario.yaml:3:*z80*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.assert_outcomes(errors=1)
    assert result.ret == 2


def test_two_scenarios_of_one_name_are_refused(project: Project, scripts: type[Scripts]) -> None:
    project.suite(good=scripts.passing())
    project.scenario("a.yaml")
    project.scenario("b.yaml")
    result = project.run("a.yaml", "b.yaml")
    result.stdout.fnmatch_lines(["*b.yaml and *a.yaml are both named 'fake'*"])
    result.assert_outcomes(errors=1)


@pytest.fixture
def buildless(project: Project, scripts: type[Scripts]) -> Project:
    project.suite(good=scripts.passing())
    (project.root / "scenario.yaml").write_text(
        "name: fake\nsuite: {kind: kvm-unit-tests}\n"
        "matrix: {arch: [x86_64], accel: [tcg], qemu: [fake]}\n"
    )
    return project


def test_the_build_can_be_given(buildless: Project) -> None:
    project = buildless
    result = project.run("scenario.yaml", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * scenario.yaml: no build for x86_64; name one*"])
    project.run("scenario.yaml", f"--matrix-build=amd64={project.root}/build").assert_outcomes(
        passed=1
    )


def test_the_host_file_can_be_given(buildless: Project) -> None:
    project = buildless
    (project.root / "host.yaml").write_text(f"builds: {{x86_64: {project.root}/build}}\n")
    project.run("scenario.yaml", "--matrix-host=host.yaml").assert_outcomes(passed=1)
    project.run("scenario.yaml", "--matrix-host=none.yaml").stdout.fnmatch_lines(["*none.yaml*"])


def test_a_qemu_that_cannot_be_asked_fails(project: Project, scripts: type[Scripts]) -> None:
    """Also with the fixture, and in the run that the session leaves."""
    project.suite(good=scripts.passing())
    project.scenario()
    (project.root / "qemu/qemu-system-x86_64").write_text("#!/bin/sh\necho no luck >&2; exit 127\n")
    (project.root / "test_vm.py").write_text(
        "def test_it(vm):\n    vm('x86_64', test='boot', accel='tcg', qemu='fake')\n"
    )
    result = project.run("scenario.yaml", "test_vm.py", "--matrix-run=run")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*no luck*", "FAILED scenario.yaml::* - error: *cannot be *"])
    assert load_run(project.root / "run").exit_code() is ExitCode.ERROR
