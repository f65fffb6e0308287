"""Chains whose QEMUs end, and which are given up, at random moments: asyncio has nothing to say."""

import asyncio
import gc
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from matrix.migrating import Migration, MigrationMode
from matrix.migration.chain import run_chain
from matrix.migration.endpoint import Emulator
from matrix.migration.hop_runner import Request
from matrix.model import ExitChannel, Launch
from matrix.vm.machine import Limits

CHAINS = 60
FAKE = Path(__file__).parents[1] / "fake_qemu.py"
SENDS: list[Any] = [
    ["event", "MIGRATION", {"status": "setup"}],
    ["event", "MIGRATION", {"status": "active"}],
    ["event", "STOP"],
    ["event", "MIGRATION", {"status": "completed"}],
]
TAKES: list[Any] = [*SENDS[:2], ["event", "RESUME"], ["state", "running"], SENDS[-1]]
ENDS: tuple[list[Any], ...] = (
    [["exit", 0]], [["exit", 1]], [["signal", 9]], [["abort"]], [["hang up"]],
    [["hang up"], ["sleep", 0.05], ["signal", 11]], [["qmp", "[1, 2]\r\n"]],
    [["event", "MIGRATION", {"status": "failed"}]], [["sleep", 0.02], ["exit", 1]],
)  # fmt: skip
COMMANDS = (
    "migrate", "migrate", "migrate-incoming", "migrate-incoming", "migrate-set-parameters",
    "migrate-set-capabilities", "query-status", "query-migrate", "quit", "query-yank",
)  # fmt: skip


def script(draw: random.Random) -> dict[str, Any]:
    """A QEMU that migrates, but ends while it does a random command."""
    before: dict[str, Any] = {"migrate": SENDS, "migrate-incoming": TAKES}
    after: dict[str, Any] = {}
    command, end = draw.choice(COMMANDS), draw.choice(ENDS)
    if draw.random() < 0.5:
        steps = before.get(command, [])
        before[command] = [*steps[: draw.randrange(len(steps) + 1)], *end]
    else:
        after[command] = end
    return {
        "cont": [["stdout", "begin\n"], ["serve", None]],
        "before": before,
        "after": after,
        "replies": {
            "query-migrate-capabilities": [
                {"capability": name, "state": False} for name in ("events", "return-path")
            ],
            "query-migrate-parameters": {"max-bandwidth": 1 << 27, "downtime-limit": 300},
        },
    }


def emulator(name: str, draw: random.Random) -> Emulator:
    argv = (sys.executable, "-I", "-S", str(FAKE), "-fake", json.dumps(script(draw)))
    return Emulator(name, "7.2.0", Launch(argv, ExitChannel.QEMU_EXIT))


async def chain(draw: random.Random) -> None:
    request = Request(
        Migration(mode=MigrationMode.CONTINUOUS, hops=3, pace=0.0),
        emulator("one", draw),
        (emulator("two", draw),),
        seed=draw.randrange(100),
        hop_seconds=0.5,
    )
    limits = Limits(timeout=1, stall=60, start=2)
    interrupt = asyncio.Event()
    with tempfile.TemporaryDirectory() as folder:
        running = asyncio.create_task(
            run_chain(request, Path(folder), limits, on_console=lambda _: None, interrupt=interrupt)
        )
        match draw.randrange(4):
            case 0:
                await asyncio.wait((running,), timeout=draw.random())
                running.cancel()
                await asyncio.sleep(draw.random() / 50)
                running.cancel()
            case 1:
                await asyncio.wait((running,), timeout=draw.random())
                interrupt.set()
            case _:
                pass
        await asyncio.wait((running,))
        if not running.cancelled():
            running.result()


async def chains() -> None:
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(str(context)))
    for first in range(0, CHAINS, 12):
        await asyncio.gather(*(chain(random.Random(first + each)) for each in range(12)))
        gc.collect()
        await asyncio.sleep(0)
        assert not told, f"chains from {first}: {told}"
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, f"chains from {first}: {others}"


def test_chains() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__], capture_output=True, text=True, timeout=600
    )
    assert (done.returncode, done.stderr) == (0, "")


if __name__ == "__main__":
    asyncio.run(chains())
