"""Standalone tests: the scripts that ``make standalone`` leaves, one per test, read and never run.

A script has variables of ``config.mak`` as ``export NAME=VALUE``, then files as gzip in base64
(``bin`` is the image; FIRMWARE and ERRATATXT where the build has them), then kvm-unit-tests'
``scripts/runtime.bash``, and in its last line ``run`` with the values of the test's section, quoted
by bash's ``%q``. Which of them is which has changed with the years; the script's own function
``run`` says. (``scripts/mkstandalone.sh`` there, v2022-03-08 to v2026-04-17.)
"""

import base64
import binascii
import hashlib
import os
import re
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matrix.errors import Place, Problem, SuiteError
from matrix.model import Architecture, Build, Endian, Target
from matrix.places import expanded
from matrix.suites.build import architecture_of, default_cpu, files, own, target_of
from matrix.suites.cfg import Entry, Section, is_name
from matrix.suites.config import CONFIG_NAME, Config
from matrix.suites.suite_files import is_file

LARGEST_SCRIPT = 64 << 20
LARGEST_FILE = 256 << 20
"""Bytes; kvm-unit-tests' scripts have some 300 KiB, their images less than 2 MiB."""

_MARK = b"export KUT_STANDALONE=yes\n"
_MARK_WITHIN = 1024
"""Bytes from a script's start, within which its mark is."""

_EXPORT = re.compile(r"export ([A-Z_]+)=(.*)")
_FILE = re.compile(r"base64 -d << 'BIN_EOF' \| zcat > \$(\w+) \|\| exit 2")
_BIG_ELF = (b"\x7fELF\x01\x02", b"\x7fELF\x02\x02")
_END_OF_FILE = "BIN_EOF"
_NOT_BUILT = re.compile(r'echo "skip .* \(test kernel not present\)"')
_PARAMETER = re.compile(r'\s*local (\w+)="(?:\$\{\w+:-)?\$\{?([0-9]+).*')
_WORD = re.compile(r"""(?:\$'(?:[^'\\]|\\.)*'|'[^']*'|\\.|[^\s'"\\`$&|;<>()])+|\$bin""")
_PIECE = re.compile(r"\$'((?:[^'\\]|\\.)*)'|'([^']*)'|\\(.)|(.)", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|(.))", re.DOTALL)
_LETTERS = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "E": "\033",
}

_KEYS = {
    "groups": "groups",
    "smp": "smp",
    "test_args": "test_args",
    "opts": "qemu_params",
    "arch": "arch",
    "machine": "machine",
    "check": "check",
    "accel": "accel",
    "timeout": "timeout",
    "disabled_if": "disabled_if",
}
"""Key of ``unittests.cfg`` by the parameter of ``run``."""

_OPTIONS = {
    "smp": re.compile(r"(?:-smp|--cpus)\s+"),
    "test_args": re.compile(r"(?:-append|--params)\s+"),
}
"""What stands before a value since v2025-07-31."""

_NEWLINE = re.compile(r"\\?\$'\\n'")
"""Meant to be a newline, which bash does not read within double quotes: behind the first line of
a value of several since v2025-07-31 (scripts/common.bash)."""

_KVMTOOL_DEFAULTS = "--nodefaults --network mode=none --loglevel=warning"
"""What such a script of a kvmtool build has before its own parameters (scripts/vmm.bash)."""


@dataclass(frozen=True, slots=True)
class Script:
    """One test as its script has it."""

    section: Section
    """Without its image."""
    config: Config
    """The variables that the script exports."""
    files: dict[str, bytes]
    """Unpacked, by the variable that names them there."""
    revision: str = ""


class _UnreadableError(Exception):
    """A script is not as it should be: why, and at which line."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


def is_standalone(directory: Path) -> bool:
    """Whether a folder has standalone tests, and is no build directory."""
    return not is_file(directory / CONFIG_NAME) and any(True for _ in _scripts(directory))


def read_standalone(directory: Path, architecture: Architecture | None, unpacked: Path) -> Build:
    """The build that a folder of standalone tests is.

    Args:
        directory: the folder.
        architecture: whose tests are wanted, or None for those of the first script.
        unpacked: folder for the files that the scripts carry; made when needed. What is there is
            compared with what the scripts have, and mended.

    Raises:
        SuiteError: no script is one of that architecture, or none can be read.
    """
    directory = expanded(directory).absolute()
    found: set[str] = set()
    problems: list[Problem] = []
    first: Script | None = None
    for path in _scripts(directory):
        try:
            script = _parse(path)
        except _UnreadableError as error:
            problems.append(_problem(path, error))
            continue
        name = script.config.get("ARCH")
        named = architecture_of(name)
        if named is None or (architecture is not None and named is not architecture):
            found.add(name)
            continue
        architecture = named
        first = first or script
        if "bin" in script.files:  # those without an image have no firmware and no errata either
            return _build(directory, named, script, unpacked)
    if first is not None and architecture is not None:
        return _build(directory, architecture, first, unpacked)
    if found and architecture is not None:
        message = f"has standalone tests for {', '.join(sorted(found))}, none for {architecture}"
        problems = [Problem(Place(str(directory)), message)]
    raise SuiteError(problems or [Problem(Place(str(directory)), "has no standalone tests")])


def read_scripts(build: Build, only: str | None) -> Iterator[Section | Problem]:
    """The sections of a build's scripts, by their files' names; the files that they carry unpacked.

    A script that cannot be read is a Problem at its place; one for another architecture is left
    out. Of the test ``only`` no other script is read, if a file has its name.
    """
    paths = list(_scripts(Path(build.directory)))
    seen: dict[str, str] = {}
    for path in [path for path in paths if path.name == only] or paths:
        try:
            script = _parse(path)
            if architecture_of(script.config.get("ARCH")) is not build.architecture:
                continue
        except _UnreadableError as error:
            yield _problem(path, error)
            continue
        name = script.section.name
        if seen.setdefault(name, path.name) == path.name:
            yield _with_image(build, script)
        else:
            yield _problem(path, _UnreadableError(0, f"test {name!r} is that of {seen[name]}"))


def script_variables(build: Build) -> Config:
    """What stands for ``config.mak`` where a build has none."""
    return Config(build.directory, {"TARGET": build.target}, {})


def _scripts(directory: Path) -> Iterator[Path]:
    try:
        paths = sorted(path for path in directory.iterdir() if path.is_file())
    except OSError:
        return
    for path in paths:
        try:
            with path.open("rb") as file:
                marked = _MARK in file.read(_MARK_WITHIN)
        except OSError:
            continue  # not ours to read: no test of ours
        if marked:
            yield path


def _problem(path: Path, error: _UnreadableError) -> Problem:
    allowed = "make standalone writes such scripts"
    return Problem(Place(str(path), error.line), f"cannot be read: {error}", allowed)


def _build(directory: Path, architecture: Architecture, script: Script, unpacked: Path) -> Build:
    config = script.config
    problems: list[Problem] = []
    target = target_of(config, problems)
    if problems:
        raise SuiteError(problems)
    return Build(
        architecture=architecture,
        directory=str(directory),
        images=str(unpacked),
        target=target,
        firmware=_unpack(unpacked, script, "FIRMWARE", "firmware.bin"),
        default_cpu=default_cpu(config, architecture),
        target_cpu=config.get("TARGET_CPU"),
        revision=script.revision,
        # ENDIAN is not among what scripts export; EI_DATA of an image says it (elf(5)).
        endian=Endian.BIG if script.files.get("bin", b"")[:6] in _BIG_ELF else Endian.LITTLE,
        own=own(environment=config.enabled("ENVIRON_DEFAULT"), standalone=True),
        files=files(errata=_unpack(unpacked, script, "ERRATATXT", "errata.txt")),
    )


def _with_image(build: Build, script: Script) -> Section:
    """The section with its image, as a file below the build's folder of images."""
    section = script.section
    content = script.files.get("bin", b"")
    suffix = "elf" if content.startswith(b"\x7fELF") else "flat"
    if section.name.endswith("_PV"):
        suffix = "pv.bin"
    image = _unpack(Path(build.images), script, "bin", f"{section.name}.{suffix}")
    entry = Entry("file", image or f"{section.name}.{suffix}", section.place)
    renamed = (
        Entry("kvmtool_params", each.value.removeprefix(_KVMTOOL_DEFAULTS).strip(), each.place)
        if each.key == "qemu_params" and build.target is Target.KVMTOOL
        else each
        for each in section.entries
    )
    return Section(section.name, section.place, (entry, *renamed))


def _unpack(folder: Path, script: Script, variable: str, name: str) -> str:
    """A file that the script carries, written below ``folder``; empty where it carries none.

    It lies in a folder named by its content, so that tests of two builds keep apart.
    """
    content = script.files.get(variable)
    if content is None:
        return ""
    path = folder / hashlib.sha256(content).hexdigest()[:32] / name
    try:
        if not path.is_symlink() and path.is_file() and path.read_bytes() == content:
            return str(path)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError as error:
        problem = Problem(Place(str(path)), f"cannot be written: {error.strerror or error}")
        raise SuiteError([problem]) from error
    return str(path)


def _parse(path: Path) -> Script:
    lines = _lines(path)
    values: dict[str, str] = {}
    places: dict[str, int] = {}
    files: dict[str, bytes] = {}
    positions: dict[int, str] = {}
    revision, started, built = "", False, True
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if match := _FILE.fullmatch(line):
            end = _end_of_file(lines, number)
            if match[1] in {"bin", "FIRMWARE", "ERRATATXT"}:
                files[match[1]] = _decoded(lines[number:end], number)
            number = end + 1
        elif line.startswith("echo BUILD_HEAD="):
            revision = line.partition("=")[2]
        elif _NOT_BUILT.fullmatch(line):
            built = False
        elif not started and (match := _EXPORT.fullmatch(line)):
            values[match[1]], places[match[1]] = match[2], number
        elif line.startswith("function run()"):
            started = True
        elif started and (match := _PARAMETER.fullmatch(line)):
            positions.setdefault(int(match[2]), match[1])
        elif line == "}" and started and positions:
            started = False
    config = Config(str(path), values, places)
    if not built:
        # Its name is in its message, and it is that of the file.
        return Script(Section(path.name, Place(str(path)), ()), config, {}, revision)
    return Script(_section(path, lines, positions), config, files, revision)


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_SCRIPT + 1)
    except OSError as error:
        raise _UnreadableError(0, error.strerror or str(error)) from error
    if len(data) > LARGEST_SCRIPT:
        raise _UnreadableError(0, f"it is larger than {LARGEST_SCRIPT >> 20} MiB")
    return data.decode(errors="surrogateescape").rstrip("\n").split("\n")


def _end_of_file(lines: list[str], start: int) -> int:
    try:
        return lines.index(_END_OF_FILE, start)
    except ValueError:
        raise _UnreadableError(start, f"the file that begins here has no {_END_OF_FILE}") from None


def _decoded(lines: list[str], start: int) -> bytes:
    """A file from its base64 and gzip."""
    try:
        packed = base64.b64decode("".join(lines).encode("ascii"), validate=True)
        stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        content = stream.decompress(packed, LARGEST_FILE)
    except (binascii.Error, zlib.error, UnicodeEncodeError) as error:
        raise _UnreadableError(start, f"the file that begins here is damaged ({error})") from None
    if stream.unconsumed_tail:
        raise _UnreadableError(start, f"its file is larger than {LARGEST_FILE >> 20} MiB")
    if not stream.eof:
        raise _UnreadableError(start, "the file that begins here is cut off")
    return content


def _section(path: Path, lines: list[str], positions: dict[int, str]) -> Section:
    """The section that the last line's arguments were made from."""
    number, line = len(lines), lines[-1]
    if not line.startswith("run "):
        raise _UnreadableError(number, "it does not end with `run TEST …`; perhaps it is cut off")
    if positions.get(1) != "testname" or positions.get(4) != "kernel":
        raise _UnreadableError(number, "its function run() is none of kvm-unit-tests'")
    entries: list[Entry] = []
    name = ""
    for index, (word, column) in enumerate(_words(line, number)):
        parameter = positions.get(index, "")
        if parameter == "testname":
            name = word
        if key := _KEYS.get(parameter):
            option = _OPTIONS.get(key)
            value = option.sub("", word, count=1) if option and option.match(word) else word
            if value := _NEWLINE.sub(" ", value).strip():
                entries.append(Entry(key, value, Place(str(path), number, column)))
    if not is_name(name):
        raise _UnreadableError(number, f"{name!r} cannot be a test's name")
    return Section(name, Place(str(path), number), tuple(entries))


def _words(line: str, number: int) -> Iterator[tuple[str, int]]:
    """The words of a line that bash quoted, each with its column from 1."""
    position = 0
    while position < len(line):
        match = _WORD.match(line, position)
        if match is None:
            raise _UnreadableError(number, f"column {position + 1} is not quoted as by %q")
        yield "".join(_unquoted(piece) for piece in _PIECE.finditer(match[0])), position + 1
        position = match.end()
        if position < len(line) and line[position] != " ":
            raise _UnreadableError(number, f"column {position + 1} is not quoted as by %q")
        position += 1


def _unquoted(piece: re.Match[str]) -> str:
    ansi, single, escaped, plain = piece.groups()
    if ansi is None:
        return single if single is not None else escaped if escaped is not None else plain
    return _ESCAPE.sub(
        lambda m: chr(int(m[1], 8) & 0xFF) if m[1] else _LETTERS.get(m[2], m[2]), ansi
    )
