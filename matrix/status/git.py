"""What git says of a repository of the user: read line by line, nothing fetched, nothing run."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from matrix.errors import UsageError
from matrix.results.files import shown
from matrix.results.printable import printable

_QUIET = (
    *("-c", "core.quotePath=false", "-c", "log.showSignature=false"),
    *("-c", "protocol.allow=never", "-c", "core.commitGraph=true"),
)
"""No program of the repository's configuration is started, and a partial clone loads nothing from
its server (``GIT_NO_LAZY_FETCH`` is of git 2.44)."""


class GitStream:
    """A git command that has been started, and whose lines are read when they are wanted."""

    def __init__(self, repository: Path, *words: str) -> None:
        self._what = f"git {words[0]} in {shown(repository)}"
        try:
            self._process = subprocess.Popen(
                ["git", "-C", str(repository), *_QUIET, *words],
                env={**os.environ, "LC_ALL": "C.UTF-8", "GIT_NO_LAZY_FETCH": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise UsageError(f"git cannot be started: {error.strerror}") from None

    def __iter__(self) -> Iterator[str]:
        """The lines, without their ends.

        Raises:
            UsageError: git fails; says how.
        """
        process = self._process
        assert process.stdout is not None  # noqa: S101 - pipes, as asked for
        assert process.stderr is not None  # noqa: S101 - as above
        try:
            yield from (line.rstrip("\n") for line in process.stdout)
            said = process.stderr.read().strip().splitlines()
            if process.wait():
                fatal = (line for line in said if line.startswith("fatal: "))
                why = next(fatal, said[-1] if said else "it failed")  # hints may follow
                raise UsageError(f"{self._what}: {printable(why.removeprefix('fatal: '))}")
        finally:
            self.close()

    def close(self) -> None:
        """End it, if it has not ended."""
        with self._process as process, suppress(ProcessLookupError):  # it has ended
            process.kill()


def git_lines(repository: Path, *words: str) -> list[str]:
    """All lines that a command prints. Raises as :class:`GitStream`."""
    return list(GitStream(repository, *words))


def commit_named(repository: Path, revision: str) -> str:
    """The id of a commit. Raises UsageError where there is none."""
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    git_lines(repository, "rev-parse", "--git-dir")  # it is a repository
    try:
        return git_lines(repository, *words)[0]
    except UsageError:
        where = f"{shown(repository)} has no commit {printable(revision)!r}"
        raise UsageError(f"{where}; git -C {shown(repository)} tag lists its releases") from None
