"""Asks one QEMU binary over QMP what it can do, in one process without a machine."""

import contextlib
import re
import tempfile
from pathlib import Path
from typing import Any

from matrix.errors import HostError, MonitorError
from matrix.hosts.answers import (
    Answers,
    Reply,
    binary_of,
    cpu_types,
    machine_type,
    properties_text,
)
from matrix.hosts.cached_records import Probed
from matrix.hosts.fingerprint import files_behind
from matrix.model import Architecture
from matrix.vm.monitor import Monitor
from matrix.vm.probe import bare_qemu
from matrix.vm.tool import run_tool

START_TIMEOUT = 30.0
"""Seconds until QEMU greets: 0.1 is usual, a cold disk and all CPUs busy take several."""


MOST_DEATHS = 8
"""How often a binary is started again that has died of a question about a type."""

EXPANSION = "query-cpu-model-expansion"

HELP_LINE = re.compile(r"^\s+([^\s=]+)=<([^>\n]*>?)>", re.MULTILINE)
"""A property in what ``-machine TYPE,help`` prints: ``  acpi=<OnOffAuto>  - Enable ACPI``."""

TARGETS = {Architecture.MIPS64EL: ("mips64el", "mips64")}
"""What ``query-target`` says where that is not just the name: 11.1 leaves out the byte order."""


async def probe_binary(qemu: str, architecture: Architecture, path: Path) -> Probed:
    """Ask a binary what it can do.

    Args:
        qemu: name of its installation.
        architecture: what it should emulate.
        path: what starts it.

    Raises:
        SpawnError: it cannot be executed.
        MonitorError: it ends or does not answer, with what it said on stderr.
        HostError: it is for another architecture, or its replies make no sense.
    """
    interview = _Interview(architecture, path)
    try:
        await interview.hold("tcg")
    except MonitorError as error:
        if interview.basics:
            # The binary answered all that matters and died of the rest.
            await interview.ask_properties()
            return interview.result(qemu, interview.note(error))
        if "accelerator" not in error.why:
            raise
        # A build without TCG says so and ends; any QEMU on Linux has qtest, which runs nothing.
        try:
            await interview.hold("qtest")
        except MonitorError:
            raise error from None
    await interview.ask_properties()
    return interview.result(qemu, "")


class _Interview:
    """The questions to one binary, and what it has answered so far."""

    def __init__(self, architecture: Architecture, path: Path) -> None:
        self._architecture = architecture
        self._path = path
        self._accelerator = ""
        self._maps = ""
        self._cpu_types: list[Reply] | None = None
        self._devices: list[Reply] | None = None
        self._properties: dict[str, str] = {}
        self.basics: dict[str, Any] = {}
        """Replies by command; None for an optional one that is not known."""

    async def hold(self, accelerator: str) -> None:
        """Start the binary with that accelerator and ask everything.

        Raises:
            MonitorError, SpawnError, HostError: as :func:`probe_binary`; whatever was answered
                before stays.
        """
        self._accelerator = accelerator
        with tempfile.TemporaryDirectory(prefix="matrix-probe-") as directory:
            pid_file = Path(directory) / "pid"
            argv = (str(self._path), "-accel", accelerator, "-pidfile", str(pid_file))
            async with bare_qemu(argv, START_TIMEOUT) as monitor:
                self.basics = await self._ask_basics(monitor)
                self._maps = _read_maps(pid_file)
                await self._ask_types(monitor)
                # Listing the types has loaded every module.
                self._maps = _read_maps(pid_file)

    async def ask_properties(self) -> None:
        """Ask for the properties of every machine and CPU model, each in a QEMU that lives.

        QEMU makes one of each to answer, and some ends QEMU: one type of machine of 7.2, some CPU
        models of RISC-V. Their properties stay unknown, or are what ``-machine TYPE,help`` says.
        """
        basics = self.basics
        try:
            models = cpu_types(basics["query-cpu-definitions"], self._cpu_types).values()
            machines = [machine_type(entry) for entry in basics["query-machines"]]
        except (KeyError, TypeError, AttributeError):
            return  # result() says that the replies make no sense
        argv = (str(self._path), "-accel", self._accelerator)
        left = list(dict.fromkeys(filter(None, (*machines, *models))))
        for _ in range(MOST_DEATHS):
            with contextlib.suppress(MonitorError):  # the one that it died of is not in `left`
                async with bare_qemu(argv, START_TIMEOUT) as monitor:
                    while left:
                        asked = left.pop(0)
                        arguments = {"typename": asked}
                        reply = await _ask_if_known(monitor, "qom-list-properties", arguments)
                        self._properties[asked] = properties_text(reply or ())
            if not left:
                break
        for machine in machines:
            if machine not in self._properties:
                self._properties[machine] = await self._help(machine.removesuffix("-machine"))

    async def _help(self, machine: str) -> str:
        """The properties of a machine as its help has them: QEMU need not make one for that."""
        argv = (str(self._path), "-machine", f"{machine},help")
        result = await run_tool(argv, START_TIMEOUT)
        found = HELP_LINE.findall(result.output.decode(errors="replace"))
        return properties_text([{"name": name, "type": kind} for name, kind in found])

    def result(self, qemu: str, note: str) -> Probed:
        """What was learnt.

        Raises:
            HostError: the replies are not of the documented form.
        """
        replies = self.basics
        definitions = replies["query-cpu-definitions"]
        accelerators = replies["query-accelerators"]
        try:
            answers = Answers(
                version=replies["query-version"],
                machines=replies["query-machines"],
                cpu_definitions=definitions,
                cpu_types=self._cpu_types,
                kvm_present=bool(replies["query-kvm"]["present"]),
                accelerators=accelerators["present"] if accelerators else None,
                emulates=self._accelerator == "tcg",
                capabilities=replies["query-migrate-capabilities"],
                options=replies["query-command-line-options"],
                devices=self._devices,
                schema=replies["query-qmp-schema"] or (),
                most_capable=replies.get(EXPANSION),
                note=note,
                properties=self._properties,
            )
            binary = binary_of(qemu, self._architecture, self._path, answers)
        except (KeyError, TypeError, ValueError) as error:
            raise HostError(f"its replies make no sense: {error!r}") from error
        return Probed(binary, files_behind(self._path, self._maps))

    def note(self, error: MonitorError) -> str:
        """Why there are no devices, without what differs between binaries of one installation."""
        why = error.why.replace(f"{self._path} ", "QEMU ").replace(f"{self._path.name}: ", "")
        return f"its devices are not known: {why}"

    async def _ask_basics(self, monitor: Monitor) -> dict[str, Any]:
        target = await monitor.execute("query-target")
        found = target.get("arch") if isinstance(target, dict) else None
        if found not in TARGETS.get(self._architecture, (self._architecture.value,)):
            raise HostError(f"it emulates {found}, not {self._architecture.value}")
        required = (
            "query-version",
            "query-machines",
            "query-kvm",
            "query-migrate-capabilities",
            "query-command-line-options",
        )
        replies = {command: await monitor.execute(command) for command in required}
        for command in ("query-cpu-definitions", "query-accelerators", "query-qmp-schema"):
            replies[command] = await _ask_if_known(monitor, command)
        if self._architecture is Architecture.S390X:
            arguments = {"type": "full", "model": {"name": "max"}}
            replies[EXPANSION] = await _ask_if_known(monitor, EXPANSION, arguments)
        return replies

    async def _ask_types(self, monitor: Monitor) -> None:
        """Last, as it makes QEMU load all of its modules: one that finds modules of another build
        aborts (``module_load_dso``, seen with 10.0 and 11.1)."""
        self._devices = await _list_types(monitor, "device")
        if self.basics["query-cpu-definitions"] is None:
            self._cpu_types = await _list_types(monitor, "cpu")


async def _ask_if_known(
    monitor: Monitor, command: str, arguments: dict[str, Any] | None = None
) -> Any:
    """The reply, or None where QEMU answers with an error (RISC-V has no definitions in 7.2)."""
    try:
        return await monitor.execute(command, arguments)
    except MonitorError as error:
        if not error.error_class:
            raise
        return None


async def _list_types(monitor: Monitor, implements: str) -> list[Reply]:
    arguments = {"implements": implements, "abstract": False}
    reply = await monitor.execute("qom-list-types", arguments)
    return reply if isinstance(reply, list) else []


def _read_maps(pid_file: Path) -> str:
    """/proc/PID/maps of QEMU itself, which a wrapper may have started as its child; or empty."""
    try:
        number = int(pid_file.read_text())
        return Path(f"/proc/{number}/maps").read_text(errors="replace")
    except (OSError, ValueError):
        return ""
