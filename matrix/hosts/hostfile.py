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
from pathlib import Path

from matrix.errors import UsageError
from matrix.hosts.host_settings import HostFile
from matrix.places import config_folder

ENVIRONMENT_VARIABLE = "MATRIX_HOST"

log = logging.getLogger(__name__)


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
