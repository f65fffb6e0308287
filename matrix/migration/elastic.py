"""What the host asks of a guest that lends memory to it, while that guest is migrated.

The ``elastic-integrity`` guest says at its START how many pages its balloon may take
(``lendable``), and of how many blocks of how many bytes its virtio-mem device has (``blocks``,
``block``). As a hop begins, and with each pass over its memory, other sizes are asked for on the
source, so that the guest's requests are under way when it is stopped. After the hop, whoever runs
the guest is asked until its devices and the guest's beats say the same.
"""

import random
from dataclasses import dataclass
from typing import Any

from matrix.errors import MonitorError
from matrix.migration.endpoint import Endpoint
from matrix.migration.live_hop import HopEnd, Injector, LiveHop
from matrix.migration.proof import Beat, Proof
from matrix.model import Launch

PAGE = 4096
"""Bytes of a page of the balloon, whatever the guest's are: VIRTIO 1.2, 5.5."""
SETTLING = 60.0
"""Seconds within which a guest has done as it was asked; half a second on a host that idles."""
MOST_CHANGES = 8
"""Of one hop."""
AT = ("MIGRATION active", "MIGRATION_PASS")
"""Events of the source with which other sizes are asked for."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the host has of a guest, or wants of it; None where there is no such device."""

    balloon: int | None
    """Pages."""
    plugged: int | None
    """Bytes of a virtio-mem device."""

    def __str__(self) -> str:
        parts = []
        if self.balloon is not None:
            parts.append(f"{self.balloon} pages of its balloon")
        if self.plugged is not None:
            parts.append(f"{self.plugged // 1024} KiB of its blocks")
        return " and ".join(parts)


class Lender:
    """What is asked of one guest, over all of its hops."""

    def __init__(self, proof: Proof) -> None:
        self._proof = proof
        self.asked: Sizes | None = None

    def during(self, injector: Injector) -> Injector:
        """``injector``, and with it what is asked during a hop where the guest lends memory."""
        return _Asking(injector, self) if self._lends else injector

    @property
    def _lends(self) -> bool:
        return "lendable" in self._proof.settings

    def draw(self, *words: int) -> Sizes:
        """Other sizes, which follow from the words."""
        generator = random.Random("/".join(map(str, words)))  # noqa: S311 - repeatable, not secret
        lendable, block, blocks = (
            int(self._proof.settings.get(name, "0")) for name in ("lendable", "block", "blocks")
        )
        return Sizes(
            generator.randint(0, lendable) if lendable else None,
            generator.randint(0, blocks) * block if blocks else None,
        )

    async def ask(self, side: Endpoint, sizes: Sizes) -> None:
        """Ask the guest there for what it is to lend.

        Raises:
            MonitorError: QEMU refuses, or does not answer.
        """
        self.asked = sizes
        if sizes.balloon is not None:
            memory = await side.execute("query-memory-size-summary")
            left = int(memory["base-memory"]) - sizes.balloon * PAGE
            await side.execute("balloon", {"value": left})
        if sizes.plugged is not None:
            device = await _blocks(side)
            path = f"/machine/peripheral/{device['id']}"
            arguments = {"path": path, "property": "requested-size", "value": sizes.plugged}
            await side.execute("qom-set", arguments)

    async def disagrees(self, side: Endpoint) -> str:
        """Why the guest, and the devices of the side that runs it, do not say the same after a
        while in which it was asked for nothing else; empty where they do, or it lends nothing."""
        asked = self.asked
        if asked is None or not self._lends or not side.alive:
            return ""
        proof = self._proof

        def over() -> bool:
            return not side.alive or proof.ended

        try:
            # Once more: what came after the source's devices were saved went with the source.
            await self.ask(side, asked)
            await side.board.until(lambda: over() or _sizes(proof.last, asked) == asked, SETTLING)
            lent = _sizes(proof.last, asked)
            if over():
                return ""
            if lent != asked:
                return f"the guest has lent {lent} after {SETTLING:g} s, and was asked for {asked}"
            has = await _told(side, asked)
        except MonitorError as error:
            return "" if over() else str(error)
        return "" if has == asked else f"the guest has lent {asked}, and QEMU says {has}"


class _Asking(Injector):
    """Another injector, which interferes as it does alone, while the guest is asked for memory."""

    def __init__(self, injector: Injector, lender: Lender) -> None:
        self._injector = injector
        self._lender = lender
        self._changes = 0
        self.fault = injector.fault
        self.compares = injector.compares
        self.starts_postcopy = injector.starts_postcopy

    async def _ask(self, hop: LiveHop) -> None:
        if self._changes == MOST_CHANGES:
            return
        self._changes += 1
        sizes = self._lender.draw(hop.number, self._changes)
        hop.note(f"the guest is asked for {sizes}")
        await self._lender.ask(hop.source, sizes)

    def adapt(self, launch: Launch) -> Launch:
        return self._injector.adapt(launch)

    async def before_listening(self, hop: LiveHop) -> None:
        await self._injector.before_listening(hop)

    async def before_migrating(self, hop: LiveHop) -> None:
        await self._injector.before_migrating(hop)
        await self._ask(hop)

    async def on_event(self, hop: LiveHop, side: str, what: str) -> None:
        if side == "source" and what.startswith(AT):
            await self._ask(hop)
        await self._injector.on_event(hop, side, what)

    async def before_ending(self, hop: LiveHop, end: HopEnd) -> None:
        await self._injector.before_ending(hop, end)

    async def after_end(self, hop: LiveHop, end: HopEnd) -> None:
        await self._injector.after_end(hop, end)

    async def close(self) -> None:
        await self._injector.close()

    def patient(self, hop: LiveHop) -> bool:
        return self._injector.patient(hop)

    def judge(self, hop: LiveHop, end: HopEnd) -> str:
        return self._injector.judge(hop, end)


def _sizes(beat: Beat | None, asked: Sizes) -> Sizes | None:
    """What a beat says of those devices that something was asked of."""
    if beat is None:
        return None
    return Sizes(
        None if asked.balloon is None else beat.balloon,
        None if asked.plugged is None else beat.plugged,
    )


async def _told(side: Endpoint, asked: Sizes) -> Sizes:
    """What QEMU says of the same. Raises as :meth:`Endpoint.execute`."""
    balloon = plugged = None
    if asked.balloon is not None:
        memory = await side.execute("query-memory-size-summary")
        actual = await side.execute("query-balloon")
        balloon = (int(memory["base-memory"]) - int(actual["actual"])) // PAGE
    if asked.plugged is not None:
        plugged = int((await _blocks(side))["size"])
    return Sizes(balloon, plugged)


async def _blocks(side: Endpoint) -> dict[str, Any]:
    """What QEMU says of the guest's virtio-mem device. Raises as :meth:`Endpoint.execute`."""
    for device in await side.execute("query-memory-devices"):
        if device["type"] == "virtio-mem":
            return dict(device["data"])
    raise MonitorError("query-memory-devices", "there is no virtio-mem device")
