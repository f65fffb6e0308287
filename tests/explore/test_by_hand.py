"""What is to be done by hand to repeat a life that failed."""

import json
from pathlib import Path
from typing import Any

from matrix.explore.by_hand import HEAD, NAME, commands, write_commands
from matrix.model import ExitChannel, Launch

LAUNCHES = {
    "qemu-1": Launch(("/usr/bin/qemu-system-arm", "-name", "a b"), ExitChannel.CONSOLE),
    "qemu-2": Launch(("qemu",), ExitChannel.CONSOLE, environment=(("KEY", "it's"),)),
    "qemu-failed": Launch(("qemu", "-bad"), ExitChannel.CONSOLE),
}


def record(name: str, to: str, **message: Any) -> str:
    return json.dumps({"time": 1.0, "to": to, "process": name, "message": message})


TOLD = [
    record("qemu-1", "matrix", QMP={"version": {}}),
    record("qemu-1", "qemu", execute="qmp_capabilities", id="1"),
    record("qemu-1", "matrix", **{"return": {}}, id="1"),
    record("qemu-1", "qemu", execute="query-status", id="2"),
    record("qemu-1", "matrix", error={"class": "GenericError", "desc": "none"}, id="2"),
    record("qemu-2", "qemu", execute="migrate-incoming", arguments={"uri": "tcp:x:1"}, id="1"),
    record("qemu-1", "qemu", execute="migrate", arguments={"uri": "tcp:x:1"}, id="3"),
    record("qemu-1", "matrix", event="MIGRATION", data={"status": "setup"}, timestamp={}),
    record("qemu-1", "matrix", error={"class": "GenericError", "desc": "not now"}, id="3"),
    record("qemu-1", "matrix", event="STOP", timestamp={}),
    '{"cut_bytes": 7}',
    '{"time": 1.0, "to": "qemu", "proc',
]
REPEATED = """\
qemu-1$ /usr/bin/qemu-system-arm -name 'a b' -S -qmp unix:qemu-1.sock,server=on,wait=off
qemu-1> {"execute": "qmp_capabilities"}
qemu-2$ env 'KEY=it'"'"'s' qemu -incoming defer -qmp unix:qemu-2.sock,server=on,wait=off
qemu-2> {"execute": "migrate-incoming", "arguments": {"uri": "tcp:x:1"}}
qemu-1> {"execute": "migrate", "arguments": {"uri": "tcp:x:1"}}
qemu-1< MIGRATION setup
qemu-1< error: not now
qemu-1< STOP
qemu-failed$ qemu -bad -incoming defer -qmp unix:qemu-failed.sock,server=on,wait=off
"""


def test_what_qemus_were_told() -> None:
    assert "".join(f"{line}\n" for line in commands(LAUNCHES, TOLD)) == REPEATED


def test_it_stands_beside_the_transcript(tmp_path: Path) -> None:
    (tmp_path / "qmp.jsonl").write_text("\n".join(TOLD))
    write_commands(tmp_path, LAUNCHES)
    assert (tmp_path / NAME).read_text() == HEAD + REPEATED


def test_a_life_in_which_no_qemu_spoke(tmp_path: Path) -> None:
    write_commands(tmp_path, {})
    assert (tmp_path / NAME).read_text() == HEAD
