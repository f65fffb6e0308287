"""Which QEMU installations there are: the one in PATH, and those that the user names; and kvmtool,
the other program that runs kvm-unit-tests guests."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.errors import UsageError
from matrix.hosts.folders import EMULATORS, SYSTEM, check_name, emulator_directory
from matrix.hosts.host_settings import HostFile
from matrix.model import Architecture
from matrix.places import expanded
from matrix.scenario.wording import Refused

REDHAT_EMULATOR = Path("/usr/libexec/qemu-kvm")
"""Where Red Hat Enterprise Linux keeps its only emulator, which is for the host's architecture."""

KVMTOOL_VARIABLE = "KVMTOOL"
"""Names kvmtool's program, as kvm-unit-tests' runner takes it."""
KVMTOOL_NAMES = ("lkvm", "lkvm-static")
"""What it is installed as. Its third name, ``vm``, is anybody's."""


@dataclass(frozen=True, slots=True)
class Installation:
    """One set of emulators. ``directory`` holds ``qemu-system-*``; None: they are found in PATH."""

    name: str
    directory: Path | None = None

    def find(
        self,
        architecture: Architecture,
        host_architecture: str,
        redhat_emulator: Path = REDHAT_EMULATOR,
    ) -> Path | None:
        """The emulator for an architecture, or None where the installation has none.

        Args:
            architecture: the guest's.
            host_architecture: ``uname -m``, which Red Hat's emulator is for.
            redhat_emulator: where that would be.
        """
        program = f"qemu-system-{architecture.value}"
        if self.directory is not None:
            found = self.directory / program
            return found if found.is_file() else None
        path = shutil.which(program)
        if path is not None:
            return Path(path).absolute()
        if host_architecture == architecture.value and redhat_emulator.is_file():
            return redhat_emulator
        return None

    @property
    def place(self) -> str:
        """Where its emulators are looked for, in words."""
        return "PATH" if self.directory is None else str(self.directory)


def installations(options: Sequence[str], host_file: HostFile) -> tuple[Installation, ...]:
    """The installations of a run: PATH's first, then the host file's, then the options'.

    Args:
        options: ``NAME=DIR`` as given to ``--qemu``; DIR or DIR/bin holds the emulators. A name
            that the host file has too is the option's.
        host_file: what the host file says.

    Raises:
        UsageError: an option that is not of that form, a name that is given twice or taken, a
            folder without emulators.
    """
    named = dict(host_file.qemu)
    given: set[str] = set()
    for option in options:
        name, directory = _parse(option)
        if name in given:
            raise UsageError(f"--qemu {option}: {name!r} is given twice; give every name once")
        given.add(name)
        named[name] = directory
    return (
        Installation(SYSTEM),
        *(Installation(name, directory) for name, directory in named.items()),
    )


def _parse(option: str) -> tuple[str, Path]:
    name, equals, directory = option.partition("=")
    if not equals or not name or not directory:
        raise UsageError(
            f"--qemu {option}: not of the form NAME=DIR; write for example "
            f"--qemu 10.0=/opt/qemu-10.0, where the folder or its bin/ holds {EMULATORS}"
        )
    try:
        return check_name(name), emulator_directory(expanded(directory).absolute())
    except Refused as refused:
        raise UsageError(f"--qemu {option}: {refused}") from None
    except RuntimeError:  # ~USER where there is no such user
        raise UsageError(f"--qemu {option}: there is no user of that name; write ./~…") from None


def find_kvmtool(environment: Mapping[str, str] = os.environ) -> str:
    """The absolute path of kvmtool's program; empty where there is none."""
    named = environment.get(KVMTOOL_VARIABLE, "")
    for name in (named,) if named else KVMTOOL_NAMES:
        found = shutil.which(name, path=environment.get("PATH"))
        if found is not None:
            return str(Path(found).absolute())
    return ""
