"""Known QEMU bugs by which a migrated guest may have failed. Pure.

No binary reports its bugs, so these go by versions, and only explain: the failure of a migrated
guest stays a failure.
"""

import re

from matrix.inventory import Binary, Inventory
from matrix.model import Accelerator, Architecture
from matrix.plan.command import machine_of, needs_of
from matrix.plan.decisions import Run
from matrix.plan.emulators import emulator_architecture

DIRTY_LOG_FIXED = (9, 0, 0)
"""QEMU's "physmem: Fix migration dirty bitmap coherency with TCG memory access"."""
DIRTY_LOG_CHUNK = 256 << 10
"""Bytes of the dirty log that are cleared at a time; memory that is no multiple of it is looked at
page by page, and nothing is lost (seen with 7.2)."""
INTERRUPTS_FIXED = (9, 1, 0)
"""``migrate-all-state`` of QEMU's ``qemu-s390-flic``, which is off in machines before 9.1, whatever
the QEMU (seen with ``info qtree`` in 10.0.2 and 11.1.3)."""

CONDITION_CODE = (
    "s390x guests under TCG may have lost the condition code that they had at a switchover:"
    " a known fault of QEMU's"
)
"""It is not in the stream: findings/a-migration-loses-the-condition-code-of-s390x.sh. So it is with
7.2, 10.0 and 11.1; the source of 10.2 is no better."""


def known_qemu_bugs(decision: Run, inventory: Inventory) -> str:
    """What the QEMUs of a migrated case may have lost of its guest, in words; empty for nothing."""
    case = decision.case
    if case.migration is None or decision.accelerator is not Accelerator.TCG:
        return ""
    emulator = emulator_architecture(case.variant.arch, Accelerator.TCG, inventory)
    names = dict.fromkeys((case.variant.qemu, *case.migration.destinations))
    binaries = [
        binary for name in names if (binary := inventory.binary(name, emulator)) is not None
    ]
    bugs = []
    if case.variant.arch is Architecture.S390X:
        what = "interrupts that are pending, so that it sleeps on"
        machine = machine_of(case).partition(",")[0]
        version = tuple(map(int, re.findall(r"\d+", machine.rpartition("-")[2])))
        if version and version < INTERRUPTS_FIXED[:2]:
            bugs += _told([f"machine {machine}"], INTERRUPTS_FIXED, what)
        else:
            bugs += _of(binaries, INTERRUPTS_FIXED, what)
        bugs.append(CONDITION_CODE)
    if needs_of(case).guest_memory % DIRTY_LOG_CHUNK == 0:
        bugs += _of(binaries, DIRTY_LOG_FIXED, "some of what it writes meanwhile")
    return "; ".join(bugs)


def _of(binaries: list[Binary], fixed: tuple[int, int, int], what: str) -> list[str]:
    return _told([_name(binary) for binary in binaries if binary.version < fixed], fixed, what)


def _told(affected: list[str], fixed: tuple[int, int, int], what: str) -> list[str]:
    if not affected:
        return []
    since = ".".join(map(str, fixed[:2]))
    told = f"{' and '.join(affected)}, as all before {since} under TCG, may have lost {what}"
    return [f"{told}: a known fault of QEMU's"]


def _name(binary: Binary) -> str:
    return f"QEMU {'.'.join(map(str, binary.version))}"
