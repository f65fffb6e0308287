"""Debian's QEMU for the architecture of a virtual host, with its libraries, as a disk of the host.

Through apt's own client, as the kernels are: nothing is installed.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matrix.errors import HostError
from matrix.hosts.virtual.debian import SUITES, Apt, new_folder, put_in_place, unpack
from matrix.hosts.virtual.disk import DISK, write_image
from matrix.hosts.virtual.libraries import libraries_of
from matrix.model import Architecture
from matrix.vm.tasks import in_thread

RELEASE = "debian-13"
"""Whose QEMU it is, whatever the kernel: the kernel is what is tested."""


@dataclass(frozen=True, slots=True)
class _Package:
    architecture: str
    name: str


PACKAGES = {
    Architecture.AARCH64: _Package("arm64", "qemu-system-arm"),
    Architecture.X86_64: _Package("amd64", "qemu-system-x86"),
    Architecture.RISCV64: _Package("riscv64", "qemu-system-riscv"),
    Architecture.PPC64: _Package("ppc64el", "qemu-system-ppc"),
}
KEPT = re.compile(
    r"\./(?:usr/)?bin/qemu-system-"
    r"|\./(?:usr/)?lib(?:64)?/(?:[^/]+-linux-gnu/)?[^/]+\.so[^/]*$"
    r"|\./usr/share/(?:qemu|seabios)/[^/]+\.(?:bin|rom|img)$"
)
"""The emulators, shared libraries, and firmware."""


@dataclass(frozen=True, slots=True)
class DebianQemu:
    """A QEMU that runs in a virtual host."""

    image: Path
    """The disk that it is on."""
    path: str
    """Where it is in the host."""
    version_text: str
    """Of Debian's package: ``1:10.0.13+ds-0+deb13u1``."""

    @property
    def version(self) -> tuple[int, int, int]:
        """Of QEMU."""
        numbers = re.findall(r"\d+", self.version_text.rpartition(":")[2])[:3]
        major, minor, micro = (*map(int, numbers), 0, 0, 0)[:3]
        return major, minor, micro


async def fetch_qemu(
    architecture: Architecture, folder: Path, on_step: Callable[[str], None]
) -> DebianQemu:
    """Debian's QEMU in ``folder``; nobody is asked once that is there.

    Raises:
        HostError: apt or mke2fs are not there, or apt cannot get it.
    """
    package = PACKAGES[architecture]
    place = folder / f"qemu-{RELEASE}-{architecture.value}"
    name = f"qemu-system-{architecture.value}"
    if not (place / "version").exists():
        on_step(f"getting Debian's {package.name} for {architecture.value} ({RELEASE})")
        try:
            await _fetch(package, name, place)
        except OSError as error:
            raise HostError(f"cannot keep Debian's QEMU in {place}: {error}") from error
    version = (place / "version").read_text().strip()
    return DebianQemu(place / "image", f"{DISK}/usr/bin/{name}", version)


async def _fetch(package: _Package, name: str, place: Path) -> None:
    work = new_folder(place)
    try:
        apt = await Apt.open(work / "apt", SUITES[RELEASE], package.architecture)
        debs = await apt.download_all(package.name)
        root = work / "root"
        for deb in debs:
            await in_thread(partial(unpack, deb, root, KEPT))
        await write_image(dict(_files(root, name)), work / "image")
        version = next(deb.name for deb in debs if deb.name.startswith(f"{package.name}_"))
        (work / "version").write_text(version.split("_")[1].replace("%3a", ":") + "\n")
        shutil.rmtree(work / "apt")
        shutil.rmtree(root)
        put_in_place(work, place, "version")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _files(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    """What of the packages QEMU needs, by its place on the disk.

    Raises HostError where the emulator or one of its libraries is not in them.
    """
    program = root / "usr/bin" / name
    if not program.exists():
        raise HostError(f"Debian's package has no {name}")
    yield f"/usr/bin/{name}", program
    yield from libraries_of(program, root).items()
    for path in sorted((root / "usr/share").glob("*/*")):
        if path.is_file():
            yield f"/usr/share/qemu/{path.name}", path
