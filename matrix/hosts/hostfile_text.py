"""The text of a host file or a project file → what it says, or everything that is wrong with it.

Apart from :mod:`matrix.hosts.hostfile`, as YAML takes a while to import and most hosts have no such
file.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from matrix.errors import HostFileError, Place, Problem
from matrix.hosts.folders import build_directory, check_name, emulator_directory
from matrix.hosts.host_settings import HostFile
from matrix.model import Architecture
from matrix.scenario import document, template
from matrix.scenario.shipped import FOLDER
from matrix.scenario.values import (
    integer_parser,
    parse_arch,
    parse_boolean,
    parse_limit,
    parse_repeat,
    parse_retries,
)
from matrix.scenario.wording import Refused, one_of, quoted

FOLDERS = {"qemu": "NAME: DIR", "builds": "ARCH: DIR"}
"""Keys with folders → how one is written."""
FILES = ("scenarios", "expect")
"""Keys with lists of files."""
MOST_JOBS = 10_000


def _limit(text: str) -> str:
    parse_limit(text)
    return text  # as --timeout takes it


VALUES: Mapping[str, Callable[[str], object]] = {
    "jobs": integer_parser("a number of jobs", MOST_JOBS),
    "timeout": _limit,
    "repeat": parse_repeat,
    "retries": parse_retries,
    "strict": parse_boolean,
}
"""Keys with one value, named as the option is."""
KEYS = (*FOLDERS, *VALUES, *FILES)


def read_host_file(path: Path, data: bytes) -> HostFile:
    """What ``data`` says, which was read from ``path``; folders are relative to that.

    Raises:
        HostFileError: it is wrong; all problems at once.
    """
    root, problems = document.parse_document(data, str(path))
    return _read(_Reader(path, "a host file"), root, problems)


def read_project_file(
    path: Path,
    root: document.Node | None,
    problems: tuple[Problem, ...],
    variables: Mapping[str, str],
) -> HostFile:
    """What the project file ``path`` says, whose tree is ``root``.

    Its folders and files are in the project's own, or begin with a variable of the environment: a
    project comes from somewhere, and says nothing of the machines that it is on.

    Raises:
        HostFileError: it is wrong; all problems at once, and ``problems`` too.
    """
    return _read(_Reader(path, "a project file", variables), root, problems)


def _read(reader: "_Reader", root: document.Node | None, problems: tuple[Problem, ...]) -> HostFile:
    found = reader.read(root) if root is not None else HostFile()
    if problems or reader.problems:
        raise HostFileError([*problems, *reader.problems])
    return found


class _Reader:
    """Walks the file's tree and collects what is wrong with it."""

    def __init__(self, path: Path, kind: str, variables: Mapping[str, str] | None = None) -> None:
        """With ``variables`` it is a project's file."""
        self._path = path
        self._kind = kind
        self._variables = variables
        self.problems: list[Problem] = []

    def read(self, root: document.Node) -> HostFile:
        qemu: list[tuple[str, Path]] = []
        builds: list[tuple[Architecture, Path]] = []
        defaults: dict[str, object] = {}
        places: dict[str, Place] = {}
        for key, node in self._entries(root, f"{self._kind} is a mapping of keys"):
            name = key.text
            if name == "qemu":
                qemu = [self._qemu(*entry, places) for entry in self._folders(name, node)]
            elif name == "builds":
                builds = [self._build(*entry, places) for entry in self._folders(name, node)]
            elif name in FILES:
                defaults[name] = tuple(self._files(name, node))
                places[name] = key.place
            elif name in VALUES:
                defaults[name] = self._value(name, node)
                places[name] = key.place
            else:
                self._refuse(key.place, f"unknown key {quoted(name)}", self._known(name))
        return HostFile(str(self._path), tuple(qemu), tuple(builds), defaults, places)

    def _known(self, name: str) -> str:
        if self._variables is not None and name in ("suite", "matrix"):
            return f"{self._path.name} is the project file: a scenario needs another name"
        return one_of(name, KEYS)

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

    def _value(self, name: str, node: document.Node) -> object:
        if not isinstance(node, document.Scalar):
            self._refuse(node.place, f"{name}: is no single value", f"as in --{name}")
            return None
        try:
            return VALUES[name](node.text)
        except Refused as refused:
            self._refuse(node.place, f"{name}: {refused.message}", refused.allowed)
            return None

    def _files(self, name: str, node: document.Node) -> Iterator[Path]:
        """The files of a list, relative to the current folder; names of scenarios as they are."""
        if not isinstance(node, document.Sequence):
            self._refuse(node.place, f"{name}: is no list", f"as in {name}: [FILE]")
            return
        for item in node.items:
            if not isinstance(item, document.Scalar) or not item.text:
                self._refuse(item.place, f"{name}: is no file", f"as in {name}: [FILE]")
                continue
            if name == "scenarios" and not Path(item.text).suffix and "/" not in item.text:
                own = self._path.parent / FOLDER / f"{item.text}.yaml"
                yield Path(os.path.relpath(own)) if own.is_file() else Path(item.text)
                continue
            path = self._path_of(item)
            if path is not None and not path.is_file():
                self._refuse(item.place, f"{name}: there is no file {quoted(item.text)}", "")
            elif path is not None and not self._stays(path):
                message = f"{name}: {quoted(item.text)} is a link that leads out of the project"
                self._refuse(item.place, message, "give a file of the project")
            elif path is not None:
                yield Path(os.path.relpath(path))

    def _stays(self, path: Path) -> bool:
        return self._variables is None or path.resolve().is_relative_to(self._path.parent.resolve())

    def _folders(self, section: str, node: document.Node) -> list[tuple[document.Scalar, Path]]:
        """The section's keys with their folders, made absolute."""
        found = []
        wanted = FOLDERS[section]
        for key, value in self._entries(node, f"{section} is a mapping {{{wanted}}}"):
            if not isinstance(value, document.Scalar) or not value.text:
                self._refuse(value.place, f"{section}: {key.text}: no folder", f"write {wanted}")
            elif (folder := self._path_of(value)) is not None:
                found.append((key, folder))
        return found

    def _path_of(self, node: document.Scalar) -> Path | None:
        """The path that is written there, absolute; None where it may not be."""
        text = node.text
        if self._variables is None:
            try:
                return (self._path.parent / Path(text).expanduser()).absolute()
            except RuntimeError:  # ~USER where there is no such user
                self._refuse(node.place, f"there is no user for {text}", "write the path")
                return None
        refusals = list(template.refusals(text, self._variables))
        if text.startswith("~") or template.leaves_tree(text):
            allowed = "name it in the host file, with --qemu or --build, or by a ${VARIABLE}"
            refusals.append(Refused(f"{quoted(text)} is not a path in the project", allowed))
        for refused in refusals:
            self._refuse(node.place, refused.message, refused.allowed)
        if refusals:
            return None
        return (self._path.parent / template.fill(text, self._variables)).absolute()

    def _qemu(
        self, key: document.Scalar, folder: Path, places: dict[str, Place]
    ) -> tuple[str, Path]:
        places[f"qemu.{key.text}"] = key.place
        try:
            return check_name(key.text), emulator_directory(folder)
        except Refused as refused:
            self._refuse(key.place, refused.message, refused.allowed)
            return key.text, folder

    def _build(
        self, key: document.Scalar, folder: Path, places: dict[str, Place]
    ) -> tuple[Architecture, Path]:
        try:
            architecture = parse_arch(key.text)
            places[f"builds.{architecture}"] = key.place
            return architecture, build_directory(folder)
        except Refused as refused:
            self._refuse(key.place, refused.message, refused.allowed)
            return Architecture.X86_64, folder

    def _refuse(self, place: Place, message: str, allowed: str) -> None:
        self.problems.append(Problem(place, message, allowed))
