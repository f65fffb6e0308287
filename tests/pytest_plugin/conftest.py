"""A project of a user of the plugin, with a suite whose guests a fake QEMU plays."""

import importlib
import json
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import matrix
from matrix.pytest_plugin import plugin
from tests.fake_world import fake_world, fakes_of

# All is loaded before pytester runs sessions in this process: what such a session loads first is
# forgotten at its end, and what is loaded anew then, be it compiled or not, knows the old no more.
for module in pkgutil.walk_packages(matrix.__path__, "matrix."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)

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
        return fakes_of(self.root)


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
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
    with fake_world(pytester.path):
        yield Project(pytester)


@pytest.fixture(scope="session")
def scripts() -> type[Scripts]:
    return Scripts
