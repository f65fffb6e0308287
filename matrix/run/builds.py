"""Finds the builds that scenarios name, and reads their suites."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from matrix.errors import NoBuildError, Problem
from matrix.hosts.cache import cache_directory
from matrix.model import ARCHITECTURE_ALIASES, Architecture, Build, Endian
from matrix.run.native_tests import TCG_MAX_SMP
from matrix.scenario.expand import SuiteTests
from matrix.scenario.scenario import Scenario
from matrix.suites.registry import KINDS, Kind, suite_of

log = logging.getLogger(__name__)

BUILTIN = "builtin"
"""The value of ``suite.build`` that means the embedded guests."""


class Builds:
    """Finds and reads the builds of scenarios' suites; what they warn of is said once.

    ``--build`` wins; ``builtin`` or a path is what the scenario says; where it says nothing, the
    build is the host's: its host file's, else that of the suite's variable (``$KVM_UNIT_TESTS``).
    """

    def __init__(
        self, given: Mapping[Architecture, Path], host_builds: Mapping[Architecture, Path]
    ) -> None:
        self._given = given
        self._host_builds = host_builds
        self._warned: set[Problem] = set()

    def suite(self, scenario: Scenario) -> Callable[[Architecture], SuiteTests]:
        """How the scenario's suite is read for one architecture."""
        kind, suite = KINDS[scenario.suite.kind], suite_of(scenario.suite.kind)
        max_smp = scenario.suite.max_smp or TCG_MAX_SMP
        cache = cache_directory().parent

        def read(architecture: Architecture) -> SuiteTests:
            path: Path | None = None
            if scenario.suite.build != BUILTIN or architecture in self._given:
                path = self._directory(scenario, architecture)
                if path is None:
                    why = f"no build for {architecture.value}; {_how_to_name(kind)}"
                    return SuiteTests(Build(architecture, "", ""), unavailable=why)
                shown = scenario.suite.written if "${" in scenario.suite.written else str(path)
                where = Build(architecture, shown, shown)
                if not path.exists():
                    return SuiteTests(where, unavailable=f"no build at {shown}")
            try:
                build = suite.build(path, architecture, cache=cache)
            except NoBuildError as error:
                return SuiteTests(where, unavailable=error.problems[0].message)
            build = replace(build, max_smp=max_smp)
            return SuiteTests(build, suite.tests(build, self._warn))

        return read

    def in_byte_order(self, scenario: Scenario, tests: SuiteTests, endian: Endian) -> SuiteTests:
        """The scenario's suite in another byte order than that of ``tests``."""
        suite = suite_of(scenario.suite.kind)
        try:
            build = suite.in_byte_order(tests.build, endian)
        except NoBuildError as error:
            return SuiteTests(tests.build, unavailable=error.problems[0].message)
        build = replace(build, max_smp=tests.build.max_smp)
        return SuiteTests(build, suite.tests(build, self._warn))

    def _directory(self, scenario: Scenario, architecture: Architecture) -> Path | None:
        if architecture in self._given:
            return self._given[architecture]
        kind = KINDS[scenario.suite.kind]
        if scenario.suite.build:
            pattern = scenario.suite.build
        elif kind.host_builds and architecture in self._host_builds:
            return self._host_builds[architecture]
        elif base := os.environ.get(kind.variable):
            pattern = f"{base}/{{arch}}"
        else:
            return None
        return _first_there(Path(pattern.replace("{arch}", name)) for name in names(architecture))

    def _warn(self, warning: Problem) -> None:
        if warning not in self._warned:
            self._warned.add(warning)
            log.warning("warning: %s", warning)


def _how_to_name(kind: Kind) -> str:
    host_file = ", the host file's builds" if kind.host_builds else ""
    return f"name one with --build ARCH=DIR, suite.build{host_file}, or {kind.variable}"


def names(architecture: Architecture) -> tuple[str, ...]:
    """What folders of an architecture's builds are called: its name, then its aliases."""
    aliases = (alias for alias, each in ARCHITECTURE_ALIASES.items() if each is architecture)
    return (architecture.value, *aliases)


def _first_there(paths: Iterable[Path]) -> Path:
    """The first path that exists, else the first."""
    every = list(paths)
    return next((path for path in every if path.exists()), every[0])
