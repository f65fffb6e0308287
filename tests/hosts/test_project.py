"""The project file: where it is found, whose it may be, what it may name, and what comes first."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.errors import HostFileError, Place, UsageError
from matrix.hosts.project import load_project, load_settings
from matrix.model import Architecture

Emulators = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, in a folder of it."""
    (tmp_path / "tree/.git").mkdir(parents=True)
    (tmp_path / "tree/deep/er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "tree/deep/er")
    return tmp_path / "tree"


def problems() -> list[str]:
    with pytest.raises(HostFileError) as caught:
        load_project({})
    return str(caught.value).splitlines()


def test_it_is_found_upward(tree: Path, emulators: Emulators) -> None:
    emulators("tree/build/bin")
    (tree / "kut").mkdir()
    (tree / "known.yaml").touch()
    (tree / "matrix.yaml").write_text(
        "jobs: 3\ntimeout: 90s\nstrict: true\nscenarios: [smoke]\nexpect: [known.yaml]\n"
        "qemu: {mine: build}\nbuilds: {arm64: kut}\n"
    )
    found = load_project({})
    assert found.qemu == (("mine", tree / "build/bin"),)
    assert found.builds == ((Architecture.AARCH64, tree / "kut"),)
    assert found.defaults == {
        "jobs": 3,
        "timeout": "90s",
        "strict": True,
        "scenarios": (Path("smoke"),),
        "expect": (Path("../../known.yaml"),),
    }
    assert found.places["builds.aarch64"] == Place("../../matrix.yaml", 7, 10)


def test_the_nearest_one_counts_and_none_beyond_the_repository(tree: Path) -> None:
    (tree.parent / "matrix.yaml").write_text("jobs: 9\n")
    assert not load_project({}).defaults
    (tree / "matrix.yaml").write_text("jobs: 1\n")
    (tree / "deep/matrix.yaml").write_text("jobs: 2\n")
    assert load_project({}).defaults == {"jobs": 2}
    (tree / "deep/matrix.yaml").write_text("\n  # jobs: 2\n")
    assert not load_project({}).defaults


def test_the_home_folder_is_the_last_one(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "matrix.yaml").write_text("jobs: 1\n")
    monkeypatch.setenv("HOME", str(tree / "deep"))
    assert not load_project({}).defaults


def test_a_table_of_pyproject(tree: Path) -> None:
    (tree / "deep/pyproject.toml").write_text("[tool.other]\njobs = 9\n")
    (tree / "pyproject.toml").write_text(
        "[project]\nname = 'x'\n[tool.matrix]\njobs = 2\nretries = 0\nscenarios = ['smoke']\n"
    )
    found = load_project({})
    assert found.defaults == {"jobs": 2, "retries": 0, "scenarios": (Path("smoke"),)}
    assert str(found.places["retries"]) == "../../pyproject.toml:5"


def test_mistakes_in_a_table_have_their_lines(tree: Path) -> None:
    file = tree / "deep/er/pyproject.toml"
    file.write_text(
        "[tool.matrix]  # ours\njobs = 0\nqemus = {}\n"
        "[tool.matrix.qemu]\nmine = \"build\"\n'old' = '/opt/old'\n"
        "[tool.matrix.builds]\narm46 = 'x'\n"
    )
    known = "x86_64, i386, aarch64, arm, ppc64, s390x, riscv64, riscv32, mips64el, loongarch64"
    assert problems() == [
        "pyproject.toml:2: jobs: '0' is not a number of jobs; allowed: 1 to 10000",
        (
            "pyproject.toml:3: unknown key 'qemus'; did you mean 'qemu'? allowed: qemu, builds,"
            " jobs, timeout, repeat, retries, strict, scenarios, expect"
        ),
        (
            f"pyproject.toml:5: there is no folder {file.parent}/build; give a folder that holds"
            " qemu-system-*, or whose bin/ does"
        ),
        (
            "pyproject.toml:6: '/opt/old' is not a path in the project; name it in the host file,"
            " with --qemu or --build, or by a ${VARIABLE}"
        ),
        f"pyproject.toml:8: 'arm46' is not an architecture; did you mean 'arm64'? allowed: {known}",
    ]
    file.write_text("[tool.matrix]\n\njobs = \n")
    assert problems() == ["pyproject.toml:3:8: not valid TOML: Invalid value"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("qemu: {a: /opt/qemu}", "1:11: '/opt/qemu' is not a path in the project; "),
        ("builds: {arm: ../kut}", "1:15: '../kut' is not a path in the project; "),
        ("expect: ['~/known.yaml']", "1:10: '~/known.yaml' is not a path in the project; "),
        ("builds: {arm: '${NO}/kut'}", "1:15: variable 'NO' is not set; "),
        ("scenarios: [absent.yaml]", "1:13: scenarios: there is no file 'absent.yaml'"),
        ("expect: [out.yaml]", "1:10: expect: 'out.yaml' is a link that leads out of the project"),
        ("scenarios: smoke", "1:12: scenarios: is no list; as in scenarios: [FILE]"),
        ("jobs: [1]", "1:7: jobs: is no single value; as in --jobs"),
        ("timeout: soon", "1:10: timeout: 'soon' is not a duration; "),
        ("database: x", "1:1: unknown key 'database'; "),
        ("suite: {}", "1:1: unknown key 'suite'; matrix.yaml is the project file: a scenario"),
    ],
)
def test_what_a_project_may_not_say(tree: Path, text: str, message: str) -> None:
    (tree / "secret").touch()
    (tree / "deep/er/out.yaml").symlink_to("../../secret")
    (tree / "deep/er/matrix.yaml").write_text(text)
    (found,) = problems()
    assert found.startswith(f"matrix.yaml:{message}")


def test_a_variable_leads_anywhere(tree: Path) -> None:
    (tree / "deep/er/matrix.yaml").write_text("builds: {arm: '${KUT}/deep'}\n")
    found = load_project({"KUT": str(tree)})
    assert found.builds == ((Architecture.ARM, tree / "deep"),)


def test_two_in_one_folder_are_one_too_many(tree: Path) -> None:
    (tree / "matrix.yaml").touch()
    (tree / "pyproject.toml").write_text("[tool.matrix]\n")
    assert problems() == [
        (
            "../../matrix.yaml:1: there are two project files; keep this one, or the table"
            " [tool.matrix] of the pyproject.toml beside it"
        )
    ]


def test_one_that_others_may_write_is_not_taken_unless_it_is_named(tree: Path) -> None:
    file = tree / "matrix.yaml"
    file.write_text("jobs: 2\n")
    file.chmod(0o666)
    with pytest.raises(UsageError, match=r"matrix\.yaml can be written by everyone, and a project"):
        load_project({})
    assert load_project({"MATRIX_PROJECT": str(file)}).defaults == {"jobs": 2}
    assert not load_project({"MATRIX_PROJECT": ""}).defaults
    with pytest.raises(UsageError) as caught:
        load_project({"MATRIX_PROJECT": "none.yaml"})
    assert str(caught.value) == (
        "MATRIX_PROJECT: none.yaml: cannot be read: No such file or directory; empty, it takes none"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_one_of_another_user_is_not_taken(tree: Path) -> None:
    file = tree / "matrix.yaml"
    file.touch()
    os.chown(file, 4321, -1)
    with pytest.raises(UsageError, match=r"belongs to another user \(uid 4321\)"):
        load_project({})


def test_it_comes_before_the_host_file(tree: Path, emulators: Emulators) -> None:
    emulators("tree/build")
    emulators("tree/other")
    (tree / "matrix.yaml").write_text("jobs: 2\nqemu: {mine: build}\n")
    host = tree / "host.yaml"
    host.write_text("jobs: 7\nretries: 1\nqemu: {mine: other, old: other}\n")
    found = load_settings(host, {})
    assert found.defaults == {"jobs": 2, "retries": 1}
    assert [(name, folder.name) for name, folder in found.qemu] == [
        ("mine", "build"),
        ("old", "other"),
    ]
    assert found.places["retries"] == Place(str(host), 2, 1)
