"""What holds for all tests: they leave the user's own state alone, come out the same each time, and
are spread over pytest-xdist's workers, the long ones first.

``pytest --hypothesis-profile=explore`` looks for new examples of the properties instead.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from matrix.results.printable import CI_VARIABLES

if TYPE_CHECKING:
    from tests.warm import WarmProgram

TOGETHER = (
    (r"packaging/test_distribution\.py", "one wheel is built for all"),
    (r"\[.*\bpostgresql\b", "one server is started for all"),
    (r"hosts/virtual/test_on_qemu\.py", "the host that the first boots is the others' snapshot"),
    *(
        (rf"report/test_{module}\.py", f"one Chromium is started for all of {module}")
        for module in ("in_browser", "finding", "hostile", "comparison")
    ),
)
"""Patterns of names of tests that one worker runs, and why.

xdist 3.8 marks such tests (``xdist_group``) by an attribute that pytest 9.2 has no more: every
worker built a wheel and started a server."""
WORKERS_PER_CPU = 3
"""Guests sleep, wait for their time limits and for one another: with two, a third of the CPUs' time
is idle."""

# Containers often forbid it, and each worker and each command would compile all modules once more:
# a tenth of the suite's time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

MANY = 100
"""Modules of tests that are worth two processes that do nothing but compile them."""

# The speed of the machine is no property of what is tested, nor is what was drawn another time.
settings.register_profile(
    "matrix",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("matrix")


def pytest_configure() -> None:
    """What tests start can be interrupted, also where they cannot be themselves: under ``nohup``,
    or in a script's background (``make test &``).

    A signal that is ignored stays so over exec; one that is caught is set back to its default.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@dataclass(frozen=True)
class Golden:
    """Compares texts with the files in ``golden`` beside the test.

    ``MATRIX_UPDATE_GOLDEN=1`` writes them instead: look at the difference before you commit it.
    """

    folder: Path

    def __call__(self, name: str, text: str) -> None:
        path = self.folder / name
        if os.environ.get("MATRIX_UPDATE_GOLDEN"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.path.parent / "golden")


@pytest.fixture(scope="session")
def warm(_own_state: None) -> Iterator["WarmProgram"]:
    from tests.warm import WarmProgram  # here: this file is tried without its folder, too

    program = WarmProgram()
    yield program
    program.close()


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test records its runs in the history of whoever runs the tests, nor reads it.

    Nor does one come out otherwise in CI, where files are told apart by their content, and what
    guests print is spelt out.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in CI_VARIABLES:
            patch.delenv(name, raising=False)
        patch.setenv("MATRIX_STATE", str(tmp_path_factory.mktemp("state")))
        patch.delenv("MATRIX_DATABASE", raising=False)
        yield


def scope(name: str) -> str:
    """What a test is run together with: itself, or those of the same reason."""
    return next((why for pattern, why in TOGETHER if re.search(pattern, name)), name)


def longest_first(items: Sequence[Any]) -> list[Any]:
    """Tests in an order by which no worker begins a long one, or one of many that it has to run
    alone, when the others are done."""

    def key(item: Any) -> tuple[bool, bool]:
        slow, qemu = (item.get_closest_marker(name) is not None for name in ("slow", "qemu"))
        return not (slow or scope(item.nodeid) != item.nodeid), not qemu

    return sorted(items, key=key)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items[:] = longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    return WORKERS_PER_CPU * len(os.sched_getaffinity(0))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Have the asserts of a fresh clone rewritten once: by each worker, all at once, that takes
    three times as long."""
    root = Path(__file__).parent
    modules = list(root.rglob("test_*.py"))
    compiled = list(root.rglob("test_*-pytest-*.pyc"))
    everything = config.args_source is not pytest.Config.ArgsSource.ARGS
    if not everything or len(modules) < MANY or len(compiled) > len(modules) / 2:
        return
    count = len(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:xdist"]
    parts = [
        subprocess.Popen([*command, *map(str, modules[part::count])], stdout=subprocess.DEVNULL)
        for part in range(count)
    ]
    for part in parts:
        part.wait()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # xdist's

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = scope  # the method that it documents to be overridden
    return scheduler
