from typing import Any

import pytest

from matrix.vm.cputime import Thread
from matrix.vm.diagnosis import _doing

TEXT = "\nCPU#0\n PC=0000000000000200 X00=0\n\nCPU#1\n PC=0000000000000300 X00=0\n"
CPUS = [{"cpu-index": 0, "thread-id": 11}, {"cpu-index": 1, "thread-id": 12}]
SHARED = [{"cpu-index": 0, "thread-id": 11}, {"cpu-index": 1, "thread-id": 11}]
ASLEEP = (Thread(11, "CPU 0/TCG", "S", 1.0), Thread(12, "CPU 1/TCG", "S", 1.0))
BUSY = (Thread(11, "CPU 0/TCG", "R", 1.0), Thread(12, "CPU 1/TCG", "S", 1.0))
PREEMPTED = (Thread(11, "CPU 0/TCG", "S", 1.5), Thread(12, "CPU 1/TCG", "S", 1.0))


@pytest.mark.parametrize(
    ("cpus", "after", "expected"),
    [
        (CPUS, ASLEEP, "vCPU 0 asleep at pc 0x200, vCPU 1 asleep at pc 0x300"),
        (CPUS, BUSY, "vCPU 0 running at pc 0x200, vCPU 1 asleep at pc 0x300"),
        (CPUS, PREEMPTED, "vCPU 0 running at pc 0x200, vCPU 1 asleep at pc 0x300"),
        (SHARED, BUSY, "vCPU 0 at pc 0x200, vCPU 1 at pc 0x300"),
        (SHARED, ASLEEP, "vCPU 0 asleep at pc 0x200, vCPU 1 asleep at pc 0x300"),
        ("nonsense", BUSY, "vCPU 0 at pc 0x200, vCPU 1 at pc 0x300"),
        ([7, {"cpu-index": "x"}], BUSY, "vCPU 0 at pc 0x200, vCPU 1 at pc 0x300"),
    ],
)
def test_running_or_asleep(cpus: Any, after: tuple[Thread, ...], expected: str) -> None:
    answers = {"status": {"status": "running"}, "cpus": cpus, "registers": TEXT}
    assert _doing(answers, ASLEEP, after) == expected


def test_a_state_other_than_running_is_told() -> None:
    answers = {"status": {"status": "io-error"}, "cpus": CPUS, "registers": TEXT}
    assert _doing(answers, ASLEEP, ASLEEP) == (
        "vCPU 0 at pc 0x200, vCPU 1 at pc 0x300, QEMU's run state is io-error"
    )


def test_a_deaf_qemu_is_told() -> None:
    assert _doing({"error": "its monitor is gone"}, BUSY, BUSY) == (
        "QEMU did not answer (its monitor is gone), 1 of its 2 threads work"
    )
