"""What may name a QEMU installation, and folders that are named: of emulators and of builds."""

import re
from pathlib import Path

from matrix.scenario.wording import Refused, quoted

SYSTEM = "system"
"""Name of the installation that PATH leads to."""

EMULATORS = "qemu-system-*"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_LIKELY = ("build", "usr/bin", "usr/local/bin", "libexec")
"""Where emulators lie in a source tree, in unpacked packages, after ``make DESTDIR=… install``."""


def check_name(name: str) -> str:
    """``name``, if an installation may be called so; it becomes part of case ids.

    Raises:
        Refused: it may not.
    """
    if not _NAME.fullmatch(name):
        raise Refused(
            f"{quoted(name)} cannot name an installation", "use letters, digits, and ._+- inside"
        )
    if name == SYSTEM:
        raise Refused(
            f"{quoted(name)} is the QEMU in PATH",
            "choose another name, and --set qemu=NAME to run a scenario with it",
        )
    return name


def emulator_directory(path: Path) -> Path:
    """``path`` or its ``bin``, whichever holds ``qemu-system-*``.

    Raises:
        Refused: neither does.
    """
    for candidate in (path, path / "bin"):
        if _holds_emulators(candidate):
            return candidate
    wanted = f"give a folder that holds {EMULATORS}, or whose bin/ does"
    if not path.exists():
        raise Refused(f"there is no folder {path}", wanted)
    if not path.is_dir():
        raise Refused(f"{path} is not a folder", f"give the one it is in, {path.parent}")
    likely = next((str(path / name) for name in _LIKELY if _holds_emulators(path / name)), "")
    raise Refused(
        f"neither {path} nor {path / 'bin'} holds {EMULATORS}",
        f"did you mean {likely}?" if likely else wanted,
    )


def build_directory(path: Path) -> Path:
    """``path``, if it is there; what is in it is found out once it is needed.

    Raises:
        Refused: it is not there.
    """
    if not path.exists():
        raise Refused(f"there is no folder {path}", "give that of a build, with its config.mak")
    return path


def _holds_emulators(directory: Path) -> bool:
    try:
        return any(entry.is_file() for entry in directory.glob(EMULATORS))
    except OSError:
        return False
