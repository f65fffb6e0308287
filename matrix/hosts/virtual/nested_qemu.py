"""Guests under a QEMU that runs in a virtual host: builds of kvm-unit-tests, with its KVM."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from matrix.attempt import Ending, Outcome
from matrix.capabilities import Kind, Need
from matrix.errors import HostError, HostLostError, SuiteError
from matrix.hosts.virtual.debian_qemu import DebianQemu, fetch_qemu
from matrix.hosts.virtual.l1_guest import ProgramResult, VirtualGuest
from matrix.hosts.virtual.l1_machines import slot_of
from matrix.hosts.virtual.needs import assign, placed, unmet_need
from matrix.hosts.virtual.vmm import outcome_of
from matrix.inventory import Binary
from matrix.model import Accelerator, Architecture, Case, HostDevice, Launch
from matrix.plan.command import launch_for
from matrix.suites.registry import suite_of
from matrix.suites.stderr import error_lines, kvm_complaint
from matrix.suites.suite import HostFacts
from matrix.vm.console import Tail
from matrix.vm.tasks import in_thread

PREFIX = "qemu-system-"
INITRD = "initrd:"
"""What stands for the file that tells a guest of its host, which is written there alone."""
OWN = (PREFIX, "  Fatal: ", "  Error: ", "  Warning: ")
"""With these a line begins that QEMU or kvmtool (util/util.c there), and not the guest, has
printed: both of their streams come as one."""


@dataclass(slots=True)
class NestedQemu:
    """QEMU in the virtual hosts of one architecture."""

    architecture: Architecture
    folder: Path
    """Where it is kept."""
    on_step: Callable[[str], None]
    devices: tuple[HostDevice, ...] = ()
    """Of the host, for its guests."""
    _qemu: DebianQemu | HostError | None = None
    """What came of fetching it, once."""

    async def run(
        self,
        guest: VirtualGuest,
        case: Case,
        seconds: float,
        on_output: Callable[[bytes], None],
        cancel: asyncio.Event | None = None,
    ) -> ProgramResult:
        """Run a case's guest to its end.

        Raises:
            OSError: a file of it cannot be read.
            HostLostError: the host does not take the files.
        """
        if unmet := await unmet_need(guest, case, self.devices):
            return ProgramResult(None, "", "", (), unmet=unmet)
        try:
            qemu = await self._fetched()
            files = await files_there(guest, case, qemu)
        except HostLostError:
            raise
        except (HostError, SuiteError) as error:
            return ProgramResult(None, "", str(error), ())
        await guest.have_disk(qemu.image)
        launch = launch_there(self._with_devices(case), self._binary(qemu), files)
        return await guest.run(launch.argv, seconds, on_output, cancel=cancel)

    async def run_arguments(
        self,
        guest: VirtualGuest,
        arguments: Sequence[str],
        seconds: float,
        on_output: Callable[[bytes], None],
    ) -> ProgramResult:
        """Run it with arguments; those that name files of this machine find them in the host.

        Raises:
            OSError, HostLostError: as :meth:`run`.
            HostError: there is no QEMU to be had.
        """
        qemu = await self._fetched()
        named = " ".join(arguments)
        needs = [Need(Kind.DEVICE, each) for each in self.devices]
        needs = [each for each in needs if slot_of(each.value, self.devices) in named]
        if reason := await assign(guest, needs, self.devices):
            raise HostError(reason)
        await guest.have_disk(qemu.image)
        words = (qemu.path, *await arguments_there(guest, arguments))
        return await guest.run(words, seconds, on_output)

    async def _fetched(self) -> DebianQemu:
        if self._qemu is None:
            try:
                self._qemu = await fetch_qemu(self.architecture, self.folder, self.on_step)
            except HostError as error:
                self._qemu = error
        if isinstance(self._qemu, HostError):
            raise self._qemu
        return self._qemu

    def launch(self, case: Case) -> Launch:
        """The command of a case in the host, with the names that its files have here."""
        qemu = self._qemu
        if not isinstance(qemu, DebianQemu):
            qemu = DebianQemu(Path(), f"{PREFIX}{self.architecture.value}", "")
        return launch_there(self._with_devices(case), self._binary(qemu), {})

    def _with_devices(self, case: Case) -> Case:
        params = placed(case.test.qemu_params, self.devices)
        return replace(case, test=replace(case.test, qemu_params=params))

    def _binary(self, qemu: DebianQemu) -> Binary:
        name, version = "debian", qemu.version
        return Binary(name, self.architecture, qemu.path, version, qemu.version_text, ("kvm",))


def launch_there(case: Case, binary: Binary, files: dict[str, str]) -> Launch:
    """The command line of a case, as on a machine with KVM.

    Args:
        case: of a build for QEMU.
        binary: the QEMU in the host.
        files: where in the host a file of this machine is, and the initrd by :data:`INITRD`.
    """
    test = replace(case.test, image=files.get(case.test.image, case.test.image))
    firmware = case.build.firmware
    build = replace(case.build, firmware=files.get(firmware, firmware))
    there = replace(case, test=test, build=build)
    launch = launch_for(there, binary, Accelerator.KVM, initrd=files.get(INITRD, ""))
    return replace(launch, monitor=False)


async def files_there(
    guest: VirtualGuest, case: Case, qemu: DebianQemu | None = None
) -> dict[str, str]:
    """Put what a case needs into the host.

    Returns where each file of this machine is there, and the initrd by :data:`INITRD`.

    Raises:
        OSError: a file cannot be read.
        SuiteError: the case's build is no longer readable.
        HostLostError: the host does not take the files.
    """
    found: dict[str, str] = {}
    for path in filter(None, (case.test.image, case.build.firmware)):
        found[path] = await _put(guest, await in_thread(Path(path).read_bytes))
    release = guest.ready.release if guest.ready is not None else ""
    facts = HostFacts(Accelerator.KVM.value, release)
    if qemu is not None:
        facts = replace(facts, qemu_version=qemu.version, qemu_version_text=qemu.version_text)
    if initrd := suite_of(case.suite).initrd(case.build, facts):
        found[INITRD] = await _put(guest, initrd.encode())
    return found


async def arguments_there(guest: VirtualGuest, arguments: Sequence[str]) -> tuple[str, ...]:
    """Arguments, with the path in the host of each that names a file of this machine.

    Raises:
        OSError: a file cannot be read.
        HostLostError: the host does not take it.
    """
    words = []
    for word in arguments:
        content = await in_thread(partial(_content, word))
        words.append(word if content is None else await _put(guest, content))
    return tuple(words)


def _content(path: str) -> bytes | None:
    """Of a file of this machine; None where there is none of that name."""
    return Path(path).read_bytes() if "/" in path and Path(path).is_file() else None


async def _put(guest: VirtualGuest, content: bytes) -> str:
    path = f"/files/{hashlib.sha256(content).hexdigest()[:16]}"
    await guest.have_file(path, content)
    return path


def nested_outcome(result: ProgramResult, console: Tail) -> Outcome:
    """How a guest ended under QEMU or kvmtool, whose own lines tell what a monitor would."""
    outcome = outcome_of(result, console, vmm=False)
    lines = console.lines()
    said = tuple(line for line in lines if line.startswith(OWN) or kvm_complaint((line,)))
    outcome = replace(outcome, kvm_enabled=True, stderr_tail=said)
    if said and kvm_complaint(said) and outcome.ending in (Ending.TIMEOUT, Ending.KILLED):
        # It stops the vCPUs and waits for someone who looks.
        return replace(outcome, ending=Ending.INTERNAL_ERROR)
    failed = outcome.ending is Ending.EXITED and outcome.exit_status
    if failed and error_lines(said) and len(said) == len(lines):
        return replace(outcome, ending=Ending.REFUSED)
    return outcome
