"""Scenario files, read, or remembered from when they were read last.

Reading one loads YAML, pydantic and the models of the format, which takes longer than to plan and
start its first guest. What came of it is therefore kept beside the answers of QEMU, and holds as
long as the file's bytes, its path, the working directory and this program's own reading of
scenarios are what they were. A scenario that takes anything from elsewhere (variables of the
environment, files of known failures) is read every time.
"""

import base64
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matrix
from matrix.host.cache import Cache, cache_directory
from matrix.scenario.model import Scenario

FOLDER = "scenarios"
MAX_BYTES = 64 << 10
"""Longer files are read anew: what comes of them may be as long."""
SOURCES = ("scenario", "model.py", "migrating.py", "errors.py")
"""Of this package: where what is kept is made, and what it is made of."""


def load(path: Path, variables: Mapping[str, str], cache: Cache | None = None) -> Scenario:
    """The scenario in the file ``path``; ``variables`` are for ``${NAME}``.

    Raises:
        ScenarioError: the file cannot be read, or anything in it is wrong; has every problem.
    """
    if cache is None:
        cache = Cache(cache_directory(variables).with_name(FOLDER))
    key = _key(path) if _is_ours(cache.directory) else ""
    kept = cache.read(str(path.absolute()), key, _decoded) if key else None
    if kept is not None:
        return kept
    from matrix.scenario.load import load_scenario

    scenario = load_scenario(path, variables)
    if key and not scenario.expect and key == _key(path):
        text = base64.b64encode(pickle.dumps(scenario)).decode("ascii")
        cache.write(str(path.absolute()), key, text)
    return scenario


def _key(path: Path) -> str:
    """All that what is read of the file depends on; empty where that is too much to say."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        here = Path.cwd()
    except (OSError, ValueError):  # a NUL in the name; load_scenario() says what is wrong
        return ""
    if len(data) > MAX_BYTES or b"$" in data:
        return ""
    return f"{path}\n{here}\n{_sources()}\n{data.decode('latin-1')}"


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
    """The scenario that was kept; what is not one any more is as good as none.

    Unpickling runs what the file says: only :func:`_is_ours` makes it as trustworthy as the byte
    code that Python itself keeps.
    """
    try:
        scenario = pickle.loads(base64.b64decode(value))  # noqa: S301 - see above
    except (pickle.UnpicklingError, AttributeError, ImportError, EOFError) as error:
        raise ValueError(str(error)) from error
    return scenario if isinstance(scenario, Scenario) else None


def _is_ours(folder: Path) -> bool:
    """Whether nobody else can write to the folder, which need not exist yet."""
    try:
        stat = folder.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return stat.st_uid == os.geteuid() and not stat.st_mode & 0o022
