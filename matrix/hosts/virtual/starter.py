"""Starts virtual KVM hosts: their image, their snapshot, and the proof of their KVM."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from matrix.errors import HostError, HostLostError, HostUnfitError, MonitorError, SpawnError
from matrix.hosts.virtual import image as images
from matrix.hosts.virtual import snapshot
from matrix.hosts.virtual.image import Image, KernelChoice
from matrix.hosts.virtual.kernel_log import first_report
from matrix.hosts.virtual.kernel_says import logged_mode, refused_parameter
from matrix.hosts.virtual.l1_guest import Loader, VirtualGuest, started
from matrix.hosts.virtual.l1_machines import (
    MIB,
    SNAPSHOT_VERSION,
    HostFiles,
    VirtualMachine,
    host_arguments,
    machine_for,
)
from matrix.hosts.virtual.pruning import prune, used
from matrix.hosts.virtual.vmm import outcome_of, proving_cases, run_case
from matrix.inventory import Binary
from matrix.model import Accelerator, Architecture, ExitChannel, HostDevice, HostIommu, KvmMode
from matrix.plan.decisions import VIRTUAL
from matrix.suites.judgement import End
from matrix.suites.registry import suite_of
from matrix.verdict.kernel_trace import debug_files, symbolized_trace
from matrix.verdicts import Verdict
from matrix.vm.qemu_session import Session
from matrix.vm.tasks import in_thread

LOADED = "initstate"
"""File in ``/sys/module/NAME`` of a module that was loaded."""
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
    devices: tuple[HostDevice, ...] = ()
    """For its guests, behind an emulated IOMMU."""
    iommu: HostIommu | None = None
    """That IOMMU; None for the architecture's usual."""
    kvmtool: str = ""
    """Path of an ``lkvm`` for the architecture; empty for none."""
    mode: KvmMode | None = None
    called: str = ""
    """The kernel's name on the axis of that name, where the user has given one."""

    @property
    def kernel_with_drivers(self) -> KernelChoice:
        """The kernel. Debian's cloud kernels are built without CONFIG_AMD_IOMMU."""
        return replace(self.kernel, full=self.kernel.is_debian and self.iommu is HostIommu.AMD)

    @property
    def kernel_name(self) -> str:
        """What the axis ``kernel`` calls its kernel."""
        kernel = self.kernel.name if self.kernel.is_debian else Path(self.kernel.name).name
        return self.called or "".join(c if c.isalnum() or c in "._+-" else "-" for c in kernel)

    @property
    def command_line(self) -> str:
        """Words for the kernel's command line. Parameters of modules are among them for those that
        are built in; others that are loaded get theirs with them."""
        mode = self.mode is not None and self.mode is not KvmMode.VHE
        words = [f"kvm-arm.mode={self.mode}"] if mode else []
        words += [f"{name}={value}" for name, value in self.parameters]
        return " ".join(filter(None, (*words, self.kernel_parameters)))

    @property
    def option(self) -> str:
        """All of this, as a user types it after ``--virtual-host``."""
        given = {
            "name": self.called,
            "modules": "" if self.kernel.modules is None else str(self.kernel.modules),
            "vmlinux": "" if self.kernel.vmlinux is None else str(self.kernel.vmlinux),
            "cpus": "" if self.cpus == 1 else str(self.cpus),
            "memory": f"{self.memory // MIB}MiB" if self.memory else "",
            "mode": self.mode or "",
            "append": self.kernel_parameters,
            "devices": "+".join(self.devices),
            "iommu": self.iommu or "",
            "kvmtool": self.kvmtool,
        }
        words = [f"{key}={value}" for key, value in (*given.items(), *self.parameters) if value]
        first = f"{self.architecture.value}={self.kernel.name}"
        return ",".join(word.replace(",", ",,") for word in (first, *words))

    def name_with(self, qemu: str) -> str:
        """Of the host in plans and records; ``qemu`` names an installation."""
        name = f"{VIRTUAL}{self.architecture.value}-{self.kernel_name}"
        if self.mode is not None:
            name += f"-{self.mode}"
        own: tuple[object, ...] = (self.cpus, self.memory, self.parameters, self.kernel_parameters)
        own += (self.kvmtool,) if self.kvmtool else ()
        own += (self.devices,) if self.devices else ()
        own += (self.iommu,) if self.iommu else ()
        if own != (1, 0, (), ""):  # too long for a name, and with characters that it cannot have
            name += f"-{hashlib.sha256(repr(own).encode()).hexdigest()[:8]}"
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
    building: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while an image is made, which others may be about to make, too."""
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held until a host of this kind is up: the next one goes on from what the first has saved."""
    _image: Image | None = None

    @property
    def name(self) -> str:
        """Of the host in plans and records."""
        return self.settings.name_with(self.binary.qemu)

    async def fault_place(self, trace: Sequence[str], release: str, directory: Path) -> str:
        """Where the fault is that the host's kernel reports, as :func:`symbolized_trace`."""
        if not trace:
            return ""
        kernel = self.settings.kernel
        image = None if kernel.is_debian else Path(kernel.name)
        files = await in_thread(lambda: debug_files(kernel.vmlinux, image, kernel.modules, release))
        return await symbolized_trace(trace, files, self.settings.architecture, directory)

    def machine(self) -> VirtualMachine:
        """Raises HostLostError where this QEMU cannot be such a host."""
        machine = machine_for(self.binary, self.settings.devices, self.settings.iommu)
        if isinstance(machine, str):
            raise HostLostError(machine)
        return machine

    async def image(self) -> Image:
        """The host's image, built where it is not there.

        Raises:
            HostError: as :func:`matrix.hosts.virtual.image.build`.
        """
        async with self.building:
            if self._image is None or not _is_there(self._image.kernel):  # pruned meanwhile
                self._image = await images.build(
                    self.settings.kernel_with_drivers,
                    self.settings.architecture,
                    self.machine().modules,
                    self.folder,
                    parameters=dict(self.settings.parameters),
                    on_step=self.on_step,
                )
                used(self._image.kernel.parent)
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
            async with self.starting:
                guest = await self._from_snapshot(state, logs, stack)
                if guest is None:
                    guest = await stack.enter_async_context(self._boot(logs))
                    await self._check(guest)
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
            parameters=self.settings.command_line,
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
        # A saved host is not checked again: what another one was not asked for, it did not prove.
        asked = (str(self.settings.mode), repr(self.settings.parameters))
        key = snapshot.key_of(image.digest, self.binary.version_text, (*arguments, *asked))
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
            used(state)
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

    async def _check(self, guest: VirtualGuest) -> None:
        """See that the kernel took what it was told.

        Raises:
            HostLostError: it refuses a parameter, or has none of that name.
            HostUnfitError: its KVM is in another mode than was asked for.
        """
        settings = self.settings
        refused = refused_parameter(guest.boot_log) if settings.command_line else ""
        if settings.mode is not None:
            mode, said = logged_mode(guest.boot_log)
            if mode is not settings.mode:
                why = refused or said or "it does not say in which mode it runs"
                raise HostUnfitError(f"no KVM in mode {settings.mode}: its kernel says {why!r}")
        if refused:
            raise HostLostError(f"its kernel does not take a parameter: {refused}")
        for name, _ in settings.parameters:
            module, _, parameter = name.replace("-", "_").partition(".")
            files = [f"/sys/module/{module}/{each}" for each in (f"parameters/{parameter}", LOADED)]
            # Of one that it loads the kernel says itself what it does not know.
            if not any([await guest.get_file(path) is not None for path in files]):
                raise HostLostError(f"its kernel has no parameter {name}: there is no {files[0]}")

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
        await in_thread(lambda: prune(self.folder))


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
