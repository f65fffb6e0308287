"""A run's folder on disk: where everything lies, and that nothing in it is ever overwritten."""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Self

from matrix.attempt import Assist
from matrix.errors import UsageError
from matrix.model import Launch
from matrix.results.command_script import command_script
from matrix.results.files import host_errors, read_tail, shown
from matrix.results.run_info import read_run_info
from matrix.verdict.assists import assist_words

COMMAND_FILE = "command.sh"
CONSOLE_FILE = "console.log"

LONGEST_FOLDER_NAME = 200
"""Bytes; file systems take 255 (NAME_MAX), and ``.interrupted-K`` must still fit."""

_SAFE_ID = re.compile(r"(?!.*\.interrupted-\d+$)[A-Za-z0-9_][A-Za-z0-9._,=+@%~-]*")
"""Neither hidden, nor a path, nor an option, nor what a kept folder is called."""


class RunDirectory:
    """The folder of one run.

    ::

        RUN/run.json        what was run, by which version, on which host, with which QEMUs
        RUN/plan.jsonl      every case, to run or to skip
        RUN/events.jsonl    the journal
        RUN/results.json    RUN/junit.xml    RUN/results.tap
        RUN/cases/ID/       console.log, command.sh, result.json, …
        RUN/cases/ID/N/     the same per attempt, where a case is run more than once

    ``ID`` is the case's id (see :func:`folder_name`).
    """

    def __init__(self, path: Path) -> None:
        self.given = path
        """As the user named it, for messages."""
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow symlinks
        """Absolute, so that command lines with files of it work from anywhere."""
        self._cases = self.path / "cases"

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new, empty run directory.

        The folder gets the permissions that the user's umask gives; those of the cases are for
        the user alone (they are what QEMU writes into).

        Raises:
            UsageError: something of that name exists.
            HostError: it cannot be made.
        """
        if os.path.lexists(path):
            raise UsageError(
                f"{shown(path)} exists, and a run never overwrites anything: name another "
                f"directory with -o, or finish that run with --resume {shown(path)}"
            )
        with host_errors("create", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
            (path / "cases").mkdir()
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """An existing run directory.

        Raises:
            UsageError: it is none, or was written by a newer version of this program.
        """
        if not path.is_dir():
            raise UsageError(f"{shown(path)}: no such directory")
        if not os.path.lexists(path / "run.json"):
            raise UsageError(
                f"{shown(path)} is not a run directory, or its run was killed before it began: "
                "it has no run.json"
            )
        directory = cls(path)
        read_run_info(directory.info_path)
        return directory

    @staticmethod
    def default_path(
        scenario_names: Iterable[str], base: Path = Path("runs"), now: datetime | None = None
    ) -> Path:
        """Where a run goes without ``-o``: ``runs/20261121-093000-SCENARIO``, with ``-2`` and so
        on where that exists. Local time, as the user's clock shows it."""
        names = (re.sub(r"[^A-Za-z0-9._+-]+", "_", name)[:60] for name in scenario_names)
        start = now if now is not None else datetime.now(UTC).astimezone()
        name = f"{start:%Y%m%d-%H%M%S}-{'+'.join(names)[:100]}".rstrip("-")
        path, count = base / name, 1
        while os.path.lexists(path):
            count += 1
            path = base / f"{name}-{count}"
        return path

    @property
    def info_path(self) -> Path:
        """``run.json``."""
        return self.path / "run.json"

    @property
    def plan_path(self) -> Path:
        """``plan.jsonl``."""
        return self.path / "plan.jsonl"

    @property
    def journal_path(self) -> Path:
        """``events.jsonl``."""
        return self.path / "events.jsonl"

    def case_folder(self, case_id: str) -> Path:
        """Where a case's artifacts are, or would be."""
        return self._cases / folder_name(case_id)

    def begin_attempt(self, case_id: str, attempt: int, attempts: int) -> Path:
        """A new folder for one attempt's artifacts.

        A folder of the same attempt that a killed run left is kept beside it as
        ``NAME.interrupted-K``.

        Args:
            case_id: the case.
            attempt: number of the attempt, from 1.
            attempts: how many there will be at most; with one, the case's folder is the attempt's.

        Raises:
            HostError: the folder cannot be made.
        """
        folder = self.case_folder(case_id)
        with host_errors("create", folder):
            if attempts > 1:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder /= str(attempt)
            try:
                os.mkdir(folder, 0o700)  # noqa: PTH102 - once for each case
            except FileExistsError:
                folder.rename(_free_name(folder))
                folder.mkdir(mode=0o700)
            except FileNotFoundError:  # somebody has tidied up
                folder.mkdir(mode=0o700, parents=True)
        return folder

    def renew(self, relative: str) -> None:
        """An empty folder for an attempt that was cut short and begins again; what it left is kept
        as :meth:`begin_attempt` does.

        Raises:
            HostError: the folder cannot be made.
        """
        folder = self.path / relative
        with host_errors("create", folder):
            folder.rename(_free_name(folder))
            folder.mkdir(mode=0o700)

    def write_command(
        self,
        directory: Path,
        launch: Launch,
        case_id: str,
        working_directory: Path | None = None,
        *,
        first: str = "",
    ) -> Path:
        """Write ``command.sh`` into an attempt's folder, executable.

        Args:
            directory: what :meth:`begin_attempt` returned.
            launch: what is started.
            case_id: for the head of the script.
            working_directory: see :func:`matrix.results.command_script.command_script`.
            first: see there.

        Raises:
            HostError: it cannot be written.
        """
        path = directory / COMMAND_FILE
        text = command_script(launch, f"case {case_id}", working_directory, first=first)
        with host_errors("write", path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(path, flags, 0o700), "wb") as file:
                file.write(text)
        return path

    def note_assists(self, path: Path, assists: Sequence[tuple[Assist, int]]) -> None:
        """Add to a ``command.sh`` what was done to its guest, which by hand nobody does.

        Raises:
            HostError: it cannot be written.
        """
        with host_errors("write", path), path.open("ab") as file:
            file.write(f"# matrix did this to its guest: {assist_words(assists)}.\n".encode())

    def relative(self, path: Path) -> str:
        """A path inside the run directory as ``Attempt.artifacts`` and the like give it."""
        inside = f"{self.path}/"
        if str(path).startswith(inside):  # relative_to() takes ten times that
            return str(path)[len(inside) :]
        return path.relative_to(self.path).as_posix()

    def inside(self, relative: str) -> Path | None:
        """The path of an artifact that a journal names; None unless it is a folder of a case.

        A journal may be a stranger's: nothing that leads out of ``cases/`` is followed.
        """
        pure = PurePosixPath(relative)
        if pure.is_absolute() or ".." in pure.parts or "\0" in relative:
            return None
        if len(pure.parts) < 2 or pure.parts[0] != "cases":
            return None
        path = self.path / pure
        if not _any_link(f"{self.path}/cases", pure.parts[1:]):
            return path
        try:
            inside = path.resolve().is_relative_to((self.path / "cases").resolve())
        except (OSError, RuntimeError, ValueError):
            return None
        return path if inside else None

    def tail_of(self, artifacts: str, name: str, limit: int) -> bytes:
        """The last ``limit`` bytes of a case's file; empty where a journal names none."""
        folder = self.inside(artifacts)
        return b"" if folder is None else read_tail(folder / name, limit)


def _any_link(folder: str, names: Iterable[str]) -> bool:
    """Whether any of the names, each in the folder before it, is a symbolic link or is not there:
    resolving the path, which most cases need not, looks at all folders above, too."""
    for name in names:
        folder = f"{folder}/{name}"
        try:
            status = os.lstat(folder)
        except OSError:
            return True
        if stat.S_ISLNK(status.st_mode):
            return True
    return False


def folder_name(case_id: str) -> str:
    """The folder's name for a case id; no two ids share one.

    An id as :mod:`matrix.scenario.case_id` makes them is the name. Any other, of a stranger's
    run, is cut, its unsafe characters are replaced, and ``#`` with a digest is added, which no
    safe id has.
    """
    if _SAFE_ID.fullmatch(case_id) and len(case_id) <= LONGEST_FOLDER_NAME:
        return case_id
    digest = hashlib.sha256(case_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{re.sub('[^A-Za-z0-9_]', '_', case_id)[:100]}#{digest}"


def _free_name(folder: Path) -> Path:
    count = 1
    while os.path.lexists(path := folder.with_name(f"{folder.name}.interrupted-{count}")):
        count += 1
    return path
