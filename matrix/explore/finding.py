"""A failure that was found, as a file that repeats it."""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from matrix import __version__
from matrix.errors import UsageError
from matrix.explore.step import Steps
from matrix.results.files import read_bounded, shown, write_bytes
from matrix.results.json_text import first_complaint, json_bytes

FORMAT = 1
LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Chosen:
    """The case, and the options that it was made with, as typed."""

    case: str
    scenario: str
    arch: tuple[str, ...] = ()
    accel: tuple[str, ...] = ()
    qemu: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    set_axis: tuple[str, ...] = ()
    host: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A file ``finding-N.json``."""

    chosen: Chosen
    signature: str
    """The same for failures that are taken for one."""
    reason: str
    steps: Steps
    failed: int
    """Lives of ``lives`` in which the sequence failed so."""
    lives: int
    shrunk_from: int
    """Steps of the sequence that it was first seen in."""
    seed: int
    format: int = FORMAT
    version: str = field(default=__version__)


_ADAPTER = TypeAdapter(Finding)


def write(finding: Finding, path: Path) -> None:
    """Write it.

    Raises:
        HostError: the file cannot be written.
    """
    write_bytes(path, json_bytes(finding, indent=1) + b"\n")


def read(path: Path) -> Finding:
    """Read one.

    Raises:
        UsageError: there is no such file, or it is none.
        HostError: it cannot be read.
    """
    try:
        finding = _ADAPTER.validate_json(read_bounded(path, LARGEST))
    except ValidationError as error:
        raise UsageError(f"{shown(path)} is no finding: {first_complaint(error)}") from None
    if finding.format != FORMAT:
        raise UsageError(f"{shown(path)}: format {finding.format} is not known, {FORMAT} is")
    return finding
