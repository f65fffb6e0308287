"""Which hosts of a run get cases: none that is lost, drained or quarantined.

A host that is quarantined has to prove itself at once: what only it can run waits for that. Where
the embedded guests pass there it is used again, the first time; else that becomes ``error``, with
the reason. Each host is proven again after a while, also one that is quarantined.

A host whose disk is full is lost to the run, and quarantined for those that follow.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from matrix.attempt import Attempt
from matrix.errors import HostLostError
from matrix.hosts.interface import Provable
from matrix.plan.health import Health, QuarantineRules
from matrix.plan.scheduler import Scheduler
from matrix.run.dispatch import Dispatcher
from matrix.run.progress import Progress


class Notes(Protocol):
    """Keeps what is to outlive the run."""

    def quarantined(self, host: str, why: str) -> None:
        """A host is not trusted until it was proven again."""
        ...

    def proven(self, host: str) -> None:
        """A host is well."""
        ...

    def ages(self) -> Mapping[str, float]:
        """Seconds since hosts were proven, as far as that is known."""
        ...


@dataclass(frozen=True, slots=True)
class HostRules:
    """What a fleet has hosts treated by."""

    quarantine: QuarantineRules
    drained: Callable[[], Mapping[str, str]]
    """Gives the hosts that are to get no more cases, with the reason."""
    notes: Notes


class HostCare:
    """The hosts of a run while it goes on."""

    def __init__(
        self,
        rules: HostRules | None,
        hosts: Iterable[str],
        dispatcher: Dispatcher,
        progress: Progress,
        scheduler: Scheduler,
        wake: Callable[[], None],
    ) -> None:
        """Args:
        rules: None: hosts are only lost.
        hosts: those of ``scheduler``.
        dispatcher: knows the hosts that are there.
        progress: who is told.
        scheduler: has cases run elsewhere.
        wake: called when something may start on a host again.
        """
        self._rules = rules
        self._hosts = frozenset(hosts)
        self._health = Health(rules.quarantine, self._hosts) if rules is not None else None
        self._dispatcher = dispatcher
        self._progress = progress
        self._wake = wake
        self._scheduler = scheduler
        self._tasks: set[asyncio.Task[None]] = set()
        self._avoided: set[str] = set()
        self._quarantined: dict[str, str] = {}
        """With the first reason."""
        self._full: set[str] = set()
        """Hosts whose full disk is noted."""
        self._proven_at_once: set[str] = set()

    def begin(self) -> None:
        """Look after the hosts, which are open now, until :meth:`end`."""
        self._avoid()
        if self._rules is None:
            return
        ages, every = self._rules.notes.ages(), self._rules.quarantine.prove_every
        for name in self._dispatcher.executors:
            if (provable := self._provable(name)) is not None:
                age = ages.get(name, 0.0)
                self._do(self._prove_again_and_again(name, provable, every, age))

    async def end(self) -> None:
        """Prove nothing any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def judge(
        self, case: Hashable, name: str, hosts: tuple[str, ...], attempt: Attempt | None
    ) -> None:
        """An attempt has ended on a host, or between several; None where it was cancelled.

        ``case`` is the same on each host, ``name`` what it is called.
        """
        if self._rules is not None:
            for each, why in self._rules.drained().items():
                if each in self._hosts:
                    self._dispatcher.withheld.setdefault(each, why)
        if (
            self._health is not None
            and attempt is not None
            and self.without.keys().isdisjoint(hosts)
        ):
            found = self._health.ended(
                case, name, hosts, attempt.verdict, attempt.reason, blamed=attempt.blamed
            )
            for each, why in found:
                self._quarantine(each, why)
        self._avoid()

    @property
    def without(self) -> Mapping[str, str]:
        """Hosts that get no cases, with the reason."""
        return self._dispatcher.without

    def _avoid(self) -> None:
        """What may run elsewhere does not wait for hosts that get no more cases."""
        self._note_full()
        for name, why in self.without.items():
            if name not in self._avoided:
                self._avoided.add(name)
                self._scheduler.avoid(name)
                self._progress.host_lost(name, why)

    def _note_full(self) -> None:
        """Also of the last host that is left: its own disk says nothing of the cases."""
        for name, why in self._dispatcher.full.items():
            if self._rules is not None and name not in self._full:
                self._full.add(name)
                self._rules.notes.quarantined(name, why)

    def _quarantine(self, name: str, why: str) -> None:
        assert self._rules is not None  # noqa: S101 - there is no health without
        self._quarantined[name] = why
        self._dispatcher.withheld.setdefault(name, why)
        self._rules.notes.quarantined(name, why.removeprefix("quarantined: "))
        self._avoid()
        provable = self._provable(name)
        if provable is not None and name not in self._proven_at_once:
            self._proven_at_once.add(name)
            self._scheduler.hold(name)
            self._do(self._prove_at_once(name, provable))

    def _provable(self, name: str) -> Provable | None:
        executor: object = self._dispatcher.executors.get(name)
        return executor if isinstance(executor, Provable) else None

    async def _prove_at_once(self, name: str, executor: Provable) -> None:
        try:
            await self._prove(name, executor)
        finally:
            self._scheduler.release(name, use=False)
            self._wake()

    async def _prove_again_and_again(
        self, name: str, executor: Provable, every: float, age: float
    ) -> None:
        await asyncio.sleep(every - age)
        while name not in self._dispatcher.lost:
            await self._prove(name, executor)
            self._wake()
            await asyncio.sleep(every)

    async def _prove(self, name: str, executor: Provable) -> None:
        assert self._rules is not None  # noqa: S101 - nobody is proven without
        assert self._health is not None  # noqa: S101 - as above
        try:
            wrong = await executor.prove()
        except HostLostError as error:
            wrong = str(error)
        before = self._quarantined.get(name)
        if not wrong:
            self._rules.notes.proven(name)
            if before is not None:
                self._use_again(name)
        elif before is None:
            for each, why in self._health.distrust(name, f"its proof failed: {wrong}"):
                self._quarantine(each, why)
        elif self._dispatcher.withheld.get(name) == before:
            self._dispatcher.withheld[name] = f"{before}; its proof failed: {wrong}"

    def _use_again(self, name: str) -> None:
        """The host is trusted again, and gets cases if nothing else is in the way."""
        assert self._health is not None  # noqa: S101 - it was quarantined
        why = self._quarantined.pop(name)
        self._health.trust(name)
        if self._dispatcher.withheld.get(name, "").startswith(why):
            del self._dispatcher.withheld[name]
        if name not in self.without:
            self._avoided.discard(name)
            self._scheduler.release(name, use=True)
            self._progress.host_back(name)

    def _do(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
