"""Takes the inventory: asks the QEMU binaries and proves KVM, as far as wanted and not known yet.

With everything in the cache nothing is started and no event is waited for. What has to be asked is
asked side by side, as many at once as there are CPUs.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

from matrix.errors import HostError, MatrixError, MonitorError, SuiteError
from matrix.hosts.cache import Cache, cache_directory
from matrix.hosts.cached_records import (
    KnownBinary,
    decode_binary,
    decode_proof,
    encode_binary,
    encode_proof,
    stamps_text,
)
from matrix.hosts.fingerprint import Stamper
from matrix.hosts.firmware import find_firmware
from matrix.hosts.host_facts import HostState, first_lines, read_host
from matrix.hosts.installations import Installation, find_kvmtool
from matrix.hosts.kvm import why_no_kvm
from matrix.hosts.packages import install_command, read_distribution
from matrix.hosts.surveyors import Surveyors, real_surveyors
from matrix.hosts.turns import turn
from matrix.hosts.wanted import Wanted
from matrix.inventory import Binary, Firmware, Inventory, KvmProof, KvmState
from matrix.model import Accelerator, Architecture
from matrix.plan.emulators import emulator_architecture
from matrix.plan.firmware_choice import choose_firmware
from matrix.plan.properties import cpu_flaw
from matrix.suites.stderr import host_complaint

ProofKey = tuple[str, Architecture, str]
"""Installation, the guests' architecture, ``-cpu`` value."""


def ignore_step(_step: str) -> None:
    """A callback that does nothing."""


async def take_inventory(
    installations: Sequence[Installation],
    wanted: Collection[Wanted],
    *,
    files: Collection[str] = (),
    fresh: bool = False,
    on_step: Callable[[str], None] = ignore_step,
    host: HostState | None = None,
    cache: Cache | None = None,
    surveyors: Surveyors | None = None,
) -> Inventory:
    """What this host can run of what is wanted.

    Args:
        installations: those of the run; what is wanted of others is left out.
        wanted: emulators, and the CPU models to prove KVM for.
        files: the host's files whose first line a plan compares.
        fresh: ask again whatever the cache says; the answers are kept.
        on_step: told in words what takes time, when it begins; not called with all in the cache.
        host: the host's state, read where None.
        cache: where answers are kept, the user's where None.
        surveyors: who asks and proves, QEMU itself where None.

    Returns:
        Emulators that are not there are in ``missing``, those that cannot be asked in ``broken``,
        each with the reason. For every CPU model wanted there is a proof, if only that there is no
        KVM for it.

    Raises:
        HostError: the host has no memory, threads or descriptors left.
    """
    survey = _Survey(
        {installation.name: installation for installation in installations},
        host or read_host(),
        cache or Cache(cache_directory()),
        surveyors or real_surveyors(),
        on_step,
        fresh=fresh,
    )
    kept = [want for want in wanted if want.qemu in survey.installations]
    await survey.find_binaries(kept)
    await survey.find_proofs(kept)
    firmware = find_firmware()
    return replace(
        survey.inventory(first_lines(files)),
        firmware=firmware.firmware,
        firmware_problems=firmware.problems,
        firmware_proofs=await survey.find_firmware_proofs(kept, firmware.firmware),
        kvmtool=find_kvmtool(),
    )


def fingerprint_of(binary: Binary, host: HostState, cache: Cache) -> str | None:
    """Text that changes with the files that a binary is made of, for keys of what else is kept of
    it; None where its inventory could not be kept."""
    known = cache.read(
        _binary_name(Path(binary.path)), host.key, lambda value: decode_binary(value, binary.qemu)
    )
    return None if known is None else stamps_text(known.stamps)


def files_of(path: str, host_key: str, cache: Cache) -> tuple[str, ...] | None:
    """The files that a binary is made of, itself first; None where its inventory was not kept.

    ``host_key`` as :class:`HostState` has it.
    """
    return cache.read(
        _binary_name(Path(path)),
        host_key,
        lambda value: tuple(str(stamp[0]) for stamp in value["stamps"]),
    )


class _Survey:
    """One taking of the inventory: what is known so far, and how to learn the rest."""

    def __init__(
        self,
        installations: dict[str, Installation],
        host: HostState,
        cache: Cache,
        surveyors: Surveyors,
        on_step: Callable[[str], None],
        *,
        fresh: bool,
    ) -> None:
        self.installations = installations
        self._host = host
        self._cache = cache
        self._surveyors = surveyors
        self._on_step = on_step
        self._fresh = fresh
        self._stamper = Stamper()
        self._slots = asyncio.Semaphore(host.host.cpus)
        self._binaries: dict[tuple[str, Architecture], KnownBinary] = {}
        self._missing: dict[tuple[str, Architecture], str] = {}
        self._broken: dict[tuple[str, Architecture], str] = {}
        self._proofs: dict[ProofKey, KvmProof] = {}
        self._trouble: HostError | None = None

    def inventory(self, files: tuple[tuple[str, str], ...]) -> Inventory:
        """What is known, in an order that does not depend on what was asked first."""
        pairs = [
            (name, architecture) for name in self.installations for architecture in Architecture
        ]
        return Inventory(
            host=self._host.host,
            binaries=tuple(self._binaries[pair].binary for pair in pairs if pair in self._binaries),
            missing=tuple((*pair, self._missing[pair]) for pair in pairs if pair in self._missing),
            broken=tuple((*pair, self._broken[pair]) for pair in pairs if pair in self._broken),
            proofs=tuple(self._proofs.values()),
            files=files,
        )

    async def find_binaries(self, wanted: Collection[Wanted]) -> None:
        """Fill in every emulator that is wanted, from the cache or by asking it."""
        unknown: dict[tuple[Architecture, Path], list[str]] = {}
        for qemu, architecture in dict.fromkeys(self._emulators(wanted)):
            path = self._find(qemu, architecture)
            if path is None:
                continue
            known = None if self._fresh else self._cached_binary(qemu, architecture, path)
            if known is not None:
                self._binaries[qemu, architecture] = known
            else:
                unknown.setdefault((architecture, path), []).append(qemu)
        if unknown:
            async with asyncio.TaskGroup() as group:
                for (architecture, path), (qemu, *_) in unknown.items():
                    group.create_task(self._probe(qemu, architecture, path))
            self._raise_trouble()
            for (architecture, _), qemus in unknown.items():
                self._copy_binary(architecture, *qemus)

    def _copy_binary(self, architecture: Architecture, asked: str, *others: str) -> None:
        """What is known of a binary for the other installations that have the same one."""
        known = self._binaries.get((asked, architecture))
        for qemu in others:
            if known is not None:
                binary = replace(known.binary, qemu=qemu)
                self._binaries[qemu, architecture] = replace(known, binary=binary)
            else:
                self._broken[qemu, architecture] = self._broken[asked, architecture]

    async def find_proofs(self, wanted: Collection[Wanted]) -> None:
        """Fill in every proof that is wanted: as obvious, cached, or by running guests."""
        tried_as: dict[ProofKey, ProofKey] = {}
        first: dict[str, str] = {}
        found: dict[ProofKey, KvmProof | None] = {}
        for qemu, architecture, cpu in dict.fromkeys(_proof_keys(wanted)):
            key = (qemu, architecture, cpu)
            why = self._why_no_kvm(*key)
            if why:
                self._proofs[key] = KvmProof(*key, KvmState.UNAVAILABLE, why)
                continue
            known = self._known(qemu, architecture)
            tried = (
                # Installations may have the same binary.
                first.setdefault(known.binary.path, qemu),
                architecture,
                "" if _is_default(known.binary, architecture, cpu) else cpu,
            )
            tried_as[key] = tried
            found[tried] = self._cached_proof(known, *tried[1:])
        untried = [key for key, proof in found.items() if proof is None]
        if untried:
            # Other CPU models of an emulator wait for what its first shows of the firmware.
            firsts = {key[:2]: key for key in reversed(untried)}.values()
            async with asyncio.TaskGroup() as group:
                in_order = sorted(untried, key=lambda key: key not in firsts)
                tasks = {key: group.create_task(self._prove(*key)) for key in in_order}
            self._raise_trouble()
            found.update((key, task.result()) for key, task in tasks.items())
        for key, tried in tried_as.items():
            proof = found[tried]
            if proof is not None:
                self._proofs[key] = replace(proof, qemu=key[0], cpu=key[2])

    async def find_firmware_proofs(
        self, wanted: Collection[Wanted], firmware: Sequence[Firmware]
    ) -> tuple[KvmProof, ...]:
        """Of every emulator for which that is wanted, where its plain guests run under KVM and
        there is firmware for them."""
        found: dict[tuple[str, Architecture], KvmProof] = {}
        for want in wanted:
            pair = (want.qemu, want.architecture)
            cpu = next((cpu for cpu in want.cpus if self._works(*pair, cpu)), None)
            if want.firmware_machine is None or cpu is None or pair in found:
                continue
            known = self._known(*pair)
            chosen = choose_firmware(firmware, known.binary, want.firmware_machine)
            if isinstance(chosen, Firmware):
                found[pair] = await self._with_firmware(known, want, cpu, chosen)
        return tuple(found.values())

    async def _with_firmware(
        self, known: KnownBinary, want: Wanted, cpu: str, firmware: Firmware
    ) -> KvmProof:
        """The proof with that firmware, from the cache or by starting it."""
        machine = want.firmware_machine or ""
        about = (want.qemu, want.architecture, cpu)
        files = filter(None, (firmware.executable, firmware.variables))
        stamps = [self._stamper.stamp(file) for file in files]
        try:
            key = f"{self._proof_key(known, want.architecture)}\n{stamps_text(stamps)}"
        except SuiteError as error:
            return _untried(about, error)
        name = f"{_proof_name(known.binary, want.architecture, cpu)} {machine} with firmware"

        def kept() -> KvmProof | None:
            if self._fresh:
                return None
            return self._cache.read(name, key, lambda value: decode_proof(value, *about))

        if (cached := kept()) is not None:
            return cached
        what = f"trying UEFI firmware for {want.architecture.value} under KVM ({want.qemu})"
        async with self._turn(name, what):
            if (cached := kept()) is not None:
                return cached
            self._on_step(what)
            try:
                proof = await self._surveyors.prove_firmware(
                    known.binary, want.architecture, cpu, machine, firmware
                )
            except HostError as error:
                return _untried(about, error)
            self._cache.write(name, key, encode_proof(proof))
            return proof

    def _works(self, qemu: str, architecture: Architecture, cpu: str) -> bool:
        proof = self._proofs.get((qemu, architecture, cpu))
        return proof is not None and proof.state is KvmState.WORKS

    def _emulators(self, wanted: Collection[Wanted]) -> list[tuple[str, Architecture]]:
        """Every emulator that is involved, the one for KVM where that is another."""
        found = []
        for want in wanted:
            found.append((want.qemu, want.architecture))
            if want.cpus:
                found.append((want.qemu, self._emulator(want.architecture)))
        return found

    def _emulator(self, architecture: Architecture) -> Architecture:
        """The architecture of the emulator that runs such guests under KVM."""
        return emulator_architecture(architecture, Accelerator.KVM, Inventory(self._host.host))

    def _find(self, qemu: str, architecture: Architecture) -> Path | None:
        """The emulator's path; where there is none, that is noted."""
        installation = self.installations[qemu]
        path = installation.find(architecture, self._host.host.architecture)
        if path is None:
            why = f"no qemu-system-{architecture.value} in {installation.place}"
            if installation.directory is None:
                why += f" ({install_command(architecture, read_distribution())})"
            self._missing[qemu, architecture] = why
        return path

    def _cached_binary(
        self, qemu: str, architecture: Architecture, path: Path
    ) -> KnownBinary | None:
        known = self._cache.read(
            _binary_name(path), self._host.key, lambda value: decode_binary(value, qemu)
        )
        if known is None or known.binary.architecture is not architecture:
            return None
        return known if self._stamper.unchanged(known.stamps) else None

    async def _probe(self, qemu: str, architecture: Architecture, path: Path) -> None:
        what = f"asking {path} what it can do"
        async with self._turn(_binary_name(path), what), self._slots:
            known = None if self._fresh else self._cached_binary(qemu, architecture, path)
            if known is not None:
                self._binaries[qemu, architecture] = known
                return
            self._on_step(what)
            try:
                probed = await self._surveyors.probe(qemu, architecture, path)
            except (HostError, MonitorError) as error:
                self._note_trouble(error)
                self._broken[qemu, architecture] = f"{path} cannot be asked: {error}"
                return
            known = KnownBinary(
                probed.binary, tuple(self._stamper.stamp(file) for file in probed.files)
            )
            self._binaries[qemu, architecture] = known
            self._cache.write(_binary_name(path), self._host.key, encode_binary(known))

    def _turn(self, name: str, what: str) -> AbstractAsyncContextManager[None]:
        """That of finding out what is kept under a name."""
        return turn(self._cache, name, lambda: self._on_step(f"waiting for another run: {what}"))

    def _note_trouble(self, error: MatrixError) -> None:
        """A host without memory, threads or descriptors says nothing of QEMU or KVM."""
        if host_complaint(str(error).splitlines()):
            self._trouble = HostError(f"this host cannot be examined: {error}")

    def _raise_trouble(self) -> None:
        if self._trouble is not None:
            raise self._trouble

    def _known(self, qemu: str, architecture: Architecture) -> KnownBinary:
        """The binary that runs guests of that architecture under KVM; KeyError where none does."""
        return self._binaries[qemu, self._emulator(architecture)]

    def _why_no_kvm(self, qemu: str, architecture: Architecture, cpu: str) -> str:
        """Why there is no KVM, as far as that can be said without running a guest."""
        emulator = (qemu, self._emulator(architecture))
        if why := self._missing.get(emulator) or self._broken.get(emulator):
            return why
        binary = self._known(qemu, architecture).binary
        why = why_no_kvm(
            architecture,
            self._host.host.architecture,
            self._host.device,
            built_in=Accelerator.KVM.value in binary.accelerators,
        )
        flaw = None if why else cpu_flaw(cpu, binary)
        return flaw.described_for(binary) if flaw else why

    def _cached_proof(
        self, known: KnownBinary, architecture: Architecture, cpu: str
    ) -> KvmProof | None:
        qemu = known.binary.qemu
        try:
            key = self._proof_key(known, architecture)
        except SuiteError as error:
            return _untried((qemu, architecture, cpu), error)
        if self._fresh:
            return None
        return self._cache.read(
            _proof_name(known.binary, architecture, cpu),
            key,
            lambda value: decode_proof(value, qemu, architecture, cpu),
        )

    async def _prove(self, qemu: str, architecture: Architecture, cpu: str) -> KvmProof:
        known = self._known(qemu, architecture)
        model = f" with -cpu {cpu}" if cpu else ""
        what = f"trying {architecture.value} guests under KVM{model} ({qemu})"
        name = _proof_name(known.binary, architecture, cpu)
        async with self._turn(name, what), self._slots:
            if (kept := self._cached_proof(known, architecture, cpu)) is not None:
                return kept
            self._on_step(what)
            try:
                proof = await self._surveyors.prove(known.binary, architecture, cpu)
            except HostError as error:
                # Not kept: it says nothing about KVM.
                self._note_trouble(error)
                why = f"KVM could not be tried: {error}"
                return KvmProof(qemu, architecture, cpu, KvmState.UNAVAILABLE, why)
            self._cache.write(name, self._proof_key(known, architecture), encode_proof(proof))
            return proof

    def _proof_key(self, known: KnownBinary, architecture: Architecture) -> str:
        guests = [self._stamper.stamp(file) for file in self._surveyors.guest_files(architecture)]
        return f"{self._host.key}\n{stamps_text(known.stamps)}\n{stamps_text(guests)}"


def _proof_keys(wanted: Collection[Wanted]) -> Iterator[ProofKey]:
    for want in wanted:
        for cpu in want.cpus:
            yield want.qemu, want.architecture, cpu


def _untried(key: ProofKey, error: MatrixError) -> KvmProof:
    """Stands for a proof where something else than KVM is in its way; it is not kept."""
    return KvmProof(*key, KvmState.UNAVAILABLE, f"KVM could not be tried: {error}")


def _is_default(binary: Binary, architecture: Architecture, cpu: str) -> bool:
    """Whether ``-cpu cpu`` is what QEMU takes without it, so that one proof serves both.

    Only on x86: elsewhere the default under KVM is the plan's choice and not the machine's.
    """
    if architecture not in (Architecture.X86_64, Architecture.I386):
        return False
    return any(machine.is_default and machine.default_cpu == cpu for machine in binary.machines)


def _binary_name(path: Path) -> str:
    return f"binary {path}"


def _proof_name(binary: Binary, architecture: Architecture, cpu: str) -> str:
    return f"proof {binary.path} {architecture.value} {cpu}"
