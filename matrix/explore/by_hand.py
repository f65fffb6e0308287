"""``commands.txt`` of a finding: the QEMUs of a life that failed and what they were told.

So it can be repeated without this program.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from matrix.model import Launch
from matrix.results.files import host_errors, write_bytes
from matrix.results.printable import printable

NAME = "commands.txt"
TRANSCRIPT = "qmp.jsonl"
HEAD = """\
# What the QEMUs of this guest were told, oldest first, to repeat it by hand.
# NAME$ starts a QEMU, which listens for its monitor in the current folder:  socat - UNIX:NAME.sock
# NAME> is typed there; NAME< is what it said: errors and events.
# Commands that only ask are left out. Paths are those of that life: make their folders, or put
# others in.
# A descriptor ("fd") was a socket that matrix had opened.
"""
_ASKING = ("query-", "qom-list", "qom-get", "human-monitor-command")


def write_commands(directory: Path, launches: Mapping[str, Launch]) -> None:
    """Write it into the folder of a life, beside its transcript.

    Args:
        directory: of the life.
        launches: command lines of its QEMUs, by the names that the transcript has, oldest first.

    Raises:
        HostError: a file cannot be read or written.
    """
    transcript = directory / TRANSCRIPT
    with host_errors("read", transcript):
        text = transcript.read_text("utf-8", "replace") if transcript.exists() else ""
    told = (HEAD, *(f"{line}\n" for line in commands(launches, text.splitlines())))
    write_bytes(directory / NAME, "".join(told).encode("utf-8", "replace"))


def commands(launches: Mapping[str, Launch], transcript: Iterable[str]) -> Iterator[str]:
    """Its lines but for the head, from those of the transcript."""
    started: set[str] = set()
    refusable: set[tuple[str, str]] = set()
    for line in transcript:
        try:
            record = json.loads(line)
            name, message = str(record["process"]), dict(record["message"])
        except (ValueError, KeyError, TypeError):
            continue  # cut off, or too long to be kept
        if name not in started and name in launches:
            started.add(name)
            yield _start(name, launches[name], first=len(started) == 1)
        if record.get("to") == "qemu":
            if message.get("execute", "").startswith(_ASKING):
                continue
            refusable.add((name, str(message.pop("id", ""))))
            yield printable(f"{name}> {json.dumps(message)}")
        elif said := _said(name, message, refusable):
            yield printable(f"{name}< {said}")
    for name in launches.keys() - started:
        yield _start(name, launches[name], first=False)


def _start(name: str, launch: Launch, *, first: bool) -> str:
    environment = [f"{key}={value}" for key, value in launch.environment]
    words = (*(("env", *environment) if environment else ()), *launch.argv)
    waits = "-S" if first else "-incoming defer"
    return printable(
        f"{name}$ {shlex.join(words)} {waits} -qmp unix:{name}.sock,server=on,wait=off"
    )


def _said(name: str, message: Mapping[str, Any], refusable: set[tuple[str, str]]) -> str:
    if "event" in message:
        status = message.get("data", {}).get("status", "")
        return f"{message['event']} {status}".rstrip()
    if "error" in message and (name, str(message.get("id", ""))) in refusable:
        return f"error: {message['error'].get('desc', '')}"
    return ""
