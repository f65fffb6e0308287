"""``matrix debug --record DIR`` and ``--replay DIR``: a guest's life, kept and repeated exactly."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from matrix.attempt import Attempt
from matrix.cli.debugging import LOG_BYTES, START_SECONDS, Debugging, attach, planned
from matrix.errors import ExitCode, HostError, MonitorError, UsageError
from matrix.explore.empty_disk import empty_image
from matrix.hosts.local.launch import binary_of, make_launch
from matrix.inventory import Inventory
from matrix.model import Architecture, ExitChannel, Launch
from matrix.plan.command import stall_limit, time_limit
from matrix.plan.decisions import Run
from matrix.results.files import host_errors, write_bytes
from matrix.results.printable import decoded, printable
from matrix.run.debugger import PROGRAMS, debugger_command
from matrix.run.options import Selection
from matrix.run.recording import (
    DISK_FILE,
    EVENTS_FILE,
    FIRST,
    SLOWER,
    Mode,
    Recording,
    launch_in,
    read_recording,
    why_not,
    write_recording,
)
from matrix.suites.registry import suite_of
from matrix.verdict.deciding import Evidence, decide_attempt
from matrix.vm.logs import Logs
from matrix.vm.machine import Limits, run_guest
from matrix.vm.qemu_session import Session

SOCKET = Path("{socket}")
"""Stands in a recording for the name of gdb's socket."""


def run_recorded(
    asked: Debugging, selection: Selection, record: Path | None, replay: Path | None
) -> ExitCode:
    """Record into a folder, or replay what is in one. Raises as the two."""
    if record is not None and replay is not None:
        raise UsageError("--record and --replay: give one of the two")
    if record is not None:
        if asked.gdb + asked.listen + asked.monitor + asked.core:
            raise UsageError("--record runs the case alone; gdb comes with --replay")
        return run_record(asked, selection, record)
    if replay is None or asked.core or selection != Selection():
        raise UsageError(
            "--replay takes its folder, --gdb, --listen or --qemu-monitor, and gdb's options"
            " behind --"
        )
    if any(not word.startswith("-") for word in asked.words[:1]):
        raise UsageError(f"--replay {replay}: its case is the one that was recorded; name none")
    return run_replay(asked, replay)


def run_record(asked: Debugging, selection: Selection, folder: Path) -> ExitCode:
    """Run a case once, to its end, so that it can be replayed; print what it came to.

    Raises:
        UsageError: no such case, or one that QEMU cannot record.
        NothingSelected: it does not run here.
        HostError: the folder is there already, or cannot be written; QEMU cannot be started.
    """
    decision, inventory = planned(asked, selection)
    name = printable(decision.case.id)
    if why := why_not(decision, binary_of(decision, inventory).version):
        raise UsageError(f"{name} cannot be recorded: {why}")
    with host_errors("create", folder):
        folder.mkdir(parents=True)
        folder.chmod(0o700)
    try:
        attempt = asyncio.run(_recorded(decision, inventory, folder))
    except BaseException:  # also Ctrl-C: what is not whole cannot be replayed
        shutil.rmtree(folder, ignore_errors=True)
        raise
    print(f"{name}: {attempt.verdict.value}" + (f", {attempt.reason}" if attempt.reason else ""))
    print(f"Recorded in {folder}; matrix debug --replay {folder} repeats it")
    return ExitCode.OK if attempt.verdict.good else ExitCode.NOT_PASSED


async def _recorded(decision: Run, inventory: Inventory, folder: Path) -> Attempt:
    case = decision.case
    launch = await make_launch(decision, inventory, folder)
    write_bytes(folder / DISK_FILE, empty_image())
    await _prepare(launch_in(folder, Mode.PREPARE, launch))
    parser = suite_of(case.suite).parser()

    def printed(data: bytes) -> None:
        parser.feed(data)
        sys.stdout.write(decoded(data))
        sys.stdout.flush()

    outcome = await run_guest(
        launch_in(folder, Mode.RECORD, launch),
        folder,
        Limits(timeout=SLOWER * time_limit(case), stall=SLOWER * stall_limit(case)),
        on_console=printed,
    )
    evidence = Evidence(
        *(decision, launch, outcome, parser.finish(), None, inventory, folder),
        starts_nothing=_unknown,
    )
    attempt = await decide_attempt(evidence)
    command = debugger_command(
        PROGRAMS[0], SOCKET, case.build, case.test.image, decision.accelerator
    )
    write_recording(
        folder,
        Recording(
            case=case.id,
            architecture=case.variant.arch.value,
            argv=launch.argv,
            environment=launch.environment,
            debugger=tuple(command[1:]),
            verdict=attempt.verdict.value,
            reason=attempt.reason,
        ),
    )
    return attempt


async def _prepare(launch: Launch) -> None:
    """Save the guest before it has run.

    Raises:
        HostError: QEMU cannot be started, or cannot save it.
    """
    failures: list[Exception] = []
    with tempfile.TemporaryDirectory(prefix="matrix-debug-") as name:
        place = Path(name)
        session = Session(place, lambda _: None, lambda _: Logs(place, LOG_BYTES), failures.append)
        try:
            await session.start(launch)
            failed = await session.connect(START_SECONDS)
            if failed is not None or session.monitor is None:
                raise HostError(f"QEMU could not be started: {failed and failed.reason}")
            if said := (await session.monitor.human(f"savevm {FIRST}")).strip():
                raise HostError(f"QEMU cannot save the guest: {printable(said)}")
        except MonitorError as error:
            raise HostError(f"QEMU cannot save the guest: {printable(str(error))}") from None
        finally:
            await session.close()


async def _unknown(_: Run) -> str:
    return ""


def run_replay(asked: Debugging, folder: Path) -> ExitCode:
    """Start what was recorded once more, stopped, with gdb; it does the same, and gdb's reverse
    commands go back in it.

    Raises:
        UsageError: there is no recording.
        HostError: QEMU or gdb cannot be started.
    """
    recording = read_recording(folder)
    for name in (EVENTS_FILE, DISK_FILE):
        with host_errors("read", folder / name), (folder / name).open("rb"):
            pass
    try:
        architecture = Architecture(recording.architecture)
    except ValueError:
        raise UsageError(f"{folder}: no architecture {recording.architecture!r}") from None
    launch = launch_in(
        folder,
        Mode.REPLAY,
        Launch(recording.argv, ExitChannel.QEMU_EXIT, recording.environment),
    )
    why = f": {printable(recording.reason)}" if recording.reason else ""
    print(f"{printable(recording.case)} came to {printable(recording.verdict)}{why}")
    with tempfile.TemporaryDirectory(prefix="matrix-debug-") as place:
        return asyncio.run(
            attach(
                *(asked, architecture, recording.case, launch, Path(place)),
                lambda program, socket: _command(recording.debugger, program, socket),
            )
        )


def _command(words: Sequence[str], program: str, socket: Path) -> list[str]:
    return [program, *(word.replace(str(SOCKET), str(socket)) for word in words)]
