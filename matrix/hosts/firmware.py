"""Finds the UEFI firmware that is installed, by the descriptors that its packages bring for QEMU.

Where they lie and which of them counts is laid down in QEMU's docs/interop/firmware.json, and is
what libvirt goes by: three directories from the general to the specific, files sorted by name.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.inventory import Firmware, FirmwareDevice

DISTRIBUTION = Path("/usr/share/qemu/firmware")
ADMINISTRATOR = Path("/etc/qemu/firmware")
DESCRIPTOR_BYTES = 1 << 20
"""How much of a descriptor is read: real ones take less than 1 KiB."""


@dataclass(frozen=True, slots=True)
class FoundFirmware:
    """What is installed, and what looks installed but is not usable."""

    firmware: tuple[Firmware, ...] = ()
    """In the order of preference."""
    problems: tuple[str, ...] = ()
    """``DESCRIPTOR: what is wrong with it``."""


def firmware_directories(environment: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Where descriptors lie, from the general to the specific."""
    configuration = environment.get("XDG_CONFIG_HOME", "")
    if not Path(configuration).is_absolute():  # also empty: the XDG rules say to ignore these
        configuration = str(Path(environment.get("HOME") or "/") / ".config")
    return (DISTRIBUTION, ADMINISTRATOR, Path(configuration) / "qemu/firmware")


def find_firmware(directories: Sequence[Path] | None = None) -> FoundFirmware:
    """The UEFI firmware that the descriptors in ``directories`` describe and whose files are there.

    A file replaces those of the same name in the directories before its own; an empty one hides
    them. Firmware of other kinds, or loaded in other ways than :class:`FirmwareDevice` has, is left
    out without a word; descriptors that cannot be understood, or that name files which are not
    there, become problems.
    """
    found: list[Firmware] = []
    problems: list[str] = []
    for path in _descriptors(firmware_directories() if directories is None else directories):
        try:
            firmware = _read(path)
            if firmware is not None:
                found.append(firmware)
        except _Unusable as error:
            problems.append(f"{path}: {error}")
    return FoundFirmware(tuple(found), tuple(problems))


class _Unusable(Exception):
    """A descriptor that cannot be used; says why."""


def _descriptors(directories: Iterable[Path]) -> list[Path]:
    """The descriptors that take effect, in order."""
    by_name: dict[str, Path] = {}
    for directory in directories:
        try:
            names = [entry.name for entry in os.scandir(directory) if entry.name.endswith(".json")]
        except OSError:  # most hosts have only one of them
            continue
        by_name |= {name: directory / name for name in names}
    return [path for _, path in sorted(by_name.items())]


def _read(path: Path) -> Firmware | None:
    """The firmware of one descriptor; None where it hides others or is of another kind.

    Raises:
        _Unusable: as it says.
    """
    try:
        with path.open("rb") as file:
            text = file.read(DESCRIPTOR_BYTES)
    except OSError as error:
        raise _Unusable(error.strerror or "cannot be read") from error
    if not text:
        return None
    try:
        firmware = _firmware(str(path), json.loads(text))
    except (ValueError, RecursionError) as error:
        raise _Unusable("is not valid JSON") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise _Unusable("is not as QEMU's docs/interop/firmware.json wants it") from error
    if firmware is not None:
        for file_name in filter(None, (firmware.executable, firmware.variables)):
            if not Path(file_name).is_file():
                raise _Unusable(f"{file_name} is not there")
    return firmware


def _firmware(path: str, document: Any) -> Firmware | None:
    mapping = document["mapping"]
    if "uefi" not in document["interface-types"] or mapping["device"] not in set(FirmwareDevice):
        return None
    device = FirmwareDevice(mapping["device"])
    flash = device is FirmwareDevice.FLASH
    executable = mapping["executable"] if flash else {**mapping, "format": "raw"}
    variables = mapping.get("nvram-template") if flash else None
    return Firmware(
        descriptor=path,
        device=device,
        executable=_text(executable["filename"]),
        executable_format=_text(executable["format"]),
        variables=_text(variables["filename"]) if variables else "",
        variables_format=_text(variables["format"]) if variables else "raw",
        combined=flash and mapping.get("mode") == "combined",
        targets=tuple(
            (_text(target["architecture"]), tuple(_text(name) for name in target["machines"]))
            for target in document["targets"]
        ),
        features=tuple(_text(feature) for feature in document.get("features", ())),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise TypeError(value)
    return value
