"""Starts virtual KVM hosts: their image, their snapshot, and the proof of their KVM."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matrix.errors import HostError, HostLostError, MonitorError, SpawnError
from matrix.hosts.virtual import image as images
from matrix.hosts.virtual import snapshot
from matrix.hosts.virtual.image import Image, KernelChoice
from matrix.hosts.virtual.kernel_log import first_report
from matrix.hosts.virtual.l1_guest import Loader, VirtualGuest, started
from matrix.hosts.virtual.l1_machines import (
    SNAPSHOT_VERSION,
    HostFiles,
    VirtualMachine,
    host_arguments,
    machine_for,
)
from matrix.hosts.virtual.vmm import outcome_of, proving_cases, run_case
from matrix.inventory import Binary
from matrix.model import Accelerator, Architecture, ExitChannel, Verdict
from matrix.plan.decisions import VIRTUAL
from matrix.suites.judgement import End
from matrix.suites.registry import suite_of
from matrix.vm.qemu_session import Session

PROOF_SECONDS = 60.0
SYSTEM = "system"
"""The installation of QEMU that names do not mention."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user says of a virtual host."""

    architecture: Architecture
    kernel: KernelChoice
    cpus: int = 1
    memory: int = 0
    """Bytes; 0 for the usual."""
    parameters: tuple[tuple[str, str], ...] = ()
    """Of kernel modules, as ``module.parameter``."""
    kernel_parameters: str = ""
    kvmtool: str = ""
    """Path of an ``lkvm`` for the architecture; empty for none."""
    option: str = ""
    """All of this, as the user has typed it."""

    def name_with(self, qemu: str) -> str:
        """Of the host in plans and records; ``qemu`` names an installation."""
        kernel = self.kernel.name if self.kernel.is_debian else Path(self.kernel.name).name
        plain = "".join(c if c.isalnum() or c in "._+-" else "-" for c in kernel)
        name = f"{VIRTUAL}{self.architecture.value}-{plain}"
        return name if qemu == SYSTEM else f"{name}-{qemu}"


@dataclass(slots=True)
class Starter:
    """Starts virtual hosts of one kind: from a snapshot where there is one, which the first that
    boots leaves."""

    settings: Settings
    binary: Binary
    folder: Path
    """Of images and snapshots."""
    on_step: Callable[[str], None]
    cold: bool = False
    """Boot always, and save nothing."""
    _image: Image | None = None

    @property
    def name(self) -> str:
        """Of the host in plans and records."""
        return self.settings.name_with(self.binary.qemu)

    def machine(self) -> VirtualMachine:
        """Raises HostLostError where this QEMU cannot be such a host."""
        machine = machine_for(self.binary)
        if isinstance(machine, str):
            raise HostLostError(machine)
        return machine

    async def image(self) -> Image:
        """The host's image, built where it is not there.

        Raises:
            HostError: as :func:`matrix.hosts.virtual.image.build`.
        """
        if self._image is None:
            self._image = await images.build(
                self.settings.kernel,
                self.settings.architecture,
                self.machine().modules,
                self.folder,
                parameters=dict(self.settings.parameters),
                on_step=self.on_step,
            )
        return self._image

    @asynccontextmanager
    async def start(self, logs: Path) -> AsyncIterator[VirtualGuest]:
        """A host that runs and has been proven; when this is left, nothing of it does.

        Raises:
            HostLostError: it does not come up, or its KVM fails the proof.
            HostError: there is no image.
        """
        state = await self._state()
        async with AsyncExitStack() as stack:
            guest = await self._from_snapshot(state, logs, stack)
            if guest is None:
                guest = await stack.enter_async_context(self._boot(logs))
                await self._prove(guest)
                await self._save(guest, state)
            yield guest

    def _arguments(self, image: Image, socket: str, disk: str) -> tuple[str, ...]:
        return host_arguments(
            self.binary,
            self.machine(),
            HostFiles(str(image.kernel), str(image.initrd), disk),
            socket=socket,
            cpus=self.settings.cpus,
            memory=self.settings.memory,
            parameters=self.settings.kernel_parameters,
        )

    @property
    def _mapped(self) -> bool:
        return self.binary.version >= SNAPSHOT_VERSION

    async def _state(self) -> Path | None:
        """Where the snapshot is, or would be; None where there can be none."""
        image = await self.image()
        if self.cold or not self.machine().snapshots:
            return None
        arguments = self._arguments(image, "", "")
        key = snapshot.key_of(image.digest, self.binary.version_text, arguments)
        folder = self.folder / "snapshots"
        _make_private(folder)
        return folder / f"{self.settings.architecture.value}-{key}"

    async def _from_snapshot(
        self, state: Path | None, logs: Path, stack: AsyncExitStack
    ) -> VirtualGuest | None:
        if state is None or not _is_there(state):
            return None

        async def load(session: Session) -> None:
            await snapshot.load(session, state, mapped=self._mapped)

        try:
            guest = await stack.enter_async_context(self._boot(logs / "snapshot", load))
            for module in self.machine().reload:
                await guest.reload(module)
        except HostLostError as error:
            self.on_step(f"the snapshot of {self.name} does not start, so it boots: {error}")
            _remove(state)
            return None
        return guest

    @asynccontextmanager
    async def _boot(self, logs: Path, load: Loader | None = None) -> AsyncIterator[VirtualGuest]:
        image = await self.image()
        _make_private(logs)
        if load is None:
            self.on_step(f"booting {self.name}")
        try:
            async with started(partial(self._arguments, image), logs, load) as guest:
                yield guest
        except (OSError, SpawnError) as error:
            raise HostLostError(str(error)) from error

    async def _prove(self, guest: VirtualGuest) -> None:
        """Run the embedded guests.

        Raises:
            HostLostError: one does not pass.
        """
        ready = guest.ready
        if ready is not None and ready.kvm_error:
            raise HostLostError(
                f"Linux {ready.release} has no KVM here: /dev/kvm gives error {ready.kvm_error}"
            )
        for case in proving_cases(self.settings.architecture):
            parser = suite_of(case.suite).parser()
            result = await run_case(guest, case, PROOF_SECONDS, parser.feed)
            outcome = outcome_of(result)
            channel = ExitChannel.CONSOLE
            end = End(case.test, channel, outcome, parser.finish(), Accelerator.KVM.value)
            judgement = suite_of(case.suite).judge(end)
            report = first_report(result.records)
            why = report.line if report is not None else judgement.reason
            if report is not None or judgement.verdict not in (Verdict.PASS, Verdict.SKIP):
                raise HostLostError(f"its KVM fails the {case.test.name} guest: {why}")

    async def _save(self, guest: VirtualGuest, state: Path | None) -> None:
        if state is None:
            return
        try:
            await snapshot.save(guest.session, state, mapped=self._mapped)
        except (MonitorError, OSError) as error:
            self.on_step(f"the state of {self.name} was not saved: {error}")


def _is_there(path: Path) -> bool:
    return path.exists()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _make_private(folder: Path) -> None:
    """Raises HostError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise HostError(f"cannot make {folder}: {error.strerror}") from error
