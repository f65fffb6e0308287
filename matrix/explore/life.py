"""One life of a guest: it is started, put through a sequence of steps, checked after each, ended.

A policy on :class:`matrix.vm.machine.Guest`, as :mod:`matrix.migration.chain` is: hops are made by
:class:`matrix.migration.hop_maker.HopMaker`, faults are injected by those of
:mod:`matrix.migration.faults`.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from matrix.attempt import Ending, Outcome, Transcript
from matrix.errors import HostError, MonitorError
from matrix.explore.failure import Broken, Failure, Invariant
from matrix.explore.hands import IMAGES, Hands, with_door
from matrix.explore.hotplug import Part
from matrix.explore.operations import OPERATIONS, after
from matrix.explore.sequences import states
from matrix.explore.statuses import begun, illegal
from matrix.explore.step import Operation, Step, Steps
from matrix.explore.world import State, World
from matrix.migrating import Fault, Hop, HopOutcome
from matrix.migration.chain import STOP_KEY
from matrix.migration.endpoint import Emulator, Endpoint
from matrix.migration.faults.base import wrong_runners
from matrix.migration.hop import SETTLING, why_ended
from matrix.migration.hop_maker import PROOF_SECONDS, HopMaker, PlannedHop
from matrix.migration.hop_runner import make_credentials, started
from matrix.migration.live_hop import HopEnd, Injector, LiveHop
from matrix.migration.processes import NotStartedError, Processes
from matrix.migration.proof import Proof
from matrix.model import Launch
from matrix.scenario.compatibility import Route
from matrix.suites.suite import Parser
from matrix.vm.machine import Guest, Limits
from matrix.vm.qemu_session import Conclusion

HOP_SECONDS = 60.0
FILES = ("hop-*.state", IMAGES)
"""That guests are carried over, or saved, in."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a life ended."""

    done: int
    """Steps that were done, the one that failed too."""
    failure: Failure | None = None
    begun: bool = True
    """Whether the last of them was more than tried: no hop begins whose destination does not start,
    or whose ``migrate`` is refused."""
    outcome: Outcome | None = None
    """Of a guest that was to say how it fared, with what it has said; None of one that was lost."""
    transcript: Transcript | None = None
    launches: Mapping[str, Launch] = field(default_factory=dict)
    """Command lines of its QEMUs, by the names that its logs have."""
    took: tuple[float, ...] = ()
    """Seconds of each step in which nothing broke, without what is checked after it."""


@dataclass(frozen=True, slots=True)
class Lives:
    """What the lives of one guest have in common."""

    world: World
    """What a guest may be put through; its first QEMU starts it."""
    emulators: Mapping[str, Emulator]
    """By name."""
    injectors: Callable[[Fault], Injector]
    parser: Callable[[], Parser]
    """A new one, of what the guest prints."""
    limits: Limits

    async def live(self, steps: Steps, directory: Path, enough: Callable[[], bool]) -> Ended:
        """Put a new guest through ``steps``, or as many as there are until ``enough()``.

        Args:
            steps: a valid sequence.
            directory: exists, private and empty: console.log, qemu.log and qmp.jsonl go there.
            enough: asked before each step.

        Raises:
            HostError: the host fails us, which says nothing of the guest.
        """
        before = _ours()
        life = _Life(self, steps, directory, enough)
        ended = await life.run()
        if ended.failure is None and (left := _left(before, directory)):
            ended = Ended(ended.done, Failure(Invariant.NOTHING_LEFT, left, len(steps)))
        return replace(ended, launches=life.launches, took=tuple(life.took))


class _Watched(Injector):
    """Nothing is done to the hop, but who runs the guest is looked at while both sides live."""

    def __init__(self) -> None:
        self.findings: list[str] = []

    async def before_ending(self, hop: LiveHop, end: HopEnd) -> None:
        self.findings += await wrong_runners(hop, end)


class _Life:
    def __init__(
        self, lives: Lives, steps: Steps, directory: Path, enough: Callable[[], bool]
    ) -> None:
        self._lives = lives
        self._steps = steps
        self._enough = enough
        self._parser = lives.parser()
        self._guest = Guest(directory, lives.limits, self._heard, migrates=True)
        self._processes = Processes(self._guest)
        self._proof = Proof(self._guest.board.changed)
        self.launches: dict[str, Launch] = {}
        """Command lines of all QEMUs, oldest first, by the names that logs give them."""
        self.took: list[float] = []
        self._endpoints: list[Endpoint] = []
        """All that were started and may live."""
        self._ahead: asyncio.Task[PlannedHop] | None = None
        """The destination of the next hop comes up while something else is done."""
        self._state = State(lives.world.first)
        self._problems = 0
        self._hops: list[Hop] = []
        self._done = 0
        self._begun = True
        self._failure: Failure | None = None

    async def run(self) -> Ended:
        outcome = await self._guest.run(self._drive)
        if outcome.ending is Ending.ERROR:
            raise HostError(outcome.reason)
        if self._failure is None and self._done < len(self._steps) and not self._enough():
            # Whoever watches it has ended it: it was dead, or its QEMU was gone.
            self._fail(Invariant.ALIVE, outcome.reason or outcome.ending.value)
        if self._failure is not None or self._state.lost:
            return Ended(self._done, self._failure, begun=self._begun)
        return Ended(self._done, outcome=outcome, transcript=self._parser.finish())

    def _fail(self, invariant: Invariant, reason: str) -> None:
        self._failure = Failure(invariant, reason, max(0, self._done - 1))

    async def _drive(self) -> Conclusion:
        emulator = self._lives.emulators[self._state.place]
        launch, door = with_door(emulator.launch, self._processes.folder, 0)
        first = await self._processes.start(replace(emulator, launch=launch), incoming=False)
        self._started(first)
        await self._processes.boot(first)
        maker = HopMaker(self._processes, first, self._proof, self._hopped)
        hands = Hands(maker, self._lives.world.hotplug, self._parser.feed)
        hands.doors[first] = door
        limit = self._guest.limits.start
        await self._guest.board.until(lambda: self._proof.beats > 0 or maker.over, limit)
        try:
            await self._all(hands)
            if maker.lost is None and not self._state.running:
                await hands.execute("cont")
        except Broken as broken:
            self._fail(broken.invariant, str(broken))
        except NotStartedError as error:
            self._fail(Invariant.ALIVE, str(error))
        except MonitorError as error:
            await maker.current.settled(SETTLING)  # its monitor goes before its exit is seen
            why = str(error) if maker.current.alive else why_ended(maker.current)
            self._fail(Invariant.ALIVE, why)
        finally:
            await self._forget_next()
            hands.forget_image()
        if self._failure is not None or maker.lost is not None:
            return Conclusion(Ending.KILLED, "the sequence is over")
        # One that was reset would lose what is typed while it boots.
        await self._guest.board.until(lambda: self._proof.present or maker.over, limit)
        maker.current.session.type(STOP_KEY)
        return await maker.current.session.over()

    async def _all(self, hands: Hands) -> None:
        if not self._proof.beats:
            raise Broken(Invariant.ALIVE, "the guest does not begin to prove its memory")
        if Part.VCPU in hands.hotplug.parts:
            await hands.find_vcpu()
        self._prepare_next(hands, 0)
        for place, step in enumerate(self._steps):
            if self._enough():
                return
            self._done = place + 1
            hands.state = self._state
            begun_at = time.monotonic()
            if (act := OPERATIONS[step.operation].act) is not None:
                await act(hands, step)
            else:
                await self._make_hop(hands, place)
            self.took.append(time.monotonic() - begun_at)
            self._state = after(self._lives.world, self._state, step)
            await self._check(hands, step)
            if self._state.lost:
                return

    # -- hops

    async def _make_hop(self, hands: Hands, place: int) -> None:
        assert self._ahead is not None  # noqa: S101 - prepared after the hop before
        self._begun = False
        await asyncio.wait((self._ahead,))
        planned = self._ahead.result()
        self._ahead = None
        self._guest.hops += 1
        self._prepare_next(hands, place + 1)
        self._hops.clear()
        await hands.maker.make(planned)
        if not self._hops:
            raise Broken(Invariant.ALIVE, "the guest ended in a hop")
        hop = self._hops[-1]
        if isinstance(planned.injector, _Watched) and planned.injector.findings:
            raise Broken(Invariant.ONE_RUNNER, "; ".join(planned.injector.findings))
        if not hop.good:
            raise Broken(Invariant.HOP, hop.reason)
        if why := illegal(hop.events):
            raise Broken(Invariant.STATUS, why)

    def _prepare_next(self, hands: Hands, first: int) -> None:
        known = list(states(self._lives.world, self._steps))
        for place, step in enumerate(self._steps[first:], first):
            if step.operation is Operation.HOP:
                number = self._guest.hops + 1
                preparing = self._prepare(hands, number, step, known[place])
                self._ahead = asyncio.create_task(preparing)
                return

    async def _prepare(self, hands: Hands, number: int, step: Step, state: State) -> PlannedHop:
        """The hop of a guest that will be in that ``state``, and its destination."""
        assert step.strategy is not None  # noqa: S101 - a hop has one
        route = Route(step.strategy, step.transport)
        injector = _Watched() if step.fault is None else self._lives.injectors(step.fault)
        make_credentials(self._processes, route)
        emulator = self._lives.emulators[step.destination]
        launch, door = with_door(emulator.launch, self._processes.folder, number)
        words = hands.hotplug.words(state.parts, hands.vcpu)
        emulator = replace(emulator, launch=replace(launch, argv=(*launch.argv, *words)))
        try:
            destination = await started(self._processes, emulator, number, route, injector)
        except NotStartedError:
            self.launches["qemu-failed"] = injector.adapt(emulator.launch)
            raise
        self._started(destination)
        hands.doors[destination] = door
        return PlannedHop(number, route, destination, injector, dict(step.parameters), HOP_SECONDS)

    def _started(self, endpoint: Endpoint) -> None:
        self._endpoints.append(endpoint)
        if endpoint.session.launch is not None:
            self.launches[endpoint.session.name] = endpoint.session.launch

    async def _forget_next(self) -> None:
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.wait((self._ahead,))
            if not self._ahead.cancelled():
                self._ahead.exception()  # seen: it is of no interest any more

    def _hopped(self, hop: Hop, end: HopEnd) -> None:
        self._begun = hop.good or begun(hop.events)
        if not end.guest_ended or end.outcome is HopOutcome.COMPLETED:
            self._hops.append(hop)

    # -- what must hold

    async def _check(self, hands: Hands, step: Step) -> None:
        maker = hands.maker
        if self._state.lost:
            if maker.lost is None:
                raise Broken(Invariant.HOP, "the guest was to be lost, and was not")
            return
        if maker.lost is not None:
            raise Broken(Invariant.HOP, maker.lost[0])
        if not maker.current.alive:
            raise Broken(Invariant.ALIVE, why_ended(maker.current))
        if maker.current.emulator.name != self._state.place:
            at = maker.current.emulator.name
            raise Broken(Invariant.HOP, f"the guest is at {at}, not at {self._state.place}")
        await self._check_runners(maker.current)
        if self._state.running and step.operation is not Operation.HOP:  # which has waited for it
            await self._check_beats(maker.current)
        if strays := maker.strays():
            raise Broken(Invariant.ONE_RUNNER, strays)
        if self._proof.problem_count > self._problems:
            # The first of the new ones: others mostly follow from it.
            first = min(self._problems, len(self._proof.problems) - 1)
            raise Broken(Invariant.PROOF, self._proof.problems[first])
        if hands.hotplug.parts:
            wanted = {part.id for part in self._state.parts}
            if (there := await hands.plugged()) != wanted:
                named = [", ".join(sorted(each)) or "nothing" for each in (there, wanted)]
                raise Broken(Invariant.PARTS, f"there is {named[0]}, and not {named[1]}")

    async def _check_beats(self, current: Endpoint) -> None:
        then = self._proof.beats
        # A guest that was reset boots, and fills its memory first.
        limit = PROOF_SECONDS if self._proof.present else self._guest.limits.start
        await self._guest.board.until(lambda: self._proof.beats > then or not current.alive, limit)
        if self._proof.beats == then:
            raise Broken(Invariant.PROOF, f"the guest was silent for {limit:g} s")
        if not self._proof.present:
            raise Broken(Invariant.PROOF, "the guest beats, and did not begin anew after a reset")

    async def _check_runners(self, current: Endpoint) -> None:
        self._endpoints = [each for each in self._endpoints if each.alive]
        running = []
        for endpoint in self._endpoints:
            try:
                if endpoint.session.monitor is not None and await endpoint.running():
                    running.append(endpoint)
            except MonitorError:
                if endpoint is current:
                    raise
        if running != ([current] if self._state.running else []):
            who = " and ".join(
                "the QEMU that has the guest" if each is current else "another QEMU"
                for each in running
            )
            state = current.session.run_state
            raise Broken(Invariant.ONE_RUNNER, f"{who or 'nobody'} runs the guest ({state})")

    def _heard(self, data: bytes) -> None:
        self._parser.feed(data)
        self._proof.feed(data, self._processes.clock.time())
        self._guest.board.changed()


def _ours() -> Counter[str]:
    """Our child processes and descriptors, each as what it is."""
    found = Counter(f"process {child.pid}" for child in psutil.Process().children(recursive=True))
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor that lists them
            found[f"descriptor of {str(entry.readlink()).partition(':')[0]}"] += 1
    return found


def _left(before: Counter[str], directory: Path) -> str:
    """What a life has left behind, in words; empty for nothing."""
    files = Counter(f"file {path.name}" for each in FILES for path in directory.glob(each))
    return ", ".join(sorted((_ours() - before + files).keys()))
