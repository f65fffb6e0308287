"""Surroundings without a home of one's own: warnings and defaults, and no traceback."""

import shutil
import subprocess
import sys
from typing import Any

from tests.cli.conftest import Scripts, World

COMMANDS = (
    ("doctor", "--qemu", "fake=qemu"),
    ("list", "scenario.yaml", "--qemu", "fake=qemu"),
    ("run", "scenario.yaml", "--qemu", "fake=qemu", "-o", "out"),
    ("run", "--resume", "out"),
    ("show", "out"),
    ("history",),
    ("history", "--import", "out"),
    ("compare", "out", "out"),
    ("report", "out", "-o", "report"),
    ("expect", "out"),
    ("ci", "gitlab", "scenario.yaml"),
    ("schema",),
)
REFUSED = {("history",): (2, 3), ("history", "--import", "out"): (3,)}
"""Exit codes of commands that are about nothing but what cannot be kept."""


NAMELESS = """
import pwd, sys
def getpwuid(number):
    raise KeyError(number)
pwd.getpwuid = getpwuid
from matrix.cli.main import main
main()
"""
"""The program for a uid that no name belongs to."""


def run(
    world: Any, command: tuple[str, ...], places: dict[str, str], program: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    tools = world.root / "tools"  # and no QEMU but the fake one, or doctor would ask them all
    tools.mkdir(exist_ok=True)
    for name in ("cat", "setpriv", "bash"):
        found = shutil.which(name)
        if found is not None and not (tools / name).exists():
            (tools / name).symlink_to(found)
    dropped = ("HOME", "MATRIX_CACHE", "MATRIX_STATE")
    environment = {key: value for key, value in world.environment().items() if key not in dropped}
    environment = {key: value for key, value in environment.items() if not key.startswith("XDG_")}
    environment |= {"PATH": str(tools), **places}
    if not program:
        completed: subprocess.CompletedProcess[str] = world.warm.run(
            command, world.root, environment
        )
        return completed
    return subprocess.run(
        (sys.executable, *program, *command),
        cwd=world.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def check_commands(world: Any, places: dict[str, str], program: tuple[str, ...] = ()) -> None:
    for command in COMMANDS:
        done = run(world, command, places, program)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode in REFUSED.get(command, (0,)), (command, done.stderr)
        if command[0] == "run":
            assert "warning: the run is not in the history" in done.stderr


def test_every_command_without_a_usable_home(world: World, scripts: Scripts) -> None:
    """A home that can be neither read nor written, by root either: it is a file."""
    world.suite(one=scripts.passing())
    (world.root / "home").write_text("")
    check_commands(world, {"HOME": str(world.root / "home")})


def test_every_command_of_a_user_without_a_name_and_a_home(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing())
    check_commands(world, {}, ("-c", NAMELESS))
    assert not (world.root / "~").exists()
