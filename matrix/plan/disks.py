"""Disks that are made for a case: ``{disk:SIZE}`` among QEMU's parameters of embedded guests. Pure.

A case has one at most. It is a raw file in the folder of the attempt, which the QEMUs of all hops
of the guest open, one after the other.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from matrix.migrating import Strategy
from matrix.model import Case, Launch

_DISK = re.compile(r"\{disk:(\d+)([KM])\}")
_UNITS = {"K": 1 << 10, "M": 1 << 20}
WITHOUT_IT = "its disk is a file of the host that it was started on"
"""Why a guest with a disk does not go elsewhere."""


def has_disk(case: Case) -> bool:
    """Whether a disk is made for the case. Only embedded guests ask for one; to others the words
    are their own."""
    return case.build.builtin and disk_size(case.test.qemu_params) > 0


def disk_size(words: Iterable[str]) -> int:
    """Bytes of the disk that these parameters ask for; 0 where they ask for none."""
    found = next(filter(None, map(_DISK.search, words)), None)
    return int(found[1]) * _UNITS[found[2]] if found else 0


def with_disk(launch: Launch, path: str) -> Launch:
    """The command line with the disk's file in it; in options a comma is written twice."""
    named = path.replace(",", ",,")
    return replace(launch, argv=tuple(_DISK.sub(lambda _: named, word) for word in launch.argv))


def disk_in_the_way(case: Case, strategy: Strategy) -> str:
    """Why a guest with a disk cannot be migrated so, in words; empty where it can."""
    if strategy is Strategy.BACKGROUND_SNAPSHOT and has_disk(case):
        return f"strategy {strategy.value!r} takes the guest back to a moment before, not its disk"
    return ""
