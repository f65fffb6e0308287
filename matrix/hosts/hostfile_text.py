"""The text of a host file → what it says, or everything that is wrong with it.

Apart from :mod:`matrix.hosts.hostfile`, as YAML takes a while to import and most hosts have no such
file.
"""

from pathlib import Path

from matrix.errors import HostFileError, Place, Problem
from matrix.hosts.folders import build_directory, check_name, emulator_directory
from matrix.model import Architecture
from matrix.scenario import document
from matrix.scenario.values import parse_arch
from matrix.scenario.wording import Refused, one_of, quoted

KEYS = ("qemu", "builds")

Folders = tuple[tuple[tuple[str, Path], ...], tuple[tuple[Architecture, Path], ...]]
"""``qemu`` and ``builds``, as :class:`matrix.hosts.hostfile.HostFile` has them."""


def read_host_file(path: Path, data: bytes) -> Folders:
    """What ``data`` says, which was read from ``path``; folders are relative to that.

    Raises:
        HostFileError: it is wrong; all problems at once.
    """
    reader = _Reader(path)
    folders = reader.read(data)
    if reader.problems:
        raise HostFileError(reader.problems)
    return folders


class _Reader:
    """Walks the file's tree and collects what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problems: list[Problem] = []

    def read(self, data: bytes) -> Folders:
        root, problems = document.parse_document(data, str(self._path))
        self.problems += problems
        if root is None:
            return (), ()
        sections: dict[str, list[tuple[document.Scalar, Path]]] = {key: [] for key in KEYS}
        for key, node in self._entries(root, "a host file is a mapping of keys"):
            if key.text in sections:
                sections[key.text] = self._folders(key.text, node)
            else:
                allowed = one_of(key.text, KEYS)
                self._refuse(key.place, f"unknown key {quoted(key.text)}", allowed)
        return (
            tuple(self._qemu(*entry) for entry in sections["qemu"]),
            tuple(self._build(*entry) for entry in sections["builds"]),
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
        try:
            return parse_arch(key.text), build_directory(folder)
        except Refused as refused:
            self._refuse(key.place, refused.message, refused.allowed)
            return Architecture.X86_64, folder

    def _refuse(self, place: Place, message: str, allowed: str) -> None:
        self.problems.append(Problem(place, message, allowed))
