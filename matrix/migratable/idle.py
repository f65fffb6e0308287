"""An idle guest of a QEMU: its saved state, what its devices are, and whether another one loads it.

The guest is the embedded one with the command line that a run gives it. Its vCPUs never run: what
is saved, in a tenth of a second, is the machine as it is made.
"""

import asyncio
import contextlib
import json
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.errors import HostError, MonitorError
from matrix.inventory import Binary
from matrix.migratable.device import Device, read_tree
from matrix.model import Accelerator, Architecture, Case, Launch, Variant
from matrix.plan.command import launch_for
from matrix.plan.memory import MIB
from matrix.suites.build import builtin_build
from matrix.suites.unittests import read_tests
from matrix.vm.monitor import Monitor
from matrix.vm.probe import bare_qemu
from matrix.vm.tasks import first_of

GUEST = "boot"
"""The embedded guest; it is only loaded."""
MEMORY = 256 * MIB
"""Bytes of the guest, which pseries takes in steps of 256 MiB; of 4 KiB nine bytes are saved."""
START_TIMEOUT = 30.0
MOVE_TIMEOUT = 60.0
"""Seconds for saving or loading: 0.1 is usual."""
OWN_END = re.compile(r" ended with (status|signal (?!9\b|15\b))")
"""How a QEMU ends that nobody else has ended: some abort over a stream that they do not take."""
FD_NAME = "matrix-idle"
VOLATILE = frozenset({"realized", "hotplugged", "type", "parent_bus"})
"""Properties that say nothing of what the guest finds."""


@dataclass(frozen=True, slots=True)
class Idle:
    """What an idle guest of a QEMU is."""

    stream: bytes
    """Its saved state."""
    cpu: Device
    """The first vCPU."""
    devices: tuple[Device, ...]
    """Those on buses, by path."""


def idle_launch(binary: Binary, architecture: Architecture, machine: str, cpu: str) -> Launch:
    """The command line of the guest, under TCG.

    Args:
        binary: the emulator.
        architecture: of the guest.
        machine: ``TYPE[,OPTION…]``; empty for the default.
        cpu: ``-cpu`` value; empty for what a run takes.

    Raises:
        SuiteError: the embedded guests are not there.
    """
    build = builtin_build(architecture)
    test = next(test for test in read_tests(build, max_smp=1) if test.name == GUEST)
    variant = Variant(
        architecture,
        Accelerator.TCG,
        qemu=binary.qemu,
        machine=machine or None,
        cpu=cpu or None,
        memory=MEMORY,
    )
    case = Case("migratable", "migratable", "kvm-unit-tests", test, variant, build)
    return launch_for(case, binary, Accelerator.TCG)


async def save(launch: Launch) -> Idle:
    """Start the guest, save it, and ask what it is made of.

    Raises:
        MonitorError: QEMU does not start it, or does not save it; with what it said.
        SpawnError, HostError: it cannot be executed; there is no temporary folder.
    """
    async with _started(launch) as guest:
        cpu = await _cpu(guest.monitor)
        devices = read_tree(await guest.monitor.human("info qtree"))
        with _file() as file:
            await guest.move("migrate", file)
            return Idle(file.read_bytes(), cpu, devices)


async def load(launch: Launch, stream: bytes) -> str:
    """Why the QEMU of ``launch`` does not take the stream of another one's idle guest; else empty.

    Raises:
        MonitorError: it does not start, or does not answer.
        SpawnError, HostError: as :func:`save`.
    """
    incoming = Launch((*launch.argv, "-incoming", "defer"), launch.channel, launch.environment)
    guest: _Guest | None = None
    try:
        async with _started(incoming) as guest:
            with _file(stream) as file:
                await guest.move("migrate-incoming", file)
    except MonitorError as error:
        if guest is not None and (guest.failed or OWN_END.search(error.why)):
            return own_words(error, launch)
        raise
    return ""


def own_words(error: MonitorError, launch: Launch) -> str:
    """What QEMU has said, without where it lies and that it ended with status 1, as it does."""
    why = error.why.removeprefix(f"{launch.argv[0]} ended with status 1: ")
    return why.replace(launch.argv[0], "QEMU")


class _Guest:
    """A started QEMU, and how its migration went."""

    def __init__(self) -> None:
        self.monitor: Monitor
        self.failed = False
        """Its migration has, as it says."""
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def event(self, name: str, data: Mapping[str, Any], _at: float) -> None:
        status = str(data.get("status", ""))
        if name == "MIGRATION" and status in ("completed", "failed") and not self._end.done():
            self._end.set_result(status)
            self.failed = status == "failed"

    async def move(self, command: str, file: Path) -> None:
        """Have it save or load its state.

        Raises:
            MonitorError: it does not.
        """
        await self.monitor.execute(command, {"uri": await self._address(file)})
        status = await first_of(self._end, self._closed())
        if status == "completed":
            return
        reply = await self.monitor.execute("query-migrate")
        said = reply.get("error-desc", "") if isinstance(reply, dict) else ""
        if not status:
            said = f"not over within {MOVE_TIMEOUT:g} s"
        elif not said:  # 7.2 tells its reason on stderr, and ends
            await self._closed()
            await self.monitor.execute("query-migrate")
        raise MonitorError(command, str(said) or "it failed")

    async def _address(self, file: Path) -> str:
        """What it calls the file. 7.2 knows no ``file:``, and 11.1 takes no file for ``fd:``."""
        capabilities = await self.monitor.execute("query-migrate-capabilities")
        # Whoever can map RAM into a file knows files: these came one release before that.
        if any(each["capability"] == "mapped-ram" for each in capabilities):
            return f"file:{file}"
        with file.open("r+b") as opened:
            await self.monitor.send_descriptor(FD_NAME, opened.fileno())
        return f"fd:{FD_NAME}"

    async def _closed(self) -> str:
        await self.monitor.wait_closed(MOVE_TIMEOUT)
        return ""


@contextlib.asynccontextmanager
async def _started(launch: Launch) -> AsyncIterator[_Guest]:
    guest = _Guest()
    async with bare_qemu(
        launch.argv, START_TIMEOUT, environment=launch.environment, on_event=guest.event
    ) as guest.monitor:
        events = [{"capability": "events", "state": True}]
        await guest.monitor.execute("migrate-set-capabilities", {"capabilities": events})
        yield guest


@contextlib.contextmanager
def _file(content: bytes = b"") -> Iterator[Path]:
    """A temporary file with that in it."""
    try:
        with tempfile.TemporaryDirectory(prefix="matrix-idle-") as folder:
            file = Path(folder, "stream")
            file.write_bytes(content)
            yield file
    except OSError as error:
        raise HostError(f"no temporary file: {error.strerror}") from error


async def _cpu(monitor: Monitor) -> Device:
    """The first vCPU, with its properties."""
    vcpus = await monitor.execute("query-cpus-fast")
    path = str(vcpus[0]["qom-path"])
    kind = str(await monitor.execute("qom-get", {"path": path, "property": "type"}))
    entries = await monitor.execute("qom-list", {"path": path})
    kinds = {str(entry["name"]): str(entry["type"]) for entry in entries}
    if "feature-words" in kinds:  # which say what hundreds of others do
        kinds = {name: kind for name, kind in kinds.items() if kind != "bool"}
    asked = [
        name
        for name, kind in sorted(kinds.items())
        if name not in VOLATILE and not kind.startswith(("child<", "link<", "legacy<"))
    ]
    # All at once: QEMU answers in order, and a reply that is waited for takes ten times as long.
    values = await asyncio.gather(*(_value(monitor, path, name) for name in asked))
    pairs = zip(asked, values, strict=True)
    return Device(path, kind, tuple((name, value) for name, value in pairs if value))


async def _value(monitor: Monitor, path: str, name: str) -> str:
    """The value of a property as JSON; empty where it cannot be read."""
    try:
        value = await monitor.execute("qom-get", {"path": path, "property": name})
    except MonitorError as error:
        if not error.error_class:
            raise
        return ""
    return json.dumps(value, sort_keys=True)
