"""Every way in which a QEMU can end, shown by the fake one."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from matrix.attempt import Ending, Outcome
from matrix.model import ExitChannel, Launch
from matrix.vm.machine import Guest, Limits, run_guest
from matrix.vm.qemu_session import Session

RunFake = Callable[..., Outcome]
FakeLaunch = Callable[..., Launch]
REGISTERS = "\nCPU#0\nEIP=0000b7b9 EFL=00000246 HLT=%d\nCS =f000 000f0000 0000ffff\n"
NORMAL = Limits(timeout=60, stall=60, start=60)
SOON = 30
"""Seconds, of the minutes that a guest may take: what ends well before them was not waited for."""


def files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def test_a_guest_that_passes(run_fake: RunFake, private: Path) -> None:
    outcome = run_fake(
        start=[["stderr", "warning: x is deprecated\n"]], cont=[["stdout", "PASS: a\nEXIT\n"]]
    )
    assert outcome.ending is Ending.EXITED
    assert outcome.exit_status == 1
    assert outcome.signal is None
    assert outcome.last_line == "EXIT"
    assert outcome.stderr_tail == ("warning: x is deprecated",)
    assert outcome.kvm_enabled is None  # nobody wanted KVM
    assert 0 < outcome.seconds < SOON
    assert outcome.reason == outcome.doing == outcome.shutdown_reason == ""
    assert (private / "console.log").read_text() == "PASS: a\nEXIT\n"
    assert (private / "qemu.log").read_text() == "warning: x is deprecated\n"
    assert files(private) == {"console.log", "qemu.log", "qmp.jsonl"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in private.iterdir())


def test_the_monitor_is_recorded(run_fake: RunFake, private: Path) -> None:
    run_fake(cont=[["event", "LONG", {"x": "y" * 10_000}]])
    records = [json.loads(line) for line in (private / "qmp.jsonl").read_text().splitlines()]
    commands = [r["message"]["execute"] for r in records if r["to"] == "qemu"]
    assert commands == ["qmp_capabilities", "cont"]
    assert records[-1]["bytes"] > 10_000
    assert all(abs(record["time"] - time.time()) < 60 for record in records)


@pytest.mark.parametrize(
    ("script", "enabled"),
    [
        ({"replies": {"query-kvm": {"enabled": True, "present": True}}}, True),
        ({"replies": {"query-kvm": {"enabled": False, "present": True}}}, False),
        ({"replies": {"query-kvm": ["nonsense"]}}, None),
        ({"errors": {"query-kvm": ["CommandNotFound", "never heard of it"]}}, None),
    ],
)
def test_whether_kvm_is_used_is_asked_where_it_is_wanted(
    private: Path, fake_launch: FakeLaunch, script: dict[str, Any], enabled: bool | None
) -> None:
    launch = fake_launch("-accel", "kvm", **script)
    outcome = asyncio.run(run_guest(launch, private, NORMAL))
    assert (outcome.ending, outcome.kvm_enabled) == (Ending.EXITED, enabled)


def test_on_console_gets_every_byte(run_fake: RunFake) -> None:
    got = bytearray()
    outcome = run_fake(on_console=got.extend, cont=[["flood", 300_000, "0123456789"]])
    assert outcome.exit_status == 1
    assert len(got) == 300_000


def test_refused(run_fake: RunFake) -> None:
    outcome = run_fake(
        start=[["stderr", "warning: w\nqemu-system-arm: no such CPU\nUse help\n"], ["exit", 1]]
    )
    assert outcome.ending is Ending.REFUSED
    assert outcome.reason == "no such CPU"
    assert outcome.exit_status == 1


@pytest.mark.parametrize("status", [0, 1])
def test_refused_without_a_word(run_fake: RunFake, status: int) -> None:
    # A QEMU asked for -cpu help prints to stdout and exits 0: no guest has run.
    outcome = run_fake(start=[["stdout", "Available CPUs:\n"], ["exit", status]])
    assert outcome.ending is Ending.REFUSED
    assert outcome.reason == f"QEMU exited with status {status} before its guest was started"


@pytest.mark.parametrize("end", [["abort"], ["exit", 1]])
def test_a_host_without_threads_or_memory(run_fake: RunFake, end: list[Any]) -> None:
    said = "qemu_thread_create: Resource temporarily unavailable"
    outcome = run_fake(start=[["stderr", f"qemu: {said}\n"], end])
    assert (outcome.ending, outcome.reason) == (Ending.ERROR, f"the host cannot run it: {said}")


def test_refused_after_the_greeting(run_fake: RunFake) -> None:
    outcome = run_fake(errors={"cont": ["GenericError", "no guest"]}, ignore=["TERM"])
    assert outcome.ending is Ending.ERROR
    assert outcome.reason == "the guest was not started: QMP cont: no guest"


def test_aborted_before_the_guest_ran(run_fake: RunFake) -> None:
    lines = "qemu: error: failed to set MSR\nqemu: kvm.c:1: f: Assertion `x' failed.\n"
    outcome = run_fake(start=[["stderr", lines], ["abort"]])
    assert outcome.ending is Ending.KILLED
    assert outcome.signal == signal.SIGABRT
    assert outcome.exit_status is None
    assert outcome.reason == (
        "QEMU was killed by SIGABRT: error: failed to set MSR; kvm.c:1: f: Assertion `x' failed."
    )


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGRTMIN + 3])
def test_killed_while_the_guest_ran(run_fake: RunFake, number: int) -> None:
    outcome = run_fake(cont=[["stdout", "working"], ["signal", number]])
    assert outcome.ending is Ending.KILLED
    assert outcome.signal == number
    assert outcome.last_line == "working"


def test_no_such_program(private: Path) -> None:
    launch = Launch(("/nonexistent/qemu",), ExitChannel.QEMU_EXIT)
    outcome = asyncio.run(run_guest(launch, private, NORMAL))
    assert outcome.ending is Ending.ERROR
    assert outcome.reason == "cannot start /nonexistent/qemu: No such file or directory"


def test_a_wrapper_that_finds_no_program(private: Path) -> None:
    launch = Launch(("/bin/sh", "-c", "exec /nonexistent/qemu"), ExitChannel.QEMU_EXIT)
    outcome = asyncio.run(run_guest(launch, private, NORMAL))
    assert outcome.ending is Ending.ERROR
    assert "/nonexistent/qemu: not found" in outcome.reason


def test_never_greets(run_fake: RunFake) -> None:
    outcome = run_fake(limits=Limits(60, 60, start=0.5), greet=False)
    assert outcome.ending is Ending.ERROR
    assert "QEMU did not greet within 0.5 s" in outcome.reason


def test_slow_start(run_fake: RunFake) -> None:
    # The guest itself, which ends at once, has five seconds.
    outcome = run_fake(limits=Limits(5, 60, start=60), start=[["sleep", 5.2]])
    assert outcome.ending is Ending.EXITED


def test_never_answers(run_fake: RunFake) -> None:
    # It has five seconds to greet in, which it does at once.
    outcome = run_fake(limits=Limits(60, 60, start=5), silent=["cont"])
    assert outcome.ending is Ending.ERROR
    assert "QMP cont: no answer" in outcome.reason


def test_hangs_up_before_the_guest_ran(run_fake: RunFake) -> None:
    outcome = run_fake(start=[["hang up"], ["sleep", 60]])
    assert outcome.ending is Ending.ERROR
    assert "QEMU closed the monitor" in outcome.reason


def test_hangs_up_while_the_guest_runs(run_fake: RunFake) -> None:
    outcome = run_fake(cont=[["hang up"], ["sleep", 0.2], ["stdout", "done"]])
    assert outcome.ending is Ending.EXITED
    assert outcome.exit_status == 1
    assert outcome.last_line == "done"


@pytest.mark.parametrize(
    "step",
    [["qmp", "\udcff\udcfe garbage\n"], ["deep", 100_000], ["long", 20_000_000]],
    ids=lambda step: step[0],
)
def test_garbage_before_the_guest_ran(run_fake: RunFake, step: list[Any]) -> None:
    outcome = run_fake(start=[step, ["serve", 60]])
    assert outcome.ending is Ending.ERROR
    assert outcome.reason.startswith("the guest was not started: QMP connect: ")
    assert len(outcome.reason) < 300


@pytest.mark.parametrize(
    "step", [["qmp", "garbage\n"], ["deep", 100_000], ["storm", 5000]], ids=lambda step: step[0]
)
def test_garbage_while_the_guest_runs(run_fake: RunFake, step: list[Any]) -> None:
    outcome = run_fake(cont=[step, ["sleep", 0.1], ["stdout", "done"]])
    assert outcome.ending is Ending.EXITED
    assert outcome.last_line == "done"
    assert bool(outcome.monitor_broken) is (step[0] != "storm")


def test_a_storm_of_events_ends_at_the_timeout(run_fake: RunFake, private: Path) -> None:
    outcome = run_fake(limits=Limits(timeout=1, stall=60), cont=[["storm", None]])
    assert outcome.ending is Ending.TIMEOUT
    assert outcome.seconds < SOON
    assert sum(path.stat().st_size for path in private.iterdir()) < 4 << 20
    assert '"cut_bytes"' in (private / "qmp.jsonl").read_text()


def test_timeout(run_fake: RunFake, private: Path) -> None:
    outcome = run_fake(
        limits=Limits(timeout=2, stall=60),
        cont=[["stdout", "step 1\n"], ["registers", REGISTERS % 1], ["serve", None]],
    )
    assert outcome.ending is Ending.TIMEOUT
    assert outcome.reason == "no end within 2 s"
    assert outcome.exit_status is None
    assert outcome.signal is None
    assert outcome.doing == "vCPU 0 halted at pc 0xfb7b9"
    assert outcome.last_line == "step 1"
    diagnosis = private / "diagnosis"
    assert files(diagnosis) == {
        "registers.txt", "status.json", "cpus.json", "threads.txt", "last-output.txt",
    }  # fmt: skip
    assert (diagnosis / "registers.txt").read_text() == REGISTERS % 1
    assert json.loads((diagnosis / "status.json").read_text())["status"] == "running"
    assert (diagnosis / "last-output.txt").read_text() == "step 1\n"
    assert "CPU s" in (diagnosis / "threads.txt").read_text()
    assert diagnosis.stat().st_mode & 0o777 == 0o700


def test_timeout_of_a_busy_guest(run_fake: RunFake) -> None:
    outcome = run_fake(
        limits=Limits(timeout=2, stall=60), cont=[["registers", REGISTERS % 0], ["work", None]]
    )
    assert outcome.ending is Ending.TIMEOUT
    assert outcome.doing == "vCPU 0 running at pc 0xfb7b9"


def test_timeout_with_a_dead_monitor(run_fake: RunFake) -> None:
    outcome = run_fake(
        limits=Limits(timeout=3, stall=60), ignore=["TERM", "quit"], cont=[["sleep", 60]]
    )
    assert outcome.ending is Ending.TIMEOUT
    assert "QEMU did not answer (QMP query-status: no answer within" in outcome.doing
    assert "0 of its 1 threads work" in outcome.doing
    assert outcome.seconds < SOON


def test_timeout_after_the_monitor_was_lost(run_fake: RunFake) -> None:
    outcome = run_fake(limits=Limits(timeout=3, stall=60), cont=[["hang up"], ["spin", None]])
    assert outcome.ending is Ending.TIMEOUT
    assert "its monitor is gone" in outcome.doing


def test_a_flooding_guest_ends_at_the_timeout(run_fake: RunFake, private: Path) -> None:
    limits = Limits(timeout=1, stall=60, log_bytes=100_000)
    outcome = run_fake(limits=limits, cont=[["flood", None]])
    assert outcome.ending is Ending.TIMEOUT
    log = (private / "console.log").read_bytes()
    assert len(log) < 101_000
    assert log.count(b"bytes of output cut here") == 1
    assert files(private) >= {"console.log", "diagnosis/last-output.txt"}
    assert not any("tail" in name for name in files(private))


def test_stall_of_a_guest_that_sleeps(run_fake: RunFake) -> None:
    outcome = run_fake(
        limits=Limits(timeout=60, stall=0.6),
        cont=[["stdout", "x"], ["registers", REGISTERS % 1], ["serve", None]],
    )
    assert outcome.ending is Ending.STALL
    assert outcome.reason == "no output and no CPU time used for 0.6 s"
    assert outcome.doing == "vCPU 0 halted at pc 0xfb7b9"
    assert outcome.seconds < SOON


SIZES = "query-memory-size-summary"


@pytest.mark.parametrize(
    ("script", "kept"),
    [
        ({"replies": {SIZES: {"base-memory": 4096}}}, "its memory is in diagnosis/memory.elf"),
        (
            {"replies": {SIZES: {"base-memory": 2**30, "plugged-memory": 4096}}},
            "its memory was not kept: it is larger than 1024 MiB",
        ),
        (
            {"errors": {"dump-guest-memory": ["GenericError", "not supported"]}},
            "its memory could not be kept: not supported",
        ),
        ({"cont": [["hang up"], ["sleep", 60]]}, "its memory was not kept: its monitor is gone"),
    ],
)
def test_the_memory_of_a_guest_that_stalls(
    run_fake: RunFake, private: Path, script: dict[str, Any], kept: str
) -> None:
    given: dict[str, Any] = {"cont": [["registers", REGISTERS % 1], ["serve", None]], **script}
    (private / "diagnosis").mkdir()
    (private / "diagnosis/memory.elf").write_bytes(b"\x7fELF".ljust(64, b"\0"))  # as QEMU would
    outcome = run_fake(limits=Limits(timeout=60, stall=0.6, dump=True), **given)
    assert outcome.ending is Ending.STALL
    assert outcome.doing.endswith(f", {kept}")
    records = [json.loads(line) for line in (private / "qmp.jsonl").read_text().splitlines()]
    asked = [r["message"] for r in records if "dump" in r["message"].get("execute", "")]
    for each in asked:
        protocol = f"file:{private}/diagnosis/memory.elf"
        assert each["arguments"] == {"paging": False, "protocol": protocol}
    assert len(asked) == ("larger" not in kept and "monitor" not in kept)


def test_the_memory_of_a_guest_that_takes_too_long_is_not_kept(
    run_fake: RunFake, private: Path
) -> None:
    run_fake(limits=Limits(timeout=1, stall=60, dump=True), cont=[["serve", None]])
    assert "dump-guest-memory" not in (private / "qmp.jsonl").read_text()


def test_no_stall_while_there_is_output(run_fake: RunFake) -> None:
    steps: list[list[Any]] = [["stdout", "."], ["sleep", 0.5]] * 12
    outcome = run_fake(limits=Limits(timeout=60, stall=5), cont=steps)
    assert outcome.ending is Ending.EXITED


def test_no_stall_while_there_is_work(run_fake: RunFake) -> None:
    always_new = [REGISTERS.replace("b7b9", f"{number:04x}") % 0 for number in range(500)]
    steps = [["registers", *always_new], ["work", 5]]
    outcome = run_fake(limits=Limits(timeout=60, stall=2), cont=steps)
    assert outcome.ending is Ending.EXITED


def test_stall_of_a_dead_loop(run_fake: RunFake) -> None:
    steps = [["stdout", "x"], ["registers", REGISTERS % 0], ["work", None]]
    outcome = run_fake(limits=Limits(timeout=100, stall=2), cont=steps)
    assert outcome.ending is Ending.STALL
    assert outcome.reason.startswith("dead loop: no output and the same registers in ")
    assert outcome.reason.endswith("samples over 2 s, vCPU 0 at pc 0xfb7b9")
    assert int(outcome.reason.split(" samples")[0].split()[-1]) >= 50


def test_incomplete_registers_prove_no_dead_loop(run_fake: RunFake) -> None:
    two = [{"cpu-index": 0, "thread-id": 1}, {"cpu-index": 1, "thread-id": 1}]
    outcome = run_fake(
        limits=Limits(timeout=6, stall=2),
        cont=[["registers", REGISTERS % 0], ["work", None]],
        replies={"query-cpus-fast": two},
    )
    assert outcome.ending is Ending.TIMEOUT


def test_internal_error(run_fake: RunFake, private: Path) -> None:
    outcome = run_fake(
        cont=[
            ["stderr", "KVM internal error. Suberror: 1\nemulation failure\n"],
            ["state", "internal-error"],
            ["event", "STOP"],
            ["registers", REGISTERS % 0],
            ["serve", None],
        ],
    )
    assert outcome.ending is Ending.INTERNAL_ERROR
    assert outcome.reason == ("QEMU's run state is internal-error: KVM internal error. Suberror: 1")
    assert outcome.doing.endswith("at pc 0xfb7b9, QEMU's run state is internal-error")
    assert outcome.seconds < SOON
    assert (private / "diagnosis" / "registers.txt").exists()


def test_panic_with_the_default_action(run_fake: RunFake) -> None:
    outcome = run_fake(
        cont=[
            ["state", "guest-panicked"],
            ["event", "GUEST_PANICKED", {"action": "poweroff"}],
            ["event", "STOP"],
            ["event", "SHUTDOWN", {"guest": True, "reason": "guest-panic"}],
            ["serve", 0.3],
            ["exit", 0],
        ],
    )
    assert outcome.ending is Ending.EXITED
    assert outcome.panicked
    assert outcome.exit_status == 0
    assert outcome.shutdown_reason == "guest-panic"


def test_panic_that_pauses_the_guest(run_fake: RunFake) -> None:
    outcome = run_fake(
        cont=[
            ["event", "GUEST_PANICKED", {"action": "pause"}],
            ["state", "guest-panicked"],
            ["event", "STOP"],
            ["serve", None],
        ],
    )
    assert outcome.ending is Ending.EXITED
    assert outcome.panicked
    assert outcome.exit_status is None
    assert outcome.reason == "QEMU's run state is guest-panicked"
    assert outcome.seconds < SOON


def test_shutdown_that_leaves_qemu_paused(run_fake: RunFake) -> None:
    outcome = run_fake(
        cont=[
            ["event", "SHUTDOWN", {"guest": True, "reason": "guest-shutdown"}],
            ["state", "shutdown"],
            ["event", "STOP"],
            ["serve", None],
        ],
    )
    assert outcome.ending is Ending.EXITED
    assert outcome.shutdown_reason == "guest-shutdown"
    assert outcome.exit_status == 0  # the fake's, when it is told to quit


def test_shutdown_that_nothing_but_a_signal_ends(run_fake: RunFake) -> None:
    outcome = run_fake(
        ignore=["quit"],
        cont=[
            ["event", "SHUTDOWN", {"guest": True, "reason": "guest-shutdown"}],
            ["state", "shutdown"],
            ["event", "STOP"],
            ["serve", None],
        ],
    )
    assert outcome.ending is Ending.EXITED
    assert outcome.shutdown_reason == "guest-shutdown"
    assert outcome.exit_status is None
    assert outcome.reason == "QEMU's run state is shutdown"


def test_a_pause_is_not_the_end(run_fake: RunFake) -> None:
    outcome = run_fake(cont=[["state", "paused"], ["event", "STOP"], ["serve", 0.3]])
    assert outcome.ending is Ending.EXITED
    assert outcome.exit_status == 1


@pytest.mark.parametrize(
    "script",
    [
        {"cont": [["serve", None]]},
        {"cont": [["serve", None]], "ignore": ["quit"]},
        {"cont": [["sleep", 60]], "ignore": ["quit", "TERM"]},
        {"greet": False},
    ],
)
def test_interrupt(private: Path, fake_launch: FakeLaunch, script: dict[str, Any]) -> None:
    async def body() -> Outcome:
        interrupt = asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, interrupt.set)
        return await run_guest(fake_launch(**script), private, NORMAL, interrupt=interrupt)

    outcome = asyncio.run(body())
    assert outcome.ending is Ending.INTERRUPTED
    assert outcome.reason == "interrupted"
    assert outcome.seconds < SOON


def test_an_interrupt_that_comes_first(private: Path, fake_launch: FakeLaunch) -> None:
    async def body() -> Outcome:
        interrupt = asyncio.Event()
        interrupt.set()
        return await run_guest(fake_launch(), private, NORMAL, interrupt=interrupt)

    assert asyncio.run(body()).ending is Ending.INTERRUPTED


def test_a_guest_waits_for_its_turn(private: Path, fake_launch: FakeLaunch) -> None:
    transcript = private / "qmp.jsonl"

    async def body() -> Outcome:
        turn = asyncio.Event()
        guest = asyncio.ensure_future(
            run_guest(fake_launch(cont=[["stdout", "EXIT\n"]]), private, NORMAL, turn=turn)
        )
        while not transcript.exists() or b'"qmp_capabilities"' not in transcript.read_bytes():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.5)
        assert b'"cont"' not in transcript.read_bytes()
        assert not guest.done()
        turn.set()
        return await guest

    begun = time.monotonic()
    outcome = asyncio.run(body())
    assert (outcome.ending, outcome.exit_status) == (Ending.EXITED, 1)
    assert outcome.last_line == "EXIT"
    assert 0 < outcome.seconds < time.monotonic() - begun - 1  # it is not its time


@pytest.mark.parametrize(
    ("script", "ending"),
    [
        ({"start": [["stderr", "no such cpu\n"], ["exit", 1]]}, Ending.REFUSED),
        ({"start": [["abort"]]}, Ending.KILLED),
        ({"after": {"qmp_capabilities": [["exit", 1]]}}, Ending.REFUSED),
        ({"after": {"qmp_capabilities": [["signal", 9]]}}, Ending.KILLED),
        ({"greet": False}, Ending.ERROR),
    ],
)
def test_what_ends_before_its_turn(
    private: Path, fake_launch: FakeLaunch, script: dict[str, Any], ending: Ending
) -> None:
    limits = Limits(timeout=60, stall=60, start=1 if ending is Ending.ERROR else 60)
    never = asyncio.Event()
    outcome = asyncio.run(run_guest(fake_launch(**script), private, limits, turn=never))
    assert outcome.ending is ending


def test_an_interrupt_does_not_wait_for_a_turn(private: Path, fake_launch: FakeLaunch) -> None:
    async def body() -> Outcome:
        interrupt, never = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, interrupt.set)
        return await run_guest(fake_launch(), private, NORMAL, interrupt=interrupt, turn=never)

    assert asyncio.run(body()).ending is Ending.INTERRUPTED


@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.2])
@pytest.mark.parametrize(
    "script",
    [{"cont": [["serve", None]]}, {"ignore": ["TERM", "quit"], "greet": False}],
    ids=["obedient", "deaf"],
)
def test_cancellation_kills_and_reaps(
    private: Path, fake_launch: FakeLaunch, script: dict[str, Any], after: float
) -> None:
    # What is left behind, processes and descriptors, is looked for after every test.
    async def body() -> None:
        task = asyncio.ensure_future(run_guest(fake_launch(**script), private, NORMAL))
        await asyncio.sleep(after)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(body())


def test_cancellation_during_the_diagnosis(private: Path, fake_launch: FakeLaunch) -> None:
    async def body() -> None:
        launch = fake_launch(cont=[["sleep", 60]], ignore=["TERM"])
        task = asyncio.ensure_future(run_guest(launch, private, Limits(timeout=0.1, stall=60)))
        await asyncio.sleep(0.7)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(body())


def test_what_qemu_left_running_goes_with_it(private: Path, fake_launch: FakeLaunch) -> None:
    launch = fake_launch(cont=[["child"], ["stdout", "x"]])
    outcome = asyncio.run(run_guest(launch, private, NORMAL))
    assert outcome.ending is Ending.EXITED
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(private) in str(p.info)]


def test_a_directory_that_was_used_is_refused(private: Path, fake_launch: FakeLaunch) -> None:
    assert asyncio.run(run_guest(fake_launch(), private, NORMAL)).ending is Ending.EXITED
    outcome = asyncio.run(run_guest(fake_launch(), private, NORMAL))
    assert outcome.ending is Ending.ERROR
    assert outcome.reason == f"cannot write {private}/console.log: File exists"


def test_a_directory_that_does_not_exist(tmp_path: Path, fake_launch: FakeLaunch) -> None:
    outcome = asyncio.run(run_guest(fake_launch(), tmp_path / "none", NORMAL))
    assert outcome.ending is Ending.ERROR
    assert outcome.reason == f"cannot write {tmp_path}/none/console.log: No such file or directory"


@pytest.mark.parametrize("step", [["flood", None], ["flood", 5000]], ids=["running", "ended"])
def test_a_host_that_cannot_store_the_output(
    run_fake: RunFake, private: Path, step: list[Any]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        outcome = run_fake(cont=[step])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert outcome.ending is Ending.ERROR
    assert outcome.reason == f"cannot write {private}/console.log: File too large"
    assert outcome.seconds < SOON
    assert (private / "console.log").stat().st_size == 3000


def test_no_descriptors_left(private: Path, fake_launch: FakeLaunch) -> None:
    """Whatever is the first for which no descriptor is left, nothing leaks."""

    async def body(directories: list[Path]) -> list[Outcome]:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.open(os.devnull, os.O_RDONLY)
        os.close(lowest)
        outcomes = []
        for more, directory in enumerate(directories):
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + more, limits[1]))
            try:
                outcomes.append(await run_guest(fake_launch(), directory, NORMAL))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        return outcomes

    directories = [private / str(number) for number in range(12)]
    for directory in directories:
        directory.mkdir(mode=0o700)
    outcomes = asyncio.run(body(directories))
    assert {outcome.ending for outcome in outcomes} <= {Ending.ERROR, Ending.EXITED}
    assert outcomes[0].ending is Ending.ERROR
    assert "Too many open files" in outcomes[0].reason


def test_what_on_console_raises_is_raised(run_fake: RunFake) -> None:
    def broken(data: bytes) -> None:
        raise LookupError("a bug of the caller")

    with pytest.raises(LookupError, match="a bug of the caller"):
        run_fake(on_console=broken, cont=[["stdout", "x"], ["serve", None]])


ORCHESTRATOR = """
import asyncio, json, sys
from pathlib import Path
from matrix.model import ExitChannel, Launch
from matrix.vm.machine import Guest, Limits, run_guest
from matrix.vm.qemu_session import Session
launch = Launch(tuple(json.loads(sys.argv[1])), ExitChannel.QEMU_EXIT)
asyncio.run(run_guest(launch, Path(sys.argv[2]), Limits(60, 60)))
"""


def test_no_qemu_outlives_a_killed_orchestrator(private: Path, fake_launch: FakeLaunch) -> None:
    launch = fake_launch(cont=[["stdout", "up"], ["sleep", 60]], ignore=["TERM", "quit"])
    argv = (sys.executable, "-c", ORCHESTRATOR, json.dumps(launch.argv), str(private))
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2]) as orchestrator:
        console = private / "console.log"
        deadline = time.monotonic() + 60
        while not (console.exists() and console.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        (qemu,) = psutil.Process(orchestrator.pid).children()
        orchestrator.kill()
        orchestrator.wait()
        assert psutil.wait_procs([qemu], timeout=60)[1] == []


def test_many_guests_at_once(tmp_path: Path, fake_launch: FakeLaunch) -> None:
    async def body() -> list[Outcome]:
        launch = fake_launch(cont=[["stdout", "x\n" * 100]])
        directories = [tmp_path / str(number) for number in range(20)]
        for directory in directories:
            directory.mkdir(mode=0o700)
        limits = Limits(100, 100, start=100)
        return await asyncio.gather(*(run_guest(launch, d, limits) for d in directories))

    assert {(o.ending, o.exit_status) for o in asyncio.run(body())} == {(Ending.EXITED, 1)}


def test_what_qemu_says_last_is_heard_before_its_exit_is_judged(
    fake_launch: FakeLaunch, private: Path
) -> None:
    """The loop is held up, as on a crowded host, until exit and last words are both there."""
    launch = fake_launch(
        cont=[
            ["storm", 500],  # more than is taken in at one go
            ["event", "GUEST_PANICKED", {"action": "shutdown"}],
            ["event", "SHUTDOWN", {"guest": True, "reason": "guest-panic"}],
            ["exit", 0],
        ]
    )

    async def hold_up() -> None:
        transcript = private / "qmp.jsonl"
        while not transcript.exists() or b'"cont"' not in transcript.read_bytes():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.0)
        await asyncio.sleep(0.001)  # it is recorded before it is sent
        time.sleep(0.5)  # noqa: ASYNC251 - nothing else shall run

    async def both() -> Outcome:
        outcome, _ = await asyncio.gather(run_guest(launch, private, NORMAL), hold_up())
        return outcome

    outcome = asyncio.run(both())
    assert outcome.ending is Ending.EXITED
    assert outcome.exit_status == 0
    assert outcome.panicked
    assert outcome.shutdown_reason == "guest-panic"


def test_a_second_cancellation_leaves_no_process(private: Path) -> None:
    """It comes while those that are no longer needed are ended: the others must be ended too."""
    sleeper = Launch(("sleep", "100"), ExitChannel.STATUS, monitor=False)

    async def scenario() -> list[int | None]:
        guest = Guest(private, NORMAL, lambda _: None, migrates=True)
        running = asyncio.Event()

        async def use() -> None:
            async with guest:
                await guest.start(sleeper)
                guest.retire(await guest.start(sleeper, incoming=True))
                await asyncio.sleep(0)
                sessions.extend(guest._voices)
                running.set()
                await asyncio.Event().wait()

        sessions: list[Session] = []
        task = asyncio.create_task(use())
        await running.wait()
        task.cancel()
        for _ in range(3):  # it has begun to end them
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()
        return [session.process.status for session in sessions if session.process]

    assert None not in asyncio.run(scenario())
