"""Disks that are made for a case: ``{disk:SIZE}`` among QEMU's parameters of embedded guests. Pure.

A case has one at most. It is a raw file in the folder of the attempt, which the QEMUs of all hops
of the guest open, one after the other. ``{vhost-user-disk:SIZE}`` stands for the socket of a
process that has the file open in their stead (:mod:`matrix.vhost_user`).
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from matrix.migrating import Strategy
from matrix.model import Case, Launch
from matrix.plan.strategy_settings import RECIPES

_DISK = re.compile(r"\{(?P<kind>disk|vhost-user-disk):(?P<size>\d+)(?P<unit>[KM])\}")
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
    return int(found["size"]) * _UNITS[found["unit"]] if found else 0


def has_backend(case: Case) -> bool:
    """Whether the case's disk is served to QEMU by a process of ours."""
    words = case.test.qemu_params if case.build.builtin else ()
    return any(found["kind"] != "disk" for word in words if (found := _DISK.search(word)))


def with_disk(launch: Launch, path: str) -> Launch:
    """The command line with the disk's file, or socket, in it; in options a comma is written
    twice."""
    named = path.replace(",", ",,")
    return replace(launch, argv=tuple(_DISK.sub(lambda _: named, word) for word in launch.argv))


def disk_in_the_way(case: Case, strategy: Strategy) -> str:
    """Why a guest with a disk cannot be migrated so, in words; empty where it can."""
    if strategy is Strategy.BACKGROUND_SNAPSHOT and has_disk(case):
        return f"strategy {strategy.value!r} takes the guest back to a moment before, not its disk"
    if RECIPES[strategy].postcopy and has_backend(case):
        # Of its protocol that is VHOST_USER_PROTOCOL_F_PAGEFAULT.
        return f"strategy {strategy.value!r}: the process that serves its disk waits for no pages"
    return ""
