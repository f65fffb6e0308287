"""The embedded guests on real QEMU, through the whole of the program: every verdict, everywhere."""

import itertools
import json
import os
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import pytest

from matrix.model import Architecture
from tests.warm import WarmProgram

pytestmark = pytest.mark.qemu

ROOT = Path(__file__).parents[2]
PASSING = {"boot", "smp", "smp4", "memory", "timer", "timer-smp", "exception", "panic"}

OTHERS = ["", *os.environ.get("MATRIX_TEST_QEMUS", "").split()]
"""The system's QEMU, and those that $MATRIX_TEST_QEMUS names."""


class CaseOfRun(TypedDict):
    """What the tests look at of a case in results.json."""

    verdict: str
    accelerator: str
    reason: str
    metrics: list[dict[str, str]]
    subtests: list[dict[str, str]]


Runner = Callable[..., tuple[int, dict[str, CaseOfRun]]]


@pytest.fixture
def run(tmp_path: Path, warm: WarmProgram) -> Runner:
    """Runs a scenario of the project; gives the exit code and the cases by test."""

    runs = itertools.count()

    def matrix_run(scenario: str | Path, *options: str) -> tuple[int, dict[str, CaseOfRun]]:
        folder = tmp_path / f"run-{next(runs)}"
        words = ("run", str(ROOT / "scenarios" / scenario), *options, "-o", str(folder))
        environment = {**os.environ, "MATRIX_STATE": str(tmp_path / "state")}
        done = warm.run(words, ROOT, environment, seconds=600)
        path = folder / "results.json"
        assert path.exists(), done.stderr
        cases = json.loads(path.read_text())["cases"]
        return done.returncode, {case["test"]: case for case in cases}

    return matrix_run


def quicker(folder: Path) -> Path:
    """The scenario of guests that end badly: as dead as after 5 s, and the loops take less of the
    other tests' time."""
    path = folder / "verdicts.yaml"
    text = (ROOT / "scenarios/verdicts.yaml").read_text()
    path.write_text(text.replace("stall: 5s", "stall: 2s"))
    return path


def verdicts(cases: dict[str, CaseOfRun]) -> dict[str, str]:
    return {name: case["verdict"] for name, case in cases.items()}


@pytest.mark.parametrize("architecture", list(Architecture))
def test_smoke_under_tcg(run: Runner, architecture: Architecture) -> None:
    # Its machine has a GiB of memory at least, which takes more time than all else.
    left_out = {"memory"} if architecture is Architecture.LOONGARCH64 else set()
    wanted = " and not ".join(("tcg", *left_out))
    code, cases = run("smoke.yaml", "--arch", architecture.value, "-k", wanted)
    assert verdicts(cases) == dict.fromkeys(PASSING - left_out, "pass")
    assert code == 0
    assert {case["accelerator"] for case in cases.values()} == {"tcg"}
    latency = {metric["name"]: metric for metric in cases["timer"]["metrics"]}
    assert any("latency" in name for name in latency)


def test_big_endian_guests(run: Runner) -> None:
    """Code that is not the little-endian guests' too: console, interrupts, and start of vCPUs."""
    code, cases = run("smoke.yaml", "-k", "endian=big and not (memory or smp4 or timer-smp)")
    assert verdicts(cases) == dict.fromkeys(PASSING - {"memory", "smp4", "timer-smp"}, "pass")
    assert code == 0


@pytest.mark.parametrize(
    ("architecture", "machine"),
    [
        (Architecture.AARCH64, "virt"),  # with a GICv2, and GICv2m
        (Architecture.AARCH64, "virt,gic-version=3"),  # with an ITS
        (Architecture.X86_64, "pc"),
        (Architecture.RISCV64, "virt"),
    ],
)
def test_devices_compute_move_memory_and_interrupt(
    run: Runner, architecture: Architecture, machine: str, tmp_path: Path
) -> None:
    scenario = tmp_path / "devices.yaml"
    tests = ("edu", "virtio-blk")
    scenario.write_text(
        "name: devices\n"
        f"suite: {{kind: kvm-unit-tests, build: builtin, tests: [{', '.join(tests)}]}}\n"
        f"matrix: {{arch: [{architecture.value}], accel: [tcg], machine: ['{machine}']}}\n"
    )
    _, cases = run(scenario)
    assert verdicts(cases) == dict.fromkeys(tests, "pass")
    for name in tests:
        skipped = [each["name"] for each in cases[name]["subtests"] if each["verdict"] == "skip"]
        expected = [f"{name}: interrupts"] if architecture is Architecture.RISCV64 else []
        messages = name == "edu" and architecture is Architecture.RISCV64
        expected += ["edu: messages"] if messages else []
        assert skipped == expected


@pytest.mark.kvm
def test_smoke_under_kvm(run: Runner) -> None:
    """The others of the smoke scenario are what proves KVM, with the usual machine
    (tests/hosts/test_kvm_proof.py). This one's firmware has no code in real mode, which takes 4 s
    where KVM is nested."""
    wanted = {"memory", "timer-smp", "panic"}
    options = ("--arch", "x86_64", "--set", "machine=microvm")
    code, cases = run("smoke.yaml", *options, "-k", f"kvm and ({' or '.join(wanted)})")
    if set(verdicts(cases).values()) == {"skip"}:
        pytest.skip(next(iter(cases.values()))["reason"])  # what the guest itself says
    assert verdicts(cases) == dict.fromkeys(wanted, "pass")
    assert code == 0
    assert {case["accelerator"] for case in cases.values()} == {"kvm"}


@pytest.mark.parametrize(
    "architecture",
    # What of it is an architecture's own is little, and this takes its time.
    [each for each in Architecture if each not in (Architecture.RISCV32, Architecture.LOONGARCH64)],
)
def test_guests_that_end_badly(run: Runner, architecture: Architecture, tmp_path: Path) -> None:
    only = ("--arch", architecture.value, "-j", "3")
    code, cases = run(quicker(tmp_path), *only, "-k", "tcg and (fail or hang or deadloop)")
    assert verdicts(cases) == {"fail": "fail", "hang": "stall", "deadloop": "stall"}
    assert code == 1
    assert "sleep" in cases["hang"]["reason"]
    assert "pc 0x" in cases["deadloop"]["reason"]
    assert cases["fail"]["subtests"][0]["verdict"] == "fail"


# Nothing of that is an architecture's own, and each takes a CPU for 4 s.
@pytest.mark.parametrize("architecture", [Architecture.X86_64, Architecture.ARM])
def test_a_guest_that_spins(run: Runner, architecture: Architecture, tmp_path: Path) -> None:
    """A shorter limit than its 10 s, of two stalls: nothing else ends it."""
    only = ("--arch", architecture.value, "--timeout", "4s")
    code, cases = run(quicker(tmp_path), *only, "-k", "tcg and spin")
    assert verdicts(cases) == {"spin": "timeout"}
    assert "FAIL" not in cases["spin"]["reason"]
    assert code == 1


@pytest.mark.parametrize("qemu", OTHERS)
def test_microvm_is_a_machine_like_others(run: Runner, qemu: str) -> None:
    only = ("--arch", "x86_64", "--accel", "tcg", "-k", "boot or smp4")
    of_qemu = ("--qemu", qemu, "--set", f"qemu={qemu.partition('=')[0]}") if qemu else ()
    for machine in ("microvm", "microvm,acpi=off"):
        options = (*only, *of_qemu, "--set", f"machine={machine}")
        code, cases = run("smoke.yaml", *options)
        assert verdicts(cases) == {"boot": "pass", "smp4": "pass"}
        assert code == 0


def test_a_riscv64_image_may_be_loaded_elsewhere(tmp_path: Path) -> None:
    """As QEMU does where there is no firmware, under KVM: here a jump leads to it, 2 MiB ahead."""
    jump = struct.pack("<II", 0x00200297, 0x00028067)  # auipc t0, 0x200; jr t0
    image = ROOT / "matrix/guests/images/riscv64/riscv/guest.flat"
    moved = tmp_path / "moved.flat"
    moved.write_bytes(jump + bytes((2 << 20) - len(jump)) + image.read_bytes())
    argv = ["qemu-system-riscv64", "-machine", "virt", "-nodefaults", "-nographic"]
    argv += ["-serial", "stdio", "-kernel", str(moved), "-append", "exception"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert "EXIT: STATUS=1\n" in done.stdout.replace("\r", "")
