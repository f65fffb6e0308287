"""A virtual KVM host as a host of a run, and how it runs an attempt of a case."""

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix.attempt import Attempt, Ending, Outcome, Transcript
from matrix.errors import HostError, HostLostError, HostUnfitError, UsageError
from matrix.hosts.contents import Contents, with_paths
from matrix.hosts.interface import Assignment, Console, Ended, HopDone
from matrix.hosts.virtual.kernel_log import Report, console_report, first_report, missed
from matrix.hosts.virtual.l1_guest import ProgramResult, VirtualGuest
from matrix.hosts.virtual.migrated_host import run_migrated
from matrix.hosts.virtual.nested_kvmtool import NestedKvmtool
from matrix.hosts.virtual.nested_qemu import NestedQemu, nested_outcome
from matrix.hosts.virtual.programs import Programs, launch_there
from matrix.hosts.virtual.starter import SYSTEM, Starter
from matrix.hosts.virtual.vmm import outcome_of, run_case, runs_in_vmm, words_of
from matrix.inventory import Inventory
from matrix.model import Case, ExitChannel, Launch, Target
from matrix.plan.command import time_limit
from matrix.plan.decisions import Run
from matrix.plan.program import launch_program
from matrix.plan.schedule import Capacity
from matrix.results.directory import RunDirectory
from matrix.suites.registry import suite_of
from matrix.verdict.deciding import Evidence, decide_attempt
from matrix.verdict.host_faults import apply_host_fault
from matrix.verdicts import SkipCause, Verdict
from matrix.vm.console import BoundedLog, Tail
from matrix.vm.tasks import first_of, in_thread

LOGS = "hosts"
"""Folder of the run directory with the logs of virtual hosts."""
LOG_BYTES = 16 << 20
MEMORY = 8 << 30
"""What is planned with at a time, bytes; a host runs one guest at a time."""

Emit = Callable[[Console | HopDone], None]


@dataclass(slots=True)
class Room:
    """Which virtual hosts of a run live; more than it has room for only while all have work."""

    most: int = 1
    _living: "dict[VirtualExecutor, None]" = field(default_factory=dict)

    async def enter(self, executor: "VirtualExecutor") -> None:
        """Make room for one that is about to start, by ending those that were idle the longest."""
        self._living.pop(executor, None)
        idle = [each for each in self._living if each.idle]
        self._living[executor] = None
        for each in idle[: max(0, len(self._living) - self.most)]:
            del self._living[each]
            await each.rest()


def copy_name(name: str, copy: int) -> str:
    """Of one of several hosts of a kind, of which the first is ``name``."""
    return name if copy == 1 else f"{name}~{copy}"


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """A virtual host of one kind; it is started anew when it is needed again."""

    starter: Starter
    inventory: Inventory
    """Of this machine: the host's QEMU is in it."""
    capacity: Capacity = field(default_factory=lambda: Capacity(1, MEMORY, jobs=1))
    programs: tuple[str, ...] = ()
    """Those of this machine that are to run there, in their order."""
    room: Room = field(default_factory=Room)
    """Of all virtual hosts of a run."""
    copy: int = 1
    """Which one of several of its kind."""

    @property
    def name(self) -> str:
        """See :class:`matrix.hosts.interface.Host`."""
        return copy_name(self.starter.name, self.copy)

    @asynccontextmanager
    async def open(self, run: Path, contents: Contents) -> AsyncIterator["VirtualExecutor"]:
        """See :class:`matrix.hosts.interface.Host`."""
        executor = VirtualExecutor(self, RunDirectory(run), contents)
        try:
            yield executor
        finally:
            await executor.close()


@dataclass(slots=True)
class _Underway:
    turn: asyncio.Event
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


class VirtualExecutor:
    """Runs cases in a virtual host, which is started with the first and replaced when needed."""

    def __init__(self, host: VirtualHost, run: RunDirectory, contents: Contents) -> None:
        """Runs cases of ``run`` on ``host``."""
        self._host = host
        self._run = run
        self._contents = contents
        self._underway: dict[str, _Underway] = {}
        self._stack = AsyncExitStack()
        self._guest: VirtualGuest | None = None
        self._started = 0
        self._unfit: HostUnfitError | None = None
        self._one_at_a_time = asyncio.Lock()
        self._programs = Programs(host.programs)
        starter = host.starter
        packages = starter.folder / "debian"
        arch, devices = starter.settings.architecture, starter.settings.devices
        self._nested = NestedQemu(arch, packages, starter.on_step, devices)
        self._kvmtool = NestedKvmtool(starter.settings.kvmtool, self._programs)

    def release(self, token: str) -> None:
        """See :class:`matrix.hosts.interface.Executor`."""
        if token in self._underway:
            self._underway[token].turn.set()

    def cancel(self, token: str) -> None:
        """See :class:`matrix.hosts.interface.Executor`."""
        if token in self._underway:
            self._underway[token].cancelled.set()
            self._underway[token].turn.set()

    async def execute(self, assignment: Assignment, emit: Emit) -> Ended:
        """See :class:`matrix.hosts.interface.Executor`."""
        underway = _Underway(asyncio.Event())
        if not assignment.held:
            underway.turn.set()
        self._underway[assignment.token] = underway
        try:
            await underway.turn.wait()
            async with self._one_at_a_time:
                if underway.cancelled.is_set():
                    return Ended(None)
                return Ended(await self._attempt(assignment, emit, underway.cancelled))
        finally:
            del self._underway[assignment.token]

    @property
    def idle(self) -> bool:
        """Whether it has nothing to run."""
        return not self._underway

    async def rest(self) -> None:
        """End the host where it is idle; the next case gets a new one."""
        async with self._one_at_a_time:
            if self.idle:
                await self._end()

    async def close(self) -> None:
        """End the host."""
        await self._end()
        await in_thread(self._programs.close)

    async def _end(self) -> None:
        """End the host; the next case gets a new one."""
        stack, self._stack, self._guest = self._stack, AsyncExitStack(), None
        await stack.aclose()

    async def _running(self) -> VirtualGuest:
        """The host, started where it is not.

        Raises:
            HostUnfitError: it cannot be what was asked for.
            HostLostError: it does not come up.
        """
        if self._unfit is not None:
            raise self._unfit
        await self._host.room.enter(self)
        if self._guest is None:
            logs = self._new_logs()
            try:
                start = self._host.starter.start(logs)
                self._guest = await self._stack.enter_async_context(start)
            except HostUnfitError as error:
                self._unfit = error
                raise
            except HostLostError:
                raise
            except (HostError, UsageError) as error:
                raise HostLostError(str(error)) from error
        return self._guest

    def _new_logs(self) -> Path:
        """Where the next host's logs go; a run that is resumed has those of its hosts before."""
        while True:
            self._started += 1
            logs = self._run.path / LOGS / f"{self._host.name}-{self._started}"
            if not logs.exists():
                return logs

    async def _running_unless(self, cancelled: asyncio.Event) -> VirtualGuest | None:
        """The host, as :meth:`_running`; None where the case was cancelled before it came up."""

        async def stopped() -> None:
            await cancelled.wait()

        never: asyncio.Future[VirtualGuest | None] = asyncio.get_running_loop().create_future()
        return await first_of(never, self._running(), stopped())

    async def _attempt(
        self, assignment: Assignment, emit: Emit, cancelled: asyncio.Event
    ) -> Attempt | None:
        directory = self._run.path / assignment.folder
        decision = with_paths(assignment.decision, self._contents.path)
        case = decision.case
        try:
            guest = await self._running_unless(cancelled)
        except HostUnfitError as error:
            return _skipped(str(error), assignment)
        if guest is None:
            return None
        if case.migration is not None:
            return await self._migrated(assignment, decision, emit, cancelled)
        parser, tail = suite_of(case.suite).parser(), Tail()
        log = BoundedLog(directory / "console.log", LOG_BYTES)

        def printed(data: bytes) -> None:
            log.write(data)
            tail.write(data)
            parser.feed(data)
            emit(Console(data.decode("latin-1")))

        try:
            run = self._how(case)
            result = await run(guest, case, time_limit(case, decision.limit), printed, cancelled)
        except HostLostError as error:
            result = ProgramResult(None, str(error), "", ())
        except OSError as error:
            raise HostError(f"{assignment.token}: {error}") from error
        finally:
            log.close()
        outcome = _outcome(case, result, tail)
        report = first_report(result.records) or console_report(result.console)
        await in_thread(lambda: _keep_log(directory, result))
        if result.lost or report is not None:
            await self._end()
        if outcome.ending is Ending.INTERRUPTED:
            return None
        command = self._run.write_command(directory, self._again(case), case.id)
        attempt = await self._decided(decision, outcome, parser.finish(), directory, assignment)
        attempt = replace(attempt, command=self._run.relative(command))
        where = await self._place_of_fault(guest, report, directory)
        return _with_faults(attempt, result, report, decision, where)

    async def _place_of_fault(
        self, guest: VirtualGuest, report: Report | None, directory: Path
    ) -> str:
        """Where in the kernel's source it is; empty where that is not known."""
        if report is None:
            return ""
        release = guest.ready.release if guest.ready is not None else ""
        return await self._host.starter.fault_place(report.trace, release, directory)

    async def _migrated(
        self, assignment: Assignment, decision: Run, emit: Emit, cancelled: asyncio.Event
    ) -> Attempt | None:
        """As :meth:`_attempt`, now that a host of this kind has shown that it has KVM."""
        await self._end()
        host = self._host
        return await run_migrated(
            host.starter, host.inventory, self._run, assignment, decision, emit, cancelled
        )

    def _again(self, case: Case) -> Launch:
        """What runs the guest again by hand: a host of its own is told to."""
        starter = self._host.starter
        python, host = map(shlex.quote, (sys.executable, starter.settings.option))
        if starter.binary.qemu != SYSTEM:
            folder = Path(starter.binary.path).parent
            host += f" --qemu {shlex.quote(f'{starter.binary.qemu}={folder}')}"
        words: tuple[str, ...] = ("guest", case.test.name)
        if not runs_in_vmm(case):
            words = ("qemu", *self._nested.launch(case).argv[1:])
        if case.build.target is Target.KVMTOOL:
            words = ("run", *self._kvmtool.launch(case, {}).argv)
        if _is_program(case):
            words = ("run", *launch_program(case).argv)
        line = f"echo {shlex.quote(shlex.join(words))} | {python} -m matrix host shell {host}"
        return Launch(("sh", "-c", line), ExitChannel.CONSOLE, monitor=False)

    def _how(self, case: Case) -> Callable[..., Awaitable[ProgramResult]]:
        """What runs a case in the host."""
        if _is_program(case):
            return self._programs.run
        if case.build.target is Target.KVMTOOL:
            return self._kvmtool.run
        return run_case if runs_in_vmm(case) else self._nested.run

    def _launch(self, decision: Run) -> Launch:
        if _is_program(decision.case):
            return launch_there(decision.case)
        if decision.case.build.target is Target.KVMTOOL:
            return self._kvmtool.launch(decision.case, {})
        if not runs_in_vmm(decision.case):
            return self._nested.launch(decision.case)
        words = words_of(decision.case, decision.case.test.image)
        return Launch(words, ExitChannel.CONSOLE, program="the VMM", monitor=False)

    async def _decided(
        self,
        decision: Run,
        outcome: Outcome,
        transcript: Transcript,
        directory: Path,
        assignment: Assignment,
    ) -> Attempt:
        return await decide_attempt(
            Evidence(
                decision=decision,
                launch=self._launch(decision),
                outcome=outcome,
                transcript=transcript,
                hops=None,
                inventory=self._host.inventory,
                directory=directory,
                starts_nothing=_nothing_more,
            ),
            number=assignment.attempt,
            artifacts=assignment.folder,
        )


def _skipped(reason: str, assignment: Assignment) -> Attempt:
    return Attempt(
        assignment.attempt,
        Verdict.SKIP,
        reason,
        0.0,
        artifacts=assignment.folder,
        skip_cause=SkipCause.HOST,
    )


async def _nothing_more(_decision: Run) -> str:
    return ""


def _is_program(case: Case) -> bool:
    return case.build.target is Target.PROGRAM


def _outcome(case: Case, result: ProgramResult, console: Tail) -> Outcome:
    if runs_in_vmm(case):
        return outcome_of(result, console)
    if _is_program(case):
        return outcome_of(result, console, vmm=False)
    return nested_outcome(result, console)


def _keep_log(directory: Path, result: ProgramResult) -> None:
    """Write what the host's kernel logged during the case."""
    lines = [f"[{record.seconds:12.6f}] {record.text}" for record in result.records]
    if overwritten := missed(result.records, None):
        lines.append(f"matrix: {overwritten} records were overwritten before they were read")
    if result.lost:
        lines.append(f"matrix: the virtual host was lost: {result.lost}")
    if lines:
        text = "\n".join(lines) + "\n"
        (directory / "kernel.log").write_text(text, encoding="utf-8", errors="replace")


def _with_faults(
    attempt: Attempt, result: ProgramResult, report: Report | None, decision: Run, where: str
) -> Attempt:
    """A host that was lost makes the case a crash; a fault that its kernel reported, a failure."""
    if result.unmet:
        return Attempt(
            attempt.number,
            Verdict.SKIP,
            result.unmet,
            0.0,
            skip_cause=SkipCause.HOST,
            artifacts=attempt.artifacts,
            command=attempt.command,
            accelerator=attempt.accelerator,
        )
    reported = "" if report is None else report.line
    return apply_host_fault(attempt, result.lost, reported, where, expected=decision.expected)
