"""The project file: what everyone who works in a tree would type, found from where one stands.

It is ``matrix.yaml``, or the table ``[tool.matrix]`` of ``pyproject.toml``, with the keys of a host
file, in the current folder or the nearest one above it: up to the top of the repository (where
``.git`` is) or the home folder, whichever comes first. ``$MATRIX_PROJECT`` names one instead, or
none where it is empty.

Nobody names that file on the command line, and emulators that it names are run. So it has to
belong to the user or to root, and nobody else may write it, as git asks of a repository.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from matrix.errors import HostFileError, Place, Problem, UsageError
from matrix.hosts.host_settings import HostFile
from matrix.hosts.hostfile import load_host_file
from matrix.scenario.given_files import MAX_BYTES

ENVIRONMENT_VARIABLE = "MATRIX_PROJECT"
PROJECT_FILE = "matrix.yaml"
PYPROJECT = "pyproject.toml"
TABLE = b"tool.matrix"


def load_settings(
    option: Path | None = None, environment: Mapping[str, str] = os.environ
) -> HostFile:
    """What the project file says, over what the host file does.

    Args:
        option: the host file that ``--host`` names, if any.
        environment: where ``MATRIX_PROJECT`` and ``MATRIX_HOST`` may name files.

    Raises:
        UsageError: a file that is named cannot be read, or a project file is another user's.
        HostFileError: the content of one is wrong; all problems of that file at once.
    """
    return load_project(environment).over(load_host_file(option, environment))


def load_project(environment: Mapping[str, str] = os.environ) -> HostFile:
    """What the project file says; empty where there is none. Raises as :func:`load_settings`."""
    named = environment.get(ENVIRONMENT_VARIABLE)
    if named is not None:
        if not named:
            return HostFile()
        try:
            data = _read(Path(named), check=False)
        except UsageError as error:
            raise UsageError(f"{ENVIRONMENT_VARIABLE}: {error}; empty, it takes none") from None
        return _parsed(Path(named), data, environment)
    for folder in _folders():
        found = {
            path: data
            for path in (folder / PROJECT_FILE, folder / PYPROJECT)
            if os.path.isfile(path)  # noqa: PTH113 - Path.is_file() raises in a folder of others
            and (TABLE in (data := _read(path)) or path.name == PROJECT_FILE)
        }
        if len(found) > 1:
            place, message = Place(os.path.relpath(next(iter(found))), 1), "there are two"
            allowed = f"keep this one, or the table [tool.matrix] of the {PYPROJECT} beside it"
            raise HostFileError([Problem(place, f"{message} project files", allowed)])
        for path, data in found.items():
            return _parsed(path, data, environment)
    return HostFile()


def _folders() -> Iterator[Path]:
    """The current folder and those above it in which a project file is looked for."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.expanduser() raises without a home
    for folder in (here, *here.parents):
        yield folder
        if folder == home or os.path.lexists(folder / ".git"):
            return


def _read(path: Path, *, check: bool = True) -> bytes:
    """What is in the file, which with ``check`` nobody but the user and root may have written."""
    try:
        with path.open("rb") as file:
            status, data = os.fstat(file.fileno()), file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise UsageError(f"{path}: cannot be read: {why}") from None
    if not check or (path.name == PYPROJECT and TABLE not in data):
        return data
    if status.st_uid not in (0, os.geteuid()):
        why = f"belongs to another user (uid {status.st_uid})"
    elif status.st_mode & stat.S_IWOTH:
        why = "can be written by everyone"
    else:
        return data
    raise UsageError(
        f"{path} {why}, and a project file may name programs to run;"
        f" {ENVIRONMENT_VARIABLE}={path} takes it nevertheless, {ENVIRONMENT_VARIABLE}= takes none"
    )


def _parsed(path: Path, data: bytes, environment: Mapping[str, str]) -> HostFile:
    from matrix.hosts.hostfile_text import read_project_file  # YAML: most folders have no project
    from matrix.scenario.document import parse_document

    shown = os.path.relpath(path)
    if path.suffix == ".toml":
        from matrix.hosts.toml_document import parse_table

        root, problems = parse_table(data, shown)
    elif all(not line.strip() or line.lstrip().startswith(b"#") for line in data.splitlines()):
        return HostFile(str(path))
    else:
        root, problems = parse_document(data, shown)
    return read_project_file(path, root, problems, environment)
