"""``matrix debug``: a case's guest, stopped before it runs, with gdb or QEMU's monitor."""

import asyncio
import contextlib
import shlex
import signal
import sys
import tempfile
import termios
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from matrix.attempt import Ending
from matrix.cli.showing import case_named, id_named
from matrix.cli.steps import Steps, say
from matrix.errors import ExitCode, HostError, MonitorError, NothingSelected, UsageError
from matrix.hosts.installations import installations
from matrix.hosts.local.disk_backend import disk_backend
from matrix.hosts.local.launch import make_launch
from matrix.hosts.project import load_settings
from matrix.inventory import Inventory
from matrix.model import Architecture, Case, Launch, Target
from matrix.plan.decisions import LOCAL, Broken, Decision, Run
from matrix.plan.planner import plan
from matrix.results.files import host_errors
from matrix.results.latest import run_named
from matrix.results.plan_file import check_plan
from matrix.results.printable import decoded, printable
from matrix.results.run_record import RunRecord, load_run
from matrix.run.debugger import (
    PROGRAMS,
    debugger_command,
    find_debugger,
    is_big_endian,
    memory_command,
)
from matrix.run.native_tests import native_tests
from matrix.run.options import Selection, with_defaults
from matrix.run.prepare import chosen, look
from matrix.run.rerun import as_started
from matrix.scenario.shipped import scenario_of
from matrix.vm.diagnosis import MEMORY_FILE
from matrix.vm.logs import Logs
from matrix.vm.qemu_session import Session

START_SECONDS = 60.0
"""Until QEMU has answered on its monitor."""
LOG_BYTES = 2**20
UNFINISHED = 0.1
"""Seconds after which a line without an end is shown."""
LONGEST_SOCKET = 107
"""Bytes in the name of a socket (unix(7))."""


@dataclass(frozen=True, slots=True)
class Debugging:
    """What was asked for."""

    words: tuple[str, ...]
    """``[RUN|SCENARIO] CASE``, then options of gdb."""
    gdb: bool = False
    """Attach gdb, or fail."""
    listen: bool = False
    """Attach nothing."""
    monitor: bool = False
    """The terminal is that of QEMU's monitor."""
    core: bool = False
    """Open the memory that was kept of the guest, and start no QEMU."""


Hopping = Callable[[Debugging, Run, Inventory, Path], Coroutine[Any, Any, ExitCode]]


def run_debug(asked: Debugging, selection: Selection, hopping: Hopping) -> ExitCode:
    """Start the guest of a case, stopped, and give the terminal to gdb; QEMU ends with it.

    ``hopping`` does that for a guest that is migrated.

    Raises:
        UsageError: no such case, or several, or one that no debugger can be attached to.
        NothingSelected: the case does not run here.
        HostError: QEMU or gdb cannot be started.
    """
    if asked.core:
        return _open_memory(asked)
    if asked.gdb + asked.listen + asked.monitor > 1:
        raise UsageError(
            "--gdb, --listen and --qemu-monitor: give one; gdb's own command 'monitor' gives QEMU's"
            " monitor a command"
        )
    decision, inventory = planned(asked, selection)
    migrates = decision.case.migration is not None
    if migrates and asked.monitor:
        say("its migration is left out: this monitor is that of one QEMU")
    with tempfile.TemporaryDirectory(prefix="matrix-debug-") as place:
        hops = hopping if migrates and not asked.monitor else None
        return asyncio.run(_start(asked, decision, inventory, Path(place), hops))


async def _start(
    asked: Debugging, decision: Run, inventory: Inventory, place: Path, hopping: Hopping | None
) -> ExitCode:
    """Start the guest in that folder, and migrate it where there is ``hopping``."""
    async with disk_backend(decision.case, place):
        if hopping is not None:
            return await hopping(asked, decision, inventory, place)
        launch = await make_launch(decision, inventory, place)
        return await _debug(asked, decision, launch, place)


def _open_memory(asked: Debugging) -> ExitCode:
    """Have gdb open the memory of a guest of a run."""
    if asked.gdb + asked.listen + asked.monitor or len(words := _names(asked.words)) != 2:
        raise UsageError(
            "--core takes a run and a case of it, as in matrix debug --core latest CASE"
        )
    record = load_run(run_named(Path(words[0])) or Path(words[0]))
    check_plan(record.run, record.info.plan_sha256)
    case = record.decision(case_named(record, words[1])).case
    _tell_of_newer(case, record)
    folders = (record.run.inside(each.artifacts) for each in record.attempts(case.id))
    kept = [each / "diagnosis" / MEMORY_FILE for each in folders if each is not None]
    memory = next((each for each in reversed(kept) if each.is_file()), None)
    if memory is None:
        raise UsageError(
            f"no memory of {printable(case.id)} was kept: that is done of guests that stall, with"
            " 'run: {on_stall: dump}' in their scenario"
        )
    with host_errors("read", memory), memory.open("rb") as file:
        big = file.read(6)[5:] == b"\2"  # EI_DATA
    if big != is_big_endian(case.build):
        say("QEMU wrote its registers in the other byte order; they are in registers.txt beside it")
    found = find_debugger(case.variant.arch)
    command = memory_command(found or PROGRAMS[0], memory, case.build, case.test.image)
    command += gdb_options(asked.words)
    print(f"{printable(case.id)} stalled; the debugger is")
    print(f"  {shlex.join(command)}", flush=True)
    if not found:
        raise no_debugger(case.variant.arch)
    return asyncio.run(attached(command))


def no_debugger(architecture: Architecture) -> HostError:
    """That no gdb is there for it."""
    return HostError(f"no gdb here knows {architecture}: install gdb-multiarch (Debian) or gdb")


# -- which case


def planned(asked: Debugging, selection: Selection) -> tuple[Run, Inventory]:
    """The case that is asked for, as it runs here, and what is here.

    Raises:
        UsageError: no such case, or several, or one that no debugger reaches.
        NothingSelected: it does not run here.
        HostError: what it needs is broken.
    """
    words = _names(asked.words)
    if not 1 <= len(words) <= 2:
        raise UsageError("name a case, or a run or a scenario, and a case of it")
    *where, case = words
    run = run_named(Path(where[0])) if where else None
    if run is not None and (run / "run.json").exists():
        decision, inventory = _of_run(run, case, selection)
    else:
        scenario = where[0] if where else scenario_of(case)
        if not scenario:
            raise UsageError(
                f"{printable(case)} begins with no scenario's name; name its run or its scenario"
                " before it, as in matrix debug latest CASE"
            )
        decision, inventory = _of_scenario(Path(scenario), case, selection)
    name, target = printable(decision.case.id), decision.case.build.target
    if target is not Target.QEMU:
        what = "a program of this host" if target is Target.PROGRAM else "a guest of kvmtool"
        raise UsageError(f"{name} is {what}; matrix debug is for guests of QEMU")
    if isinstance(decision, Broken):
        raise HostError(f"{name}: {printable(decision.reason)}")
    if not isinstance(decision, Run):
        raise NothingSelected(f"{name} does not run here: {printable(decision.reason)}")
    if decision.host != LOCAL:
        raise UsageError(
            f"{name} runs in the host {printable(decision.host)}, where no debugger reaches it;"
            " take the case of its scenario with --accel tcg"
        )
    return decision, inventory


def _names(words: Sequence[str]) -> list[str]:
    """What comes before gdb's options."""
    return list(words[: len(words) - len(gdb_options(words))])


def gdb_options(words: Sequence[str]) -> list[str]:
    """Those of gdb among the words that were given."""
    first = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    return list(words[first:])


def _of_run(run: Path, wanted: str, selection: Selection) -> tuple[Decision, Inventory]:
    """A case as a run has planned it, with that run's QEMUs unless others are given."""
    if replace(selection, qemu=(), host=None, fresh=False) != Selection():
        raise UsageError(
            "a case of a run is as it was planned; beside it only --qemu, --host and --fresh are"
            " taken"
        )
    record = load_run(run)
    check_plan(record.run, record.info.plan_sha256)
    decision = record.decision(case_named(record, wanted))
    _tell_of_newer(decision.case, record)
    kept = record.info.options.get("qemu")
    qemu = selection.qemu or tuple(
        as_started(str(each), record.info.options)
        for each in (kept if isinstance(kept, list) else ())
    )
    installed = installations(qemu, load_settings(selection.host))
    return decision, look(
        [decision.case] if isinstance(decision, Run) else [],
        installed,
        fresh=selection.fresh,
        on_step=Steps(),
    )


def _tell_of_newer(case: Case, record: RunRecord) -> None:
    """Say if the image was built after the run."""
    with contextlib.suppress(OSError, ValueError):  # what is not there is told later
        built = Path(case.test.image).stat().st_mtime
        if built > datetime.fromisoformat(record.info.started).timestamp():
            say(f"{printable(case.test.image)} is newer than the run: a guest with other symbols")


def _of_scenario(scenario: Path, wanted: str, selection: Selection) -> tuple[Decision, Inventory]:
    settings = load_settings(selection.host)
    selection = with_defaults(replace(selection, scenarios=(scenario,)), settings.defaults)
    scenarios, cases = chosen(selection, settings)
    name = id_named([case.id for case in cases], wanted, f"matrix list {scenario}")
    (case,) = (case for case in cases if case.id == name)
    installed = installations(selection.qemu, settings)
    inventory = look([case], installed, fresh=selection.fresh, on_step=Steps())
    ours = [case] if scenarios[0].suite.max_smp is None else []
    (decision,) = plan([case], {LOCAL: inventory}, native_tests(ours, [inventory]))
    return decision, inventory


# -- its guest


async def _debug(asked: Debugging, decision: Run, launch: Launch, place: Path) -> ExitCode:
    case = decision.case
    if case.build.efi:
        say("no symbols and no breakpoints: where its image is loaded, only the firmware knows")

    def command(program: str, socket: Path) -> list[str]:
        words = (case.build, case.test.image, decision.accelerator)
        return debugger_command(program, socket, *words)

    return await attach(asked, case.variant.arch, case.id, launch, place, command)


async def attach(
    asked: Debugging,
    architecture: Architecture,
    case_id: str,
    launch: Launch,
    place: Path,
    command_of: Callable[[str, Path], list[str]],
) -> ExitCode:
    """Start a QEMU, stopped, and give the terminal to gdb; QEMU ends with it.

    Args:
        asked: with what, and further options of gdb.
        architecture: of the guest.
        case_id: what it is called.
        launch: the QEMU.
        place: a folder that only the user can enter, for gdb's socket.
        command_of: gdb's command line, by its path and the socket's.

    Raises:
        HostError: QEMU or gdb cannot be started.
    """
    socket = socket_in(place)
    stub = f"unix:{str(socket).replace(',', ',,')},server=on,wait=off"
    failures: list[Exception] = []
    console = Console()
    session = Session(place, console.write, lambda _: Logs(place, LOG_BYTES), failures.append)
    found = "" if asked.listen else await asyncio.to_thread(find_debugger, architecture)
    try:
        await session.start(replace(launch, argv=(*launch.argv, "-gdb", stub)))
        failed = await session.connect(START_SECONDS)
        if failed is not None:
            raise HostError(f"QEMU could not be started: {failed.reason}")
        command = command_of(found or PROGRAMS[0], socket) + gdb_options(asked.words)
        print(f"{printable(case_id)} is stopped before its first instruction; the debugger is")
        print(f"  {shlex.join(command)}", flush=True)
        if asked.monitor:
            await _monitor(session)
        elif found:
            return await attached(command)
        elif asked.gdb:
            raise no_debugger(architecture)
        ended = await session.over()
        why = f": {ended.reason}" if ended.ending is Ending.KILLED else ""  # also by a crash
        print(printable(f"QEMU has ended{why}"))
        return ExitCode.OK
    finally:
        await session.close()
        console.flush()
        if failures:
            raise failures[0]


def socket_in(place: Path) -> Path:
    """The path of gdb's socket in that folder.

    Raises:
        HostError: it is too long.
    """
    socket = place / "gdb.sock"
    if len(str(socket).encode()) > LONGEST_SOCKET:
        raise HostError(f"{socket} is too long for a socket's name; set TMPDIR to a shorter folder")
    return socket


class Console:
    """The guest's output, safe for a terminal, and not mixed with gdb's within a line."""

    def __init__(self) -> None:
        self._rest = b""
        self._timer: asyncio.TimerHandle | None = None

    def write(self, data: bytes) -> None:
        """Show all whole lines, and what is left if nothing more of that line comes."""
        if self._timer is not None:
            self._timer.cancel()
        lines, newline, self._rest = (self._rest + data).rpartition(b"\n")
        self._show(lines + newline)
        if self._rest:
            self._timer = asyncio.get_running_loop().call_later(UNFINISHED, self.flush)

    def flush(self) -> None:
        """Show a line that is not finished."""
        self._show(self._rest)
        self._rest = b""

    def _show(self, data: bytes) -> None:
        sys.stdout.write(decoded(data))
        sys.stdout.flush()


async def attached(command: Sequence[str]) -> ExitCode:
    """gdb, to which the terminal belongs until it ends, its Ctrl-C too.

    Raises:
        HostError: it ends with a status.
    """
    with _terminal(), _interrupts_not():
        # In our own session and process group, unlike what matrix.vm.process starts: else it could
        # not read from the terminal.
        process = await asyncio.create_subprocess_exec(*command)
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
    if status:
        raise HostError(f"gdb has ended with status {status}")
    return ExitCode.OK


@contextlib.contextmanager
def _interrupts_not() -> Iterator[None]:
    """Leave Ctrl-C to gdb; what else ends us still does (:mod:`matrix.__main__`)."""
    loop, interrupt = asyncio.get_running_loop(), signal.getsignal(signal.SIGINT)
    if not callable(interrupt):  # ignored
        yield
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if callable(signal.getsignal(number)):
            signal.signal(number, interrupt)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, interrupt)


@contextlib.contextmanager
def _terminal() -> Iterator[None]:
    """Restore what a program that was killed may have left of the terminal's settings."""
    try:
        settings = termios.tcgetattr(sys.stdin)
    except (OSError, ValueError, termios.error):  # none
        yield
        return
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, settings)


async def _monitor(session: Session) -> None:
    """Give QEMU's monitor the lines of standard input until these, or QEMU, end."""
    over = asyncio.ensure_future(session.over())
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        while True:
            line = sys.stdin.readline()
            with contextlib.suppress(RuntimeError):  # QEMU has ended, and the loop was closed
                loop.call_soon_threadsafe(lines.put_nowait, line)
            if not line:
                return

    # None of the pool's: those are waited for at the end, and this one waits for a line.
    threading.Thread(target=read, daemon=True).start()
    while True:
        print("(qemu) ", end="", flush=True)
        given = asyncio.ensure_future(lines.get())
        await asyncio.wait((over, given), return_when=asyncio.FIRST_COMPLETED)
        if over.done():
            given.cancel()
            print()
            return
        if not (line := given.result()):
            print()
            await session.stop(politely=True)
        elif line.strip() and session.monitor is not None:
            try:
                print(await session.monitor.human(line.strip()), end="")
            except MonitorError as error:
                if not session.monitor.alive:  # as by "quit"
                    await over
                    return
                print(printable(str(error)))
