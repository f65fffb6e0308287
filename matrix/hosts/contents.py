"""The files that cases need, named by what is in them instead of where they are on this machine.

In the decision of a case that goes to a host a :attr:`CaseFile.name` stands for each path, and the
assignment has the digest behind it: the host has such a file already, or gets it by its digest.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

from matrix.errors import HostError
from matrix.model import Build, Case
from matrix.plan.decisions import Run
from matrix.vm.tasks import in_thread

PREFIX = "file:"


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A file by its content."""

    name: str
    """What stands for its path: ``file:NUMBER/BASENAME``, unique in a run. QEMU and EFI guests see
    the basename, so that has to stay the file's own."""
    sha256: str
    """Hexadecimal."""
    size: int
    """Bytes."""


_Stamp = tuple[int, int, int, int]
"""Device, inode, bytes, time of the last change in ns."""
LARGE = 16 << 20
"""Bytes that are read in some 20 ms."""


@dataclass(slots=True)
class Contents:
    """The files of this machine that cases name. Each is read once, as long as it is unchanged."""

    _files: dict[str, tuple[_Stamp, CaseFile]] = field(default_factory=dict)
    _paths: dict[str, Path] = field(default_factory=dict)

    async def read_large(self, decision: Run) -> None:
        """Read the large files of a case in a thread, before :func:`with_names` names them: the
        leases of a fleet's hosts end while an event loop reads gigabytes."""
        test, build = decision.case.test, decision.case.build
        for path in (test.image, build.firmware, *(path for _, path in build.files)):
            with contextlib.suppress(OSError, ValueError):  # who names it finds out
                stamp = _stamp(path)
                if stamp[2] >= LARGE and self._known(path, stamp) is None:
                    digest = await in_thread(partial(_digest, path))
                    if self._known(path, stamp) is None:
                        self._keep(path, stamp, digest)

    def name(self, path: str) -> CaseFile:
        """The file at a path of this machine.

        Raises:
            OSError: it cannot be read.
        """
        stamp = _stamp(path)
        return self._known(path, stamp) or self._keep(path, stamp, _digest(path))

    def _known(self, path: str, stamp: _Stamp) -> CaseFile | None:
        known = self._files.get(path)
        return known[1] if known is not None and known[0] == stamp else None

    def _keep(self, path: str, stamp: _Stamp, digest: str) -> CaseFile:
        named = CaseFile(f"{PREFIX}{len(self._paths)}/{Path(path).name}", digest, stamp[2])
        self._files[path] = (stamp, named)
        self._paths[named.name] = Path(path)
        return named

    def place(self, name: str, path: Path) -> None:
        """Have a file at ``path`` that was named elsewhere."""
        self._paths[name] = path

    def path(self, name: str) -> Path:
        """Where on this machine the file of that :attr:`CaseFile.name` is.

        Raises:
            HostError: nothing was named so here.
        """
        try:
            return self._paths[name]
        except KeyError:
            raise HostError(f"{name} is not a file of this run") from None


def _stamp(path: str) -> _Stamp:
    status = os.stat(path)  # noqa: PTH116 - once for each attempt
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _digest(path: str) -> str:
    with open(path, "rb") as file:  # noqa: PTH123 - once for each attempt
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_names(decision: Run, contents: Contents) -> tuple[Run, tuple[CaseFile, ...]]:
    """``decision`` as it crosses to a host, with names for paths, and the files that they name.

    A file that cannot be read keeps its path: who starts the case says what is wrong with it.
    """
    found: dict[CaseFile, None] = {}

    def name(path: str) -> str:
        try:
            file = contents.name(path)
        except (OSError, ValueError):  # a NUL byte is in it
            return path
        found[file] = None
        return file.name

    return _mapped(decision, name), tuple(found)


def with_paths(decision: Run, path_of: Callable[[str], Path]) -> Run:
    """``decision`` with the paths that ``path_of`` gives for names: undoes :func:`with_names`."""
    return _mapped(decision, lambda name: str(path_of(name)) if name.startswith(PREFIX) else name)


def without_folders(case: Case) -> Case:
    """``case`` with ``/BASENAME`` for each path of a file in it: its command line is then the same
    wherever the files are."""
    return _mapped_case(case, lambda path: f"/{Path(path).name}")


def _mapped(decision: Run, change: Callable[[str], str]) -> Run:
    return replace(decision, case=_mapped_case(decision.case, change))


def _mapped_case(case: Case, change: Callable[[str], str]) -> Case:
    """``case`` with each path of a file in it changed; it has none of a folder any more."""
    test, build = case.test, case.build
    if test.image:
        test = replace(test, image=change(test.image))
    firmware = build.firmware and change(build.firmware)
    files = tuple((name, change(path)) for name, path in build.files)
    build = _build_with(build, firmware, files)
    return replace(case, test=test, build=build)


@lru_cache(maxsize=256)  # thousands of cases share a build
def _build_with(build: Build, firmware: str, files: tuple[tuple[str, str], ...]) -> Build:
    return replace(build, directory="", images="", firmware=firmware, files=files)
