"""A life of a guest that QEMU can repeat exactly: ``-icount`` with record and replay.

QEMU counts instructions, and writes all that comes from outside (time, input) into a file with the
instruction at which it came; so it records one vCPU under TCG alone (docs/system/replay.rst). A
snapshot of the begin, in a disk that the guest does not see, is what gdb's reverse commands go back
to.

What is recorded begins with a snapshot that is loaded, too (:data:`FIRST`). A replay loads one, and
a device may do more then than when it is new: virtio-serial sets a timer (seen in 7.2 and 10.0), of
which the recording of a new guest knows nothing, and cannot be replayed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, assert_never

from matrix.errors import UsageError
from matrix.model import Accelerator, Architecture, Launch
from matrix.plan.decisions import Run
from matrix.results.files import read_bounded, shown, write_bytes

FORMAT = 1
ABOUT_FILE, EVENTS_FILE, DISK_FILE = "recording.json", "replay.bin", "snapshot.qcow2"
LARGEST = 1 << 20
"""Bytes of ``recording.json``."""
FIRST, SNAPSHOT = "first", "begin"
SLOWER = 10
"""How many times the time limits hold: counting instructions takes time."""


REPLAYED_SINCE = {
    Architecture.PPC64: (10, 0),
    Architecture.RISCV64: (10, 0),
    Architecture.RISCV32: (10, 0),
    Architecture.S390X: (10, 0),
}
"""The QEMUs in which replays of other guests than those of x86 and Arm were seen to come to the
failure, and to go back from it; with 7.2 they stop before it, or do not go back."""


NEVER_REPLAYED = (Architecture.MIPS64EL,)
"""Of the machine malta QEMU 7.2 misses character write events in its own log, and 10.0 and 11.1 end
as soon as the guest goes on."""


class Mode(StrEnum):
    """What a QEMU is started for: ``-icount`` calls them so, but the first."""

    PREPARE = "prepare"
    """To save :data:`FIRST`, before its guest has run."""
    RECORD = "record"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class Recording:
    """``recording.json``: what QEMU was started with, and what came of it."""

    case: str
    architecture: str
    argv: tuple[str, ...]
    """Without what records or replays."""
    environment: tuple[tuple[str, str], ...]
    debugger: tuple[str, ...]
    """gdb's command line behind its name, as far as the socket's name is not in it."""
    verdict: str
    reason: str
    format: int = FORMAT


def why_not(decision: Run, version: tuple[int, ...]) -> str:
    """Why a case cannot be recorded with a QEMU of that version, in words; empty where it can."""
    case = decision.case
    if case.migration is not None:
        return "its guest is migrated, and a recording is of one QEMU"
    if decision.accelerator is not Accelerator.TCG:
        return "it runs under KVM, which counts no instructions; add --accel tcg"
    if decision.vcpus != 1:
        return f"it has {decision.vcpus} vCPUs, and QEMU records one; add --set smp=1 if it allows"
    if case.build.efi:
        return "it boots by EFI firmware, whose flash memory a recording does not hold"
    architecture = case.variant.arch
    if architecture in NEVER_REPLAYED:
        return f"QEMU does not replay {architecture} guests: it misses events in its own recording"
    if version < (since := REPLAYED_SINCE.get(architecture, (0,))):
        known = ".".join(map(str, since))
        return (
            f"a QEMU older than {known} does not replay {architecture} guests up to where they"
            f" fail; take one of {known} or later, as with --qemu NAME=DIR --set qemu=NAME"
        )
    return ""


def launch_in(folder: Path, mode: Mode, launch: Launch) -> Launch:
    """The command line that prepares a folder, records into it, or replays what is there."""
    events, disk = (
        str(folder.absolute() / name).replace(",", ",,") for name in (EVENTS_FILE, DISK_FILE)
    )
    more = ["-drive", f"file={disk},if=none,id=matrix-snapshot,format=qcow2", "-icount"]
    match mode:
        case Mode.PREPARE:
            more.append("shift=auto")
        case Mode.RECORD | Mode.REPLAY:
            more.append(f"shift=auto,rr={mode.value},rrfile={events},rrsnapshot={SNAPSHOT}")
        case _:
            assert_never(mode)
    if mode is Mode.RECORD:  # a replay loads what the recording has saved
        more += ["-loadvm", FIRST]
    return Launch((*launch.argv, *more), launch.channel, launch.environment)


def write_recording(folder: Path, recording: Recording) -> None:
    """Write ``recording.json``. Raises HostError."""
    data = json.dumps(asdict(recording), indent=2).encode("utf-8", "backslashreplace")
    write_bytes(folder / ABOUT_FILE, data + b"\n")


def read_recording(folder: Path) -> Recording:
    """What a folder has a recording of.

    Raises:
        UsageError: it has none, or one of another version.
        HostError: it cannot be read.
    """
    path = folder / ABOUT_FILE
    try:
        plain: Any = json.loads(read_bounded(path, LARGEST))
    except ValueError:
        plain = None
    if not isinstance(plain, Mapping) or plain.get("format") != FORMAT:
        raise UsageError(f"{shown(path)} is no recording that this version can read")
    try:
        return Recording(
            case=str(plain["case"]),
            architecture=str(plain["architecture"]),
            argv=_texts(plain["argv"]),
            environment=tuple((str(name), str(value)) for name, value in plain["environment"]),
            debugger=_texts(plain["debugger"]),
            verdict=str(plain["verdict"]),
            reason=str(plain["reason"]),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise UsageError(f"{shown(path)} is no recording: {error}") from None


def _texts(given: Sequence[object]) -> tuple[str, ...]:
    return tuple(str(each) for each in given)
