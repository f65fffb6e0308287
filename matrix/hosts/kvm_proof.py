"""Proves KVM: runs the embedded guests under it, with the very CPU model that a case asks for.

A KVM that opens, creates a VM and claims every feature may still not run guests: nested and partial
implementations triple-fault, hang, or make QEMU abort with one CPU model and not with another.
"""

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matrix.attempt import Ending, Outcome
from matrix.errors import HostError
from matrix.inventory import Binary, KvmProof, KvmState
from matrix.model import Accelerator, Architecture, Build, Case, Launch, Test, Variant
from matrix.plan.command import launch_for
from matrix.suites.build import builtin_build
from matrix.suites.console_protocol import ConsoleParser
from matrix.suites.judgement import End, Judgement
from matrix.suites.unit_tests_judge import judge
from matrix.suites.unittests import read_tests
from matrix.verdicts import Verdict
from matrix.vm.machine import Limits, run_guest

GUESTS = ("boot", "smp", "exception")
"""The proof: a guest starts, its other vCPUs start, and faults find their handlers."""

TIMEOUT = 10.0
"""Seconds for a guest that takes under one where KVM works."""
PATIENCE = 3.0
"""A guest that hangs is given that many times as long once more, as the host may just be busy."""
LOG_BYTES = 1 << 20

LEAN_FIRMWARE = ("-bios", "qboot.rom")
"""For x86 guests, where the usual one was tried: SeaBIOS takes 0.1 s under TCG and 4 s where KVM
emulates real mode, and this takes a twentieth of that."""

_X86 = (Architecture.X86_64, Architecture.I386)

GuestRunner = Callable[..., Awaitable[Outcome]]
"""Like :func:`matrix.vm.machine.run_guest`."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One embedded guest: how its QEMU ended, and what that came to."""

    guest: str
    outcome: Outcome
    judgement: Judgement

    @property
    def passed(self) -> bool:
        """Whether it says nothing against KVM; a guest may skip what a machine does not have."""
        return self.judgement.verdict in (Verdict.PASS, Verdict.SKIP) and not self.refused

    @property
    def refused(self) -> bool:
        """Whether QEMU ended before a vCPU ran, because it does not take the configuration."""
        return self.outcome.ending is Ending.REFUSED


class Firmwares:
    """What an emulator's first guest came to with its usual firmware and with the lean one.

    Whoever proves an emulator first tries both. What they agreed on is believed of the lean one
    alone when other CPU models are proven: what differs between those is not how firmware starts.
    """

    def __init__(self) -> None:
        self._agreed: dict[tuple[str, Architecture], Judgement | None] = {}
        self._turns: defaultdict[tuple[str, Architecture], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self, guests: "_Guests", test: Test) -> Trial:
        """Run the first guest of a proof.

        Raises:
            HostError: the host failed.
        """
        if guests.build.architecture not in _X86:
            return await guests.usual(test)
        key = (guests.binary.path, guests.build.architecture)
        async with self._turns[key]:
            if key not in self._agreed:
                usual, lean = await guests.usual(test), await guests.lean(test)
                same = (usual.judgement, usual.passed) == (lean.judgement, lean.passed)
                self._agreed[key] = usual.judgement if same else None
                return usual
        if self._agreed[key] is not None:
            lean = await guests.lean(test)
            if lean.judgement == self._agreed[key]:
                return lean
        return await guests.usual(test)


async def prove_kvm(
    binary: Binary,
    architecture: Architecture,
    cpu: str,
    *,
    firmwares: Firmwares | None = None,
    runner: GuestRunner = run_guest,
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - the guests', not this function's
) -> KvmProof:
    """Run the embedded guests of ``architecture`` under KVM until one does not pass.

    Args:
        binary: the emulator, which has KVM built in; for 32-bit Arm that of the host's AArch64.
        architecture: the guests'.
        cpu: the ``-cpu`` value, empty for the default.
        firmwares: what earlier proofs found of the emulators' firmware; none did without.
        runner: runs a guest (tests bring their own).
        timeout: seconds for each guest.

    Returns:
        WORKS, BROKEN with the guest that did not pass and why, or UNAVAILABLE where QEMU will not
        even start a vCPU.

    Raises:
        SuiteError: the embedded guests are not there.
        HostError: the host failed before anything could be said about KVM.
    """
    trials = await try_guests(
        binary,
        architecture,
        Accelerator.KVM,
        cpu=cpu,
        firmwares=firmwares,
        runner=runner,
        timeout=timeout,
    )
    return _proof(binary.qemu, architecture, cpu, trials)


async def try_guests(
    binary: Binary,
    architecture: Architecture,
    accelerator: Accelerator,
    *,
    cpu: str = "",
    firmwares: Firmwares | None = None,
    runner: GuestRunner = run_guest,
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - the guests', not this function's
) -> list[Trial]:
    """Run the embedded guests of ``architecture``, which ends with the first that does not pass.

    Arguments and errors are those of :func:`prove_kvm`.
    """
    build = builtin_build(architecture)
    tests = _proving(read_tests(build, max_smp=1))
    if not tests:
        raise HostError(f"there is no embedded guest for {architecture.value} that can prove it")
    guests = _Guests(binary, build, accelerator, cpu, runner, timeout)
    first = firmwares.run(guests, tests[0]) if firmwares else guests.usual(tests[0])
    trials = [await first]
    for test in tests[1:]:
        if not trials[-1].passed:
            break
        trials.append(await guests.later(test))
    return trials


def _proving(tests: Sequence[Test]) -> tuple[Test, ...]:
    """The guests of the proof, in its order, that this build has."""
    usable = {test.name: test for test in tests if not test.unsupported}
    return tuple(usable[name] for name in GUESTS if name in usable)


@dataclass(frozen=True, slots=True)
class _Guests:
    """The guests of one proof."""

    binary: Binary
    build: Build
    accelerator: Accelerator
    cpu: str
    runner: GuestRunner
    seconds: float

    async def usual(self, test: Test) -> Trial:
        """Run a guest with the usual firmware; once more and for longer if it hangs."""
        trial = await self._run(self._launch(test), test, self.seconds)
        if trial.judgement.verdict in (Verdict.TIMEOUT, Verdict.STALL):
            trial = await self._run(self._launch(test), test, self.seconds * PATIENCE)
        return trial

    async def lean(self, test: Test) -> Trial:
        """Run an x86 guest with the lean firmware."""
        launch = self._launch(test)
        leaner = replace(launch, argv=(*launch.argv, *LEAN_FIRMWARE))
        return await self._run(leaner, test, self.seconds)

    async def later(self, test: Test) -> Trial:
        """Run a guest after the first, with the usual firmware only if it does not pass without."""
        if self.build.architecture in _X86:
            trial = await self.lean(test)
            if trial.passed:
                return trial
        return await self.usual(test)

    def _launch(self, test: Test) -> Launch:
        variant = Variant(
            self.build.architecture,
            self.accelerator,
            qemu=self.binary.qemu,
            cpu=self.cpu or None,
        )
        case = Case("kvm-proof", "kvm-proof", "kvm-unit-tests", test, variant, self.build)
        return launch_for(case, self.binary, self.accelerator)

    async def _run(self, launch: Launch, test: Test, seconds: float) -> Trial:
        parser = ConsoleParser()
        limits = Limits(timeout=seconds, stall=seconds / 2, log_bytes=LOG_BYTES)
        try:
            with tempfile.TemporaryDirectory(prefix="matrix-proof-") as directory:
                outcome = await self.runner(launch, Path(directory), limits, on_console=parser.feed)
        except OSError as error:
            raise HostError(f"no temporary folder: {error.strerror}") from error
        if outcome.ending is Ending.ERROR:
            raise HostError(outcome.reason)
        if outcome.kvm_enabled is False and self.accelerator is Accelerator.KVM:
            raise HostError("QEMU was told to use KVM and does not")
        end = End(test, launch.channel, outcome, parser.finish(), self.accelerator.value)
        return Trial(test.name, outcome, judge(end))


def _proof(qemu: str, architecture: Architecture, cpu: str, trials: Sequence[Trial]) -> KvmProof:
    last = trials[-1]
    guests = tuple((trial.guest, trial.judgement.verdict.value) for trial in trials)
    if last.passed:
        state, reason = KvmState.WORKS, f"the {_listed(guests)} guests pass under KVM"
    elif last.refused:
        state, reason = KvmState.UNAVAILABLE, f"under KVM, {last.judgement.reason}"
    else:
        state = KvmState.BROKEN
        reason = f"KVM fails the {last.guest} guest: {last.judgement.reason}"
    return KvmProof(qemu, architecture, cpu, state, reason, guests)


def _listed(guests: Sequence[tuple[str, str]]) -> str:
    names = [name for name, _ in guests]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
