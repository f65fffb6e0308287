"""run_guest with the real QEMU, and guests of a few bytes of x86 code."""

import asyncio
import json
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from matrix.attempt import Ending, Outcome
from matrix.inventory import Binary
from matrix.model import Accelerator, Architecture, Build, Case, ExitChannel, Launch, Test, Variant
from matrix.plan.command import launch_for
from matrix.vm.machine import Limits, run_guest

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.skipif(
        shutil.which("qemu-system-x86_64") is None, reason="qemu-system-x86_64 is not installed"
    ),
]
Image = Callable[[bytes], Path]
BASE = (
    *("qemu-system-x86_64", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"),
    *("-accel", "tcg", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4", "-device", "pvpanic"),
)
OTHERS = ["", *os.environ.get("MATRIX_TEST_QEMUS", "").split()]
"""The system's QEMU, and those that $MATRIX_TEST_QEMUS names."""
NORMAL = Limits(timeout=100, stall=60)

EXIT = b"\xb0\x00\xe6\xf4"  # mov $0,%al; out %al,$0xf4: QEMU's status is 1
HALT = b"\xfa\xf4\xeb\xfd"  # cli; 1: hlt; jmp 1b
LOOP = b"\xeb\xfe"  # 1: jmp 1b
COUNT = b"\x40\xeb\xfd"  # 1: inc %eax; jmp 1b
PANIC = b"\x66\xba\x05\x05\xb0\x01\xee"  # mov $0x505,%dx; mov $1,%al; out %al,(%dx)
TRIPLE_FAULT = b"\x0f\x01\x1d" + struct.pack("<I", 0x100000) + b"\xcc"  # lidt of rubbish; int3
CODE_AT = 0x100020


def say(text: bytes) -> bytes:
    """Code that writes ``text`` to the first serial port."""
    return b"\x66\xba\xf8\x03" + b"".join(b"\xb0%c\xee" % byte for byte in text)


def launch(*words: str) -> Launch:
    return Launch((*BASE, *words), ExitChannel.QEMU_EXIT)


def run(private: Path, image: Path, *words: str, limits: Limits = NORMAL) -> Outcome:
    return asyncio.run(run_guest(launch("-kernel", str(image), *words), private, limits))


@pytest.mark.parametrize("folder", OTHERS)
def test_our_own_options_cause_no_warning(private: Path, x86_image: Image, folder: str) -> None:
    """What is deprecated in a new version, as -mon is in 11.1, ends later in no guest at all."""
    name, _, path = folder.partition("=")
    qemu = str(Path(path) / "bin/qemu-system-x86_64") if name else BASE[0]
    words = (qemu, *BASE[1:], "-kernel", str(x86_image(EXIT)))
    outcome = asyncio.run(run_guest(Launch(words, ExitChannel.QEMU_EXIT), private, NORMAL))
    assert (outcome.ending, outcome.stderr_tail) == (Ending.EXITED, ())


def test_a_guest_that_passes(private: Path, x86_image: Image) -> None:
    outcome = run(private, x86_image(say(b"PASS: hello\n") + EXIT))
    assert (outcome.ending, outcome.exit_status) == (Ending.EXITED, 1)
    assert outcome.last_line == "PASS: hello"
    assert (private / "console.log").read_bytes() == b"PASS: hello\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("-kernel", "/nonexistent"), "could not "),
        (("-cpu", "toaster"), "unable to find CPU model 'toaster'"),
        (("-machine", "toaster"), "unsupported machine type"),
        (("-device", "toaster"), "'toaster' is not a valid device model name"),
        (("-machine", "pc", "-smp", "100000"), "Invalid SMP CPUs"),
    ],
)
def test_refused(private: Path, words: tuple[str, ...], why: str) -> None:
    outcome = asyncio.run(run_guest(launch(*words), private, NORMAL))
    assert outcome.ending is Ending.REFUSED
    assert why in outcome.reason
    assert outcome.exit_status == 1


@pytest.mark.parametrize("folder", ["machine=pc,smm=on", "a,,b,"])
def test_an_initrd_in_a_folder_with_commas(
    private: Path, x86_image: Image, tmp_path: Path, folder: str
) -> None:
    """The folders of cases are named after their axes, which have commas."""
    initrd = tmp_path / folder / "environment"
    initrd.parent.mkdir()
    initrd.write_text("TARGET=qemu\n")
    image = x86_image(EXIT)
    build = Build(Architecture.X86_64, str(image.parent), str(image.parent))
    variant = Variant(Architecture.X86_64, Accelerator.TCG)
    case = Case("id", "scenario", "suite", Test("exit", str(image)), variant, build)
    path = shutil.which("qemu-system-x86_64")
    assert path is not None
    binary = Binary("system", Architecture.X86_64, path, (7, 2, 0), "7.2.0")
    started = launch_for(case, binary, Accelerator.TCG, initrd=str(initrd))
    outcome = asyncio.run(run_guest(started, private, NORMAL))
    assert (outcome.ending, outcome.exit_status) == (Ending.EXITED, 1)


def test_panic(private: Path, x86_image: Image) -> None:
    outcome = run(private, x86_image(PANIC + HALT))
    assert (outcome.ending, outcome.exit_status, outcome.panicked) == (Ending.EXITED, 0, True)
    assert outcome.shutdown_reason == "guest-panic"


def test_panic_that_pauses_the_guest(private: Path, x86_image: Image) -> None:
    outcome = run(private, x86_image(PANIC + HALT), "-action", "panic=pause")
    assert (outcome.ending, outcome.panicked) == (Ending.EXITED, True)
    assert outcome.seconds < 60


def test_triple_fault(private: Path, x86_image: Image) -> None:
    outcome = run(private, x86_image(TRIPLE_FAULT))
    assert (outcome.ending, outcome.exit_status) == (Ending.EXITED, 0)
    assert outcome.shutdown_reason == "guest-reset"


def test_a_guest_asleep_is_a_stall(private: Path, x86_image: Image) -> None:
    limits = Limits(timeout=100, stall=2)
    outcome = run(private, x86_image(say(b"going\nto sleep") + HALT), limits=limits)
    assert outcome.ending is Ending.STALL
    assert outcome.reason == "no output and no CPU time used for 2 s"
    assert outcome.doing.startswith("vCPU 0 halted at pc 0x1000")
    assert outcome.last_line == "to sleep"
    assert "HLT=1" in (private / "diagnosis" / "registers.txt").read_text()


def test_a_dead_loop_is_a_stall(private: Path, x86_image: Image) -> None:
    limits = Limits(timeout=100, stall=2)
    outcome = run(private, x86_image(LOOP), "-smp", "2", limits=limits)
    assert outcome.ending is Ending.STALL
    assert outcome.reason.startswith("dead loop")
    assert f"vCPU 0 at pc 0x{CODE_AT:x}" in outcome.reason
    assert f"vCPU 0 running at pc 0x{CODE_AT:x}, vCPU 1 halted at pc" in outcome.doing


def test_a_guest_that_counts_is_a_timeout(private: Path, x86_image: Image) -> None:
    limits = Limits(timeout=8, stall=2)
    outcome = run(private, x86_image(COUNT), limits=limits)
    assert outcome.ending is Ending.TIMEOUT
    assert outcome.reason == "no end within 8 s"
    assert outcome.doing.startswith("vCPU 0 running at pc 0x10002")


def test_interrupt(private: Path, x86_image: Image) -> None:
    image = x86_image(say(b"x") + COUNT)

    async def body() -> Outcome:
        interrupt = asyncio.Event()
        return await run_guest(
            launch("-kernel", str(image)),
            private,
            NORMAL,
            on_console=lambda data: interrupt.set(),
            interrupt=interrupt,
        )

    outcome = asyncio.run(body())
    assert outcome.ending is Ending.INTERRUPTED
    assert outcome.seconds < 60


ORCHESTRATOR = """
import asyncio, json, sys
from pathlib import Path
from matrix.model import ExitChannel, Launch
from matrix.vm.machine import Limits, run_guest
launch = Launch(tuple(json.loads(sys.argv[1])), ExitChannel.QEMU_EXIT)
asyncio.run(run_guest(launch, Path(sys.argv[2]), Limits(60, 60)))
"""


def test_no_qemu_outlives_a_killed_orchestrator(private: Path, x86_image: Image) -> None:
    argv = launch("-kernel", str(x86_image(say(b"up") + COUNT))).argv
    command = (sys.executable, "-c", ORCHESTRATOR, json.dumps(argv), str(private))
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as orchestrator:
        console = private / "console.log"
        deadline = time.monotonic() + 60
        while not (console.exists() and console.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        (qemu,) = psutil.Process(orchestrator.pid).children()
        orchestrator.kill()
        orchestrator.wait()
        assert psutil.wait_procs([qemu], timeout=60)[1] == []
