"""Which YAML files become tests."""

from pathlib import Path

import pytest

from matrix.pytest_plugin.detecting import is_scenario
from tests.pytest_plugin.conftest import Project, Scripts

SCENARIO = "name: a\nsuite: {}\nmatrix: {}\n"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (SCENARIO, True),
        ("# about\n---\nmatrix:\n  arch: [arm]\n'suite':\n  kind: x\n\"name\" : a\n", True),
        ("name: a\r\nsuite: {}\r\nmatrix: {}\r\n", True),
        ("name: a\nmatrix: {}\n", False),
        ("name: CI\non: push\njobs:\n  name: x\n  suite: {}\n  matrix: {}\n", False),
        ("- name: a\n- suite: b\n- matrix: c\n", False),
        ("names: a\nsuites: {}\nmatrixes: {}\n", False),
        ("name:a\nsuite:b\nmatrix:c\n", False),
        ("", False),
    ],
)
def test_the_three_keys_make_a_scenario(tmp_path: Path, text: str, is_one: bool) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(text.encode())
    assert is_scenario(path) is is_one


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert not is_scenario(tmp_path / "missing.yaml")
    assert not is_scenario(tmp_path)


@pytest.fixture
def laid_out(project: Project, scripts: type[Scripts]) -> Project:
    project.suite(good=scripts.passing())
    project.scenario("scenarios/one.yaml", name="one")
    project.scenario("scenarios/deep/two.yml", name="two")
    project.scenario("tests/data/three.yaml", name="three")
    (project.root / "scenarios/values.yaml").write_text("name: not ours\n")
    (project.root / "scenarios/broken.yaml").write_text("{ this is no YAML: [\n")
    (project.root / "tests/test_plain.py").write_text("def test_plain():\n    pass\n")
    return project


def collected(result: pytest.RunResult) -> list[str]:
    return sorted(line for line in result.outlines if "::" in line)


ONE = "scenarios/one.yaml::one.good.x86_64.tcg.qemu=fake"
TWO = "scenarios/deep/two.yml::two.good.x86_64.tcg.qemu=fake"
THREE = "tests/data/three.yaml::three.good.x86_64.tcg.qemu=fake"
PLAIN = "tests/test_plain.py::test_plain"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["scenarios"], [ONE, TWO]),
        (["scenarios/one.yaml"], [ONE]),
        (["./scenarios/../scenarios/one.yaml"], [ONE]),
        ([f"{TWO}"], [TWO]),
        (["scenarios/deep", "tests/test_plain.py"], [TWO, PLAIN]),
        (["."], [ONE, TWO, THREE, PLAIN]),
        ([], [PLAIN]),
    ],
)
def test_only_what_was_asked_for_is_collected(
    laid_out: Project, arguments: list[str], expected: list[str]
) -> None:
    result = laid_out.run("--collect-only", "-q", *arguments)
    assert collected(result) == sorted(expected)
    assert result.ret == 0


@pytest.mark.parametrize(
    ("ini", "expected"),
    [
        ("matrix_scenarios = scenarios\n", [ONE, TWO, PLAIN]),
        ("matrix_scenarios = scenarios/one.yaml\ntestpaths = tests\n", [ONE, PLAIN]),
        ("matrix_scenarios = scenarios\ntestpaths = .\n", [ONE, TWO, PLAIN]),
        ("testpaths = tests scenarios\n", [PLAIN]),
        ("matrix_scenarios = nothing-there\n", [PLAIN]),
    ],
)
def test_scenarios_that_are_configured_need_no_naming(
    laid_out: Project, ini: str, expected: list[str]
) -> None:
    laid_out.pytester.makeini(f"[pytest]\n{ini}")
    result = laid_out.run("--collect-only", "-q")
    assert collected(result) == sorted(expected)


def test_a_named_file_does_not_bring_the_configured_ones(laid_out: Project) -> None:
    laid_out.pytester.makeini("[pytest]\nmatrix_scenarios = scenarios\n")
    result = laid_out.run("--collect-only", "-q", "tests/test_plain.py")
    assert collected(result) == [PLAIN]
