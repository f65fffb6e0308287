"""A folder with a build for x86_64, and a QEMU that plays each guest as a script says."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FAKE = Path(__file__).with_name("fake_qemu.py")

PROBE = {
    "replies": {
        "query-target": {"arch": "x86_64"},
        "query-version": {"qemu": {"major": 10, "minor": 0, "micro": 0}, "package": ""},
        "query-machines": [{"name": "pc", "cpu-max": 8, "is-default": True}],
        "query-cpu-definitions": [{"name": "qemu64", "typename": "qemu64-x86_64-cpu"}],
        "query-kvm": {"present": False, "enabled": False},
        "query-migrate-capabilities": [],
        "query-command-line-options": [],
        "qom-list-types": [],
    }
}
"""The script of a QEMU that is asked what it can do."""

WRAPPER = """#!/bin/sh
log=started  # with its folder, it would be one of the files that this QEMU is made of
name=probe
previous=
for word; do
    [ "$previous" = -append ] && name=${{word%% *}}
    previous=$word
done
echo $name >> {scripts}/$log
FAKE_QEMU=$(cat {scripts}/$name.json 2>/dev/null)
export FAKE_QEMU
exec {python} -I -S {fake} "$@"
"""


@contextmanager
def fake_world(root: Path) -> Iterator[None]:
    """Make it in ``root``; whoever leaves a QEMU behind has failed.

    The guest of a test plays ``scripts/TEST.json``; ``scripts/started`` names those that were
    started, in order, and ``probe`` for a question to QEMU.
    """
    for folder in ("build/x86", "qemu", "scripts"):
        (root / folder).mkdir(parents=True)
    (root / "build/config.mak").write_text("ARCH=x86_64\nTEST_DIR=x86\nTARGET=qemu\n")
    (root / "build/x86/guest.flat").write_bytes(b"guest")
    (root / "scripts/probe.json").write_text(json.dumps(PROBE))
    wrapper = root / "qemu/qemu-system-x86_64"
    wrapper.write_text(WRAPPER.format(scripts=root / "scripts", python=sys.executable, fake=FAKE))
    wrapper.chmod(0o755)
    yield
    left = fakes_of(root)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "QEMU outlived whoever started it"


def fakes_of(root: Path) -> list[int]:
    """The processes that run as the QEMU of a world."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # it has ended
        ours = any(os.fsencode(root) in word for word in words)
        if ours and state != "Z" and any(b"fake_qemu" in word for word in words):
            found.append(int(entry.name))
    return found
