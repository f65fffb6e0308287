"""Lives with fake QEMUs that have one guest after the other, and do wrong where a test says so."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from matrix.explore.failure import Invariant
from matrix.explore.hotplug import Hotplug
from matrix.explore.life import Ended, Lives
from matrix.explore.step import Step
from matrix.explore.world import World as Possible
from matrix.migrating import Fault
from matrix.migration.endpoint import Emulator
from matrix.migration.faults.injectors import injector_for
from matrix.migration.live_hop import Injector
from matrix.model import ExitChannel, Launch
from matrix.suites.registry import suite_of
from matrix.vm.machine import Limits
from tests.migration.conftest import ACTIVE, ALIVE, ANSWERS, COMPLETED, FAKE, RESUME, SETUP, STOP

NOTHING = Hotplug()
REFUSED = ["GenericError", "not while no hop is under way"]


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert [child.cmdline() for child in psutil.Process().children(recursive=True)] == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def broken(ended: Ended, invariant: Invariant, reason: str, step: int) -> None:
    assert ended.failure is not None
    assert ended.failure.invariant is invariant
    assert reason in ended.failure.reason
    assert ended.failure.step == step


class World:
    """Fake QEMUs that have one guest after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.baton = str(folder / "beats")
        self.lives = 0

    def live(
        self,
        *steps: Step,
        enough_after: int = 100,
        injectors: Callable[[Fault], Injector] = injector_for,
        hotplug: Hotplug = NOTHING,
        **script: Any,
    ) -> Ended:
        """A life with QEMUs that are right but for ``script``."""
        baton = self.baton
        Path(baton).unlink(missing_ok=True)
        leaves = [SETUP, ACTIVE, STOP, ["pass on", baton], COMPLETED]
        comes = [SETUP, ACTIVE, ["take over", baton], ALIVE, RESUME, COMPLETED]
        whole = {
            "before": {"migrate": leaves, **script.pop("before", {})},
            "after": {"migrate-incoming": [*comes, ["prove", baton]], **script.pop("after", {})},
            "cont": [["prove", baton]],
            "errors": {"migrate-continue": REFUSED},
            **script,
            "replies": {**ANSWERS, **script.get("replies", {})},
        }
        argv = (sys.executable, "-I", "-S", str(FAKE), "-fake", json.dumps(whole))
        emulator = Emulator("fake", "7.2.0", Launch(argv, ExitChannel.QEMU_EXIT))
        parser = suite_of("kvm-unit-tests").parser
        lives = Lives(
            Possible("x86_64", "fake", {}, hotplug=hotplug),
            {"fake": emulator},
            injectors,
            parser,
            Limits(timeout=100, stall=60),
        )
        self.lives += 1
        folder = self.folder / str(self.lives)
        folder.mkdir(mode=0o700)
        asked = iter(range(len(steps) + 1))
        return asyncio.run(lives.live(steps, folder, lambda: next(asked) >= enough_after))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
