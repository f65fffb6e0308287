"""Who finds out something about the host while others want to, too."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from matrix.hosts.cache import Cache
from matrix.hosts.turns import turn

HOLDER = """
import asyncio, sys
from pathlib import Path
from matrix.hosts.cache import Cache
from matrix.hosts.turns import turn

async def hold():
    async with turn(Cache(Path(sys.argv[1])), "name", lambda: None):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(hold())
"""


def test_one_after_another(tmp_path: Path) -> None:
    said: list[str] = []

    waits = asyncio.Event()

    def told() -> None:
        said.append("second waits")
        waits.set()

    async def second() -> None:
        async with turn(Cache(tmp_path), "name", told):
            said.append("second begins")

    async def both() -> None:
        async with asyncio.TaskGroup() as tasks, turn(Cache(tmp_path), "name", no_wait):
            tasks.create_task(second())
            await waits.wait()
            said.append("first ends")

    asyncio.run(both())
    assert said == ["second waits", "first ends", "second begins"]


def test_different_answers_need_no_turns(tmp_path: Path) -> None:
    async def both() -> None:
        async with turn(Cache(tmp_path), "one", no_wait), turn(Cache(tmp_path), "two", no_wait):
            pass

    asyncio.run(both())


def test_who_is_killed_has_no_turn_any_more(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"

    async def wait() -> None:
        async with turn(
            Cache(tmp_path), "name", lambda: os.kill(holder.pid, signal.SIGKILL), patience=30
        ):
            assert holder.wait(30) == -signal.SIGKILL

    asyncio.run(wait())
    holder.stdout.close()


def test_who_never_ends_is_not_waited_for(tmp_path: Path) -> None:
    waited: list[str] = []

    async def both() -> None:
        async with (
            turn(Cache(tmp_path), "name", no_wait),
            turn(Cache(tmp_path), "name", lambda: waited.append("second"), patience=0.01),
        ):
            assert waited == ["second"]

    asyncio.run(both())


def test_where_nothing_is_kept_there_are_no_turns(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)  # others could exchange what is in it
    cache = tmp_path / "cache"

    async def both() -> None:
        async with turn(Cache(cache), "name", no_wait), turn(Cache(cache), "name", no_wait):
            pass

    asyncio.run(both())


def no_wait() -> None:
    raise AssertionError("nobody has the turn")
