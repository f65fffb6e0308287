"""What a hung guest was doing: taken over QMP and from /proc before it is killed."""

import asyncio
import contextlib
import json
import os
import shutil
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matrix.errors import HostError, MonitorError
from matrix.vm import cputime, registers
from matrix.vm.cputime import Thread
from matrix.vm.location import Remote
from matrix.vm.memory_file import number_vcpus
from matrix.vm.qemu_session import Session

DEADLINE = 2.0
"""Seconds for all of it: the monitor of a QEMU that hangs may be dead too."""
MEMORY_FILE = "memory.elf"
LARGEST_MEMORY = 2**30
"""Bytes of a guest's memory that are kept."""
KEEP_SECONDS = 120.0
"""For QEMU to write them, on a busy host too."""
LOOK_AGAIN_AFTER = 0.05
"""Seconds between two looks at the threads, of which the second tells which of them work."""


async def diagnose(session: Session) -> str:
    """Write ``diagnosis/`` into the session's directory; return in words what the guest was doing.

    Files: ``registers.txt`` (all vCPUs), ``status.json``, ``cpus.json``, ``threads.txt`` (CPU time
    and state of QEMU's threads) and ``last-output.txt``. What QEMU does not tell within
    :data:`DEADLINE` is left out, and a host that cannot store them only loses the files.
    """
    if session.process is None:
        return ""
    deadline = session.loop.time() + DEADLINE
    before = await session.process.threads(DEADLINE)
    answers = await _ask(session, deadline)
    await asyncio.sleep(LOOK_AGAIN_AFTER)
    after = await session.process.threads(LOOK_AGAIN_AFTER + deadline - session.loop.time())
    dump = answers.get("registers")
    files = {
        "registers.txt": dump if isinstance(dump, str) else "",
        "status.json": _json(answers.get("status")),
        "cpus.json": _json(answers.get("cpus")),
        "threads.txt": _thread_table(after),
        "last-output.txt": session.console.text(),
    }
    doing = _doing(answers, before, after)
    try:
        _write(session.directory / "diagnosis", files)
    except OSError as error:
        doing += f" (diagnosis/ could not be written: {error.strerror})"
    return doing


async def keep_memory(session: Session) -> str:
    """Write the guest's memory and registers as ``diagnosis/memory.elf``; return in words whether.

    Whether the architecture can is only said by the attempt: MIPS is asked for in vain, whatever
    query-dump-guest-memory-capability lists.
    """
    monitor, path = session.monitor, session.directory / "diagnosis" / MEMORY_FILE
    if monitor is None or not monitor.alive:
        return "its memory was not kept: its monitor is gone"
    try:
        sizes = await monitor.execute("query-memory-size-summary", timeout=KEEP_SECONDS)
        given = sizes.values() if isinstance(sizes, dict) else ()
        size = sum(each for each in given if isinstance(each, int))
        if size > LARGEST_MEMORY:
            return f"its memory was not kept: it is larger than {LARGEST_MEMORY >> 20} MiB"
        if shutil.disk_usage(session.directory).free < 2 * size:
            return "its memory was not kept: the disk is nearly full"
        place: object = session.place
        there = await place.room(size) if isinstance(place, Remote) else str(path)
        # Not detached: that comes back at once, and QEMU is ended next.
        arguments = {"paging": False, "protocol": f"file:{there}"}
        await monitor.execute("dump-guest-memory", arguments, timeout=KEEP_SECONDS)
        if isinstance(place, Remote):
            await place.fetch(path)
        with contextlib.suppress(struct.error):  # some other file, with whatever numbers
            number_vcpus(path)
    except MonitorError as error:
        with contextlib.suppress(OSError):  # nothing was written
            path.unlink()  # what there is of it
        return f"its memory could not be kept: {error.why}"
    except HostError as error:
        return f"its memory was not kept: {error}"
    except OSError as error:
        return f"its memory was not kept: {error.strerror}"
    return f"its memory is in diagnosis/{MEMORY_FILE}"


async def _ask(session: Session, deadline: float) -> dict[str, Any]:
    """QEMU's answers by name; under ``error`` why the rest is missing. None without a monitor."""
    answers: dict[str, Any] = {}
    monitor = session.monitor
    if monitor is None:
        return {}
    if not monitor.alive:
        return {"error": "its monitor is gone"}

    async def query(command: str) -> Any:
        return await monitor.execute(command, timeout=deadline - session.loop.time())

    try:
        answers["status"] = await query("query-status")
        answers["cpus"] = await query("query-cpus-fast")
        answers["registers"] = await monitor.human(
            "info registers -a", deadline - session.loop.time()
        )
    except MonitorError as error:
        answers["error"] = str(error)
    return answers


def _doing(answers: dict[str, Any], before: Sequence[Thread], after: Sequence[Thread]) -> str:
    used = {thread.number: thread.seconds for thread in before}
    working = {
        thread.number
        for thread in after
        if thread.state == cputime.RUNNABLE or thread.seconds > used.get(thread.number, 0.0)
    }
    words = []
    status = answers.get("status")
    state = status.get("status") if isinstance(status, dict) else None
    dump = answers.get("registers")
    if isinstance(dump, str) and (vcpus := registers.parse(dump)):
        states = _vcpu_states(answers.get("cpus"), working) if state == "running" else {}
        words.append(registers.describe(vcpus, states))
    if state not in (None, "running"):
        words.append(f"QEMU's run state is {state}")
    if "error" in answers:
        words.append(f"QEMU did not answer ({answers['error']})")
    if "error" in answers or not answers:
        words.append(f"{len(working)} of its {len(after)} threads work")
    return ", ".join(words)


def _vcpu_states(cpus: Any, working: set[int]) -> dict[int, str]:
    """By vCPU index: ``running`` or ``asleep``, as far as the threads tell."""
    threads = {
        cpu["cpu-index"]: cpu["thread-id"]
        for cpu in (cpus if isinstance(cpus, list) else ())
        if isinstance(cpu, dict)
        and isinstance(cpu.get("cpu-index"), int)
        and isinstance(cpu.get("thread-id"), int)
    }
    shared = Counter(threads.values())
    states = {}
    for index, thread in threads.items():
        if thread not in working:
            states[index] = "asleep"
        elif shared[thread] == 1:  # of several vCPUs in one thread nobody knows which one works
            states[index] = "running"
    return states


def _thread_table(threads: Sequence[Thread]) -> str:
    rows = [
        f"{thread.number:>8}  {thread.state}  {thread.seconds:>9.2f}  {thread.name}"
        + (f"  ({thread.waiting_in})" if thread.waiting_in else "")
        for thread in threads
    ]
    return "\n".join(("  thread  state  CPU s  name", *rows, ""))


def _json(value: Any) -> str:
    return "" if value is None else json.dumps(value, indent=2) + "\n"


def _write(directory: Path, files: dict[str, str]) -> None:
    directory.mkdir(mode=0o700)
    for name, text in files.items():
        if text:
            descriptor = os.open(
                directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
            )
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
