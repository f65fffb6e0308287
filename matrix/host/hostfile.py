"""The host file: QEMU installations and suite builds of one machine, so that nobody types them.

::

    qemu: {10.0: /opt/qemu-10.0, mine: ~/src/qemu/build}
    builds: {x86_64: ~/kvm-unit-tests}

Folders are relative to the file's own. The file is the one that ``--host`` names, else
``$MATRIX_HOST``, else ``host.yaml`` in the user's configuration folder if it is there.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from matrix.errors import HostFileError, Place, Problem, UsageError
from matrix.host.folders import check_name, emulator_directory
from matrix.model import ARCHITECTURE_ALIASES, Architecture
from matrix.scenario import document
from matrix.scenario.wording import Refused, one_of, quoted

ENVIRONMENT_VARIABLE = "MATRIX_HOST"
KEYS = ("qemu", "builds")


@dataclass(frozen=True, slots=True)
class HostFile:
    """What the file says; empty where there is none."""

    path: str = ""
    qemu: tuple[tuple[str, Path], ...] = ()
    """(name, folder with the emulators)."""
    builds: tuple[tuple[Architecture, Path], ...] = ()
    """(architecture, build directory); whether there is a build is not checked here."""


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
    usual = Path(platformdirs.user_config_dir("matrix")) / "host.yaml"
    return _load(usual, str(usual)) if usual.exists() else HostFile()


def _load(path: Path, origin: str) -> HostFile:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{origin}: cannot be read: {error.strerror}") from None
    if all(not line.strip() or line.lstrip().startswith(b"#") for line in data.splitlines()):
        return HostFile(str(path))
    reader = _Reader(path)
    host_file = reader.read(data)
    if reader.problems:
        raise HostFileError(reader.problems)
    return host_file


class _Reader:
    """Walks the file's tree and collects what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problems: list[Problem] = []

    def read(self, data: bytes) -> HostFile:
        root, problems = document.parse_document(data, str(self._path))
        self.problems += problems
        if root is None:
            return HostFile()
        sections: dict[str, list[tuple[document.Scalar, Path]]] = {key: [] for key in KEYS}
        for key, node in self._entries(root, "a host file is a mapping of keys"):
            if key.text in sections:
                sections[key.text] = self._folders(key.text, node)
            else:
                allowed = one_of(key.text, KEYS)
                self._refuse(key.place, f"unknown key {quoted(key.text)}", allowed)
        return HostFile(
            path=str(self._path),
            qemu=tuple(self._qemu(*entry) for entry in sections["qemu"]),
            builds=tuple(self._build(*entry) for entry in sections["builds"]),
        )

    def _entries(
        self, node: document.Node, wanted: str
    ) -> list[tuple[document.Scalar, document.Node]]:
        if isinstance(node, document.Mapping):
            return list(node.entries)
        if isinstance(node, document.Sequence):
            self._refuse(node.place, "is a list, not a mapping", wanted)
        elif node.kind is not document.Kind.BROKEN:
            self._refuse(node.place, f"is {node.kind.value}, not a mapping", wanted)
        return []

    def _folders(self, section: str, node: document.Node) -> list[tuple[document.Scalar, Path]]:
        """The section's keys with their folders, made absolute."""
        found = []
        wanted = {"qemu": "NAME: DIR", "builds": "ARCH: DIR"}[section]
        for key, value in self._entries(node, f"{section} is a mapping {{{wanted}}}"):
            if not isinstance(value, document.Scalar) or not value.text:
                self._refuse(value.place, f"{section}: {key.text}: no folder", f"write {wanted}")
                continue
            try:
                folder = Path(value.text).expanduser()
            except RuntimeError:  # ~USER where there is no such user
                self._refuse(value.place, f"there is no user for {value.text}", "write the path")
                continue
            found.append((key, (self._path.parent / folder).absolute()))
        return found

    def _qemu(self, key: document.Scalar, folder: Path) -> tuple[str, Path]:
        try:
            return check_name(key.text), emulator_directory(folder)
        except Refused as refused:
            self._refuse(key.place, refused.message, refused.allowed)
            return key.text, folder

    def _build(self, key: document.Scalar, folder: Path) -> tuple[Architecture, Path]:
        names = {architecture.value: architecture for architecture in Architecture}
        known = names | ARCHITECTURE_ALIASES
        if key.text not in known:
            allowed = one_of(key.text, names, also=ARCHITECTURE_ALIASES)
            message = f"unknown architecture {quoted(key.text)}"
            self._refuse(key.place, message, allowed)
        return known.get(key.text, Architecture.X86_64), folder

    def _refuse(self, place: Place, message: str, allowed: str) -> None:
        self.problems.append(Problem(place, message, allowed))
