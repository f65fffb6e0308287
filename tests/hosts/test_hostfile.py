"""The host file: what it says, where it is found, and every mistake with its place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.errors import ExitCode, HostFileError, UsageError
from matrix.hosts.host_settings import HostFile
from matrix.hosts.hostfile import load_host_file
from matrix.model import Architecture

Emulators = Callable[..., Path]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "host.yaml"
    path.write_text(text)
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(HostFileError) as caught:
        load_host_file(path, {})
    assert caught.value.exit_code is ExitCode.USAGE
    return [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]


def test_installations_and_builds(tmp_path: Path, emulators: Emulators) -> None:
    emulators("qemu/bin")
    (tmp_path / "kut").mkdir()
    path = write(tmp_path, "qemu:\n  10.0: qemu\nbuilds: {arm64: kut, ppc64: '~'}\n")
    assert load_host_file(path, {"HOME": "/ignored"}) == HostFile(
        str(path),
        qemu=(("10.0", tmp_path / "qemu/bin"),),
        builds=(
            (Architecture.AARCH64, tmp_path / "kut"),
            (Architecture.PPC64, Path("~").expanduser()),
        ),
    )


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n  # at all\n"])
def test_an_empty_file_says_nothing(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    assert load_host_file(path, {}) == HostFile(str(path))


PROBLEMS = """\
1:1: unknown key 'qemus'; did you mean 'qemu'? allowed: qemu, builds, jobs, timeout, repeat, \
retries, strict, scenarios, expect
4:3: 'system' is the QEMU in PATH; choose another name, and --set qemu=NAME to run a scenario with \
it
5:3: there is no folder {folder}/absent; give a folder that holds qemu-system-*, or whose bin/ does
6:9: qemu: list: no folder; write NAME: DIR
7:11: there is no user for ~no-such-user/x; write the path
9:3: 'arm46' is not an architecture; did you mean 'arm64'? allowed: x86_64, i386, aarch64, arm, \
ppc64, s390x, riscv64, riscv32, mips64el, loongarch64
10:9: builds: ppc64: no folder; write ARCH: DIR
11:3: there is no folder {folder}/absent; give that of a build, with its config.mak
"""


def test_every_problem_at_once(tmp_path: Path, emulators: Emulators) -> None:
    emulators("good")
    path = write(
        tmp_path,
        "qemus: {}\n"
        "qemu:\n"
        "  good: good\n"
        "  system: good\n"
        "  absent: absent\n"
        "  list: [good]\n"
        "  nobody: ~no-such-user/x\n"
        "builds:\n"
        "  arm46: x\n"
        "  ppc64:\n"
        "  arm: absent\n",
    )
    assert problems(path) == PROBLEMS.format(folder=tmp_path).splitlines()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\n", "1:1: is a list, not a mapping; a host file is a mapping of keys"),
        ("text\n", "1:1: is string, not a mapping; a host file is a mapping of keys"),
        ("qemu: 3\n", "1:7: is integer, not a mapping; qemu is a mapping {NAME: DIR}"),
        ("builds: [a]\n", "1:9: is a list, not a mapping; builds is a mapping {ARCH: DIR}"),
        (
            "qemu: {}\nqemu: {}\n",
            "2:1: duplicate key 'qemu'; it was given before, at line 1",
        ),
    ],
)
def test_wrong_shapes(tmp_path: Path, text: str, message: str) -> None:
    assert problems(write(tmp_path, text)) == [message]


def test_broken_yaml(tmp_path: Path) -> None:
    (found,) = problems(write(tmp_path, "qemu: {\n"))
    assert "not valid YAML" in found


def test_the_option_comes_before_the_environment(tmp_path: Path) -> None:
    path, other = write(tmp_path, ""), tmp_path / "other.yaml"
    other.touch()
    assert load_host_file(other, {"MATRIX_HOST": str(path)}).path == str(other)
    assert load_host_file(None, {"MATRIX_HOST": str(path)}).path == str(path)


def test_the_users_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load_host_file(None, {}) == HostFile()
    (tmp_path / "matrix").mkdir()
    path = write(tmp_path / "matrix", "")
    assert load_host_file(None, {}).path == str(path)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    absent = tmp_path / "absent.yaml"
    with pytest.raises(UsageError, match=r"--host .*: cannot be read: No such file"):
        load_host_file(absent, {})
    with pytest.raises(UsageError, match=r"\$MATRIX_HOST=.*: cannot be read: Is a directory"):
        load_host_file(None, {"MATRIX_HOST": str(tmp_path)})
