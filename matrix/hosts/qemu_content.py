"""What a QEMU is made of, by content: program, libraries, and the firmware that comes with it."""

import asyncio
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from matrix.errors import MatrixError
from matrix.hosts.cache import Cache
from matrix.hosts.digests import Digests, SharedFiles
from matrix.hosts.survey import files_of
from matrix.inventory import Binary
from matrix.plan.inputs import value_of
from matrix.vm.tool import run_tool

HELP_SECONDS = 30.0
"""For a QEMU that prints its data folders and ends: 0.05 is usual."""
DEEPEST = 4
"""Folders below a data folder that are looked into."""


@dataclass(frozen=True, slots=True)
class QemuContent:
    """One emulator: digests of its parts, and the files that they are of as they were."""

    qemu: str
    libraries: str
    firmware: str
    files: SharedFiles


class QemuContents:
    """The emulators of a run. Its answers are kept with those of QEMU."""

    def __init__(self, cache: Cache, host_key: str, digests: Digests) -> None:
        """``host_key`` as :class:`matrix.hosts.host_facts.HostState` has it."""
        self._cache = cache
        self._host_key = host_key
        self._digests = digests
        self._known: dict[str, QemuContent] = {}

    async def learn(self, binaries: Iterable[Binary]) -> None:
        """Find out about these. Nothing is known later of one that cannot be read, that does not
        say where its firmware is, or whose files the inventory could not keep."""
        slots = asyncio.Semaphore(os.cpu_count() or 1)
        async with asyncio.TaskGroup() as tasks:
            for path in {binary.path for binary in binaries}:
                tasks.create_task(self._learn(path, slots))

    def of(self, binary: Binary) -> QemuContent | None:
        """What is known of an emulator; None for nothing."""
        return self._known.get(binary.path)

    async def _learn(self, path: str, slots: asyncio.Semaphore) -> None:
        files = files_of(path, self._host_key, self._cache)
        if files is None:
            return
        try:
            there, parts = self._parts(files)
            libraries = sorted(each for each in parts if ".so" in each[0])
            programs = sorted(each for each in parts if ".so" not in each[0])
            made_of = value_of(programs, libraries)
            async with slots:
                folders = await self._data_folders(path, made_of)
            data = [each for folder in folders for each in _files_below(folder, DEEPEST)]
            firmware = sorted((Path(each).name, self._digests.of(each)) for each in data)
        except (OSError, ValueError, MatrixError):
            return
        self._known[path] = QemuContent(
            value_of(programs),
            value_of(libraries),
            value_of(firmware),
            SharedFiles(self._digests.states((*there, *data))),
        )

    def _parts(self, files: Iterable[str]) -> tuple[list[str], list[tuple[str, str]]]:
        """Those of the files that are there, for a script may name others; their digests."""
        there = [each for each in files if os.path.lexists(each)]
        return there, [(Path(each).name, self._digests.of(each)) for each in there]

    async def _data_folders(self, path: str, made_of: str) -> list[str]:
        """Where an emulator looks for firmware, as it says (``-L help``).

        Raises:
            OSError: it does not say.
        """
        name = f"data folders {path}"
        known = self._cache.read(name, made_of, lambda value: [str(each) for each in value])
        if known is not None:
            return known
        told = await run_tool((path, "-L", "help"), HELP_SECONDS)
        if told.status != 0:
            raise OSError(f"{path} -L help fails")
        folders = told.output.decode("utf-8", "surrogateescape").splitlines()
        self._cache.write(name, made_of, folders)
        return folders


def _files_below(folder: str, depth: int) -> Iterator[str]:
    """Regular files in a folder and those in it, in order; none of what is not there."""
    try:
        with os.scandir(folder) as entries:
            every = sorted(entries, key=lambda each: each.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in every:
        if entry.is_file():
            yield entry.path
        elif depth and entry.is_dir():
            yield from _files_below(entry.path, depth - 1)
