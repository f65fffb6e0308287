"""Scenario files, read, or remembered from when they were read last.

Reading one loads YAML, pydantic and the models of the format, which takes a tenth of a second of
CPU time, longer than to plan and start its first guest. What came of it is therefore kept as JSON
beside the answers of QEMU, and holds as long as the file's bytes, its path, the working directory
and this program's own reading of scenarios are what they were. A scenario that takes anything from
elsewhere (variables of the environment, files of known failures) is read every time, as is what is
no file.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matrix
from matrix.hosts.cache import Cache, cache_directory
from matrix.run import scenario_json
from matrix.scenario.given_files import GivenFile, read_given
from matrix.scenario.scenario import Scenario

if TYPE_CHECKING:
    from matrix.errors import ScenarioError

FOLDER = "scenarios"
MAX_BYTES = 64 << 10
"""Longer files are read anew: what comes of them may be as long."""
SOURCES = ("scenario", "model.py", "verdicts.py", "migrating.py", "errors.py")
"""Of this package: where what is kept is made, and what it is made of."""


def load(path: Path, variables: Mapping[str, str], cache: Cache | None = None) -> Scenario:
    """The scenario in the file ``path``, which is read once; ``variables`` are for ``${NAME}``.

    A name without a file is one of :mod:`matrix.scenario.shipped`.

    Raises:
        UsageError: a name that no scenario has.
        ScenarioError: the file cannot be read, or anything in it is wrong; has every problem.
    """
    if not path.suffix and path.name == str(path):  # imported for names alone
        from matrix.scenario.shipped import scenario_file

        path = scenario_file(path)
    try:
        given = read_given(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if cache is None:
        cache = Cache(cache_directory(variables).with_name(FOLDER))
    key, name = _key(given), str(path.absolute())
    kept = cache.read(name, key, _decoded) if key else None
    if kept is not None:
        return kept
    from matrix.scenario.load import read_scenario

    scenario = read_scenario(given.data, str(path), given.directory, variables)
    if key and not scenario.expect:
        with suppress(TypeError):  # of a class that JSON was not taught: it is read every time
            cache.write(name, key, scenario_json.plain(scenario))
    return scenario


def _unreadable(path: Path, error: OSError | ValueError) -> "ScenarioError":
    from matrix.scenario.load import unreadable

    return unreadable(path, error)


def _key(given: GivenFile) -> str:
    """All that what is read of the file depends on; empty where that is too much to say."""
    if not given.regular or len(given.data) > MAX_BYTES or b"$" in given.data:
        return ""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return ""
    return f"{given.path}\n{here}\n{_sources()}\n{given.data.decode('latin-1')}"


def _sources() -> str:
    """Size and time of each file that reads scenarios: whoever works on them changes these."""
    root = Path(matrix.__file__).parent
    files: list[os.DirEntry[str]] = []
    for entry in os.scandir(root):
        if entry.name in SOURCES:
            files += os.scandir(entry.path) if entry.is_dir() else [entry]
    stats = sorted((file.path, file.stat()) for file in files if file.name.endswith(".py"))
    return " ".join(f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in stats)


def _decoded(value: Any) -> Scenario | None:
    """The scenario that was kept; what is not one any more is as good as none."""
    scenario = scenario_json.restored(value)
    return scenario if isinstance(scenario, Scenario) else None
