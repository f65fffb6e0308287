"""The saved state of a virtual host that is booted, proven and idle: others start from it.

With mapped-ram where the QEMU has it (9.0), which several can load at a time; else as one stream.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matrix.errors import HostLostError, MonitorError
from matrix.vm.monitor import Monitor
from matrix.vm.qemu_session import Session

SECONDS = 120.0
"""For a state of some 70 MiB, on a machine that may be busy."""
FINALIZED = 0.01
FD_NAME = "state"
OVER = ("completed", "failed", "cancelled")


def key_of(digest: str, qemu_version: str, arguments: Sequence[str]) -> str:
    """Names a snapshot by all that it depends on.

    Args:
        digest: of the image's content.
        qemu_version: with the packager's suffix.
        arguments: the command line, without what differs from start to start.
    """
    parts = (digest, qemu_version, *arguments)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:24]


def unfinished(path: Path) -> Path:
    """Where a snapshot is written until it is complete: a file of its own for each that writes it,
    as two hosts of one run may be alike but for the names of their kernels."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


async def save(session: Session, path: Path, *, mapped: bool) -> None:
    """Save a running host, which goes on afterwards.

    Raises:
        HostLostError: it does not go on.
        MonitorError, OSError: it was not saved; nothing is left at ``path``.
    """
    monitor = _monitor(session)
    new = unfinished(path)
    try:
        await monitor.execute("stop")
        try:
            await _prepare(monitor, mapped=mapped)
            watch = _Watch(session)
            address = await _address(monitor, new, mapped=mapped, write=True)
            await monitor.execute("migrate", {"uri": address})
            await watch.completed(monitor)
        finally:
            await _go_on(monitor)
        new.rename(path)
    finally:
        with contextlib.suppress(FileNotFoundError):  # it was renamed
            new.unlink()


async def _go_on(monitor: Monitor) -> None:
    """Let a host run that has been saved, or should have been."""
    try:
        async with asyncio.timeout(SECONDS):
            # It has completed a moment before that is finalized, of which no event tells.
            while (await monitor.execute("query-status")).get("status") == "finish-migrate":  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(FINALIZED)
        await monitor.execute("cont")
    except (MonitorError, TimeoutError) as error:
        raise HostLostError(f"it does not go on once it was saved: {error}") from error


async def load(session: Session, path: Path, *, mapped: bool) -> None:
    """Bring a QEMU that waits (``-incoming defer``) to a saved state, in which it runs.

    Raises:
        HostLostError: it does not take it.
    """
    try:
        monitor = _monitor(session)
        await _prepare(monitor, mapped=mapped)
        watch = _Watch(session)
        address = await _address(monitor, path, mapped=mapped, write=False)
        await monitor.execute("migrate-incoming", {"uri": address})
        await watch.completed(monitor)
        await monitor.execute("cont")
    except (MonitorError, OSError) as error:
        raise HostLostError(f"the saved state was not taken: {error}") from error


def _monitor(session: Session) -> Monitor:
    if session.monitor is None:
        raise MonitorError("migrate", "there is no monitor")
    return session.monitor


async def _prepare(monitor: Monitor, *, mapped: bool) -> None:
    names = ("events", *(("mapped-ram", "multifd") if mapped else ()))
    capabilities = [{"capability": name, "state": True} for name in names]
    await monitor.execute("migrate-set-capabilities", {"capabilities": capabilities})


async def _address(monitor: Monitor, path: Path, *, mapped: bool, write: bool) -> str:
    if mapped:
        return f"file:{path}"
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC if write else os.O_RDONLY
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        await monitor.send_descriptor(FD_NAME, descriptor)
    finally:
        os.close(descriptor)
    return f"fd:{FD_NAME}"


class _Watch:
    """Waits for the end of a migration, by QEMU's events."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._status = ""
        self._over = asyncio.Event()
        session.on_event = self._event

    def _event(self, name: str, data: Mapping[str, Any], _at: float) -> None:
        if name == "MIGRATION":
            self._status = str(data.get("status", ""))
            if self._status in OVER:
                self._over.set()

    async def completed(self, monitor: Monitor) -> None:
        """Wait for it.

        Raises:
            MonitorError: it failed, QEMU is gone, or it took too long.
        """
        waiting = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait(
                (waiting, self._session.ended),
                timeout=SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            waiting.cancel()
        if self._status != "completed":
            said = ""
            if not self._session.ended.done():
                answer = await monitor.execute("query-migrate")
                said = str(answer.get("error-desc", "")) if isinstance(answer, dict) else ""
            why = said or self._session.errors.last_line() or self._status or "it took too long"
            raise MonitorError("migrate", why)
