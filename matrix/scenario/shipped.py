"""Scenarios by name: of the folder ``scenarios`` here, and those that come with the program."""

import importlib.metadata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import matrix
from matrix.errors import UsageError
from matrix.scenario.wording import nearest

FOLDER = "scenarios"
DISTRIBUTION = "qemu-matrix"


@cache
def shipped_folder() -> Path | None:
    """Where the scenarios lie that come with the program; None where they were left out.

    In a checkout beside the package, in an installation below its ``share``: ask it where, as
    prefixes differ (virtual environments, ``--user``, ``--target``).
    """
    checkout = Path(matrix.__file__).parents[1]
    if (checkout / "pyproject.toml").is_file():
        return checkout / FOLDER
    try:
        files = importlib.metadata.files(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.parts[-3:-1] == (DISTRIBUTION, FOLDER):
            return Path(str(file.locate())).resolve().parent
    return None


def scenarios() -> Iterator[Path]:
    """All files that have a name: those here first, then those shipped, each folder in order."""
    seen: set[Path] = set()
    for folder in (Path(FOLDER), shipped_folder()):
        if folder is None or folder.resolve() in seen:
            continue
        seen.add(folder.resolve())
        yield from sorted(folder.glob("*.yaml"))


def scenario_file(given: Path) -> Path:
    """The file that a user means by ``given``: a path, or the name of a scenario.

    Raises:
        UsageError: a name that no scenario has.
    """
    name, folder = str(given), given.is_dir()
    if given.suffix or given.name != name or (given.exists() and not folder):
        return given
    files = {path.stem: path for path in reversed([*scenarios()])}  # those here win
    if name in files:  # a folder of that name is no scenario: a run of it, perhaps
        return files[name]
    if folder:
        return given
    match = nearest(name, files)
    hint = f"did you mean {match!r}? " if match else ""
    raise UsageError(f"{name}: no such scenario; {hint}matrix scenarios lists those with a name")


def scenario_of(case_id: str) -> str:
    """The name of the scenario that a case's id begins with; empty where none is named so."""
    names = [path.stem for path in scenarios() if case_id.startswith(f"{path.stem}.")]
    return max(names, key=len, default="")
