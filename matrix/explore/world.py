"""What a guest may be put through, and what the model knows of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from matrix.explore.cells import Cell
from matrix.explore.hotplug import Hotplug, Part
from matrix.explore.step import Operation, Step
from matrix.migrating import Fault
from matrix.scenario.compatibility import Route

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Way:
    """A hop that is possible between two QEMUs."""

    route: Route
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A snapshot inside an image: what must be so for it to be loaded."""

    place: str
    """Name of the QEMU that saved it."""
    parts: frozenset[Part] = frozenset()
    leaving: bool = False
    in_use: bool = False
    booting: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Where a guest is, and how."""

    place: str
    """Name of the QEMU that has it."""
    running: bool = True
    lost: bool = False
    """Nobody has it any more, as it had to be: nothing is possible."""
    parts: frozenset[Part] = frozenset()
    """What was plugged into it."""
    leaving: bool = False
    """The device was asked to go, and is still there."""
    in_use: bool = False
    """The device was there at a reset: without the guest it does not go any more."""
    booting: bool = False
    """It was reset while it was stopped: once it runs, SeaBIOS resets it once more, and with that a
    device goes that was asked to."""
    saved: Saved | None = None
    unloadable: bool = False
    """Its QEMU loads no snapshot any more (:attr:`World.remembering`)."""


@dataclass(frozen=True, slots=True)
class World:
    """What a guest may be put through."""

    architecture: str
    first: str
    """Name of the QEMU that starts it."""
    ways: Mapping[Pair, tuple[Way, ...]]
    """By names of QEMUs, source and destination."""
    parameters: Mapping[Pair, frozenset[str]] = field(default_factory=dict)
    """Migration parameters that both know."""
    hotplug: Hotplug = field(default_factory=Hotplug)
    impossible: Mapping[Operation, str] = field(default_factory=dict)
    """Operations that its QEMUs cannot do, and why."""
    remembering: frozenset[str] = frozenset()
    """Those of its QEMUs that load no snapshot once a hop from them has failed, or was
    cancelled."""
    refused: Mapping[Pair, str] = field(default_factory=dict)
    """Between which QEMUs it does not go, whatever the way, and why."""
    lacking: tuple[str, ...] = ()
    """What of its migration's pools its QEMUs do not have, or one of them, in words."""

    @property
    def places(self) -> tuple[str, ...]:
        """Names of all QEMUs, the first one's first."""
        pairs = (name for pair in self.ways for name in pair)
        return tuple(dict.fromkeys((self.first, *pairs)))

    @property
    def cannot(self) -> tuple[str, ...]:
        """What is not done to it, and why, in words."""
        operations = [f"{name.value}: {why}" for name, why in self.impossible.items()]
        parts = [f"plug {part.value}: {why}" for part, why in self.hotplug.missing.items()]
        hops = [
            f"hop from QEMU {source} to {destination}, as matrix migratable found: {why}"
            for (source, destination), why in self.refused.items()
        ]
        return (*operations, *parts, *self.lacking, *hops)

    def goes(self, source: str, destination: str) -> bool:
        """Whether the one takes what the other has written."""
        ways = self.ways.get((source, destination), ())
        return source == destination or any(way.fault is None for way in ways)

    def cell(self, state: State, step: Step) -> Cell:
        """What doing that step in that state covers."""
        pair = f"{state.place} → {step.destination}" if step.destination else state.place
        return Cell(self.architecture, "running" if state.running else "paused", pair, step.what)
