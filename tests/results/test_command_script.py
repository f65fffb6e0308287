import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix.model import ExitChannel, Launch
from matrix.results.command_script import command_script
from matrix.results.directory import RunDirectory

ECHO = """#!/bin/sh
exec /usr/bin/printf '%s\\0' "$MATRIX_TEST" "$(pwd)" "$@"
"""


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that prints MATRIX_TEST, its folder and its arguments, each ended by NUL."""
    path = tmp_path_factory.mktemp("a folder") / "qemu-system-it's"
    path.write_text(ECHO)
    path.chmod(0o755)
    return path


def run(script: bytes, folder: Path, *arguments: str) -> list[str]:
    path = folder / "command.sh"
    path.write_bytes(script)
    done = subprocess.run(
        ["/bin/sh", path, *arguments], cwd="/", capture_output=True, timeout=30, check=True
    )
    assert done.stderr == b""
    return [os.fsdecode(each) for each in done.stdout.split(b"\0")[:-1]]


def launch(*argv: str, environment: tuple[tuple[str, str], ...] = ()) -> Launch:
    return Launch(argv, ExitChannel.QEMU_EXIT, environment)


def test_reads_as_one_option_per_line(tmp_path: Path) -> None:
    argv = ("/usr/bin/qemu-system-x86_64", "-nodefaults", "-m", "128M", "-append", "a b", "-S")
    assert command_script(launch(*argv), "case smoke.boot").decode() == (
        "#!/bin/sh\n"
        "# case smoke.boot\n"
        "# Runs the same QEMU by hand; arguments given here are added to its command line.\n"
        "exec /usr/bin/qemu-system-x86_64 \\\n"
        "  -nodefaults \\\n"
        "  -m 128M \\\n"
        "  -append 'a b' \\\n"
        "  -S \\\n"
        '  "$@"\n'
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("",),
        ("two\nlines", "-x\n"),
        ("it's", "'", "''", '"', "\\", "\\\n", "$HOME", "`id`", "$(id)", "!", "~", "#", "*"),
        ("a=b", "-global", "x=~/y", "{a,b}", ";", "&", "|", ">", "<", "(", ")"),
        (os.fsdecode(b"\xff\x80\xfe"), "ü"),
        ("\x1b[31m", "\r", "\t", "\x01\x7f"),
        ("-" * 3, "--", "-"),
    ],
)
def test_awkward_arguments_come_back(
    arguments: tuple[str, ...], echo: Path, tmp_path: Path
) -> None:
    script = command_script(launch(str(echo), *arguments), "title")
    assert run(script, tmp_path)[2:] == list(arguments)


argument = st.binary(max_size=20).map(lambda data: os.fsdecode(data.replace(b"\0", b"")))


@settings(max_examples=40, deadline=None)
@given(arguments=st.lists(argument, max_size=8), value=argument, title=st.text())
def test_any_bytes_come_back(
    echo: Path,
    tmp_path_factory: pytest.TempPathFactory,
    arguments: list[str],
    value: str,
    title: str,
) -> None:
    environment = (("MATRIX_TEST", value),)
    script = command_script(launch(str(echo), *arguments, environment=environment), title)
    printed = run(script, tmp_path_factory.mktemp("script"))
    assert printed[0] == value
    assert printed[2:] == arguments


def test_arguments_of_the_script_are_added(echo: Path, tmp_path: Path) -> None:
    script = command_script(launch(str(echo), "-m", "1G"), "title")
    assert run(script, tmp_path, "-d", "int log")[2:] == ["-m", "1G", "-d", "int log"]


def test_a_relative_program_is_found_from_anywhere(
    echo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(echo.parent)
    script = command_script(launch(f"./{echo.name}", "-x"), "title")
    assert run(script, tmp_path)[1:] == ["/", "-x"]


def test_goes_to_the_working_directory(echo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "it's here"
    folder.mkdir()
    script = command_script(launch(str(echo)), "title", folder)
    assert run(script, tmp_path)[1] == str(folder)


def test_a_title_cannot_add_a_line() -> None:
    script = command_script(launch("/bin/true"), "x\nrm -rf /\r\n", first="y\nrm -rf /")
    assert script.splitlines()[1] == b"# x\\nrm -rf /"
    assert script.splitlines()[3] == b"# y\\nrm -rf /"


def test_is_written_executable_for_the_user_alone(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run")
    folder = directory.begin_attempt("smoke.boot", 1, 1)
    path = directory.write_command(folder, launch("/bin/echo", "hello"), "smoke.boot")
    assert path.stat().st_mode & 0o777 == 0o700
    assert path.read_text().splitlines()[1] == "# case smoke.boot"
    assert subprocess.check_output([path], cwd="/") == b"hello\n"
