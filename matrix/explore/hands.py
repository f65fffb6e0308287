"""What is done to a guest between hops, by whatever its QEMU offers."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from matrix.errors import MonitorError
from matrix.explore.empty_disk import empty_image
from matrix.explore.failure import Broken, Invariant
from matrix.explore.hotplug import BACKEND, MEMORY_SIZE, Hotplug, Part
from matrix.explore.world import State
from matrix.migration.endpoint import RUNNING_STATES, Endpoint
from matrix.migration.hop_maker import HopMaker
from matrix.migration.proof import Mark
from matrix.model import Launch
from matrix.results.files import host_errors, write_bytes
from matrix.vm.monitor import Monitor

SECONDS = 30.0
"""Within which QEMU must do what it was told, on a crowded host too."""
NODE = "explore-saved"
IMAGES = "saved-*.qcow2"


class Hands:
    """The guest where it is now, and what to do to it. ``state`` is the model's, before a step."""

    def __init__(self, maker: HopMaker, hotplug: Hotplug, heard: Callable[[bytes], None]) -> None:
        """``heard`` gets an end of line where the guest does not go on with the one it began."""
        self.maker = maker
        self.state = State("")
        self.hotplug = hotplug
        self.vcpu: Mapping[str, object] = {}
        """Driver and place of the vCPU that can be plugged in."""
        self.doors: dict[Endpoint, Path] = {}
        """Socket of each QEMU's second monitor."""
        self._heard = heard
        self._mark: Mark | None = None
        self._image: Path | None = None
        self._images = 0

    @property
    def current(self) -> Endpoint:
        """The QEMU that has the guest."""
        return self.maker.current

    async def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:
        """Execute a command that QEMU must take.

        Raises:
            Broken: it was refused.
            MonitorError: no answer in time, or QEMU has ended.
        """
        try:
            return await self.current.execute(command, arguments)
        except MonitorError as error:
            if error.error_class:
                raise Broken(Invariant.COMMAND, str(error)) from None
            raise

    @contextlib.asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Meanwhile the guest does not run, and all that it has said was taken in."""
        if self.state.running:
            await self.execute("stop")
        self.current.session.drain()
        yield
        if self.state.running:
            await self.execute("cont")

    @contextlib.asynccontextmanager
    async def awaited(self, event: str, **data: object) -> AsyncIterator[None]:
        """What is done meanwhile leads to that event, with those data, if QEMU lives.

        Raises:
            Broken: it does not come in time.
        """
        seen: list[str] = []

        def listen(name: str, told: Mapping[str, Any], _at: float) -> None:
            if name == event and data.items() <= told.items():
                seen.append(name)

        current = self.current
        current.listen(listen)
        try:
            yield
            board = current.board
            if not await board.until(lambda: bool(seen) or not current.alive, SECONDS):
                raise Broken(Invariant.COMMAND, f"no {event} within {SECONDS:g} s")
        finally:
            current.listen(None)

    # -- reset

    async def reset(self) -> None:
        """Reset the machine: the guest boots again."""
        async with self.still():
            async with self.awaited("RESET"):
                await self.execute("system_reset")
            self.current.session.drain()
            self._heard(b"\n")
            self.maker.proof.renew()

    # -- snapshots inside an image

    async def save(self) -> None:
        """Save the guest inside an image of our own."""
        self.forget_image()
        self._images += 1
        self._image = self.maker.guest.directory / IMAGES.replace("*", str(self._images))
        with host_errors("write", self._image):
            write_bytes(self._image, empty_image())
        async with self.still():
            self._mark = self.maker.proof.mark()
            await self._snapshot("snapshot-save")

    async def load(self) -> None:
        """Go back to what was saved last: the guest says once more what it has said since."""
        assert self._mark is not None  # noqa: S101 - the model: something was saved
        async with self.still():
            await self._snapshot("snapshot-load")
            self._heard(b"\n")
            self.maker.proof.rewind(self._mark)

    async def _snapshot(self, command: str) -> None:
        # QEMU takes capabilities of the last hop, as mapped-ram, for those of the snapshot.
        known = await self.execute("query-migrate-capabilities")
        on = [each["capability"] for each in known if each["state"]]
        off = [{"capability": name, "state": False} for name in on if name != "events"]
        await self.execute("migrate-set-capabilities", {"capabilities": off})
        image = {"driver": "file", "filename": str(self._image)}
        await self.execute("blockdev-add", {"driver": "qcow2", "node-name": NODE, "file": image})
        job = {"job-id": NODE, "tag": "saved", "vmstate": NODE, "devices": [NODE]}
        async with self.awaited("JOB_STATUS_CHANGE", id=NODE, status="concluded"):
            await self.execute(command, job)
        jobs = await self.execute("query-jobs")
        why = next((each.get("error") for each in jobs if each.get("id") == NODE), None)
        if why:
            raise Broken(Invariant.COMMAND, f"{command}: {why}")
        await self.execute("job-dismiss", {"id": NODE})
        await self.execute("blockdev-del", {"node-name": NODE})

    def forget_image(self) -> None:
        """Remove the image, if there is one."""
        if self._image is not None:
            self._image.unlink(missing_ok=True)
            self._image = None

    # -- hot-plug

    async def find_vcpu(self) -> None:
        """Learn which vCPU can be plugged into the first QEMU."""
        for each in await self.execute("query-hotpluggable-cpus"):
            if "qom-path" not in each:
                self.vcpu = {"driver": each["type"], **each["props"]}

    async def plug(self, part: Part) -> None:
        """Plug it in."""
        if part is Part.MEMORY:
            backend = {"qom-type": "memory-backend-ram", "id": BACKEND, "size": MEMORY_SIZE}
            await self.execute("object-add", backend)
        await self.execute("device_add", self.hotplug.device(part, self.vcpu))
        self.current.identity = None  # it may have another number of vCPUs

    async def unplug(self, part: Part) -> None:
        """Ask for it; it is gone afterwards, unless that takes a reset."""
        arguments = {"id": part.id}
        if self.hotplug.at_reset:
            await self.execute("device_del", arguments)
            return
        async with self.awaited("DEVICE_DELETED", device=part.id):
            await self.execute("device_del", arguments)

    async def plugged(self) -> set[str]:
        """What is there of what may be plugged in, by QEMU's names."""
        there = await self.execute("qom-list", {"path": "/machine/peripheral"})
        return {str(each["name"]) for each in there} & {part.id for part in Part}

    # -- the second monitor

    async def reconnect(self) -> None:
        """Leave the second monitor without waiting for its answer, and come back."""
        await self._visit(impatient=True)
        await self._visit()

    async def _visit(self, *, impatient: bool = False) -> None:
        door = socket.socket(socket.AF_UNIX)
        door.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(door, str(self.doors[self.current]))
        except OSError as error:
            door.close()
            why = f"the second monitor takes no connection: {error.strerror}"
            raise Broken(Invariant.COMMAND, why) from None
        monitor = await Monitor.connect(door, SECONDS, client="left-" if impatient else "back-")
        try:
            if impatient:
                monitor.sample("query-migrate", lambda _: None)
                return
            status = (await monitor.execute("query-status"))["status"]
        finally:
            monitor.close()
        if (status in RUNNING_STATES) is not self.state.running:
            raise Broken(Invariant.COMMAND, f"the second monitor says {status}")


def with_door(launch: Launch, folder: Path, number: int) -> tuple[Launch, Path]:
    """The command line with a second monitor, which listens in that folder, and its socket."""
    path = folder / f"second-{number}"
    chardev = f"socket,id=explore-monitor,path={path},server=on,wait=off"
    monitor = ("-chardev", chardev, "-qmp", "chardev:explore-monitor")
    return replace(launch, argv=(*launch.argv, *monitor)), path
