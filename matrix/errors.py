"""The exception tree: everything that a user can cause derives from MatrixError.

::

    MatrixError                 shown as its message, never as a traceback
     ├── UsageError             exit 2: a wrong option or a wrong combination of options
     │    ├── ScenarioError     exit 2: one or more Problems, each at file:line:column
     │    ├── HostFileError     exit 2: the file that names QEMU installations; Problems, as above
     │    └── FleetFileError    exit 2: the file that names the hosts of a fleet; Problems, as above
     ├── SuiteError             exit 2: a suite's build cannot be read; Problems, as above
     │    └── NoBuildError      never shown: the cases of an architecture are skipped
     ├── NothingSelected        exit 5: the selection leaves no case
     ├── HostError              exit 3: the host fails us (no space, no permission, no such file)
     │    ├── SpawnError        exit 3: a process could not be started
     │    └── HostLostError     one of a run's hosts is gone: its cases are errors, the run goes on
     │         └── HostUnfitError  it is not what was asked for: its cases are skipped
     ├── StreamError            exit 3: a migration stream is not as QEMU writes one
     └── MonitorError           exit 3: QMP was refused, broke, or did not answer in time

Only :mod:`matrix.cli` catches the tree and turns it into an exit code (DESIGN: exit codes).
"""

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """What the command ends with; a contract that CI systems rely on."""

    OK = 0
    """A case ran, and every one passed, was skipped, or failed as expected."""
    NOT_PASSED = 1
    """At least one case did not pass, or fewer ran than were required to."""
    USAGE = 2
    """Wrong usage, an invalid scenario, or something named that is not there."""
    ERROR = 3
    """An ``error`` verdict, output that cannot be written, or another error of host or program."""
    NOTHING_SELECTED = 5
    """No case was selected (pytest's number for the same), or all were skipped."""
    INTERRUPTED = 130
    """Ended by SIGINT or SIGTERM."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file that a user wrote: 1-based line and column, 0 where unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.file]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file: where, what, and what would be right (may be empty)."""

    place: Place
    message: str
    allowed: str = ""

    def __str__(self) -> str:
        suffix = f"; {self.allowed}" if self.allowed else ""
        return f"{self.place}: {self.message}{suffix}"


class MatrixError(Exception):
    """The root: whatever is caught as this is shown as ``str(error)``, without a traceback."""

    exit_code: ExitCode = ExitCode.ERROR


class UsageError(MatrixError):
    """A wrong option, argument or combination of them."""

    exit_code = ExitCode.USAGE


class _ProblemsError(MatrixError):
    """An error made of Problems, all of which are reported at once, in file order."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            sorted(problems, key=lambda p: (p.place.file, p.place.line, p.place.column))
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ScenarioError(_ProblemsError, UsageError):
    """A scenario file is invalid."""


class HostFileError(_ProblemsError, UsageError):
    """The host file, which names QEMU installations and builds, is invalid."""


class FleetFileError(_ProblemsError, UsageError):
    """The file that names the hosts of a fleet is invalid."""


class SuiteError(_ProblemsError):
    """A suite's build cannot be read."""


class NoBuildError(SuiteError):
    """A folder has builds, but none for the architecture that is wanted."""


class NothingSelected(MatrixError):
    """The scenario and the options that narrow it leave no case."""

    exit_code = ExitCode.NOTHING_SELECTED


class HostError(MatrixError):
    """The host fails us: full disk, missing permission, vanished file."""


class SpawnError(HostError):
    """A process could not be started; ``argv`` is its command line."""

    def __init__(self, argv: tuple[str, ...], why: str) -> None:
        self.argv = argv
        self.why = why
        super().__init__(f"cannot start {argv[0]}: {why}")


class LossCause(StrEnum):
    """Why a host can run no more cases."""

    GONE = "gone"
    """Its worker or the way to it is, or it said what no host should: another time it may do."""
    DISK_FULL = "disk-full"
    """It has no room, and will have none in the next run either."""

    @classmethod
    def of(cls, error: BaseException) -> "LossCause":
        """What an error on the host says, or the one that it was raised for."""
        at: BaseException | None = error
        while at is not None:
            if isinstance(at, OSError) and at.errno in (errno.ENOSPC, errno.EDQUOT):
                return cls.DISK_FULL
            at = at.__cause__
        return cls.GONE


class HostLostError(HostError):
    """A host that cases were to run on cannot run any more, which says nothing of other hosts."""

    def __init__(self, why: str, cause: LossCause = LossCause.GONE) -> None:
        self.cause = cause
        super().__init__(why)


class HostUnfitError(HostLostError):
    """A host cannot be what was asked for, and says so: nothing is broken."""


class StreamError(MatrixError):
    """A migration stream is not as QEMU writes one, or is cut short."""


class MonitorError(MatrixError):
    """A QMP exchange failed: refused by QEMU, connection lost, or no answer in time.

    ``command`` is the QMP command (or ``connect``), ``error_class`` QEMU's error class where it
    answered with an error, else empty.
    """

    def __init__(self, command: str, why: str, error_class: str = "") -> None:
        self.command = command
        self.why = why
        self.error_class = error_class
        super().__init__(f"QMP {command}: {why}")
