"""The embedded guests prove a host, by each of its QEMUs."""

import asyncio
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from matrix.attempt import Ending, Outcome
from matrix.hosts.fleet.host_proof import ROOM, what_is_wrong, why_no_room
from matrix.hosts.kvm_proof import GUESTS
from matrix.inventory import KvmState
from matrix.model import Accelerator, Architecture, Launch
from matrix.vm.machine import Limits
from tests import make

PASSED = Outcome(Ending.EXITED, 0.3, exit_status=1)
CRASHED = Outcome(Ending.KILLED, 0.1, signal=6)
NO_DISK = Outcome(Ending.ERROR, 0.0, reason="no space left on device")


@dataclass
class Runner:
    """Gives outcomes in turn, and then passes; keeps the command lines."""

    outcomes: list[Outcome] = field(default_factory=list)
    argvs: list[tuple[str, ...]] = field(default_factory=list)

    async def __call__(
        self,
        launch: Launch,
        directory: Path,
        limits: Limits,
        *,
        on_console: Callable[[bytes], None],
    ) -> Outcome:
        del directory, limits
        self.argvs.append(tuple(launch.argv))
        on_console(b"PASS: something\nSUMMARY: 1 tests\n")
        return self.outcomes.pop(0) if self.outcomes else PASSED

    def tried(self) -> list[tuple[str, Accelerator]]:
        return [
            (argv[0], Accelerator.KVM if "accel=kvm" in " ".join(argv) else Accelerator.TCG)
            for argv in self.argvs
        ]


X86, ARM = make.binary(Architecture.X86_64), make.binary(Architecture.AARCH64)


def test_each_qemu_is_tried_under_tcg_and_where_it_is_proven_under_kvm() -> None:
    runner = Runner()
    inventory = make.inventory(ARM, X86, proofs=(make.proof(KvmState.WORKS),))
    assert asyncio.run(what_is_wrong(inventory, runner=runner)) == ""
    assert runner.tried() == [
        *[(X86.path, Accelerator.KVM)] * len(GUESTS),
        *[(X86.path, Accelerator.TCG)] * len(GUESTS),
    ]
    runner = Runner()
    inventory = make.inventory(ARM, proofs=(make.proof(KvmState.BROKEN),))
    assert asyncio.run(what_is_wrong(inventory, runner=runner)) == ""
    assert runner.tried() == [(ARM.path, Accelerator.TCG)] * len(GUESTS)


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (CRASHED, "the smp guest of aarch64 under tcg (QEMU 7.2.22) fails: "),
        (NO_DISK, "guests of aarch64 under tcg (QEMU 7.2.22) cannot be run: no space left"),
    ],
)
def test_what_is_wrong_is_said(outcome: Outcome, said: str) -> None:
    runner = Runner([PASSED, outcome])
    assert asyncio.run(what_is_wrong(make.inventory(ARM), runner=runner)).startswith(said)
    assert len(runner.argvs) == 2


def test_a_host_without_a_qemu_has_nothing_to_prove() -> None:
    assert asyncio.run(what_is_wrong(make.inventory(), runner=Runner([CRASHED]))) == ""


def test_a_worker_has_room_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_no_room(tmp_path) == ""
    assert [*tmp_path.iterdir()] == []
    asked = []

    def allocate(_descriptor: int, _offset: int, size: int) -> None:
        asked.append(size)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    assert why_no_room(tmp_path) == (
        f"{tmp_path} does not take a file of 1 MiB: No space left on device"
    )
    assert asked == [ROOM]
    gone = tmp_path / "gone"
    assert why_no_room(gone).endswith("does not take a file of 1 MiB: No such file or directory")
