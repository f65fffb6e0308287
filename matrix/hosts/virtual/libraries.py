"""The shared libraries of a program for another architecture, found on this machine."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

from matrix.errors import MatrixError

TRIPLETS = {
    "EM_X86_64": "x86_64-linux-gnu",
    "EM_AARCH64": "aarch64-linux-gnu",
    "EM_RISCV": "riscv64-linux-gnu",
    "EM_PPC64": "powerpc64le-linux-gnu",
}
"""Debian's names of architectures, in the paths of libraries (multiarch) and cross compilers."""


class MissingLibraryError(MatrixError):
    """A program needs a library that is not to be found."""


def libraries_of(program: Path, root: Path | None = None) -> dict[str, Path]:
    """Where on a disk the loader and the libraries of a program are to be, and where they are here.

    They are looked for beside the program, in ``lib`` there and above, and where Debian has those
    of its architecture: a cross compiler's, and those of foreign packages. With ``root``, a folder
    that packages were unpacked in, only there.

    Raises:
        OSError: the program cannot be read.
        MissingLibraryError: one is not to be found.
    """
    found: dict[str, Path] = {}
    loader, needed, machine = _dynamic(program, program.stat().st_mtime_ns)
    if not loader:
        return found
    folders = tuple(_folders(program.parent, machine) if root is None else _below(root, machine))
    found[loader] = _library(loader.rpartition("/")[2], folders, program)
    left = list(needed)
    while left:
        name = left.pop()
        if f"/lib/{name}" in found or name == loader.rpartition("/")[2]:
            continue
        path = _library(name, folders, program)
        found[f"/lib/{name}"] = path
        left += _dynamic(path, path.stat().st_mtime_ns)[1]
    return found


def _folders(beside: Path, machine: str) -> Iterator[Path]:
    yield from (beside, beside / "lib", beside.parent / "lib")
    triplet = TRIPLETS.get(machine, "")
    if triplet:
        yield from (Path(f"/usr/{triplet}/lib"), Path(f"/lib/{triplet}"))
        yield from (Path(f"/usr/lib/{triplet}"), Path("/lib64"))


def _below(root: Path, machine: str) -> Iterator[Path]:
    for usr in (root / "usr", root):
        yield from (usr / "lib" / TRIPLETS.get(machine, ""), usr / "lib", usr / "lib64")


def _library(name: str, folders: tuple[Path, ...], program: Path) -> Path:
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None:
        raise MissingLibraryError(
            f"{program.name} needs the library {name}, which is in none of "
            f"{', '.join(map(str, folders))}; put it there, or link the program statically"
        )
    return path.resolve()


@lru_cache(maxsize=1024)
def _dynamic(path: Path, _changed: int) -> tuple[str, tuple[str, ...], str]:
    """Loader, libraries and machine of an ELF file; empty for any other."""
    loader, needed = "", []
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            for segment in elf.iter_segments():
                if isinstance(segment, InterpSegment):
                    loader = segment.get_interp_name()
                elif isinstance(segment, DynamicSegment):
                    needed = [str(tag.needed) for tag in segment.iter_tags("DT_NEEDED")]  # type: ignore[attr-defined]  # of DynamicTag alone
            return loader, tuple(needed), elf["e_machine"]
    except ELFError:
        return "", (), ""
