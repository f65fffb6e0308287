"""A project of a user of the plugin, with a suite whose guests a fake QEMU plays."""

import importlib
import json
import os
import pkgutil
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import matrix
from matrix.pytest_plugin import plugin

# All is loaded before pytester runs sessions in this process: what such a session loads first is
# forgotten at its end, and what is loaded anew then, be it compiled or not, knows the old no more.
for module in pkgutil.walk_packages(matrix.__path__, "matrix."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)

FAKE = Path(__file__).parents[1] / "fake_qemu.py"
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

WRAPPER = """#!/bin/sh
name=probe
previous=
for word; do
    [ "$previous" = -append ] && name=${{word%% *}}
    previous=$word
done
echo $name >> {scripts}/started
FAKE_QEMU=$(cat {scripts}/$name.json 2>/dev/null)
export FAKE_QEMU
exec {python} -I -S {fake} "$@"
"""

SCENARIO = """name: {name}
suite: {{kind: kvm-unit-tests, build: "${{MATRIX_TEST_ROOT}}/build"}}
matrix: {{arch: [x86_64], accel: [tcg], qemu: [fake]}}
run: {{timeout: 60s, stall: 60s, repeat: {repeat}}}
"""

Script = Mapping[str, Any]


class Scripts:
    """What a fake guest may do."""

    @staticmethod
    def passing(text: str = "PASS: all is well\nSUMMARY: 1 tests\n", seconds: float = 0) -> Script:
        return {"cont": [["stdout", text], ["serve", seconds]]}

    @staticmethod
    def failing(*names: str) -> Script:
        lines = "".join(f"FAIL: {name}\n" for name in names)
        return {"cont": [["stdout", lines], ["exit", 3]]}

    @staticmethod
    def skipping(why: str) -> Script:
        return {
            "cont": [["stdout", f"SKIP: it: {why}\nSUMMARY: 1 tests, 1 skipped\n"], ["exit", 77]]
        }

    @staticmethod
    def endless() -> Script:
        return {"cont": [["stdout", "begun\n"], ["serve", None]]}


@dataclass
class Project:
    """A folder in which pytest is run."""

    pytester: pytest.Pytester

    @property
    def root(self) -> Path:
        return self.pytester.path

    def suite(self, *, groups: Mapping[str, str] | None = None, **scripts: Script) -> None:
        """A build with these tests."""
        sections = []
        for name, script in scripts.items():
            sections.append(f"[{name}]\nfile = guest.flat\ntest_args = {name}")
            if groups and name in groups:
                sections.append(f"groups = {groups[name]}")
            (self.root / f"scripts/{name}.json").write_text(json.dumps(script))
        (self.root / "build/x86/unittests.cfg").write_text("\n".join(sections) + "\n")

    def scenario(
        self, file: str = "scenario.yaml", *, name: str = "fake", repeat: int = 1, more: str = ""
    ) -> Path:
        path = self.root / file
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(SCENARIO.format(name=name, repeat=repeat) + more)
        return path

    def arguments(self, *more: str) -> list[str]:
        return ["-p", "no:cacheprovider", f"--matrix-qemu=fake={self.root}/qemu", *more]

    def run(self, *more: str) -> pytest.RunResult:
        """A session in this process."""
        return self.pytester.runpytest_inprocess(*self.arguments(*more), plugins=[plugin])

    def run_apart(self, *more: str) -> pytest.RunResult:
        """A session in a process of its own."""
        arguments = ["-p", plugin.__name__, *self.arguments(*more)]
        return self.pytester.runpytest_subprocess(*arguments, timeout=300)

    def started(self) -> list[str]:
        """The guests that were started, in order; ``probe`` is a question to QEMU."""
        file = self.root / "scripts/started"
        return file.read_text().split() if file.exists() else []

    def qemus(self) -> list[int]:
        """The processes that run as this project's QEMU."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            ours = any(os.fsencode(self.root) in word for word in words)
            if ours and state != "Z" and any(b"fake_qemu" in word for word in words):
                found.append(int(entry.name))
        return found


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plugin but those that a test names, ours among them: it may be installed or not."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("MATRIX_CACHE", str(pytester.path / "cache"))
    monkeypatch.setenv("MATRIX_STATE", str(pytester.path / "state"))
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setenv("MATRIX_TEST_ROOT", str(pytester.path))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for folder in ("build/x86", "qemu", "scripts"):
        (pytester.path / folder).mkdir(parents=True)
    (pytester.path / "build/config.mak").write_text("ARCH=x86_64\nTEST_DIR=x86\nTARGET=qemu\n")
    (pytester.path / "build/x86/guest.flat").write_bytes(b"guest")
    (pytester.path / "scripts/probe.json").write_text(json.dumps(PROBE))
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
    wrapper = pytester.path / "qemu/qemu-system-x86_64"
    wrapper.write_text(
        WRAPPER.format(scripts=pytester.path / "scripts", python=sys.executable, fake=FAKE)
    )
    wrapper.chmod(0o755)
    made = Project(pytester)
    yield made
    left = made.qemus()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "QEMU outlived the session"


@pytest.fixture(scope="session")
def scripts() -> type[Scripts]:
    return Scripts
