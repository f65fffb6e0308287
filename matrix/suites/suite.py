"""What a kind of suite is to everyone else: its builds, their tests, and what a run of one means.

A kind is a module with a ``SUITE`` of this interface, and an entry of
:mod:`matrix.suites.registry`. Nothing else knows how its builds are laid out, what its tests print,
or how they tell their verdict.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from matrix.errors import NoBuildError, Place, Problem
from matrix.model import Architecture, Build, Endian, Test

if TYPE_CHECKING:  # what most who ask for tests or a parser do not need
    from matrix.attempt import Transcript
    from matrix.suites.judgement import End, Judgement

Warn = Callable[[Problem], None]


def unheard(_: Problem) -> None:
    """Where nobody wants to be warned."""


class Parser(Protocol):
    """Reads what one execution of a test prints, as it comes, with bounded memory.

    How the bytes are cut into pieces makes no difference, and no bytes whatever raise anything.
    """

    @property
    def last_line(self) -> str:
        """The last line that is not blank, unfinished or not, printable characters only."""
        ...

    def feed(self, data: bytes) -> None:
        """Take the next piece of the output."""
        ...

    def finish(self) -> "Transcript":
        """Take the end of the output: what it said, as a whole. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a guest may be told of where it runs."""

    accelerator: str
    """``kvm`` or ``tcg``."""
    kernel: str
    """The host's (``uname -r``)."""
    qemu_version: tuple[int, int, int] = (0, 0, 0)
    """Of the QEMU that runs it; not told of another program."""
    qemu_version_text: str = ""
    """The same as its packager writes it."""


class Suite(Protocol):
    """One kind of suite."""

    def build(self, directory: Path | None, architecture: Architecture, *, cache: Path) -> Build:
        """The build in ``directory``, or for None the one that comes with the package.

        ``cache`` is a folder for what has to be unpacked.

        Raises:
            NoBuildError: there is none for that architecture, which skips its cases.
            SuiteError: it is unreadable, malformed, or of another kind.
        """
        ...

    def in_byte_order(self, build: Build, endian: Endian) -> Build:  # noqa: ARG002 - as below
        """The guests of ``build`` in another byte order than it has.

        Raises:
            NoBuildError: there are none, which skips their cases.
            SuiteError: they are unreadable or malformed.
        """
        message = f"the guests of this build are {build.endian}-endian"
        raise NoBuildError([Problem(Place(build.directory), message)])

    def tests(self, build: Build, on_warning: Warn = unheard) -> tuple[Test, ...]:
        """All tests of a build, in order; those that it cannot run have a reason why.

        ``on_warning`` is given everything that is ignored. Tests that take as many vCPUs as there
        are get ``build.max_smp``.

        Raises:
            SuiteError: a file is missing or malformed; all of its mistakes at once.
        """
        ...

    def refreshed(self, build: Build, test: Test) -> Test:  # noqa: ARG002 - of the interface
        """The same test with its values evaluated anew; of one that is ``dynamic``.

        Raises:
            SuiteError: the build is no longer readable, or no longer has the test.
        """
        return test

    def initrd(self, build: Build, host: HostFacts) -> str:  # noqa: ARG002 - as above
        """The text that a guest of the build finds in its initrd; empty where it takes none.

        Raises:
            SuiteError: a file of the build is unreadable or malformed.
        """
        return ""

    def parser(self) -> Parser:
        """A new parser for one execution of a test."""
        ...

    def judge(self, end: "End") -> "Judgement":
        """What an execution of a test came to. Pure: no I/O, no clock."""
        ...
