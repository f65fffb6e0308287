"""The image of a virtual host: a kernel as QEMU takes it, and an initramfs; built without root.

An image's folder is complete as soon as it has its name, which follows from what it was made of.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

import matrix.guests
from matrix.errors import HostError, SpawnError
from matrix.hosts.virtual import cpio, kernels
from matrix.hosts.virtual.debian import SUITES, fetch
from matrix.hosts.virtual.disk import DISK, LIBRARY_FOLDERS
from matrix.hosts.virtual.kernel_modules import ModuleInfo, in_order, normal, parse_modinfo
from matrix.hosts.virtual.kernels import KernelError
from matrix.model import Architecture
from matrix.vm.tasks import in_thread
from matrix.vm.tool import run_tool

ZSTD_SECONDS = 60.0
MODULE_SUFFIXES = (".ko", ".ko.xz", ".ko.gz", ".ko.zst")


@dataclass(frozen=True, slots=True)
class KernelChoice:
    """Which kernel a virtual host has."""

    name: str
    """``debian-13``, or the path that the user gave."""
    modules: Path | None = None
    """The folder of the modules of a user's kernel, searched as a whole; None: all is built in."""
    vmlinux: Path | None = None
    """The file with its symbols, where the user names it."""
    full: bool = False
    """Of Debian's, the one with all drivers, and not the one for clouds."""

    @property
    def is_debian(self) -> bool:
        """Whether it comes from Debian's packages."""
        return self.name in SUITES


@dataclass(frozen=True, slots=True)
class Image:
    """A built image."""

    kernel: Path
    initrd: Path
    digest: str
    """SHA-256 of the content of both, hexadecimal."""
    origin: str
    """Where the kernel is from: Debian's package, or the user's path."""


class _NeedsZstdError(Exception):
    def __init__(self, data: bytes) -> None:
        super().__init__("zstd")
        self.data = data


@dataclass(slots=True)
class _Zstd:
    """What zstd(1) has decompressed already, by the digest of what it was given: Python 3.11 cannot
    do it, and what can is a process, which is waited for elsewhere."""

    known: dict[bytes, bytes | KernelError] = field(default_factory=dict)

    def unpack(self, data: bytes) -> bytes:
        found = self.known.get(hashlib.sha256(data).digest())
        if found is None:
            raise _NeedsZstdError(data)
        if isinstance(found, KernelError):
            raise found
        return found

    async def learn(self, data: bytes) -> None:
        self.known[hashlib.sha256(data).digest()] = await _run_zstd(data)


async def build(
    choice: KernelChoice,
    architecture: Architecture,
    wanted: tuple[str, ...],
    folder: Path,
    *,
    parameters: Mapping[str, str],
    on_step: Callable[[str], None],
) -> Image:
    """The image with that kernel, made where it is not there yet.

    Args:
        choice: the kernel.
        architecture: that it has to be for.
        wanted: modules, see :attr:`matrix.hosts.virtual.l1_machines.VirtualMachine.modules`.
        folder: of all images and kernels.
        parameters: of modules, as ``module.parameter`` → value.
        on_step: is told what takes long.

    Raises:
        KernelError: the user's kernel is none, or is for another architecture.
        HostError: Debian's cannot be had, or nothing can be written.
    """
    if choice.is_debian:
        place = _debian_place(choice, architecture, folder)
        unpacked = await fetch(choice.name, architecture, place, on_step, full=choice.full)
        kernel, origin = unpacked.kernel, unpacked.package
        modules: Path | None = unpacked.modules
    else:
        kernel, modules, origin = Path(choice.name), choice.modules, choice.name
    init = _init_program(architecture)
    made_of = [origin, _stamp(kernel), str(modules), *wanted, *map(str, sorted(parameters.items()))]
    name = hashlib.sha256("\0".join(made_of).encode() + b"\0" + init).hexdigest()[:16]
    target = folder / "images" / f"{architecture.value}-{name}"
    if not (target / "digest").exists():
        on_step(f"building the image of a virtual {architecture.value} host")
        content = await _read_kernel(kernel, architecture)
        initrd = await _initrd(init, modules, wanted, parameters)
        shared = kernel if choice.is_debian else None  # a user's may be built anew in its place
        await in_thread(lambda: _write(target, content, initrd, origin, shared))
    digest = (target / "digest").read_text().strip()
    return Image(target / "kernel", target / "initrd", digest, origin)


def known_release(choice: KernelChoice, architecture: Architecture, folder: Path) -> str:
    """``uname -r`` of a kernel; empty where it is not known before it has been started once."""
    if not choice.is_debian:
        return ""
    try:
        package = (_debian_place(choice, architecture, folder) / "package").read_text()
    except OSError:
        return ""
    return package.strip().removeprefix("linux-image-")


def _debian_place(choice: KernelChoice, architecture: Architecture, folder: Path) -> Path:
    full = "-full" if choice.full else ""
    return folder / "debian" / f"{choice.name}-{architecture.value}{full}"


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        raise KernelError(f"no kernel at {path}: {error.strerror}") from error
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"


@cache
def _init_program(architecture: Architecture) -> bytes:
    images = Path(matrix.guests.__file__).parent / "images"
    path = images / architecture.value / "host" / "init"
    try:
        return path.read_bytes()
    except OSError as error:
        raise HostError(f"the program of a virtual host is not there: {path}") from error


def _write(target: Path, kernel: bytes, initrd: bytes, origin: str, shared: Path | None) -> None:
    """Write an image. ``shared`` is a file that may have the same content already."""
    new: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
        if shared is not None and shared.read_bytes() == kernel:
            (new / "kernel").hardlink_to(shared)
        else:
            (new / "kernel").write_bytes(kernel)
        (new / "initrd").write_bytes(initrd)
        (new / "origin").write_text(origin + "\n")
        (new / "digest").write_text(hashlib.sha256(kernel + initrd).hexdigest() + "\n")
        try:
            new.rename(target)
        except OSError:
            if not (target / "digest").exists():  # another run was not faster
                raise
    except OSError as error:
        raise HostError(f"cannot write {target}: {os.strerror(error.errno or 0)}") from error
    finally:
        if new is not None:
            shutil.rmtree(new, ignore_errors=True)


async def _read_kernel(path: Path, architecture: Architecture) -> bytes:
    data = await in_thread(path.read_bytes)
    zstd = _Zstd()
    while True:
        try:
            image = await in_thread(lambda: kernels.read_kernel(data, zstd.unpack))
            break
        except _NeedsZstdError as need:
            await zstd.learn(need.data)
        except KernelError as error:
            raise KernelError(f"{path}: {error}") from error
    if image.architecture is not architecture:
        raise KernelError(
            f"{path}: this {image.format.value} is for {image.architecture.value}, "
            f"and the virtual host is to be {architecture.value}"
        )
    return image.content


async def _run_zstd(data: bytes) -> bytes | KernelError:
    with tempfile.TemporaryDirectory(prefix="matrix-zstd-") as folder:
        packed, plain = Path(folder, "packed"), Path(folder, "plain")
        await in_thread(lambda: packed.write_bytes(data))
        try:
            result = await run_tool(
                ["zstd", "-q", "-d", str(packed), "-o", str(plain)], ZSTD_SECONDS
            )
        except SpawnError:
            what = "it is compressed with zstd, which is not here: apt-get install zstd"
            return KernelError(what)
        if result.status != 0:
            return KernelError("its compressed content is damaged")
        return await in_thread(plain.read_bytes)


async def _initrd(
    init: bytes, modules: Path | None, wanted: tuple[str, ...], parameters: Mapping[str, str]
) -> bytes:
    zstd = _Zstd()
    while True:
        try:
            found = await in_thread(lambda: _Modules(modules, zstd).needed(wanted))
            break
        except _NeedsZstdError as need:
            await zstd.learn(need.data)
    members = [
        cpio.folder("dev"),
        cpio.character_device("dev/console", 5, 1),
        cpio.folder("modules"),
        # Programs find their loader and libraries where they always are, once there is a disk.
        *(cpio.symbolic_link(name, f"{DISK.strip('/')}/{name}") for name in LIBRARY_FOLDERS),
    ]
    lines = []
    for name, content in found.items():
        members.append(cpio.regular(f"modules/{name}.ko", content))
        given = [
            f"{key.partition('.')[2]}={value}"
            for key, value in parameters.items()
            if normal(key.partition(".")[0]) == name
        ]
        lines.append(" ".join((f"/modules/{name}.ko", *given)))
    members.append(cpio.regular("modules/list", "".join(f"{each}\n" for each in lines).encode()))
    members.append(cpio.regular("init", init, executable=True))
    return cpio.archive(members)


class _Modules:
    """The modules below a folder, by their names."""

    def __init__(self, folder: Path | None, zstd: _Zstd) -> None:
        self._paths: dict[str, Path] = {}
        self._contents: dict[str, bytes] = {}
        self._zstd = zstd
        for path in sorted(folder.rglob("*.ko*")) if folder is not None else ():
            suffix = next((each for each in MODULE_SUFFIXES if path.name.endswith(each)), "")
            if suffix:
                self._paths[normal(path.name.removesuffix(suffix))] = path

    def needed(self, wanted: tuple[str, ...]) -> dict[str, bytes]:
        """Content by name, in the order in which they are to be loaded."""
        order = in_order(wanted, self._info)
        return {name: self._contents[name] for name in order}

    def _info(self, name: str) -> ModuleInfo | None:
        path = self._paths.get(name)
        if path is None:
            return None
        content = kernels.decompressed(path.read_bytes(), self._zstd.unpack)
        self._contents[name] = content
        return parse_modinfo(_section(content, ".modinfo"))


def _section(elf: bytes, name: str) -> bytes:
    try:
        section = ELFFile(BytesIO(elf)).get_section_by_name(name)
    except ELFError as error:
        raise KernelError(f"a kernel module is damaged: {error}") from error
    return bytes(section.data()) if section is not None else b""
