"""KVM with UEFI firmware: what endings come to."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.attempt import Ending, Outcome
from matrix.errors import HostError
from matrix.hosts.firmware_proof import SCRIPT, prove_firmware
from matrix.inventory import Binary, Firmware, FirmwareDevice, KvmProof, KvmState
from matrix.model import Architecture, Build, Launch
from matrix.vm.machine import Limits

X86 = Architecture.X86_64
BINARY = Binary("mine", X86, "/opt/qemu-system-x86_64", (7, 2, 0), "7.2.0", ("kvm", "tcg"))
FIRMWARE = Firmware("/fw.json", FirmwareDevice.MEMORY, "/fw/OVMF.fd", (("x86_64", ("*",)),))
OFF = Outcome(Ending.EXITED, 8.0, exit_status=0, shutdown_reason="guest-shutdown", kvm_enabled=True)
SHELL = b"\x1b[2J\x1b[1mUEFI Interactive Shell v2.2\r\n"


class Runner:
    """Gives one outcome after some output, and keeps what it was asked."""

    def __init__(self, outcome: Outcome, *output: bytes) -> None:
        self.outcome, self.output = outcome, output
        self.argv: tuple[str, ...] = ()
        self.scripts: list[str] = []

    async def __call__(
        self,
        launch: Launch,
        directory: Path,
        limits: Limits,
        *,
        on_console: Callable[[bytes], None],
    ) -> Outcome:
        assert directory.name == "run"
        assert limits.stall < limits.timeout
        self.argv = launch.argv
        scripts = sorted(directory.parent.glob("efi/*.nsh"))
        self.scripts = [script.read_text() for script in scripts]
        for data in self.output:
            on_console(data)
        return self.outcome


@pytest.fixture(autouse=True)
def build(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a known configuration, whatever is built here."""
    build = Build(X86, "/build", "/build/x86", builtin=True)
    monkeypatch.setattr("matrix.hosts.firmware_proof.builtin_build", lambda architecture: build)


def prove(runner: Runner, machine: str = "") -> KvmProof:
    return asyncio.run(prove_firmware(BINARY, X86, "max", machine, FIRMWARE, runner=runner))


def test_firmware_that_switches_the_machine_off_works() -> None:
    runner = Runner(OFF, SHELL[:10], SHELL[10:])
    reason = "UEFI firmware OVMF.fd comes up under KVM"
    assert prove(runner, "q35") == KvmProof("mine", X86, "max", KvmState.WORKS, reason)
    assert runner.scripts == [SCRIPT]
    assert runner.argv[runner.argv.index("-bios") + 1] == "/fw/OVMF.fd"
    assert "q35,accel=kvm" in runner.argv
    assert runner.argv[runner.argv.index("-cpu") + 1] == "max"
    assert "-kernel" not in runner.argv
    assert any("vvfat" in argument for argument in runner.argv)


@pytest.mark.parametrize("ending", [Ending.STALL, Ending.TIMEOUT])
def test_firmware_without_a_shell_waits_in_its_menu(ending: Ending) -> None:
    output = b"BdsDxe: No bootable option or device was found."
    assert prove(Runner(Outcome(ending, 20.0, kvm_enabled=True), output)).state is KvmState.WORKS


@pytest.mark.parametrize(
    ("outcome", "output", "words"),
    [
        (
            Outcome(Ending.INTERNAL_ERROR, 1.0, reason="QEMU's run state is internal-error"),
            b"",
            "KVM gave the vCPU up: QEMU's run state is internal-error",
        ),
        (Outcome(Ending.INTERNAL_ERROR, 1.0), SHELL, "KVM gave the vCPU up"),
        (Outcome(Ending.KILLED, 1.0, signal=6), SHELL, "QEMU was killed by SIGABRT"),
        (Outcome(Ending.STALL, 15.0), b"UEFI firmware (version 1)\r\n", "the guest is dead"),
        (OFF, b"", "the guest"),
    ],
)
def test_whatever_else_becomes_of_it_is_told(outcome: Outcome, output: bytes, words: str) -> None:
    proof = prove(Runner(outcome, output))
    assert proof.state is KvmState.BROKEN
    assert proof.reason.startswith(f"KVM fails UEFI firmware OVMF.fd: {words}")


def test_a_host_that_fails_says_nothing_about_kvm() -> None:
    with pytest.raises(HostError, match="cannot start"):
        prove(Runner(Outcome(Ending.ERROR, 0.0, reason="cannot start qemu")))
