"""``run.json``: what was run, by which version of the program, on which host, with which QEMUs."""

import hashlib
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_core import ValidationError, from_json

from matrix import __version__
from matrix.errors import UsageError
from matrix.inventory import Binary, Host, Inventory, KvmProof
from matrix.model import Architecture
from matrix.plan.decisions import LOCAL
from matrix.results.files import host_errors, read_bounded, shown, written_atomically
from matrix.results.json_text import first_complaint, json_bytes
from matrix.results.printable import printable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = 1
"""Version of the run directory's format; one that only adds keys keeps its number."""

LARGEST_RUN_INFO = 64 * 2**20
"""Bytes; scenarios are kept in it whole, and are a few KiB each."""


@dataclass(frozen=True, slots=True)
class ScenarioSource:
    """A scenario file as it was read, so that a resumed run does not depend on its changes."""

    name: str
    file: str
    text: str
    sha256: str

    @classmethod
    def of(cls, name: str, file: str, text: str) -> "ScenarioSource":
        """The source with its digest worked out."""
        return cls(name, file, text, hashlib.sha256(text.encode("utf-8", "replace")).hexdigest())


@dataclass(frozen=True, slots=True)
class QemuFingerprint:
    """One QEMU binary of a run."""

    qemu: str
    architecture: Architecture
    path: str
    version: str
    accelerators: tuple[str, ...] = ()
    sha256: str = ""
    """Empty where it was not worked out: reading a binary takes some 50 ms."""

    @classmethod
    def of(cls, binary: Binary, *, digest: bool = False) -> "QemuFingerprint":
        """What identifies a binary; with ``digest`` its content is read too.

        Raises:
            HostError: it cannot be read.
        """
        sha256 = ""
        if digest:
            path = Path(binary.path)
            with host_errors("read", path), path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(
            qemu=binary.qemu,
            architecture=binary.architecture,
            path=binary.path,
            version=binary.version_text,
            accelerators=binary.accelerators,
            sha256=sha256,
        )


@dataclass(frozen=True, slots=True)
class HostInfo:
    """One host of a run: what cases there ran with."""

    name: str
    host: Host
    binaries: tuple[QemuFingerprint, ...] = ()
    proofs: tuple[KvmProof, ...] = ()
    """Whether KVM works, so that a run says why it used what it did."""

    @classmethod
    def of(cls, name: str, inventory: Inventory, *, digests: bool = False) -> "HostInfo":
        """What of a host's inventory a run keeps; with ``digests`` its binaries are read.

        Raises:
            HostError: one cannot be read.
        """
        binaries = tuple(QemuFingerprint.of(each, digest=digests) for each in inventory.binaries)
        return cls(name, inventory.host, binaries, inventory.proofs)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What ``run.json`` holds."""

    started: str
    """UTC, ISO 8601."""
    host: Host
    """The machine that the run was started on; ``binaries`` and ``proofs`` are its, too."""
    format: int = FORMAT
    tool_version: str = __version__
    hostname: str = ""
    scenarios: tuple[ScenarioSource, ...] = ()
    binaries: tuple[QemuFingerprint, ...] = ()
    proofs: tuple[KvmProof, ...] = ()
    """Whether KVM works, so that a run says why it used what it did."""
    arguments: tuple[str, ...] = ()
    """The command line of the run, as typed."""
    options: Mapping[str, object] = field(default_factory=dict)
    """The options that a resumed run must keep (``strict``, …), of JSON's types; only ever read."""
    plan_sha256: str = ""
    """Of ``plan.jsonl``, which ``--resume`` runs; empty in runs of versions that kept none."""
    others: tuple[HostInfo, ...] = ()
    """Further hosts of the run."""

    @property
    def hosts(self) -> tuple[HostInfo, ...]:
        """All hosts; the first is the machine that the run was started on."""
        return HostInfo(LOCAL, self.host, self.binaries, self.proofs), *self.others

    def host_of(self, name: str) -> HostInfo:
        """The host of that name, or the first where there is none."""
        return next((each for each in self.others if each.name == name), self.hosts[0])

    def qemu_version(self, qemu: str, architecture: Architecture, host: str = LOCAL) -> str:
        """The version of an installation's emulator; empty where the run does not say."""
        for binary in self.host_of(host).binaries:
            if (binary.qemu, binary.architecture) == (qemu, architecture):
                return binary.version
        return ""


def run_info(
    scenarios: tuple[ScenarioSource, ...],
    inventory: Inventory,
    *,
    others: Mapping[str, Inventory] | None = None,
    arguments: tuple[str, ...] = (),
    options: Mapping[str, object] | None = None,
    digests: bool = False,
) -> RunInfo:
    """The fingerprint of a run that starts now on this machine.

    Args:
        scenarios: as read.
        inventory: what the run found on this machine.
        others: those of further hosts, by their names.
        arguments: the command line, as typed.
        options: what ``--resume`` must know.
        digests: read every QEMU binary for its SHA-256 (some 50 ms each).

    Raises:
        HostError: a binary cannot be read.
    """
    local = HostInfo.of(LOCAL, inventory, digests=digests)
    return RunInfo(
        started=utc_now(),
        host=local.host,
        hostname=socket.gethostname(),
        scenarios=scenarios,
        binaries=local.binaries,
        proofs=local.proofs,
        arguments=arguments,
        options=dict(options or {}),
        others=tuple(HostInfo.of(name, each) for name, each in (others or {}).items()),
    )


def utc_now() -> str:
    """The time as it stands in every file of a run: UTC, ISO 8601, milliseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return f"{_second(seconds)}.{nanoseconds // 10**6:03d}Z"


@lru_cache(maxsize=1)
def _second(since_1970: int) -> str:
    """Every event of a run has its time; most are of the same second as the one before."""
    return datetime.fromtimestamp(since_1970, UTC).replace(tzinfo=None).isoformat()


def write_run_info(path: Path, info: RunInfo) -> None:
    """Write ``run.json``.

    Raises:
        HostError: it cannot be written.
    """
    with written_atomically(path, durable=True) as file:
        file.write(json_bytes(info, indent=2) + b"\n")


def read_run_info(path: Path) -> RunInfo:
    """Read ``run.json``, which may be anybody's.

    Raises:
        UsageError: it is missing, broken, or of a newer format.
        HostError: it cannot be read.
    """
    data = read_bounded(path, LARGEST_RUN_INFO)
    try:
        document = from_json(data)
    except ValueError as error:
        raise UsageError(f"{shown(path)} is not JSON: {printable(str(error))}") from error
    number = document.get("format") if isinstance(document, dict) else None
    if not isinstance(number, int):
        raise UsageError(
            f"{shown(path)} is not the run.json of a run directory: it has no format number"
        )
    refuse_newer(path, document, FORMAT)
    try:
        return _adapter().validate_python(document)
    except ValidationError as error:
        raise UsageError(f"{shown(path)}: {first_complaint(error)}") from error


def refuse_newer(path: Path, document: object, known: int) -> None:
    """Refuse a file whose ``format`` is above the newest that we know.

    Raises:
        UsageError: it is.
    """
    number = document.get("format") if isinstance(document, dict) else None
    if isinstance(number, int) and number > known:
        raise UsageError(
            f"{shown(path)} has format {number}: it was written by a newer version of this "
            f"program, which reads formats up to {known}"
        )


@cache
def _adapter() -> "TypeAdapter[RunInfo]":
    from pydantic import TypeAdapter  # 50 ms, which only readers need

    return TypeAdapter(RunInfo)
