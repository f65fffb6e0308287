"""Where a case runs: the interface of an executor, and the one for this machine.

An assignment goes in and an :class:`matrix.model.Attempt` comes out, both plain data, so that
nothing above this module knows where a case ran.
"""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from matrix.errors import HostError, SuiteError
from matrix.inventory import Binary, Inventory
from matrix.model import Attempt, Build, Ending, Launch, Outcome, Transcript, Verdict
from matrix.plan.command import launch_for
from matrix.plan.decisions import Run
from matrix.plan.known import considered
from matrix.plan.planner import emulator_architecture
from matrix.results.directory import RunDirectory
from matrix.results.files import host_errors
from matrix.suites.console import ConsoleParser
from matrix.suites.environment import Erratum, environment_text, parse_errata
from matrix.suites.files import read_text
from matrix.suites.unittests import refresh_test
from matrix.suites.verdict import Judgement, judge
from matrix.vm.machine import Limits, run_guest

ENVIRONMENT_FILE = "environment"
"""Name, in the attempt's folder, of the initrd that tells a guest of its host."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One attempt of one case, and the folder for what it leaves."""

    decision: Run
    attempt: int
    directory: Path


class Executor(Protocol):
    """Where cases run."""

    async def execute(
        self, assignment: Assignment, parser: ConsoleParser, interrupt: asyncio.Event
    ) -> Attempt | None:
        """Run one attempt; None when it was interrupted.

        The guest's console goes through ``parser``, whose last line a progress display may show.
        Never raises for what QEMU or the guest does. Raises HostError where this host cannot go
        on (a full disk), and CancelledError once its QEMU has been reaped.
        """
        ...


class VanishedError(HostError):
    """The QEMU that a case was planned for is no longer there."""


class LocalExecutor:
    """Runs cases on this machine."""

    def __init__(self, inventory: Inventory, run: RunDirectory) -> None:
        self._inventory = inventory
        self._run = run

    async def execute(
        self, assignment: Assignment, parser: ConsoleParser, interrupt: asyncio.Event
    ) -> Attempt | None:
        """See :class:`Executor`."""
        directory = assignment.directory
        try:
            decision = await _refreshed(assignment.decision)
            launch = self._launch(decision, directory)
        except (SuiteError, VanishedError) as error:
            return _not_started(assignment, str(error), self._run)
        command = self._run.write_command(directory, launch, decision.case.id)
        limits = Limits(timeout=decision.case.timeout, stall=decision.case.settings.stall)
        outcome = await run_guest(
            launch, directory, limits, on_console=parser.feed, interrupt=interrupt
        )
        if outcome.ending is Ending.INTERRUPTED:
            return None
        transcript = parser.finish()
        judgement = judge(
            decision.case.test,
            launch.channel,
            outcome,
            transcript,
            accelerator=decision.accelerator.value,
            kvm_doubt=decision.kvm_doubt,
        )
        attempt = self._attempt(assignment, command, outcome, transcript, judgement)
        return considered(attempt, decision.expected)

    def _launch(self, decision: Run, directory: Path) -> Launch:
        case = decision.case
        binary = self._binary(decision)
        initrd = ""
        if case.build.environment:
            text = environment_text(
                target=case.build.target,
                accelerator=decision.accelerator.value,
                qemu_version=binary.version,
                qemu_version_text=binary.version_text,
                kernel=self._inventory.host.kernel,
                errata=_errata(case.build),
            )
            path = directory / ENVIRONMENT_FILE
            with host_errors("write", path):
                path.write_text(text)
            initrd = str(path)
        return launch_for(case, binary, decision.accelerator, initrd=initrd)

    def _binary(self, decision: Run) -> Binary:
        variant = decision.case.variant
        emulator = emulator_architecture(variant.arch, decision.accelerator, self._inventory)
        binary = self._inventory.binary(variant.qemu, emulator)
        if binary is None:
            why = self._inventory.why_missing(variant.qemu, emulator)
            raise VanishedError(f"the QEMU that the case was planned for is gone: {why}")
        return binary

    def _attempt(
        self,
        assignment: Assignment,
        command: Path,
        outcome: Outcome,
        transcript: Transcript,
        judgement: Judgement,
    ) -> Attempt:
        return Attempt(
            number=assignment.attempt,
            verdict=judgement.verdict,
            reason=judgement.reason,
            seconds=outcome.seconds,
            accelerator=assignment.decision.accelerator.value,
            accelerator_reason=assignment.decision.why,
            subtests=transcript.subtests,
            subtest_counts=transcript.counts,
            subtests_dropped=transcript.dropped,
            metrics=transcript.metrics,
            command=str(command),
            artifacts=self._run.relative(assignment.directory),
            by_subtests=judgement.by_subtests,
        )


async def _refreshed(decision: Run) -> Run:
    """The decision with its test's values evaluated now, where they come from commands.

    Raises:
        SuiteError: the build is no longer readable.
    """
    case = decision.case
    if not case.test.dynamic:
        return decision
    test = await asyncio.to_thread(refresh_test, case.build, case.test, max_smp=case.build.max_smp)
    return replace(decision, case=replace(case, test=test))


def _errata(build: Build) -> tuple[Erratum, ...]:
    """What the build says of host kernels' faults; nothing where it has no such file.

    Raises:
        SuiteError: the file is unreadable or malformed.
    """
    path = Path(build.errata_file)
    if not build.errata_file or not path.exists():
        return ()
    return parse_errata(read_text(path), str(path))


def _not_started(assignment: Assignment, why: str, run: RunDirectory) -> Attempt:
    """The attempt of a case that this host can no longer start."""
    return Attempt(
        number=assignment.attempt,
        verdict=Verdict.ERROR,
        reason=why,
        seconds=0.0,
        artifacts=run.relative(assignment.directory),
    )
