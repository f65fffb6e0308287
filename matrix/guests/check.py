"""Whether the committed images of the embedded guests are what their sources give.

``python -m matrix.guests.check [ARCH…]`` builds a copy of the sources in a temporary folder and
compares what comes out with ``images/``, byte for byte. Another compiler than the one recorded in
``images/COMPILERS`` gives other code; then the sources are built twice, in folders with different
names, and the two must be the same, while the text files must still be those committed.

Exit status: 0 all is as it should be, 1 something differs, 2 something could not be built.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

SOURCES = Path(__file__).parent
IMAGES = SOURCES / "images"
COMPILERS = "COMPILERS"
TEXT_FILES = frozenset({"config.mak", "unittests.cfg"})
"""Generated without a compiler."""


class Status(IntEnum):
    """How the check of one architecture ended; the worst one is the exit status."""

    SAME = 0
    DIFFERENT = 1
    NOT_BUILT = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found for one architecture, in words for the user."""

    architecture: str
    status: Status
    message: str

    def __str__(self) -> str:
        return f"{self.architecture}: {self.message}"


class BuildError(Exception):
    """The sources could not be built; the message is what make and the compiler said."""


class NotBuiltHere(Exception):
    """A compiler is missing that not every distribution has; the message says which."""


def architectures(sources: Path = SOURCES) -> tuple[str, ...]:
    """The architectures that the sources have, sorted."""
    return tuple(sorted(path.parent.name for path in sources.glob("arch/*/arch.mk")))


def read_compilers(images: Path) -> dict[str, str]:
    """Architecture to compiler and linker, from the file COMPILERS; empty where there is none."""
    try:
        text = (images / COMPILERS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    pairs = (line.partition(": ") for line in text.splitlines())
    return {architecture: compiler for architecture, _, compiler in pairs}


def build(sources: Path, folder: Path, architecture: str) -> Path:
    """Build one architecture from a copy of the sources in folder; return its images folder.

    Raises:
        BuildError: make, the compiler or the sources are not good for it.
        NotBuiltHere: its compiler is missing, and may be.
    """
    if not folder.exists():
        left_out = shutil.ignore_patterns("images", "build", "__pycache__", "*.py")
        shutil.copytree(sources, folder, ignore=left_out)
    # Called by make, the flags of that make (its job server among them) are not for this one.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "OUT", "BUILD"}
    }
    command = ["make", "-C", str(folder), f"-j{os.cpu_count() or 1}", f"ARCH={architecture}"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    except FileNotFoundError as error:
        raise BuildError("make is missing: apt-get install make") from error
    except subprocess.CalledProcessError as error:
        raise BuildError(error.stderr.strip()) from error
    if not (folder / "images" / architecture).is_dir():
        raise NotBuiltHere(done.stdout.partition(f"{architecture}: ")[2].splitlines()[0])
    return folder / "images"


def differences(expected: Path, found: Path, *, text_only: bool = False) -> tuple[str, ...]:
    """What differs between two folders, file by file, in words; paths are relative to them."""
    names = sorted(_files(expected) | _files(found))
    if text_only:
        names = [name for name in names if Path(name).name in TEXT_FILES]
    return tuple(difference for name in names if (difference := _difference(name, expected, found)))


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _difference(name: str, expected: Path, found: Path) -> str:
    if not (found / name).exists():
        return f"{name}: committed, but no longer built"
    if not (expected / name).exists():
        return f"{name}: built, but not committed"
    old, new = (expected / name).read_bytes(), (found / name).read_bytes()
    if old == new:
        return ""
    common = min(len(old), len(new))
    offset = next((at for at in range(common) if old[at] != new[at]), common)
    return f"{name}: differs from byte {offset} on ({len(old)} bytes committed, {len(new)} built)"


def check(architecture: str, work: Path, sources: Path = SOURCES, images: Path = IMAGES) -> Finding:
    """Build one architecture below the folder work and compare it with its committed images."""
    try:
        first = build(sources, work / "guests", architecture)
        recorded = read_compilers(images).get(architecture, "none is recorded")
        present = read_compilers(first)[architecture]
        if present == recorded:
            return _compare_with_committed(architecture, images, first)
        second = build(sources, work / "elsewhere" / "the-same-guests", architecture)
    except NotBuiltHere as skipped:
        return Finding(architecture, Status.SAME, f"{skipped}; its images were not compared")
    except BuildError as error:
        return Finding(architecture, Status.NOT_BUILT, f"cannot be built:\n{error}")
    return _compare_builds(
        architecture, images, (first, second), f"the compiler here is {present}, not {recorded}"
    )


def _compare_with_committed(architecture: str, images: Path, built: Path) -> Finding:
    found = differences(images / architecture, built / architecture)
    if not found:
        return Finding(architecture, Status.SAME, "the images are what the sources give")
    return Finding(
        architecture,
        Status.DIFFERENT,
        _listing("the images are not what the sources give; make guests builds them anew", found),
    )


def _compare_builds(
    architecture: str, images: Path, builds: tuple[Path, Path], why: str
) -> Finding:
    first, second = (build / architecture for build in builds)
    stale = differences(images / architecture, first, text_only=True)
    if stale:
        message = "the text files are not what the sources give; make guests builds them anew"
        return Finding(architecture, Status.DIFFERENT, _listing(message, stale))
    unstable = differences(first, second)
    if unstable:
        message = f"{why}; two builds in different folders are not the same"
        return Finding(architecture, Status.DIFFERENT, _listing(message, unstable))
    message = f"{why}; two builds in different folders are the same, the images were not compared"
    return Finding(architecture, Status.SAME, message)


def _listing(message: str, lines: Sequence[str]) -> str:
    return "\n  ".join((message + ":", *lines))


def main(arguments: Sequence[str]) -> int:
    """Check the architectures given, or all; print a line for each; return the exit status."""
    known = architectures()
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        print(f"no such architecture: {', '.join(unknown)}; there are {', '.join(known)}")
        return Status.NOT_BUILT
    worst = Status.SAME
    with tempfile.TemporaryDirectory(prefix="matrix-guests-") as work:
        for architecture in arguments or known:
            finding = check(architecture, Path(work))
            print(finding, flush=True)
            worst = max(worst, finding.status)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
