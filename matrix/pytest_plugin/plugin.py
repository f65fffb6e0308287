"""The hooks and fixtures that pytest loads (entry point ``pytest11``).

pytest loads this module in every session of everybody who has the package installed, so it imports
nothing heavy of ours before a scenario is collected or a fixture is asked for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from matrix.pytest_plugin.stash import SESSION, session_of

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from matrix.pytest_plugin.fixtures import Machines, Migrate

ARCHITECTURES = (
    "x86_64",
    "i386",
    "aarch64",
    "arm",
    "ppc64",
    "s390x",
    "riscv64",
    "riscv32",
    "mips64el",
    "loongarch64",
)
ACCELERATORS = ("auto", "kvm", "tcg")
STRATEGIES = (
    "precopy",
    "postcopy",
    "postcopy-preempt",
    "multifd",
    "xbzrle",
    "auto-converge",
    "dirty-limit",
    "mapped-ram",
    "file",
    "background-snapshot",
    "cpr-reboot",
    "cpr-transfer",
)
"""These repeat the members of :mod:`matrix.model`'s enums, whose import takes longer than the rest
of this module; a test compares them."""

SUFFIXES = (".yaml", ".yml")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options and the setting of the plugin."""
    group = parser.getgroup("matrix", "guests under QEMU")
    group.addoption(
        "--matrix-qemu",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="a QEMU installation beside the system's, for scenarios and guests",
    )
    group.addoption(
        "--matrix-build",
        action="append",
        default=[],
        metavar="ARCH=DIR",
        help="a kvm-unit-tests build for one architecture",
    )
    group.addoption(
        "--matrix-host", metavar="FILE", help="host file: QEMU installations and builds by name"
    )
    group.addoption(
        "--matrix-no-assist",
        action="store_true",
        help="leave every guest alone: do not help QEMU to translate faster",
    )
    group.addoption(
        "--matrix-run",
        metavar="DIR",
        help="run directory for consoles, commands and results; must not exist yet "
        "(default: 'matrix' in pytest's temporary folder)",
    )
    parser.addini(
        "matrix_scenarios",
        "scenario files, and folders of them, that are collected without being named",
        type="paths",
        default=[],
    )
    parser.addini(
        "matrix_history",
        "record sessions that ran cases in the history, as 'matrix run' does with its runs",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers that cases bear, so that --strict-markers knows them."""
    markers = {
        "matrix(**axes)": "a case of a scenario, with the values of its axes",
        **dict.fromkeys(ARCHITECTURES, "a case whose guest is of this architecture"),
        **dict.fromkeys(ACCELERATORS, "a case that asks for this accelerator, or gets it"),
        "migration": "a case whose guest is migrated, or tests migration",
        **dict.fromkeys(STRATEGIES, "a case whose guest is migrated this way"),
    }
    for name, meaning in markers.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    if config.getini("matrix_scenarios"):
        from matrix.pytest_plugin.detecting import add_configured

        add_configured(config)
    if hasattr(config, "workerinput"):  # of pytest-xdist, whose controller keeps the results
        return
    if config.getoption("matrix_run") is not None:
        from matrix.pytest_plugin.plugin_session import check_run_directory

        check_run_directory(config)
    config.pluginmanager.register(Keeper(config), "matrix-keeper")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A scenario file that was asked for. No other YAML file is touched."""
    if file_path.suffix not in SUFFIXES:
        return None
    from matrix.pytest_plugin.detecting import is_wanted

    if not is_wanted(parent.config, file_path):
        return None
    from matrix.pytest_plugin.collecting import ScenarioFile

    return ScenarioFile.from_parent(parent, path=file_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a case came to, in pytest's words."""
    report = yield
    if SESSION in item.config.stash:
        from matrix.pytest_plugin.collecting import CaseItem
        from matrix.pytest_plugin.reporting import tell

        if isinstance(item, CaseItem):
            tell(item, report)
    return report


@pytest.fixture
def vm(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Machines, None, None]:
    """Starts guests, which end with the test.

    As in ``guest = vm("aarch64", test="boot")``; see :meth:`Machines.__call__` for all of it.
    """
    from matrix.pytest_plugin.fixtures import Machines

    machines = Machines(session_of(request.config).selection(), tmp_path)
    yield machines
    machines.close()
    for title, text in (*machines.consoles(), *machines.ends()):
        request.node.add_report_section("teardown", title, text)


@pytest.fixture
def migrate(vm: Machines) -> Migrate:
    """Migrates guests of ``vm`` live.

    As in ``hop = migrate(guest, strategy="postcopy")``; see :meth:`Migrate.__call__`.
    """
    from matrix.pytest_plugin.fixtures import Migrate

    return Migrate(vm)


class Keeper:
    """Keeps what cases came to, be it of this process or of workers, and writes the run at its
    end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._cases: list[str] = []
        self._unrecorded = ""
        """Why the session is not in the history, where it should be."""
        self._shortfalls: tuple[str, ...] = ()
        self._begun = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the case that a report carries."""
        case = getattr(report, "matrix_case", None)
        if case is not None:
            self._cases.append(case)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: object) -> None:
        """Tell a worker of pytest-xdist, ``node``, where the run's files go."""
        from matrix.pytest_plugin.plugin_session import run_path

        getattr(node, "workerinput")["matrix_run"] = str(run_path(self._config))  # noqa: B009 - xdist has no types

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Leave a complete run directory behind, or none where no case ended.

        Of a session in which less ran than its scenarios require, the tests have failed.
        """
        if not self._cases:
            if SESSION in self._config.stash:
                self._config.stash[SESSION].discard()
            return
        from matrix.pytest_plugin.keeping import Closing, write_run
        from matrix.pytest_plugin.plugin_session import run_path

        config = self._config
        closing = Closing(
            arguments=("pytest", *map(str, config.invocation_params.args)),
            seconds=time.monotonic() - self._begun,
            strict=bool(config.getini("xfail_strict")),
        )
        self._shortfalls = write_run(run_path(config), self._cases, closing)
        if self._shortfalls and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if config.getini("matrix_history"):
            from matrix.pytest_plugin.keeping import record

            self._unrecorded = record(run_path(config))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the results are."""
        if self._cases:
            from matrix.pytest_plugin.plugin_session import run_path

            for sentence in self._shortfalls:
                terminalreporter.write_line(f"matrix: too little ran: {sentence}")
            terminalreporter.write_line(f"matrix: results in {run_path(self._config)}")
            if self._unrecorded:
                terminalreporter.write_line(f"matrix: not in the history: {self._unrecorded}")
