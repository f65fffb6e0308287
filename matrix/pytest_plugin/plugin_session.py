"""What a pytest session keeps while it runs cases: options, the run directory, what was found.

With pytest-xdist every worker has one of its own. They share the run directory, whose path the
controller gives, and take the inventory one after the other, so that the first asks the host and
the others find its answers in the cache.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from matrix.attempt import Attempt
from matrix.errors import UsageError
from matrix.hosts.local.executor import LocalHost
from matrix.plan.attempts import most_attempts
from matrix.plan.decisions import Decision, Run
from matrix.results.directory import RunDirectory
from matrix.results.files import host_errors, shown
from matrix.results.journal import Span
from matrix.results.run_info import RunInfo, ScenarioSource, run_info
from matrix.results.run_record import RunRecord
from matrix.run.capacity import capacity_of
from matrix.run.dispatch import Dispatcher, ignore_event
from matrix.run.options import Selection
from matrix.run.prepare import Prepared, prepare

FOLDER = "matrix"
"""Name, in pytest's temporary folder, of the run directory."""
NOWHERE = Span(0, 0)
"""Where the journal has an attempt of a run that has none yet."""


def check_run_directory(config: pytest.Config) -> None:
    """See that ``--matrix-run`` names nothing that exists.

    Raises:
        pytest.UsageError: it does.
    """
    path = run_path(config)
    if os.path.lexists(path):
        message = f"--matrix-run: {shown(path)} exists, and a run never overwrites anything"
        raise pytest.UsageError(message)


def run_path(config: pytest.Config) -> Path:
    """Where the run's files go, absolute."""
    of_worker = getattr(config, "workerinput", {}).get("matrix_run")
    if of_worker:
        return Path(of_worker)
    named: str | None = config.getoption("matrix_run")
    if named is not None:
        return config.invocation_params.dir / named
    factory: pytest.TempPathFactory = getattr(config, "_tmp_path_factory")  # noqa: B009 - the fixture of that name, which hooks cannot have
    return factory.getbasetemp() / FOLDER


class MatrixSession:
    """One process's share of a session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._files: dict[str, Path] = {}
        """Name of a scenario → its file."""
        self._prepared: dict[str, Prepared] = {}
        """Name of a scenario → its plan."""
        self._infos: list[RunInfo] = []
        self._run: RunDirectory | None = None

    @property
    def run_directory(self) -> RunDirectory:
        """Made when it is first needed.

        Raises:
            HostError: it cannot be made.
        """
        if self._run is None:
            path = run_path(self._config)
            with host_errors("create", path):
                (path / "cases").mkdir(parents=True, exist_ok=True)
            self._run = RunDirectory(path)
        return self._run

    def selection(self, *scenarios: Path) -> Selection:
        """The options of the session as those of ``matrix run``."""
        host: str | None = self._config.getoption("matrix_host")
        return Selection(
            scenarios=scenarios,
            qemu=tuple(self._config.getoption("matrix_qemu")),
            build=tuple(self._config.getoption("matrix_build")),
            no_assist=self._config.getoption("matrix_no_assist"),
            host=None if host is None else Path(host),
        )

    def decisions(self, path: Path) -> list[Decision]:
        """The plan of a scenario file.

        Raises:
            MatrixError: as :func:`matrix.run.prepare.prepare`.
            UsageError: another file of the session has a scenario of that name.
        """
        with self._alone():
            prepared = prepare(self.selection(path))
        for scenario in prepared.scenarios:
            other = self._files.setdefault(scenario.name, path)
            if other != path:
                raise UsageError(
                    f"{shown(path)} and {shown(other)} are both named {scenario.name!r}; "
                    "rename one, or run them in two sessions"
                )
        self._prepared |= {scenario.name: prepared for scenario in prepared.scenarios}
        self._infos.append(_info(prepared))
        return prepared.decisions

    def run(self, decision: Run) -> tuple[Attempt, ...]:
        """Run all attempts of a case.

        Raises:
            HostError: this host cannot go on.
            KeyboardInterrupt: the user ended the session; the guest is gone.
        """
        prepared = self._prepared[decision.case.scenario]
        return asyncio.run(_attempts(prepared, decision, self.run_directory))

    def news(self) -> tuple[RunInfo, ...]:
        """What was learnt of the host and the scenarios since this was last asked."""
        news, self._infos = tuple(self._infos), []
        return news

    def discard(self) -> None:
        """Remove the run directory if there is nothing in it."""
        if self._run is not None:
            with suppress(OSError):  # it is not empty
                (self._run.path / "cases").rmdir()
                self._run.path.rmdir()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other worker of this session is in here at the same time."""
        descriptor = os.open(self.run_directory.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


async def _attempts(prepared: Prepared, decision: Run, run: RunDirectory) -> tuple[Attempt, ...]:
    """The attempts of a case, as many as a record of it says are left."""
    case = decision.case
    dispatcher = Dispatcher(run)
    host = LocalHost(prepared.inventory, capacity_of(prepared.inventory.host, 1))
    record = RunRecord(run, run_info((), prepared.inventory), [decision])
    attempts: list[Attempt] = []
    async with host.open(run.path, dispatcher.contents) as executor:
        dispatcher.executors[host.name] = executor
        while left := record.attempts_left(case.id):
            number = left[0]
            folder = run.begin_attempt(case.id, number, most_attempts(case.settings))
            attempt = await dispatcher.execute(decision, number, folder, ignore_event)
            if attempt is None:
                raise RuntimeError(f"{case.id} was interrupted, and nobody asked for it")
            record.finish(case.id, attempt, NOWHERE)
            attempts.append(attempt)
    return tuple(attempts)


def _info(prepared: Prepared) -> RunInfo:
    sources = tuple(
        ScenarioSource.of(scenario.name, scenario.source.file, text)
        for scenario, text in zip(prepared.scenarios, prepared.texts, strict=True)
    )
    return run_info(sources, prepared.inventory)
