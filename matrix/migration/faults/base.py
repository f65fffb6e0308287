"""What all faults have in common: they are injected at a state, and what follows is checked."""

import contextlib
import re
from typing import ClassVar

from matrix.errors import MonitorError
from matrix.migrating import Fault, HopOutcome, Strategy
from matrix.migration.endpoint import Endpoint
from matrix.migration.faults.table import RULES
from matrix.migration.live_hop import HopEnd, Injector, LiveHop
from matrix.plan.strategy_settings import ParameterValue

ENDED = ("completed", "failed", "cancelled")
"""Statuses after which there is no other."""
MIB = 1 << 20
SLOW = MIB
"""Bytes per second, as ``max-bandwidth``: few enough that no guest is carried over meanwhile."""
MULTIFD_ENDS = (9, 0, 0)
"""The QEMU from which on multifd ends when one of several channels is lost. In 7.2 the others leave
without a word when they see that (``p->quit`` in ``multifd_send_thread``), and
``multifd_send_sync_main`` waits for them for ever: one lost link in three. 10.0 was not seen to."""
SHORTEST_DOWNTIME = 1
"""ms, as ``downtime-limit``: at :data:`SLOW`, nothing but 1 KiB may be left before the end."""


class FaultInjector(Injector):
    """One fault in one hop.

    Those who derive from it say what the hop needs in :meth:`prepare` and :meth:`arrange`, and what
    is done to it in :meth:`act`, where they call :meth:`deed` at the moment of the fault.
    """

    parameters: ClassVar[dict[str, ParameterValue]] = {}
    """Migration parameters that both sides get for this hop."""
    capabilities: ClassVar[tuple[str, ...]] = ()
    """Capabilities that both sides get for this hop."""

    state: ClassVar = ""
    """Of the source, at which it is injected, where that is one."""

    def __init__(self, fault: Fault) -> None:
        self.fault: Fault = fault
        self.rule = RULES[fault]
        self.injected = False
        """The fault was injected, at the state that it names."""
        self.findings: list[str] = []
        """What was seen that must not be."""
        self.resources = contextlib.AsyncExitStack()
        """Released when the hop is over, or by :meth:`close`."""
        self._said: list[str] = []
        self._migrating = False
        self._acting = False

    async def prepare(self, hop: LiveHop) -> None:
        """Before the destination listens, and before capabilities and parameters are set."""

    async def arrange(self, hop: LiveHop) -> None:
        """Before ``migrate``: the destination listens."""

    async def act(self, hop: LiveHop) -> None:
        """From ``migrate`` on, beside the hop; cancelled when that is over."""

    async def strike(self, hop: LiveHop) -> None:
        """The fault, where :meth:`act` only waits for its state."""

    async def examine(self, hop: LiveHop, end: HopEnd) -> None:
        """The hop is over: look for what this fault must have left behind."""

    def deed(self, hop: LiveHop, what: str) -> None:
        """The fault is injected now: record it."""
        self.injected = True
        hop.note(what)

    async def before_listening(self, hop: LiveHop) -> None:
        hop.capabilities.update(self.capabilities)
        hop.parameters.update(self.parameters)
        if hop.strategy is Strategy.MULTIFD and hop.source.monitor.version < MULTIFD_ENDS:
            # This source would hang, and make no other hop: that is known, and not what is tried.
            hop.parameters["multifd-channels"] = 1
        await self.prepare(hop)

    async def before_migrating(self, hop: LiveHop) -> None:
        await self.arrange(hop)
        self._migrating = True

    async def on_event(self, hop: LiveHop, side: str, what: str) -> None:
        """See :class:`Injector`. The first one is enough: :meth:`act` waits for its states."""
        if self._migrating and not self._acting:
            self._acting = True
            await self.act(hop)

    async def before_ending(self, hop: LiveHop, end: HopEnd) -> None:
        """See :class:`Injector`: both sides are as QEMU left them."""
        self._said += await _complaints(hop.destination)
        self.findings += await wrong_runners(hop, end)

    async def after_end(self, hop: LiveHop, end: HopEnd) -> None:
        try:
            self._said += [end.reason]
            await self.examine(hop, end)
        except MonitorError as error:
            if not end.guest_ended:
                self.findings.append(str(error))
        finally:
            await self.close()

    async def close(self) -> None:
        """Release what was made for the hop; idempotent."""
        await self.resources.aclose()

    def judge(self, hop: LiveHop, end: HopEnd) -> str:
        if end.guest_ended:
            return ""
        name = self.fault.value
        if not self.injected:
            why = f": {end.reason}" if end.reason else ""
            return f"{name} could not be injected: the hop {end.outcome.value} before{why}"
        if end.outcome not in self.rule.outcomes:
            expected = " or ".join(outcome.value for outcome in self.rule.outcomes)
            why = f": {end.reason}" if end.reason else ""
            return f"{name}: the hop must end as {expected}, and is {end.outcome.value}{why}"
        if self.findings:
            return f"{name}: {'; '.join(self.findings)}"
        said = " | ".join(filter(None, self._said))
        if self.rule.error and not re.search(self.rule.error, said):
            return f"{name}: QEMU must say /{self.rule.error}/, and said {said or 'nothing'}"
        return ""


async def wrong_runners(hop: LiveHop, end: HopEnd) -> list[str]:
    """Exactly one of the two runs the guest: never both, and none only where it is lost.

    To be asked before either is ended (:meth:`Injector.before_ending`).
    """
    found = []
    source, destination = await _runs(hop.source), await _runs(hop.destination)
    if source and destination:
        found.append("source and destination both run the guest")
    # One that is paused in postcopy says that it runs: its vCPUs stop at the first page that is
    # missing. It can do nothing but wait for its source.
    destination = destination and hop.destination.status != "postcopy-paused"
    if end.outcome is HopOutcome.LOST and (source or destination):
        side = "source" if source else "destination"
        found.append(f"the guest was given up while the {side} runs it")
    # A guest that comes to its end right then takes its QEMU along.
    if end.outcome is HopOutcome.COMPLETED and hop.destination.alive and not destination:
        found.append("the destination does not run the guest")
    return found


async def in_active(hop: LiveHop) -> bool:
    """Wait for memory being sent; False where the hop is past that already."""
    await hop.until("active")
    return hop.source.status == "active"


async def arrived_in_postcopy(hop: LiveHop) -> bool:
    """Wait until the destination runs the guest with a part of its memory; False if it is over."""
    source, destination = hop.source, hop.destination

    def arrived() -> bool:  # QEMU 10.2 and later resume the destination first (postcopy-device)
        return destination.resumed is not None and source.status == "postcopy-active"

    def over() -> bool:
        return not (source.alive and destination.alive) or source.status in ENDED

    await source.board.until(lambda: arrived() or over(), hop.left)
    return arrived()


async def _runs(side: Endpoint) -> bool:
    """Whether a process, as far as it lives and answers, runs its vCPUs."""
    try:
        return side.alive and await side.running()
    except MonitorError:
        return False


async def _complaints(side: Endpoint) -> list[str]:
    """What a process said of its failure: on stderr, and where it lives on, in QMP."""
    said = list(side.session.errors.lines())
    if side.alive:
        said.append(str((await side.information()).get("error-desc", "")))
    return said
