"""kvm-unit-tests as a kind of suite, and the embedded guests, which are laid out as it is."""

from pathlib import Path
from typing import TYPE_CHECKING

from matrix.model import Architecture, Build, Endian, Test
from matrix.suites.build import builtin_build, read_build
from matrix.suites.console_protocol import ConsoleParser
from matrix.suites.suite import HostFacts, Suite, Warn, unheard
from matrix.suites.suite_files import read_text
from matrix.suites.unittests import read_tests, refresh_test

if TYPE_CHECKING:
    from matrix.suites.judgement import End, Judgement


class KvmUnitTests(Suite):
    """See :class:`matrix.suites.suite.Suite`."""

    def build(self, directory: Path | None, architecture: Architecture, *, cache: Path) -> Build:
        """A configured build, a folder of standalone tests, or for None the embedded guests."""
        if directory is None:
            return builtin_build(architecture)
        from matrix.suites.standalone import is_standalone, read_standalone  # few have those

        if is_standalone(directory):
            return read_standalone(directory, architecture, cache / "standalone")
        return read_build(directory, architecture)

    def in_byte_order(self, build: Build, endian: Endian) -> Build:
        """The embedded guests of that byte order; a build of kvm-unit-tests has but one."""
        if build.builtin:
            return builtin_build(build.architecture, endian)
        return super().in_byte_order(build, endian)

    def tests(self, build: Build, on_warning: Warn = unheard) -> tuple[Test, ...]:
        """Those of ``unittests.cfg``, or the standalone ones."""
        return read_tests(build, max_smp=build.max_smp, on_warning=on_warning)

    def refreshed(self, build: Build, test: Test) -> Test:
        """With what its values' commands print now."""
        return refresh_test(build, test, max_smp=build.max_smp)

    def initrd(self, build: Build, host: HostFacts) -> str:
        """The environment, where the build is configured for it."""
        if "environment" not in build.own:
            return ""
        from matrix.suites.environment import environment_text, parse_errata

        path = Path(dict(build.files).get("errata", ""))
        known = path.name and path.exists()
        errata = parse_errata(read_text(path), str(path)) if known else ()
        return environment_text(build.target, host, errata)

    def parser(self) -> ConsoleParser:
        """Of the console protocol."""
        return ConsoleParser()

    def judge(self, end: "End") -> "Judgement":
        """As its own runner does."""
        from matrix.suites.unit_tests_judge import judge  # needed only once a guest has ended

        return judge(end)


SUITE = KvmUnitTests()
