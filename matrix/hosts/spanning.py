"""Runs cases whose guests go from one host of a fleet to another.

The guest's life and its hops are driven from here, as those of a guest of this machine; its QEMUs
are started on the hosts, which lend them. The stream goes from QEMU to QEMU.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from matrix.attempt import Attempt, ChainResult, Outcome
from matrix.errors import HostError, HostLostError
from matrix.hosts.contents import Contents, with_paths
from matrix.hosts.interface import Assignment, Ended
from matrix.hosts.local.executor import Emit, LocalExecutor, Underway, limits_of
from matrix.hosts.local.launch import UnstartableError
from matrix.hosts.local.migrated_case import carry_out, earlier_hops, request_for
from matrix.inventory import Inventory
from matrix.migration.endpoint import Emulator
from matrix.plan.decisions import Run
from matrix.results.directory import RunDirectory
from matrix.verdicts import Verdict
from matrix.vm.location import Place


class Loan(Place, Protocol):
    """A host's QEMUs, for one attempt."""

    @property
    def emulators(self) -> tuple[Emulator, ...]:
        """How they are started, each with that host."""
        ...

    @property
    def trouble(self) -> str:
        """What of the host's own would end the attempt with an error; empty for nothing."""
        ...

    def forgo(self) -> None:
        """Do not wait for the end of what cannot be reached: its host ends it by its lease."""
        ...


@runtime_checkable
class Lender(Protocol):
    """An executor whose host starts QEMUs that are driven from here."""

    def lend(
        self, assignment: Assignment, qemus: tuple[str, ...]
    ) -> AbstractAsyncContextManager[Loan]:
        """Have the host ready for an attempt; when this is left, nothing of it runs there.

        Args:
            assignment: its decision is about the case as it runs on that host.
            qemus: names of the installations there.

        Raises:
            HostLostError: it can run no case any more.
            HostError: it cannot start this case.
        """
        ...


class SpanningExecutor(LocalExecutor):
    """Runs cases on several hosts at a time."""

    def __init__(
        self,
        lenders: Mapping[str, Lender],
        inventory: Inventory,
        run: RunDirectory,
        contents: Contents,
    ) -> None:
        """``lenders`` are the hosts by their names, that of the source first; ``inventory`` is what
        that one can run."""
        super().__init__(inventory, run, contents)
        self._lenders = lenders
        self._loans: dict[str, list[Loan]] = {}
        self._blamed: dict[str, str] = {}
        """Hosts whose trouble ends an attempt, by its token."""

    def cancel(self, token: str) -> None:
        """See :class:`matrix.hosts.interface.Executor`."""
        super().cancel(token)
        for loan in self._loans.get(token, ()):
            loan.forgo()

    async def execute(self, assignment: Assignment, emit: Emit) -> Ended:
        """See :class:`matrix.hosts.interface.Executor`."""
        ended = await super().execute(assignment, emit)
        blamed = self._blamed.pop(assignment.token, "")
        if blamed and ended.attempt is not None and ended.attempt.verdict is Verdict.ERROR:
            return replace(ended, attempt=replace(ended.attempt, blamed=blamed))
        return ended

    async def _attempt(self, assignment: Assignment, underway: Underway) -> Attempt | None:
        """See :class:`LocalExecutor`."""
        decision = with_paths(assignment.decision, self._contents.path)
        directory = self._run.path / assignment.folder
        loans = self._loans[assignment.token] = []
        try:
            async with AsyncExitStack() as stack:
                for host, lender in self._lenders.items():
                    self._blamed[assignment.token] = host
                    lending = lender.lend(assignment, _qemus(decision, host))
                    loans.append(await _entered(stack, lending))
                    del self._blamed[assignment.token]
                source = loans[0].emulators[0]
                guest = self._migrate(assignment, decision, loans, directory, underway)
                attempt = await self._judged(assignment, decision, source.launch, guest, underway)
                if troubled := [loan.host for loan in loans if loan.trouble]:
                    self._blamed[assignment.token] = troubled[0]
                return attempt
        finally:
            del self._loans[assignment.token]

    async def _migrate(
        self,
        assignment: Assignment,
        decision: Run,
        loans: list[Loan],
        directory: Path,
        underway: Underway,
    ) -> tuple[Outcome, ChainResult | None]:
        source, *others = (emulator for loan in loans for emulator in loan.emulators)
        request = request_for(
            decision.case,
            source,
            (*others, source),
            attempt=assignment.attempt,
            seed=assignment.seed,
        )
        result = await carry_out(
            replace(
                request,
                on_hop=underway.hopped,
                earlier=earlier_hops(directory),
                places=tuple(loans),
            ),
            directory,
            limits_of(decision),
            on_console=underway.printed,
            interrupt=underway.interrupt,
        )
        return result.outcome, result

    async def _why_never(self, decision: Run) -> str:  # noqa: ARG002 - of the host it is about
        """See :class:`LocalExecutor`: this machine's emulators say nothing of those."""
        return ""


async def _entered(stack: AsyncExitStack, lending: AbstractAsyncContextManager[Loan]) -> Loan:
    try:
        return await stack.enter_async_context(lending)
    except HostLostError:
        raise
    except HostError as error:
        raise UnstartableError(str(error)) from error


def _qemus(decision: Run, host: str) -> tuple[str, ...]:
    """Installations that the case uses on a host: a guest comes back to where it began."""
    own = decision.case.variant.qemu
    migration = decision.case.migration
    if host == decision.host or migration is None:
        return (own,)
    return migration.destinations or (own,)
