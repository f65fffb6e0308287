"""What is asked of guests that lend memory, and how the two sides' answers are compared."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from matrix.errors import MonitorError
from matrix.migration.elastic import PAGE, Lender, Sizes
from matrix.migration.endpoint import Endpoint
from matrix.migration.live_hop import HopEnd, Injector, LiveHop
from matrix.migration.proof import Proof

MEMORY = 64 << 20
PAGES = "pages of its balloon and 2048 KiB of its blocks"
START = "INTEGRITY: START pages=4096 base=0x0 lendable=2048 block=2097152 blocks=16 depth=8\n"


class Board:
    """Nothing happens while one waits: what is not so yet will not be."""

    async def until(self, condition: Any, seconds: float) -> bool:
        return bool(condition())


class Side:
    """A QEMU that does as it is told, or says ``other`` than that."""

    def __init__(self, proof: Proof, *, other: int = 0, refuses: str = "") -> None:
        self.alive, self.board = True, Board()
        self.told: list[str] = []
        self._proof, self._other, self._refuses = proof, other, refuses
        self._balloon, self._size = 0, 0

    async def execute(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        self.told.append(command)
        if command == self._refuses:
            raise MonitorError(command, "no")
        match command:
            case "query-memory-size-summary":
                return {"base-memory": MEMORY}
            case "balloon":
                assert arguments is not None
                self._balloon = arguments["value"]
            case "qom-set":
                assert arguments is not None
                assert arguments["path"] == "/machine/peripheral/b"
                self._size = arguments["value"]
            case "query-balloon":
                return {"actual": self._balloon - self._other * PAGE}
            case "query-memory-devices":
                data = {"id": "b", "size": self._size}
                return [{"type": "dimm"}, {"type": "virtio-mem", "data": data}]
            case _:
                raise AssertionError(command)
        return None

    @property
    def endpoint(self) -> Endpoint:
        return cast("Endpoint", self)


def beat(balloon: int, plugged: int) -> bytes:
    return (
        f"INTEGRITY: BEAT n=1 clock=1 gap=1 requests=1 inflight=1 balloon={balloon} "
        f"plugged={plugged} busy=0\n"
    ).encode()


def lender(start: str = START) -> tuple[Lender, Proof]:
    proof = Proof()
    proof.feed(start.encode(), 0.0)
    return Lender(proof), proof


def test_what_is_drawn_follows_from_the_words() -> None:
    drawing, _ = lender()
    drawn = [drawing.draw(hop, change) for hop in range(20) for change in range(3)]
    assert drawn == [drawing.draw(hop, change) for hop in range(20) for change in range(3)]
    assert len(set(drawn)) > 50
    assert all(0 <= (each.balloon or 0) <= 2048 for each in drawn)
    assert {(each.plugged or 0) % (2 << 20) for each in drawn} == {0}
    assert max(each.plugged or 0 for each in drawn) <= 32 << 20


def test_a_guest_without_a_device_is_not_asked_for_it() -> None:
    drawing, _ = lender(START.replace("blocks=16", "blocks=0"))
    assert drawing.draw(1).plugged is None
    drawing, _ = lender(START.replace("lendable=2048", "lendable=0"))
    assert drawing.draw(1).balloon is None


@pytest.mark.parametrize(
    ("balloon", "other", "refuses", "why"),
    [
        (7, 0, "", ""),
        (
            6,
            0,
            "",
            f"the guest has lent 6 {PAGES} after 60 s, and was asked for 7 {PAGES}",
        ),
        (
            7,
            2,
            "",
            f"the guest has lent 7 {PAGES}, and QEMU says 9 {PAGES}",
        ),
        (7, 0, "qom-set", "QMP qom-set: no"),
    ],
)
def test_both_sides_must_say_the_same(balloon: int, other: int, refuses: str, why: str) -> None:
    lending, proof = lender()
    side = Side(proof, other=other, refuses=refuses)
    lending.asked = Sizes(7, 2 << 20)
    proof.feed(beat(balloon, 2 << 20), 1.0)
    assert asyncio.run(lending.disagrees(side.endpoint)) == why


@pytest.mark.parametrize("state", ["asked for nothing", "lends nothing", "over"])
def test_who_cannot_be_asked_does_not_disagree(state: str) -> None:
    lending, proof = lender(START if state != "lends nothing" else "INTEGRITY: START pages=1\n")
    side = Side(proof)
    side.alive = state != "over"
    lending.asked = None if state == "asked for nothing" else Sizes(7, None)
    assert asyncio.run(lending.disagrees(side.endpoint)) == ""
    assert side.told == []


class Other(Injector):
    """Notes what it is told."""

    compares = False

    def __init__(self) -> None:
        self.told: list[str] = []

    async def before_migrating(self, hop: LiveHop) -> None:
        self.told.append("migrating")

    async def on_event(self, hop: LiveHop, side: str, what: str) -> None:
        self.told.append(what)

    def judge(self, hop: LiveHop, end: HopEnd) -> str:
        return "bad"


class Hop:
    """As much of a hop as is looked at."""

    number = 3

    def __init__(self, source: Side) -> None:
        self.source = source
        self.notes: list[str] = []

    def note(self, what: str) -> None:
        self.notes.append(what)


def test_a_fault_is_injected_as_it_is_alone_and_the_guest_asked_beside_it() -> None:
    lending, proof = lender()
    hop, other = Hop(Side(proof)), Other()
    both = lending.during(other)
    live, end = cast("LiveHop", hop), cast("HopEnd", None)

    async def play() -> None:
        await both.before_migrating(live)
        await both.on_event(live, "source", "MIGRATION setup")
        await both.on_event(live, "destination", "MIGRATION active")
        for _ in range(10):
            await both.on_event(live, "source", "MIGRATION_PASS 1")

    asyncio.run(play())
    assert len(hop.notes) == 8  # and no more, however many passes there are
    assert lending.asked == lending.draw(3, 8)
    assert other.told[:3] == ["migrating", "MIGRATION setup", "MIGRATION active"]
    assert len(other.told) == 13
    assert (both.judge(live, end), both.compares, both.starts_postcopy) == ("bad", False, True)


def test_of_a_guest_that_lends_nothing_the_injector_is_alone() -> None:
    lending, _ = lender("INTEGRITY: START pages=1\n")
    other = Other()
    assert lending.during(other) is other


def test_whatever_an_injector_does_alone_it_does_beside_the_asking() -> None:
    """One that is wrapped in part would inject, wait or judge in part."""
    asking = type(lender()[0].during(Injector()))
    own = {name for name in vars(Injector) if not name.startswith("_")}
    assert "judge" in own
    assert own - vars(asking).keys() == {"fault", "compares", "starts_postcopy"}  # as its instance
