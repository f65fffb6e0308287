"""The host file: what one machine has and how its user runs things, so that nobody types it.

::

    qemu: {10.0: /opt/qemu-10.0, mine: ~/src/qemu/build}
    builds: {x86_64: ~/kvm-unit-tests}
    jobs: 4

Folders are relative to the file's own. The file is the one that ``--host`` names, else
``$MATRIX_HOST``, else ``host.yaml`` in the user's configuration folder if it is there. A project
file (:mod:`matrix.hosts.project`) says the same things of a tree, and comes before it.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matrix.errors import Place, UsageError
from matrix.model import Architecture
from matrix.places import config_folder

ENVIRONMENT_VARIABLE = "MATRIX_HOST"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HostFile:
    """What such a file says, or several together; empty where there is none."""

    path: str = ""
    qemu: tuple[tuple[str, Path], ...] = ()
    """(name, folder with the emulators)."""
    builds: tuple[tuple[Architecture, Path], ...] = ()
    """(architecture, build directory); it is there, and what is in it is not checked here."""
    defaults: Mapping[str, object] = field(default_factory=dict)
    """Option → its value where the command line does not give it, named and typed as a field of
    :class:`matrix.run.options.Selection` or of the command line's ``Execution``."""
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)
    """Where each stands: ``jobs``, ``qemu.10.0``, ``builds.x86_64``."""

    def over(self, other: "HostFile") -> "HostFile":
        """What both say; where they differ, this one."""
        return HostFile(
            self.path or other.path,
            qemu=tuple({**dict(other.qemu), **dict(self.qemu)}.items()),
            builds=tuple({**dict(other.builds), **dict(self.builds)}.items()),
            defaults={**other.defaults, **self.defaults},
            places={**other.places, **self.places},
        )


def load_host_file(
    option: Path | None = None, environment: Mapping[str, str] = os.environ
) -> HostFile:
    """Read the host file.

    Args:
        option: the file that ``--host`` names, if any.
        environment: where ``MATRIX_HOST`` may name one.

    Raises:
        UsageError: the file that is named cannot be read.
        HostFileError: its content is wrong; all problems at once.
    """
    if option is not None:
        return _load(option, f"--host {option}")
    named = environment.get(ENVIRONMENT_VARIABLE, "")
    if named:
        return _load(Path(named), f"${ENVIRONMENT_VARIABLE}={named}")
    usual = config_folder() / "host.yaml"
    try:
        usual.stat()
    except (FileNotFoundError, NotADirectoryError):
        return HostFile()
    except OSError as error:  # another user's HOME
        log.warning("%s is not read: %s", usual, error.strerror)
        return HostFile()
    return _load(usual, str(usual))


def _load(path: Path, origin: str) -> HostFile:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{origin}: cannot be read: {error.strerror}") from None
    if all(not line.strip() or line.lstrip().startswith(b"#") for line in data.splitlines()):
        return HostFile(str(path))
    from matrix.hosts.hostfile_text import read_host_file

    return read_host_file(path, data)
