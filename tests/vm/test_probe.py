import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from matrix.errors import MonitorError, SpawnError
from matrix.vm.probe import bare_qemu

FAKE = Path(__file__).parents[1] / "fake_qemu.py"


def ask(command: str, seconds: float = 60, **script: Any) -> Any:
    """The answer of a fake QEMU to one command."""
    argv = [sys.executable, "-I", "-S", str(FAKE), "-fake", json.dumps(script)]

    async def body() -> Any:
        async with bare_qemu(argv, seconds) as monitor:
            return await monitor.execute(command, timeout=60)

    return asyncio.run(body())


def test_an_answer() -> None:
    machines = [{"name": "virt", "cpu-max": 512}]
    assert ask("query-machines", replies={"query-machines": machines}) == machines


def test_a_refusal_leaves_qemu_alive() -> None:
    with pytest.raises(MonitorError, match=r"^QMP query-x: no such command$") as caught:
        ask("query-x", errors={"query-x": ["CommandNotFound", "no such command"]})
    assert caught.value.error_class == "CommandNotFound"


def test_a_program_that_is_not_there() -> None:
    async def body() -> None:
        async with bare_qemu(["/nonexistent/qemu"], 5):
            pytest.fail("it cannot be there")

    with pytest.raises(SpawnError, match="cannot start /nonexistent/qemu"):
        asyncio.run(body())


def test_death_before_the_greeting() -> None:
    with pytest.raises(MonitorError) as caught:
        ask("query-x", start=[["stderr", "qemu-system-arm: Could not access KVM\n"], ["exit", 1]])
    assert str(caught.value) == (
        f"QMP connect: {sys.executable} ended with status 1: Could not access KVM"
    )


def test_death_by_a_signal() -> None:
    with pytest.raises(MonitorError, match=r"ended with signal 6: kvm.c:1: Assertion `x' failed"):
        ask("query-x", start=[["stderr", "qemu: kvm.c:1: Assertion `x' failed.\n"], ["abort"]])


def test_death_in_use() -> None:
    with pytest.raises(MonitorError, match=r"^QMP query-x: .* ended with status 3: gone$"):
        ask("query-x", before={"query-x": [["stderr", "gone\n"], ["exit", 3]]})


def test_no_greeting_in_time() -> None:
    started = time.monotonic()
    with pytest.raises(MonitorError, match=r"did not greet within 0\.3 s"):
        ask("query-x", seconds=0.3, greet=False)
    assert time.monotonic() - started < 30


def test_one_that_does_not_want_to_quit_is_killed() -> None:
    started = time.monotonic()
    assert ask("query-x", ignore=["quit", "TERM"]) == {}
    assert time.monotonic() - started < 30


def test_output_of_any_length_is_read() -> None:
    assert ask("query-x", start=[["flood", 1_000_000]]) == {}


def test_an_error_of_the_body_ends_qemu() -> None:
    async def body() -> None:
        async with bare_qemu([sys.executable, "-I", "-S", str(FAKE)], 60):
            raise LookupError("not QEMU's fault")

    with pytest.raises(LookupError):
        asyncio.run(body())


def test_cancellation_ends_qemu() -> None:
    async def use() -> None:
        async with bare_qemu([sys.executable, "-I", "-S", str(FAKE)], 60):
            await asyncio.sleep(60)

    async def body() -> None:
        task = asyncio.ensure_future(use())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(body())


@pytest.mark.qemu
def test_a_real_qemu_lists_its_machines() -> None:
    async def body() -> tuple[tuple[int, int, int], list[dict[str, Any]]]:
        async with bare_qemu(["qemu-system-aarch64"], 60) as monitor:
            return monitor.version, await monitor.execute("query-machines")

    version, machines = asyncio.run(body())
    assert version >= (7, 2, 0)
    assert "virt" in {machine.get("alias") for machine in machines}


@pytest.mark.qemu
def test_a_real_qemu_with_a_machine_of_the_callers() -> None:
    async def body() -> Any:
        argv = ["qemu-system-x86_64", "-machine", "pc", "-cpu", "qemu64"]
        async with bare_qemu(argv, 60) as monitor:
            return await monitor.execute("query-cpus-fast")

    assert len(asyncio.run(body())) == 1


@pytest.mark.qemu
def test_a_real_qemu_refuses() -> None:
    async def body() -> None:
        async with bare_qemu(["qemu-system-x86_64", "-machine", "toaster"], 30):
            pytest.fail("there is no such machine")

    with pytest.raises(MonitorError, match=r"ended with status 1: .*unsupported machine type"):
        asyncio.run(body())
