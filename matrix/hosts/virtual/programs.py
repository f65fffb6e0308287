"""Programs in a virtual host, as KVM's selftests are: they come on its disk, a batch at a time."""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix.errors import HostError
from matrix.hosts.virtual.disk import DISK, write_image
from matrix.hosts.virtual.l1_guest import ProgramResult, VirtualGuest
from matrix.hosts.virtual.libraries import MissingLibraryError, libraries_of
from matrix.hosts.virtual.needs import unmet_need
from matrix.model import Case, Launch, Target
from matrix.plan.decisions import Decision, Run
from matrix.plan.program import launch_program
from matrix.vm.tasks import in_thread

BATCH_BYTES = 1 << 30
"""Of files on one disk."""

_Stamp = tuple[int, int]


def programs_of(decisions: Iterable[Decision], host: str) -> tuple[str, ...]:
    """The programs that are to run on a host, in their order."""
    runs = (each for each in decisions if isinstance(each, Run) and each.host == host)
    cases = (each.case for each in runs if each.case.build.target is Target.PROGRAM)
    return tuple(dict.fromkeys(case.test.image for case in cases))


def launch_there(case: Case) -> Launch:
    """The command of a case in the host."""
    launch = launch_program(case)
    return replace(launch, argv=_words(launch.argv))


def _words(argv: tuple[str, ...]) -> tuple[str, ...]:
    return (DISK + _place(Path(argv[0])), *argv[1:])


def _place(program: Path) -> str:
    """Where on the disk a program of this machine is: two builds may have one of the same name."""
    folder = hashlib.sha256(os.fsencode(program.parent)).hexdigest()[:8]
    return f"/programs/{folder}/{program.name}"


@dataclass(slots=True)
class _Batch:
    """Files that go together on one disk."""

    files: dict[str, Path] = field(default_factory=dict)
    stamps: dict[str, _Stamp] = field(default_factory=dict)
    """Of each program, as it was."""
    size: int = 0

    def add(self, program: str) -> bool:
        """Add one with its libraries; False where it does not fit.

        Raises:
            OSError: it cannot be read.
            MissingLibraryError: one that it needs is not to be found.
        """
        path = Path(program)
        new = {_place(path): path, **libraries_of(path)}
        if any(self.files.get(place, source) != source for place, source in new.items()):
            return False
        size = sum(source.stat().st_size for at, source in new.items() if at not in self.files)
        if self.files and self.size + size > BATCH_BYTES:
            return False
        self.files |= new
        self.stamps[program] = _stamp(program)
        self.size += size
        return True


@dataclass(slots=True)
class Programs:
    """The programs of a run, and the disk with a batch of them."""

    ahead: tuple[str, ...] = ()
    """Those that will be needed, in their order."""
    _folder: Path | None = None
    _batch: _Batch = field(default_factory=_Batch)
    _images: int = 0

    async def run(
        self,
        guest: VirtualGuest,
        case: Case,
        seconds: float,
        on_output: Callable[[bytes], None],
        cancel: asyncio.Event | None = None,
    ) -> ProgramResult:
        """Run a case's program to its end.

        Raises:
            OSError: it cannot be read.
            HostLostError: the host does not take the disk.
        """
        if unmet := await unmet_need(guest, case):
            return ProgramResult(None, "", "", (), unmet=unmet)
        return await self.run_command(guest, launch_program(case).argv, seconds, on_output, cancel)

    async def run_command(
        self,
        guest: VirtualGuest,
        argv: tuple[str, ...],
        seconds: float,
        on_output: Callable[[bytes], None],
        cancel: asyncio.Event | None = None,
    ) -> ProgramResult:
        """Run a program of this machine, with arguments, as :meth:`run` does."""
        try:
            image = await self._disk_with(argv[0])
        except (MissingLibraryError, HostError) as error:
            return ProgramResult(None, "", str(error), ())
        await guest.have_disk(image)
        return await guest.run(_words(argv), seconds, on_output, cancel=cancel)

    def close(self) -> None:
        """Remove the disk."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _disk_with(self, program: str) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="matrix-disk-"))
        before = self._folder / str(self._images)
        if self._batch.stamps.get(program) == await in_thread(lambda: _stamp(program)):
            return before
        self._batch = await in_thread(lambda: self._gather(program))
        self._images += 1
        image = self._folder / str(self._images)
        await write_image(self._batch.files, image)
        before.unlink(missing_ok=True)
        return image

    def _gather(self, program: str) -> _Batch:
        """That program and, as far as they fit, those that come after it."""
        batch = _Batch()
        batch.add(program)
        after = self.ahead.index(program) + 1 if program in self.ahead else 0
        for other in self.ahead[after:]:
            with suppress(OSError, MissingLibraryError):  # told when its turn comes
                if not batch.add(other):
                    break
        return batch


def _stamp(program: str) -> _Stamp:
    status = os.stat(program)  # noqa: PTH116 - once for each attempt
    return status.st_size, status.st_mtime_ns
