"""Emulators that are only found, emulators that answer a script, and a host to find them on."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from matrix.hosts.host_facts import HostState
from matrix.hosts.kvm import KvmDevice
from matrix.inventory import Host

SCRIPTED = """\
#!{python} -IS
import json, os, sys
words = dict(zip(sys.argv[1:], sys.argv[2:]))
script = json.loads({script!r})
refusal = script.get("refused accelerators", {{}}).get(words["-accel"])
if refusal:
    sys.exit(refusal)
with open(words.get("-pidfile", os.devnull), "w") as file:
    file.write(str(os.getpid()))
monitor = os.fdopen(int(words["-chardev"].split("fd=")[1].split(",")[0]), "r+b", buffering=0)
version = {{"qemu": {{"major": 9, "minor": 0, "micro": 0}}, "package": ""}}
monitor.write(json.dumps({{"QMP": {{"version": version, "capabilities": []}}}}).encode() + b"\\n")
for data in iter(lambda: monitor.read(65536), b""):  # one request at a time, without a line end
    request = json.loads(data)
    command = request["execute"]
    arguments = request.get("arguments", {{}})
    key = arguments.get("typename") or arguments.get("implements", command)
    if script.get("dies of") in (command, key):
        sys.stderr.write("module_load_dso: Assertion `QTAILQ_EMPTY(&list)' failed.\\n")
        sys.stderr.flush()
        os.kill(os.getpid(), 9)
    if key in script:
        answer = {{"return": script[key]}}
    elif command in ("qmp_capabilities", "quit"):
        answer = {{"return": {{}}}}
    else:
        answer = {{"error": {{"class": "CommandNotFound", "desc": "not found"}}}}
    if "id" in request:
        answer["id"] = request["id"]
    monitor.write(json.dumps(answer).encode() + b"\\n")
    if command == "quit":
        break
"""

REPLIES: dict[str, Any] = {
    "query-target": {"arch": "riscv64"},
    "query-version": {
        "qemu": {"major": 7, "minor": 2, "micro": 22},
        "package": "Debian 1:7.2+dfsg-7",
    },
    "query-machines": [
        {"name": "virt", "cpu-max": 512, "default-cpu-type": "rv64-riscv-cpu", "deprecated": False},
        {"name": "spike_v1.10", "alias": "spike", "is-default": True, "cpu-max": 8},
        {"name": "none", "cpu-max": 1, "deprecated": True},
    ],
    "query-kvm": {"enabled": False, "present": True},
    "query-migrate-capabilities": [
        {"capability": "xbzrle", "state": False},
        {"capability": "events", "state": False},
    ],
    "query-command-line-options": [{"option": "sandbox", "parameters": [{"name": "spawn"}]}],
    "query-cpu-definitions": [{"name": "rv64", "typename": "rv64-riscv-cpu"}],
    "query-qmp-schema": [
        {"name": "migrate", "meta-type": "command", "arg-type": "1", "ret-type": "9"},
        {
            "name": "1",
            "meta-type": "object",
            "members": [{"name": "uri", "type": "str"}, {"name": "channels", "type": "[2]"}],
        },
        {"name": "[2]", "meta-type": "array", "element-type": "2"},
        {
            "name": "2",
            "meta-type": "object",
            "members": [{"name": "channel-type", "type": "3"}, {"name": "addr", "type": "4"}],
        },
        {
            "name": "4",
            "meta-type": "object",
            "tag": "transport",
            "variants": [{"case": "socket", "type": "5"}, {"case": "file", "type": "6"}],
        },
        {"name": "migrate-set-parameters", "meta-type": "command", "arg-type": "7"},
        {
            "name": "7",
            "meta-type": "object",
            "members": [
                {"name": "mode", "type": "8"},
                {"name": "max-bandwidth", "type": "int"},
                {"name": "downtime-limit", "type": "int"},
            ],
        },
        {"name": "8", "meta-type": "enum", "values": ["normal", "cpr-reboot"]},
    ],
    "device": [{"name": "pvpanic-pci"}, {"name": "edu"}],
}
"""What a small QEMU answers; ``device`` and ``cpu`` are for ``qom-list-types``."""


@pytest.fixture
def replies() -> dict[str, object]:
    """A copy to be changed."""
    copied: dict[str, object] = json.loads(json.dumps(REPLIES))
    return copied


@pytest.fixture
def emulators(tmp_path: Path) -> Callable[..., Path]:
    """Makes the folder ``NAME`` with emulators that end at once in it."""

    def make(name: str, *architectures: str) -> Path:
        directory = tmp_path / name
        directory.mkdir(parents=True, exist_ok=True)
        for architecture in architectures or ("x86_64",):
            program = directory / f"qemu-system-{architecture}"
            program.write_text("#!/bin/false\n")
            program.chmod(0o755)
        return directory

    return make


@pytest.fixture
def scripted(tmp_path: Path) -> Callable[[Mapping[str, object]], Path]:
    """Makes a program that answers QMP with the replies given.

    ``dies of`` names a command that kills it, ``refused accelerators`` maps one to a last word.
    """

    def make(script: Mapping[str, object]) -> Path:
        program = tmp_path / "qemu-system-riscv64"
        program.write_text(SCRIPTED.format(python=sys.executable, script=json.dumps(script)))
        program.chmod(0o755)
        return program

    return make


@pytest.fixture
def host() -> HostState:
    """An x86_64 machine with two CPUs and a usable KVM."""
    facts = Host(architecture="x86_64", kernel="6.1.0", cpus=2, memory=8 * 2**30)
    return HostState(facts, KvmDevice(problem="", state="usable"), key="kernel and KVM")
