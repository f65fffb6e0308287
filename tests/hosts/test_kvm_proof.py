"""The proof of KVM: what endings come to, and the real thing."""

import asyncio
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.attempt import Ending, Outcome
from matrix.errors import HostError
from matrix.hosts.kvm import read_device
from matrix.hosts.kvm_proof import GUESTS, PATIENCE, Firmwares, prove_kvm
from matrix.inventory import Binary, KvmProof, KvmState
from matrix.model import Architecture, Build, ExitChannel, Launch, Test
from matrix.vm.machine import Limits
from tests.installed import installed_binary

X86 = Architecture.X86_64
PASSED = Outcome(Ending.EXITED, 0.3, exit_status=1, kvm_enabled=True)
RESET = Outcome(Ending.EXITED, 0.1, exit_status=0, shutdown_reason="guest-reset", kvm_enabled=True)
SKIPPED = replace(PASSED, exit_status=77)
HUNG = Outcome(Ending.TIMEOUT, 10.0, doing="vCPU 0 at 0x7c00", kvm_enabled=True)
REFUSED = Outcome(
    Ending.REFUSED,
    0.1,
    exit_status=1,
    stderr_tail=("qemu-system-x86_64: invalid CPU model for KVM",),
)
ABORTED = Outcome(
    Ending.KILLED,
    0.1,
    signal=6,
    stderr_tail=(
        "error: failed to set MSR 0x10a to 0x2000000000000000",
        "qemu-system-x86_64: kvm_buf_set_msrs: Assertion `ret == nmsrs' failed.",
    ),
)
GONE = Outcome(Ending.ERROR, 0.0, reason="cannot start qemu-system-x86_64: no such file")

BINARY = Binary(
    qemu="mine",
    architecture=X86,
    path="/opt/qemu-system-x86_64",
    version=(7, 2, 0),
    version_text="7.2.0",
    accelerators=("kvm", "tcg"),
)


class Runner:
    """Gives outcomes in turn, and keeps the launches and limits."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = list(outcomes)
        self.launches: list[Launch] = []
        self.limits: list[Limits] = []

    async def __call__(
        self,
        launch: Launch,
        directory: Path,
        limits: Limits,
        *,
        on_console: Callable[[bytes], None],
    ) -> Outcome:
        assert stat.S_IMODE(await asyncio.to_thread(lambda: directory.stat().st_mode)) == 0o700
        self.launches.append(launch)
        self.limits.append(limits)
        on_console(b"PASS: something\nSUMMARY: 1 tests\n")
        return self._outcomes.pop(0)


@pytest.fixture(autouse=True)
def build(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Guests with a known configuration, whatever is built here."""
    if "kvm" in request.keywords:
        return
    build = Build(X86, "/build", "/build/x86", builtin=True)
    tests = [
        Test(name, f"/build/x86/{name}.flat") for name in ("smp", "panic", "boot", "exception")
    ]
    monkeypatch.setattr("matrix.hosts.kvm_proof.builtin_build", lambda architecture: build)
    monkeypatch.setattr("matrix.hosts.kvm_proof.read_tests", lambda build, max_smp: tests)


def prove(runner: Runner, cpu: str = "", **changes: Any) -> KvmProof:
    return asyncio.run(prove_kvm(BINARY, X86, cpu, runner=runner, **changes))


def test_all_pass() -> None:
    runner = Runner(PASSED, PASSED, PASSED)
    assert prove(runner, "host") == KvmProof(
        "mine",
        X86,
        "host",
        KvmState.WORKS,
        "the boot, smp and exception guests pass under KVM",
        (("boot", "pass"), ("smp", "pass"), ("exception", "pass")),
    )
    for launch, guest in zip(runner.launches, GUESTS, strict=True):
        assert launch.channel is ExitChannel.QEMU_EXIT
        assert f"/build/x86/{guest}.flat" in launch.argv
        assert launch.argv[launch.argv.index("-cpu") + 1] == "host"
        assert "accel=kvm" in launch.argv


def test_the_default_cpu_is_left_to_the_plan() -> None:
    runner = Runner(PASSED, PASSED, PASSED)
    prove(runner)
    assert "-cpu" not in runner.launches[0].argv


def test_a_guest_may_skip_what_a_machine_does_not_have() -> None:
    proof = prove(Runner(PASSED, SKIPPED, PASSED))
    assert proof.state is KvmState.WORKS
    assert proof.guests[1] == ("smp", "skip")


@pytest.mark.parametrize(
    ("outcome", "verdict", "words"),
    [
        (RESET, "fail", "the guest reset (or triple-faulted) without reporting a status"),
        (ABORTED, "crash", "QEMU was killed by SIGABRT: "),
        (replace(PASSED, exit_status=3), "fail", "the guest exited with code 1"),
        (Outcome(Ending.INTERNAL_ERROR, 1.0, kvm_enabled=True), "crash", "KVM gave the vCPU up"),
    ],
)
def test_the_first_guest_that_fails_ends_it(outcome: Outcome, verdict: str, words: str) -> None:
    proof = prove(Runner(PASSED, outcome, outcome))
    assert proof.state is KvmState.BROKEN
    assert proof.reason.startswith(f"KVM fails the smp guest: {words}")
    assert proof.guests == (("boot", "pass"), ("smp", verdict))


@pytest.mark.parametrize("without", [REFUSED, RESET, HUNG])
def test_what_does_not_pass_without_the_usual_firmware_has_it(without: Outcome) -> None:
    runner = Runner(PASSED, without, PASSED, PASSED)
    assert prove(runner).state is KvmState.WORKS
    assert ["-bios" in launch.argv for launch in runner.launches] == [False, True, False, True]


def firmwares_of(runner: Runner, *cpus: str) -> tuple[list[KvmState], list[str]]:
    """States of the proofs of these CPU models one after another, and what each guest began with:
    the usual firmware, or the lean one."""
    firmwares = Firmwares()
    states = [prove(runner, cpu, firmwares=firmwares).state for cpu in cpus]
    return states, ["lean" if "-bios" in launch.argv else "usual" for launch in runner.launches]


def test_what_both_firmwares_came_to_is_asked_of_the_lean_one_alone() -> None:
    first, second = [PASSED] * 4, [PASSED] * 3
    states, began = firmwares_of(Runner(*first, *second), "", "host")
    assert states == [KvmState.WORKS, KvmState.WORKS]
    assert began == ["usual", "lean", "lean", "lean", "lean", "lean", "lean"]


def test_a_failure_that_both_firmwares_agree_on_is_one_with_each_cpu_model() -> None:
    states, began = firmwares_of(Runner(RESET, RESET, RESET), "", "host")
    assert states == [KvmState.BROKEN, KvmState.BROKEN]
    assert began == ["usual", "lean", "lean"]


@pytest.mark.parametrize(("both", "other"), [(PASSED, RESET), (RESET, PASSED), (RESET, ABORTED)])
def test_what_the_firmwares_did_not_agree_on_takes_the_usual_one(
    both: Outcome, other: Outcome
) -> None:
    """Also where KVM works with one CPU model and not with another."""
    later = [PASSED] * 2 if both is PASSED else []
    runner = Runner(both, both, *later, other, ABORTED)
    states, began = firmwares_of(runner, "", "host")
    assert states[1] is KvmState.BROKEN
    assert began[-2:] == ["lean", "usual"]


def test_a_lean_firmware_that_does_not_start_is_not_believed() -> None:
    runner = Runner(RESET, REFUSED, RESET)
    assert firmwares_of(runner, "", "host")[1] == ["usual", "lean", "usual"]


def test_proofs_that_run_together_wait_for_the_first() -> None:
    async def both(runner: Runner) -> None:
        firmwares = Firmwares()
        async with asyncio.TaskGroup() as group:
            for cpu in ("", "host"):
                group.create_task(prove_kvm(BINARY, X86, cpu, runner=runner, firmwares=firmwares))

    runner = Runner(*[PASSED] * 7)
    asyncio.run(both(runner))
    assert sum("-bios" not in launch.argv for launch in runner.launches) == 1


def test_each_emulator_has_its_own_firmware() -> None:
    firmwares, runner = Firmwares(), Runner(RESET, RESET, RESET, RESET)
    prove(runner, firmwares=firmwares)
    mine = replace(BINARY, path="/opt/other/qemu-system-x86_64")
    asyncio.run(prove_kvm(mine, X86, "", runner=runner, firmwares=firmwares))
    assert ["-bios" in launch.argv for launch in runner.launches] == [False, True, False, True]


def test_only_x86_has_another_firmware(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = Architecture.AARCH64
    build = Build(arm, "/build", "/build/arm", builtin=True)
    monkeypatch.setattr("matrix.hosts.kvm_proof.builtin_build", lambda architecture: build)
    runner = Runner(PASSED, PASSED, PASSED)
    binary = replace(BINARY, architecture=arm)
    proof = asyncio.run(prove_kvm(binary, arm, "", runner=runner, firmwares=Firmwares()))
    assert proof.state is KvmState.WORKS
    assert not any("-bios" in launch.argv for launch in runner.launches)


def test_what_qemu_said_of_its_abort_is_told() -> None:
    assert "kvm_buf_set_msrs" in prove(Runner(ABORTED)).reason


def test_a_hang_gets_a_second_chance_with_more_time() -> None:
    runner = Runner(HUNG, PASSED, PASSED, PASSED)
    assert prove(runner, timeout=2.0).state is KvmState.WORKS
    assert [limits.timeout for limits in runner.limits] == [2.0, 2.0 * PATIENCE, 2.0, 2.0]


@pytest.mark.parametrize(("ending", "verdict"), [("timeout", "timeout"), ("stall", "stall")])
def test_a_guest_that_hangs_twice(ending: str, verdict: str) -> None:
    hung = replace(HUNG, ending=Ending(ending))
    proof = prove(Runner(hung, hung))
    assert proof.state is KvmState.BROKEN
    assert proof.guests == (("boot", verdict),)
    assert "vCPU 0 at 0x7c00" in proof.reason


def test_a_configuration_that_qemu_refuses_is_no_kvm() -> None:
    proof = prove(Runner(REFUSED))
    assert proof.state is KvmState.UNAVAILABLE
    assert proof.reason == "under KVM, QEMU refused: invalid CPU model for KVM"


def test_a_failing_host_is_no_verdict_on_kvm() -> None:
    with pytest.raises(HostError, match="no such file"):
        prove(Runner(GONE))


def test_a_qemu_that_does_not_use_kvm_proves_nothing() -> None:
    with pytest.raises(HostError, match="QEMU was told to use KVM and does not"):
        prove(Runner(replace(PASSED, kvm_enabled=False)))


def test_no_guests_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.hosts.kvm_proof.read_tests", lambda build, max_smp: [])
    with pytest.raises(HostError, match="no embedded guest for x86_64"):
        prove(Runner())


@pytest.mark.kvm
@pytest.mark.qemu
@pytest.mark.slow  # nested KVM takes 4 s to get through SeaBIOS
def test_real_kvm() -> None:
    """Whatever this host's KVM is worth, the proof comes to a conclusion and says why."""
    architecture = {"x86_64": X86, "aarch64": Architecture.AARCH64}.get(os.uname().machine)
    device = read_device()
    if architecture is None or device.problem:
        pytest.skip(device.problem or f"no KVM guests for {os.uname().machine} here")

    async def take() -> KvmProof:
        return await prove_kvm(await installed_binary(architecture), architecture, "")

    proof = asyncio.run(take())  # not one that is kept, which older code may have made
    assert proof.state in (KvmState.WORKS, KvmState.BROKEN)
    if proof.state is KvmState.WORKS:
        assert [guest for guest, _ in proof.guests] == list(GUESTS)
    else:
        assert proof.reason.startswith("KVM fails the ")
        assert proof.guests[-1][1] not in ("pass", "skip")
