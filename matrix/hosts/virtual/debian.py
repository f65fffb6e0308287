"""Debian's kernels, through apt's own client with a package state of its own: nothing is installed.

The package lists and the packages are removed again once the kernel and the modules that a virtual
host may need have been taken out of them. Up to 6.12 both are in linux-image-VERSION; in forky and
sid (7.2) that one is empty, and depends on linux-binary-VERSION and linux-modules-VERSION.
"""

import io
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from matrix.errors import HostError, SpawnError
from matrix.model import Architecture
from matrix.vm.tasks import in_thread
from matrix.vm.tool import ToolResult, run_tool

SUITES = {
    "debian-12": "bookworm",
    "debian-12-backports": "bookworm-backports",
    "debian-13": "trixie",
    "debian-13-backports": "trixie-backports",
    "debian-14": "forky",
    "debian-sid": "sid",
}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
APT_SECONDS = 900.0
"""For a download of some 110 MB, the largest."""
AR_MAGIC = b"!<arch>\n"
KEPT = re.compile(
    r"\./boot/vmlinu[xz]-"
    r"|\.?/?(?:usr/)?lib/modules/[^/]+/vmlinu[xz]$"
    r"|\.?/?(?:usr/)?lib/modules/[^/]+/kernel/(?:arch/[^/]+/kvm|arch/[^/]+/crypto|virt|crypto|lib|"
    r"fs/ext4|fs/jbd2|fs/mbcache|drivers/virtio|drivers/block/virtio|drivers/char/virtio|"
    r"drivers/char/hw_random/virtio|drivers/vfio|drivers/iommu|drivers/crypto/ccp|net/core|drivers/net/net_failover)"
)
"""What is taken out of a package: the kernel, KVM, virtio, ext4, VFIO, and what they need."""
PARTS = re.compile(r"Depends: (linux-(?:binary|modules)-\S+)")
"""Those of an empty linux-image-VERSION, as apt-cache(8) lists them."""


@dataclass(frozen=True, slots=True)
class Flavour:
    """Debian's names for one of our architectures."""

    architecture: str
    package: str
    """The metapackage that depends on the newest kernel."""


FLAVOURS = {
    Architecture.AARCH64: Flavour("arm64", "linux-image-cloud-arm64"),
    Architecture.X86_64: Flavour("amd64", "linux-image-cloud-amd64"),
    Architecture.RISCV64: Flavour("riscv64", "linux-image-riscv64"),
    Architecture.PPC64: Flavour("ppc64el", "linux-image-powerpc64le"),
}
"""The smallest kernel with KVM of each. Debian's kernels have none for mips64el; s390x has no SIE
under TCG."""
FULL = {**FLAVOURS, Architecture.X86_64: Flavour("amd64", "linux-image-amd64")}
"""Those with drivers that kernels for clouds lack."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A kernel and its modules in a folder."""

    package: str
    kernel: Path
    modules: Path


async def fetch(
    release: str,
    architecture: Architecture,
    folder: Path,
    on_step: Callable[[str], None],
    *,
    full: bool = False,
) -> Unpacked:
    """Debian's kernel of ``release`` in ``folder``; nobody is asked once that is there.

    ``full`` is one of :data:`FULL`.

    Raises:
        HostError: apt is not there, or cannot get it.
    """
    found = _unpacked(folder)
    if found is not None:
        return found
    flavour = (FULL if full else FLAVOURS)[architecture]
    work: Path | None = None
    try:
        work = new_folder(folder)
        apt = await Apt.open(work / "apt", SUITES[release], flavour.architecture)
        on_step(f"getting Debian's kernel for {architecture.value} ({release})")
        package, debs = await apt.download(flavour)
        for deb in debs:
            await in_thread(partial(unpack, deb, work, KEPT))
        (work / "package").write_text(package + "\n")
        shutil.rmtree(work / "apt")
        put_in_place(work, folder, "package")
    except OSError as error:
        raise HostError(f"cannot keep Debian's kernel in {folder}: {error.strerror}") from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
    found = _unpacked(folder)
    if found is None:
        raise HostError(
            f"Debian's package {package} has no kernel and modules where they usually are"
        )
    return found


def new_folder(folder: Path) -> Path:
    """One beside ``folder``, which several runs may make at a time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))


def put_in_place(work: Path, folder: Path, last: str) -> None:
    """Give ``work`` its name. ``last`` is a file that a complete folder has.

    Raises OSError where it cannot be, and no other run was faster.
    """
    try:
        work.rename(folder)
    except OSError:
        if not (folder / last).exists():
            raise


def _unpacked(folder: Path) -> Unpacked | None:
    modules = sorted(folder.glob("**/lib/modules/*"))
    kernels = sorted((*folder.glob("boot/vmlinu*"), *folder.glob("**/lib/modules/*/vmlinu*")))
    if not (kernels and modules and (folder / "package").exists()):
        return None
    return Unpacked((folder / "package").read_text().strip(), kernels[-1], modules[-1])


class Apt:
    """apt-get with its state in one folder, for one architecture."""

    def __init__(self, folder: Path, options: tuple[str, ...]) -> None:
        self._folder = folder
        self._options = options

    @classmethod
    async def open(cls, folder: Path, suite: str, architecture: str) -> "Apt":
        """Raises HostError where the lists of packages are not to be had."""
        for name in ("lists/partial", "archives/partial", "sources"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        _check_keyring()
        (folder / "sources/debian.sources").write_text(
            f"Types: deb\nURIs: {await _mirror()}\nSuites: {suite}\nComponents: main\n"
            f"Architectures: {architecture}\nSigned-By: {KEYRING}\n"
        )
        settings = {
            "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": folder / "sources",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::State::Lists": folder / "lists",
            "Dir::State::Status": folder / "status",
            "Dir::Cache": folder,
            "Dir::Cache::Archives": folder / "archives",
            "APT::Architecture": architecture,
            "APT::Architectures::": architecture,
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        apt = cls(folder, tuple(f"-o{key}={value}" for key, value in settings.items()))
        await apt.must("apt-get", "-qq", "update")
        return apt

    async def run(self, program: str, *arguments: str) -> ToolResult:
        """Run one of apt's programs."""
        return await _run(program, *self._options, *arguments)

    async def must(self, program: str, *arguments: str) -> str:
        """What it prints; raises HostError where it fails."""
        result = await self.run(program, *arguments)
        if result.status != 0:
            raise HostError(f"{program} {arguments[-1]} failed: {_last_error(result)}")
        return result.output.decode("utf-8", "replace")

    async def download(self, flavour: Flavour) -> tuple[str, list[Path]]:
        """The newest kernel's package that can be had, and the files of it and its parts.

        A list may name some that are gone already.
        """
        why = "there is none of that name"
        for package in await self._candidates(flavour):
            target = self._folder / "archives" / package
            target.mkdir()
            words = ("-qq", "download", package, *await self._parts(package))
            result = await _run("env", "-C", str(target), "apt-get", *self._options, *words)
            if result.status == 0 and (debs := sorted(target.glob("*.deb"))):
                return package, debs
            why = _last_error(result)
        raise HostError(f"apt cannot get a kernel like {flavour.package}: {why}")

    async def download_all(self, package: str) -> list[Path]:
        """A package and all that it depends on.

        Raises HostError where one of them is not to be had.
        """
        options = ("-qq", "--download-only", "--yes", "--no-install-recommends")
        await self.must("apt-get", *options, "install", package)
        return sorted((self._folder / "archives").glob("*.deb"))

    async def _parts(self, package: str) -> list[str]:
        """The packages that hold its kernel and its modules, where it is empty itself."""
        return PARTS.findall(await self.must("apt-cache", "depends", package))

    async def _candidates(self, flavour: Flavour) -> list[str]:
        depends = await self.must("apt-cache", "depends", flavour.package)
        named = re.findall(r"Depends: (linux-image-\S+)", depends)
        kind = flavour.package.removeprefix("linux-image-")
        pattern = f"^linux-image-[0-9][^ ]*-{kind}$"
        listed = await self.must("apt-cache", "search", "--names-only", pattern)
        others = [line.split(" ", 1)[0] for line in listed.splitlines()]
        others.sort(key=lambda name: [int(n) for n in re.findall(r"\d+", name)], reverse=True)
        return list(dict.fromkeys((*named, *others)))


def _check_keyring() -> None:
    if not KEYRING.exists():
        raise HostError(
            "Debian's signatures cannot be checked: apt-get install debian-archive-keyring"
        )


async def _run(*argv: str) -> ToolResult:
    try:
        return await run_tool(argv, APT_SECONDS)
    except SpawnError as error:
        raise HostError(
            f"Debian's kernels come through apt, which is not here ({error}); "
            "on Debian and Ubuntu it is the package apt, elsewhere give a kernel of your own: "
            "--kernel PATH"
        ) from error


async def _mirror() -> str:
    """Where this machine gets Debian's packages from."""
    wanted = ("indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Label: Debian")
    result = await _run("apt-get", *wanted)
    mirrors = sorted(set(result.output.decode("utf-8", "replace").split()))
    if result.status != 0 or not mirrors:
        raise HostError(
            "apt knows no mirror of Debian's here; name one in its sources, "
            "or give a kernel of your own: --kernel PATH"
        )
    return mirrors[0]


def _last_error(result: ToolResult) -> str:
    lines = result.errors.decode("utf-8", "replace").strip().splitlines()
    said = next((line for line in lines if line.startswith("E: ")), lines[-1] if lines else "")
    return said.removeprefix("E: ") or "it said nothing"


def unpack(deb: Path, folder: Path, kept: re.Pattern[str]) -> None:
    """Take out of a package what ``kept`` matches (deb(5): an ar archive with a tar in it).

    Raises:
        HostError: it is no package.
    """
    try:
        with deb.open("rb") as file:
            size = next(size for name, size in _members(file) if name.startswith("data.tar"))
            with tarfile.open(fileobj=io.BufferedReader(_Part(file, size)), mode="r|*") as archive:
                for member in archive:
                    if kept.match(member.name) and (
                        member.isfile() or member.isdir() or member.issym()
                    ):
                        archive.extract(member, folder, set_attrs=False, filter="data")
    except (StopIteration, tarfile.TarError, EOFError) as error:
        raise HostError(f"{deb.name} is not a readable package: {error}") from error


def _members(file: IO[bytes]) -> Iterator[tuple[str, int]]:
    """Name and size of each member of an ar archive; ``file`` is where its content begins."""
    if file.read(len(AR_MAGIC)) != AR_MAGIC:
        return
    while len(header := file.read(60)) == 60:
        size = int(header[48:58])
        begin = file.tell()
        yield header[:16].decode("ascii", "replace").strip().rstrip("/"), size
        file.seek(begin + size + size % 2)


class _Part(io.RawIOBase):
    """The rest of a member, as a file that ends with it."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(self._left, len(buffer)))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)
