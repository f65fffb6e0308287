"""The disk of a virtual host: an ext4 file system with files of this machine, made without root."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from matrix.errors import HostError, SpawnError
from matrix.plan.memory import MIB
from matrix.vm.tasks import in_thread
from matrix.vm.tool import run_tool

DISK = "/disk"
"""Where a host has it."""
DEVICE = "/dev/vda"
LIBRARY_FOLDERS = ("lib", "lib64", "usr")
"""Of the disk, which the host's root folder has links to."""
SIZE = 4 << 30
"""Bytes of the device, the same for every content: a saved host knows it. The file is sparse."""
MKE2FS_SECONDS = 300.0
FOLDERS = ":/usr/sbin:/sbin"
"""Where mke2fs is for those whose PATH lacks it."""


def write_empty(path: Path) -> Path:
    """Make a disk with nothing on it.

    Raises OSError where it cannot be written.
    """
    with path.open("wb") as file:
        file.truncate(SIZE)
    return path


def copy_content(image: Path, disk: Path) -> None:
    """Put an image's content into a disk that a QEMU has open.

    Raises OSError where it cannot.
    """
    with image.open("rb") as source, disk.open("r+b") as target:
        shutil.copyfileobj(source, target, MIB)


async def write_image(files: Mapping[str, Path], target: Path) -> None:
    """Write a file system with files in it.

    Args:
        files: by their absolute paths on the disk.
        target: the image.

    Raises:
        OSError: a file cannot be read, or the image not written.
        HostError: mke2fs is not here, or fails.
    """
    mke2fs = shutil.which("mke2fs", path=os.environ.get("PATH", os.defpath) + FOLDERS)
    if mke2fs is None:
        raise HostError("the disk of a virtual host needs mke2fs: apt-get install e2fsprogs")
    with tempfile.TemporaryDirectory(prefix="matrix-disk-", dir=target.parent) as name:
        folder = Path(name)
        size = await in_thread(lambda: _stage(files, folder))
        kib = (size + size // 8 >> 10) + 4 * len(files) + 8192
        argv = [mke2fs, "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-I", "128"]
        argv += ["-O", "^has_journal,^resize_inode", "-E", "root_owner=0:0"]
        argv += ["-d", name, str(target), f"{kib}k"]
        try:
            result = await run_tool(argv, MKE2FS_SECONDS)
        except SpawnError as error:
            raise HostError(f"mke2fs: {error}") from error
    if result.status != 0:
        said = (result.errors or result.output).decode("utf-8", "replace").strip()
        raise HostError(f"mke2fs cannot write {target}: {said or 'it takes too long'}")


def _stage(files: Mapping[str, Path], folder: Path) -> int:
    """Lay files out as they are to be; the bytes that they have."""
    size = 0
    for path, source in files.items():
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
        place.chmod(0o755)
        size += place.stat().st_size
    return size
