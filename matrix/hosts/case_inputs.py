"""Finds out what the cases of a run follow from, before they run and once more when they ended."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from matrix.errors import MatrixError
from matrix.hosts.cache import Cache, cache_directory
from matrix.hosts.contents import without_folders
from matrix.hosts.digests import Digests, FileState, SharedFiles, unchanged
from matrix.hosts.host_facts import HostState, read_host
from matrix.hosts.judging import judging_version
from matrix.hosts.local.launch import binary_of, initrd_text
from matrix.hosts.qemu_content import QemuContent, QemuContents
from matrix.inventory import Binary, Firmware, Inventory
from matrix.model import Accelerator
from matrix.plan.command import EfiBoot, launch_for
from matrix.plan.decisions import Decision, Run
from matrix.plan.inputs import Inputs, Surroundings, inputs_of, paths_in, value_of, why_unknown
from matrix.plan.planner import firmware_for

STEERING = ("LD_", "QEMU_", "GLIBC_", "MALLOC_", "G_")
"""What the names of variables begin with that QEMU, the loader, libc and GLib read."""
EFI_FOLDER, INITRD_FILE = "efi", "initrd"
"""Stand for paths in the attempt's folder."""


@dataclass(frozen=True, slots=True)
class Noted:
    """The inputs of a case as they were, and the files that they are of."""

    inputs: Inputs
    files: tuple[tuple[str, FileState], ...]
    """Of the case itself."""
    qemu: SharedFiles

    def hold(self) -> bool:
        """Whether all of the files are still what they were."""
        return unchanged(self.files) and self.qemu.hold()


@dataclass(frozen=True, slots=True)
class KnownQemu:
    """An emulator's content (:class:`matrix.hosts.qemu_content.QemuContent`), as plain data."""

    path: str
    qemu: str
    libraries: str
    firmware: str
    states: tuple[tuple[str, FileState], ...]


@dataclass(frozen=True, slots=True)
class Common:
    """What the inputs of all cases of a run have in common, as plain data."""

    environment: str
    program: str
    """Empty where that is not known: no case's inputs are, either."""
    tcg: str
    """What TCG of this machine depends on."""
    kvm: str
    """What KVM of this machine depends on, as far as it shows."""
    qemus: tuple[KnownQemu, ...] = ()


class CaseInputs:
    """What the cases of a run follow from. Files are read once, and not where a former run has."""

    def __init__(
        self,
        inventory: Inventory,
        *,
        host: HostState | None = None,
        cache: Cache | None = None,
        environment: Mapping[str, str] = os.environ,
        common: Common | None = None,
    ) -> None:
        """``inventory`` is this machine's; ``host`` and ``cache`` are too, where None. ``common``
        is what another process has found; None: it is found here, with :meth:`learn`."""
        self.inventory = inventory
        cache = cache or Cache(cache_directory())
        self._digests = Digests(cache)
        self._qemus: QemuContents | None = None
        self._known: dict[str, QemuContent] = {}
        """By path."""
        self._nameless: dict[str, Binary] = {}
        """By path."""
        if common is None:
            host = host or read_host()
            self._qemus = QemuContents(cache, host.key, self._digests)
            common = _common(environment, judging_version(self._digests), host)
        self._common = common
        for each in common.qemus:
            files = SharedFiles(each.states)
            content = QemuContent(each.qemu, each.libraries, each.firmware, files)
            self._known[each.path] = content

    @property
    def common(self) -> Common:
        """What another process needs to know to find out the inputs of cases as this one does. No
        JSON can tell it of emulators with files whose names are not UTF-8."""
        qemus = (
            KnownQemu(path, each.qemu, each.libraries, each.firmware, each.files.states)
            for path, each in self._known.items()
            if all(map(_is_utf8, (path, *(name for name, _ in each.files.states))))
        )
        return replace(self._common, qemus=tuple(qemus))

    def learn(self, decisions: Iterable[Decision]) -> None:
        """Look at the emulators and the files of these cases, before guests wait for it."""
        wanted: dict[str, Binary] = {}
        files: dict[str, None] = {}
        for decision in decisions:
            if isinstance(decision, Run) and not why_unknown(decision):
                with suppress(MatrixError):  # who starts the case says what is wrong
                    binary = binary_of(decision, self.inventory)
                    wanted.setdefault(binary.path, binary)
                files.update(dict.fromkeys(_files(decision)))
        if self._qemus is not None:
            asyncio.run(self._qemus.learn(wanted.values()))
            for binary in wanted.values():
                if (content := self._qemus.of(binary)) is not None:
                    self._known[binary.path] = content
        for path in files:
            with suppress(OSError, ValueError):  # as above
                self._digests.of(path)

    def save(self) -> None:
        """Keep the digests of what was read for the next run."""
        self._digests.save()

    def of(self, decision: Run) -> Noted | None:
        """The inputs of a case as they are now; None where not all are known."""
        if why_unknown(decision) or not self._common.program:
            return None
        try:
            return self._noted(decision)
        except (OSError, ValueError, MatrixError):  # who starts it says what is wrong
            return None

    def _noted(self, decision: Run) -> Noted | None:
        binary = binary_of(decision, self.inventory)
        qemu = self._known.get(binary.path)
        if qemu is None:
            return None
        case = decision.case
        firmware = firmware_for(case, binary, self.inventory)
        boot = None
        others = list(filter(os.path.isfile, paths_in(case.test.qemu_params)))
        if isinstance(firmware, Firmware):
            others += filter(None, (firmware.executable, firmware.variables))
            boot = EfiBoot(replace(firmware, executable="code", variables=""), EFI_FOLDER)
        initrd = initrd_text(decision, self.inventory, binary)
        launch = launch_for(
            without_folders(case),
            self._without_path(binary),
            decision.accelerator,
            initrd=INITRD_FILE if initrd else "",
            efi_boot=boot,
        )
        with_kvm = decision.accelerator is Accelerator.KVM
        around = Surroundings(
            qemu=qemu.qemu,
            libraries=qemu.libraries,
            firmware=qemu.firmware,
            environment=self._common.environment,
            host=self._common.kvm if with_kvm else self._common.tcg,
            program=self._common.program,
            initrd=initrd,
            others=value_of([self._digests.of(path) for path in others]),
        )
        inputs = inputs_of(decision, launch, around, self._content)
        return Noted(inputs, self._digests.states((*_files(decision), *others)), qemu.files)

    def _content(self, path: str) -> str:
        return f"{self._digests.of(path)}/{Path(path).name}"

    def _without_path(self, binary: Binary) -> Binary:
        """An emulator as it is in each place."""
        known = self._nameless.get(binary.path)
        if known is None:
            known = self._nameless[binary.path] = replace(binary, path="")
        return known


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _common(environment: Mapping[str, str], program: str, host: HostState) -> Common:
    system = os.uname()
    machine = (system.machine, system.release, system.version, host.device.state)
    steering = sorted(each for each in environment.items() if each[0].startswith(STEERING))
    return Common(
        environment=value_of(steering),
        program=program,
        tcg=value_of(host.host.architecture),
        kvm=value_of(machine),
    )


def _files(decision: Run) -> list[str]:
    """The files that a case names."""
    test, build = decision.case.test, decision.case.build
    return [*filter(None, (test.image, build.firmware)), *(path for _, path in build.files)]
