"""No trouble of stdin, stdout or stderr ends the command, and none hides what it came to."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from matrix.cli.streams import ShownText, TolerantFile, take_streams
from tests.cli.conftest import Scripts, World

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LATIN_1 = {"PYTHONIOENCODING": "latin-1"}
SCENARIO = """name: fake
description: "Größe → 世界"
suite: {kind: kvm-unit-tests, build: build}
matrix: {arch: [x86_64], accel: [tcg], qemu: [fake]}
run: {timeout: 60s, stall: 60s}
expect: [known.yaml]
"""
KNOWN = 'expect: [{cases: [known], reason: "Grüße, 世界 → …"}]\n'


@pytest.fixture
def shown(world: World, scripts: Scripts) -> World:
    """A world whose guests and known failures say what neither ASCII nor latin-1 has."""
    world.suite(
        good=scripts.passing(), bad=scripts.failing("größer: 世界"), known=scripts.failing("x")
    )
    (world.root / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    (world.root / "known.yaml").write_text(KNOWN, encoding="utf-8")
    return world


def in_shell(
    world: Any, arguments: Sequence[str], ending: str, **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    """The command with its streams as a shell's line leaves them."""
    command = shlex.join([sys.executable, "-m", "matrix", *arguments])
    return subprocess.run(
        ["bash", "-c", f"{command} {ending}"],
        cwd=world.root,
        env={**world.environment(), **environment},
        capture_output=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize(
    "ending",
    [
        ">/dev/full",
        "2>/dev/full",
        ">/dev/full 2>/dev/full",
        ">&-",
        "<&- >&- 2>&-",
        "2>&1 | true; exit ${PIPESTATUS[0]}",
        "| head -1; exit ${PIPESTATUS[0]}",
    ],
)
def test_a_run_goes_on_and_exits_as_ever(shown: World, ending: str) -> None:
    done = in_shell(shown, shown.run_arguments(), ending)
    assert done.returncode == 1
    assert b"Traceback" not in done.stdout + done.stderr
    assert b"Exception ignored" not in done.stdout + done.stderr
    assert shown.verdicts() == {"good": "pass", "bad": "fail", "known": "xfail"}
    for name in ("junit.xml", "results.tap", "report.html"):
        assert (shown.root / "out" / name).stat().st_size
    assert shown.events("run-finished")


DRIVER = """
import importlib, json, os, pkgutil, sys
import matrix
for module in pkgutil.walk_packages(matrix.__path__, "matrix."):
    if not module.name.endswith("__main__") and "pytest" not in module.name:
        importlib.import_module(module.name)
from matrix.cli.main import main
for number, (arguments, variables) in enumerate(json.load(sys.stdin)):
    child = os.fork()
    if not child:
        os.environ.update(variables)
        for descriptor in (1, 2):
            name = f"{sys.argv[1]}-{number}-{descriptor}"
            os.dup2(os.open(name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), descriptor)
        sys.argv[1:] = [os.fsdecode(argument.encode()) for argument in arguments]
        main()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def many(
    world: Any, name: str, commands: Sequence[tuple[Sequence[str], dict[str, str]]], **more: str
) -> list[tuple[int, bytes, bytes]]:
    """What each command exits with and prints, started from one process that has loaded all."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, name],
        cwd=world.root,
        env={**world.environment(), **more},
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    files = [
        [world.root / f"{name}-{number}-{d}" for d in (1, 2)] for number in range(len(commands))
    ]
    codes = map(int, done.stdout.split())
    return [
        (code, out.read_bytes(), err.read_bytes())
        for code, (out, err) in zip(codes, files, strict=True)
    ]


LISTED = ("list", "scenario.yaml", "--qemu", "fake=qemu")
REASONS = {
    "utf-8": "Grüße, 世界 → …",
    "latin-1": "Grüße, \\u4e16\\u754c -> ...",
    "ascii": "Gr\\xfc\\xdfe, \\u4e16\\u754c -> ...",
}


@pytest.mark.parametrize(
    ("encoding", "environment"), [("ascii", ASCII), ("latin-1", LATIN_1), ("utf-8", {})]
)
def test_every_command_in_every_locale(
    shown: World, encoding: str, environment: dict[str, str]
) -> None:
    expected: dict[Sequence[str], int] = {
        ("run", "scenario.yaml", "--qemu", "fake=qemu", "-o", "out"): 1,
        LISTED: 0,
        ("list", "größer.yaml"): 2,
        ("--help",): 0,
        ("show", "out"): 0,
    }
    if encoding == "ascii":  # which has the least
        expected |= {
            (*LISTED, "--json"): 0,
            ("run", "--help"): 0,
            ("show", "out", "fake.bad.x86_64.tcg.qemu=fake"): 0,
            ("compare", "out", "out"): 0,
            ("compare", "out", "out", "--markdown"): 0,
            ("history",): 0,
            ("history", "fake.bad*"): 0,
            ("expect", "out"): 0,
            ("doctor", "--qemu", "fake=qemu"): 0,
            ("schema",): 0,
            ("ci", "github", "scenario.yaml"): 0,
            ("report", "out", "-o", "report"): 0,
            ("soak",): 2,
        }
    # The host's own QEMUs are not to be asked.
    nothing = {"PATH": str(shown.root)}
    asked = [(command, nothing if "doctor" in command else {}) for command in expected]
    done = many(shown, "seen", asked, **environment)
    for command, (_, out, err) in zip(expected, done, strict=True):
        assert b"Traceback" not in err, (command, err)
        out.decode("utf-8" if "--markdown" in command else encoding)
        err.decode(encoding)
    assert [code for code, _, _ in done] == list(expected.values())
    assert REASONS[encoding] in done[1][1].decode(encoding)


def test_a_scenario_is_read_once_from_what_can_be_read_once(shown: World) -> None:
    """Its relative paths start at the current directory."""
    arguments = ("list", "SCENARIO", "--qemu", "fake=qemu")
    command = shlex.join([sys.executable, "-m", "matrix", *arguments])
    run = shlex.join([sys.executable, "-m", "matrix", *shown.run_arguments()])
    for line, code in (
        (command.replace("SCENARIO", "<(cat scenario.yaml)"), 0),
        ("cat scenario.yaml | " + command.replace("SCENARIO", "/dev/stdin"), 0),
        (run.replace("scenario.yaml", "<(cat scenario.yaml)"), 1),
        (shlex.join([sys.executable, "-m", "matrix", "run", "--resume", "out"]), 1),
    ):
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=shown.root,
            env=shown.environment(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
    info = json.loads((shown.root / "out/run.json").read_text())
    assert info["scenarios"][0]["text"] == SCENARIO


def test_a_reader_who_leaves_is_no_failure_and_hides_none(shown: World) -> None:
    gone = "| true; exit ${PIPESTATUS[0]}"
    assert in_shell(shown, LISTED, gone).returncode == 0
    assert in_shell(shown, LISTED, ">&-").returncode == 0
    shown.run(*shown.run_arguments())
    document = json.loads((shown.root / "out/results.json").read_text())
    for case in document["cases"]:
        case["verdict"] = "fail"
    (shown.root / "worse.json").write_text(json.dumps(document))
    worse = ("compare", "out", "worse.json", "--fail-on-regression")
    assert in_shell(shown, worse, gone).returncode == 1
    assert in_shell(shown, worse, ">/dev/full").returncode == 1


def test_a_product_that_is_not_written_is_an_error(shown: World) -> None:
    """As of coreutils: who keeps the list in a file must not take half of it for all."""
    done = in_shell(shown, ("list", "scenario.yaml", "--qemu", "fake=qemu"), ">/dev/full")
    assert done.returncode == 3
    assert done.stderr.decode() == (
        "matrix: standard output cannot be written: No space left on device\n"
    )


def test_files_do_not_take_the_place_of_closed_streams(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = (
        "import os, sys; from matrix.cli.streams import take_streams; take_streams();"
        f" print(os.open({str(tmp_path / 'file')!r}, os.O_CREAT | os.O_WRONLY) > 2,"
        " file=open('seen', 'w')); print('x'); print('y', file=sys.stderr); sys.stdin.read()"
    )
    command = shlex.join([sys.executable, "-c", program])
    subprocess.run(["bash", "-c", f"{command} <&- >&- 2>&-"], cwd=tmp_path, check=True)
    assert (tmp_path / "seen").read_text() == "True\n"
    assert (tmp_path / "file").read_text() == ""


def test_a_stream_that_does_not_block_is_waited_for() -> None:
    """Other programs on the same terminal or pipe make it so."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    received: list[bytes] = []

    def drain() -> None:
        with os.fdopen(read, "rb") as file:
            received.append(file.read())

    reader = threading.Thread(target=drain)
    data = bytes(range(256)) * 4096
    file = TolerantFile(write)
    reader.start()
    assert file.write(data) == len(data)
    os.close(write)
    reader.join()
    assert received == [data]
    assert file.failure is None


def test_nothing_more_is_written_after_a_failure() -> None:
    with Path("/dev/full").open("wb") as full:
        file = TolerantFile(full.fileno())
        text = ShownText(file, "ascii", ci=False, live=True)
        assert text.write("größer\n") == 7
        assert isinstance(file.failure, OSError)
        print("more", file=text, flush=True)


def test_the_streams_of_a_test_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = io.StringIO()
    monkeypatch.setattr(sys, "stdout", ours)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert take_streams({}).lost() == ""
    assert sys.stdout is ours


OBEYED = re.compile(r"^\s*::|##\w*\[|section_(start|end):", re.MULTILINE)
"""Where GitHub, Azure, GitLab and TeamCity find a command in a log."""

COMMANDS = (
    "::error file=a.c::pwned", "::add-mask::a", "##[error]pwned", "##vso[task.complete]x",
    "section_start:1700000000:a\r\x1b[0Kb", "##teamcity[buildStop]", "\t::notice::a",
    "\r::debug::a",
)  # fmt: skip


def test_what_a_guest_prints_is_no_command_of_a_ci_system(world: World, scripts: Scripts) -> None:
    """At 80 columns, with a command at every place at which a line may be wrapped."""
    names = [f"{'x ' * (length // 2)}{'y' * (length % 2)}{command}"
             for length in range(0, 80, 7) for command in COMMANDS]  # fmt: skip
    world.suite(
        bad={"cont": [["stdout", "".join(f"FAIL: {n}\n" for n in names)], ["exit", 3]]},
        dead={
            "cont": [["stdout", "\n".join(COMMANDS)], ["stderr", "\n".join(COMMANDS)], ["abort"]]
        },
    )
    commands = (
        world.run_arguments(),
        ("show", "out"),
        ("show", "out", "fake.bad.x86_64.tcg.qemu=fake"),
        ("show", "out", "fake.dead.x86_64.tcg.qemu=fake"),
        ("compare", "out", "out"),
        ("expect", "out"),
        ("history", "fake*"),
        ("history", "fake*", "--json"),
        ("compare", "out", "out", "--markdown"),
        ("compare", "out", "out", "--json"),
        ("list", "::error::x##[error].yaml"),
        ("##[error]",),
    )
    plain = {**world.environment(), "CI": "true", "COLUMNS": "80", "TERM": "dumb"}
    coloured = [(command, {**plain, "FORCE_COLOR": "1"}) for command in commands[1:]]
    asked = [*((command, plain) for command in commands), *coloured]
    done = [world.warm.run(command, world.root, environment) for command, environment in asked]
    for (command, _), each in zip(asked, done, strict=True):
        assert "Traceback" not in each.stderr
        for text in (each.stdout, each.stderr):
            assert not OBEYED.search(text), (command, OBEYED.search(text))
        if "--json" in command:
            json.loads(each.stdout)
    assert "pwned" in done[2].stdout
    (console,) = (world.root / "out/cases").glob("*bad*/console.log")
    assert "##[error]pwned" in console.read_text()


def test_outside_of_ci_text_stays_as_it_is(world: World, scripts: Scripts) -> None:
    world.suite(bad=scripts.failing("##[error]x"))
    done = in_shell(world, world.run_arguments(), "", CI="", GITHUB_ACTIONS="")
    assert "##[error]x" in done.stdout.decode()
