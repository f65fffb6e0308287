"""A kind of suite for :mod:`tests.cli.test_suites`, which puts it into a copy of the package.

A build is a folder of ``NAME.toy`` files, which are the guests' images. A guest says ``good`` or
``bad: WHY`` in a line of its own.
"""

from pathlib import Path

from matrix.attempt import Ending, Transcript
from matrix.errors import NoBuildError, Place, Problem
from matrix.model import Architecture, Build, Endian, Test
from matrix.suites.judgement import End, Judgement, killed, unfinished
from matrix.suites.suite import HostFacts, Suite, Warn, unheard
from matrix.verdicts import Verdict


class Words:
    """Keeps all that is said."""

    def __init__(self) -> None:
        self._said = b""

    @property
    def last_line(self) -> str:
        return (self._said.decode().splitlines() or [""])[-1]

    def feed(self, data: bytes) -> None:
        self._said += data

    def finish(self) -> Transcript:
        return Transcript(notes=tuple(self._said.decode().splitlines()))


class Toys:
    def build(self, directory: Path | None, architecture: Architecture, *, cache: Path) -> Build:
        assert directory is not None
        if architecture is not Architecture.X86_64:
            problem = Problem(Place(str(directory)), f"no toys for {architecture.value}")
            raise NoBuildError([problem])
        return Build(architecture, str(directory), str(directory))

    def in_byte_order(self, build: Build, endian: Endian) -> Build:
        problem = Problem(Place(build.directory), f"no {endian}-endian toys")
        raise NoBuildError([problem])

    def tests(self, build: Build, on_warning: Warn = unheard) -> tuple[Test, ...]:
        images = sorted(Path(build.images).glob("*.toy"))
        return tuple(Test(each.stem, str(each), arguments=each.stem) for each in images)

    def refreshed(self, build: Build, test: Test) -> Test:
        return test

    def initrd(self, build: Build, host: HostFacts) -> str:
        return f"{host.accelerator}\n"

    def parser(self) -> Words:
        return Words()

    def judge(self, end: End) -> Judgement:
        if end.outcome.ending is Ending.KILLED:
            return killed(end)
        if end.outcome.ending is not Ending.EXITED:
            return unfinished(end)
        said = end.transcript.notes[-1:]
        if said == ("good",):
            return Judgement(Verdict.PASS, "")
        return end.fail(*said)


SUITE: Suite = Toys()
