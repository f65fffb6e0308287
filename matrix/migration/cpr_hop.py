"""One hop by cpr-transfer: the new QEMU maps the memory of the old one, on the same host.

The destination is started with a second channel, over which the source sends it the descriptors of
the guest's memory before it has so much as a monitor: it comes up while the hop is being made
(QEMU's docs/devel/migration/CPR.rst). Memory must be such that it can be shared.
"""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from matrix.errors import HostError, MonitorError
from matrix.migrating import HopOutcome, Transport
from matrix.migration.hop import concluded, decided, framed_hop, set_side
from matrix.migration.live_hop import HopEnd, Injector, LiveHop
from matrix.migration.routes import LOCALHOST, migrate_incoming
from matrix.migration.samples import Sampler
from matrix.model import Launch
from matrix.vm.tasks import in_thread

RETRY_AFTER = 0.01
"""Seconds: a starting QEMU tells nobody that it listens for the descriptors."""
NOT_YET = ("Failed to connect", "No such file", "Connection refused")


def with_channel(launch: Launch, path: Path) -> Launch:
    """A destination's command line with the channel for descriptors at ``path``."""
    return replace(launch, argv=(*launch.argv, "-incoming", json.dumps(_channel("cpr", path))))


async def run_cpr_hop(
    hop: LiveHop,
    injector: Injector,
    sampler: Sampler,
    folder: Path,
    connected: Callable[[], Awaitable[str]],
) -> HopEnd:
    """Make the hop. Returns and raises as :func:`.hop.framed_hop`.

    Args:
        hop: its destination was started :func:`with_channel`, and is not connected to yet.
        injector: who interferes.
        sampler: who samples.
        folder: private, with a short path, for the main channel.
        connected: connects to the destination, and says why it may not have the guest.
    """
    main = folder / f"hop-{hop.number}"

    async def prepare() -> None:
        await injector.before_listening(hop)
        await set_side(hop, hop.source)
        await injector.before_migrating(hop)

    async def carry_over() -> HopEnd:
        if why := await _both_channels(hop, main, descriptors(folder, hop.number), connected):
            end = HopEnd(HopOutcome.FAILED, why)
        else:
            end = await decided(hop, injector)
        await concluded(hop, end, sampler)
        return end

    try:
        return await framed_hop(hop, injector, sampler, prepare, carry_over)
    finally:
        main.unlink(missing_ok=True)


def descriptors(folder: Path, number: int) -> Path:
    """Where the destination of hop ``number`` waits for descriptors."""
    return folder / f"hop-{number}-cpr"


async def _both_channels(
    hop: LiveHop, main: Path, cpr: Path, connected: Callable[[], Awaitable[str]]
) -> str:
    """Set the migration going; why the destination may not have the guest, or empty.

    Raises:
        MonitorError: it cannot be set going.
    """
    if hop.transport is Transport.TCP:
        # Its port must be known before there is a destination to be asked for it.
        port = _free_port()
        channel, uri = _tcp_channel(port), f"tcp:{LOCALHOST}:{port}"
    else:
        channel, uri = _channel("main", main), f"unix:{main}"
    await _migrate(hop, [channel, _channel("cpr", cpr)], cpr)
    if why := await connected():
        return why
    await set_side(hop, hop.destination)
    await migrate_incoming(hop.destination, uri)
    return ""


async def _migrate(hop: LiveHop, channels: list[dict[str, object]], cpr: Path) -> None:
    """``migrate``, as soon as the destination takes descriptors."""
    while True:
        if not hop.destination.alive:
            raise MonitorError("migrate", "the destination has ended")
        try:
            if await in_thread(cpr.exists):
                await hop.source.execute("migrate", {"channels": channels})
                return
        except MonitorError as error:
            if not any(word in error.why for word in NOT_YET):
                raise
        if not hop.left:
            raise MonitorError("migrate", f"the destination is not up within {hop.seconds:g} s")
        await asyncio.sleep(RETRY_AFTER)


def _free_port() -> int:
    """A port that was free a moment ago.

    Raises:
        HostError: there is none.
    """
    try:
        with socket.create_server((LOCALHOST, 0)) as server:
            port: int = server.getsockname()[1]
    except OSError as error:
        raise HostError(f"no port for a migration: {error.strerror}") from error
    return port


def _tcp_channel(port: int) -> dict[str, object]:
    address = {"transport": "socket", "type": "inet", "host": LOCALHOST, "port": str(port)}
    return {"channel-type": "main", "addr": address}


def _channel(kind: str, path: Path) -> dict[str, object]:
    return {
        "channel-type": kind,
        "addr": {"transport": "socket", "type": "unix", "path": str(path)},
    }
