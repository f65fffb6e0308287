"""Gives an attempt to the host that it was planned for, and takes what comes back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from matrix.attempt import Attempt
from matrix.errors import HostLostError, LossCause, SuiteError
from matrix.hosts.case_inputs import CaseInputs, Noted
from matrix.hosts.contents import Contents, with_names
from matrix.hosts.interface import Assignment, Console, Executor, HopDone
from matrix.inventory import Inventory
from matrix.plan.decisions import Run
from matrix.results.directory import RunDirectory
from matrix.suites.registry import suite_of
from matrix.verdicts import Verdict
from matrix.vm.tasks import in_thread


class _WithheldError(HostLostError):
    """The host is to run nothing more."""


def ignore_event(_event: Console | HopDone) -> None:
    """A callback that does nothing."""


@dataclass(slots=True)
class Dispatcher:
    """Knows which host has which attempt of a run."""

    run: RunDirectory
    executors: dict[str, Executor] = field(default_factory=dict)
    """By the hosts' names."""
    lost: dict[str, str] = field(default_factory=dict)
    """Hosts that can run nothing any more, with the reason."""
    full: dict[str, str] = field(default_factory=dict)
    """Those of them whose disk is full, which the next run is to know."""
    withheld: dict[str, str] = field(default_factory=dict)
    """Hosts that are to run nothing more, with the reason: drained, quarantined."""
    inputs: CaseInputs | None = None
    """Finds out what cases follow from; None: nobody wants to know."""
    not_reused: Mapping[str, str] = field(default_factory=dict)
    """Why cases are run although results were to be reused, by their ids."""
    contents: Contents = field(default_factory=Contents)
    same_paths: set[str] = field(default_factory=set)
    """Hosts that read this machine's files where they are."""
    noting: set[str] = field(default_factory=set)
    """Hosts that find out themselves what cases follow from."""
    inventories: dict[str, Inventory] = field(default_factory=dict)
    """By the hosts' names."""
    _underway: dict[str, Executor] = field(default_factory=dict)
    _released: set[str] = field(default_factory=set)
    """Whose turn came before they had got to their host."""
    _ended: bool = False

    async def execute(
        self,
        decision: Run,
        number: int,
        folder: Path,
        emit: Callable[[Console | HopDone], None],
        *,
        held: bool = False,
        seed: int | None = None,
    ) -> Attempt | None:
        """Have an attempt run where it was planned; None where it was cancelled.

        Args:
            decision: as planned.
            number: of the attempt.
            folder: of its artifacts; exists, empty.
            emit: see :class:`matrix.hosts.interface.Executor`.
            held: until :meth:`release` its guest does not run.
            seed: of its hops.

        Raises:
            HostError: the run cannot go on.
        """
        token, artifacts, noted = token_of(decision, number), self.run.relative(folder), None
        try:
            executor = self._executor_for(decision)
            decision = await _refreshed(decision)
            if not (stays := self._stays(decision)):
                await self.contents.read_large(decision)
            noted = None if decision.host in self.noting else self._noted(decision)
            if self._ended:
                return None
            crossing, files = (decision, ()) if stays else with_names(decision, self.contents)
            self._underway[token] = executor
            waits = held and token not in self._released
            assignment = Assignment(token, crossing, number, artifacts, files, waits, seed)
            attempt = (await executor.execute(assignment, emit)).attempt
            self._note_lost_of(decision)
        except _WithheldError as error:
            withheld = next(filter(self.withheld.__contains__, decision.hosts), decision.host)
            attempt = _error(number, f"host {withheld} gets no cases: {error}", artifacts)
        except HostLostError as error:
            blamed = self._note_lost(decision, error)
            attempt = _error(number, f"host {blamed} is lost: {error}", artifacts, blamed)
        except SuiteError as error:
            attempt = _error(number, str(error), artifacts)
        finally:
            self._underway.pop(token, None)
            self._released.discard(token)
        return None if attempt is None else self._completed(attempt, decision, noted)

    def _stays(self, decision: Run) -> bool:
        """Whether it goes nowhere where its files have other paths."""
        return decision.host in self.same_paths and not decision.gang

    def _noted(self, decision: Run) -> Noted | None:
        return None if self.inputs is None else self.inputs.of(decision)

    def _completed(self, attempt: Attempt, decision: Run, noted: Noted | None) -> Attempt:
        """With what a host does not know of it."""
        command = f"{self.run.path}/{attempt.command}" if attempt.command else ""
        inputs = noted.inputs if noted is not None and noted.hold() else attempt.inputs
        why = self.not_reused.get(decision.case.id) or attempt.not_reused
        return replace(
            attempt,
            host=decision.host,
            gang=decision.gang,
            command=command,
            inputs=inputs,
            not_reused=why,
        )

    def release(self, decision: Run, number: int) -> None:
        """Let the guest of a held attempt run, be it on its host or yet to get there."""
        token = token_of(decision, number)
        if token in self._underway:
            self._underway[token].release(token)
        else:
            self._released.add(token)

    def cancel_all(self) -> None:
        """End all attempts, and those that have not got to their host yet."""
        self._ended = True
        for token, executor in list(self._underway.items()):
            executor.cancel(token)

    @property
    def without(self) -> dict[str, str]:
        """Hosts that get no cases, with the reason."""
        return self.withheld | self.lost

    def _executor_for(self, decision: Run) -> Executor:
        """Who runs a case: its host, or we on several.

        Raises:
            HostLostError: one of them is to run nothing more.
        """
        executors = {name: self._executor(name) for name in decision.hosts}
        if not decision.gang:
            return executors[decision.host]
        from matrix.hosts.spanning import Lender, SpanningExecutor  # few cases need several

        lenders = {}
        for name, executor in executors.items():
            lender: object = executor
            if not isinstance(lender, Lender):
                raise _WithheldError(f"{name} starts no QEMUs that are driven from elsewhere")
            lenders[name] = lender
        return SpanningExecutor(lenders, self.inventories[decision.host], self.run, self.contents)

    def _note_lost_of(self, decision: Run) -> None:
        """A host that was lost while a guest was between several ends the attempt, not the
        waiting for it."""
        for name in decision.gang and decision.hosts:
            if why := getattr(self.executors.get(name), "lost", ""):
                self.lost.setdefault(name, why)

    def _note_lost(self, decision: Run, error: HostLostError) -> str:
        """One of an attempt's hosts is lost; gives its name."""
        name, why = decision.host, str(error)
        if decision.gang:
            said = {each: getattr(self.executors.get(each), "lost", "") for each in decision.hosts}
            lost = (each for each in decision.hosts if each in self.lost or said[each])
            name = next(lost, name)
        self.lost.setdefault(name, why)
        if error.cause is LossCause.DISK_FULL:
            self.full.setdefault(name, why)
        return name

    def _executor(self, host: str) -> Executor:
        if why := self.lost.get(host):
            raise HostLostError(why)
        if why := self.withheld.get(host):
            raise _WithheldError(why)
        try:
            return self.executors[host]
        except KeyError:
            raise HostLostError("no host of this name is in the run") from None


def token_of(decision: Run, number: int) -> str:
    """Names an attempt to its host."""
    return f"{decision.case.id}#{number}"


async def _refreshed(decision: Run) -> Run:
    """The decision with its test's values evaluated now, where they come from commands.

    Raises:
        SuiteError: the build is no longer readable.
    """
    case = decision.case
    if not case.test.dynamic:
        return decision
    test = await in_thread(partial(suite_of(case.suite).refreshed, case.build, case.test))
    return replace(decision, case=replace(case, test=test))


def _error(number: int, reason: str, artifacts: str, blamed: str = "") -> Attempt:
    return Attempt(number, Verdict.ERROR, reason, 0.0, artifacts=artifacts, blamed=blamed)
