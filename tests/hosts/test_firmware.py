"""Descriptors of firmware: which take effect, and what is wrong with others."""

import json
from pathlib import Path
from typing import Any

import pytest

from matrix.hosts.firmware import FoundFirmware, find_firmware, firmware_directories
from matrix.inventory import Firmware, FirmwareDevice


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Directories from the general to the specific, and files for descriptors to name."""
    for name in ("CODE.fd", "VARS.fd"):
        (tmp_path / name).write_bytes(b"firmware")
    distribution, administrator, user = (tmp_path / name for name in ("usr", "etc", "home"))
    for directory in (distribution, administrator, user):
        directory.mkdir()
    return distribution, administrator, user


def descriptor(root: Path, **changes: Any) -> dict[str, Any]:
    return {
        "description": "UEFI firmware for x86_64",
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": str(root / "CODE.fd"), "format": "raw"},
            "nvram-template": {"filename": str(root / "VARS.fd"), "format": "qcow2"},
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-i440fx-*", "pc-q35-*"]}],
        "features": ["acpi-s3"],
        "tags": [],
        **changes,
    }


def put(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(descriptor(path.parents[1], **changes)))
    return path


def names(found: FoundFirmware) -> list[str]:
    return [
        f"{Path(each.descriptor).parent.name}/{Path(each.descriptor).name}"
        for each in found.firmware
    ]


def test_what_a_descriptor_says(places: tuple[Path, ...], tmp_path: Path) -> None:
    path = put(places[0] / "60-ovmf.json")
    assert find_firmware(places) == FoundFirmware(
        (
            Firmware(
                descriptor=str(path),
                device=FirmwareDevice.FLASH,
                executable=str(tmp_path / "CODE.fd"),
                targets=(("x86_64", ("pc-i440fx-*", "pc-q35-*")),),
                variables=str(tmp_path / "VARS.fd"),
                variables_format="qcow2",
                features=("acpi-s3",),
            ),
        )
    )


def test_flash_modes(places: tuple[Path, ...], tmp_path: Path) -> None:
    executable = {"filename": str(tmp_path / "CODE.fd"), "format": "raw"}
    for number, mode in enumerate(("combined", "stateless")):
        mapping = {"device": "flash", "mode": mode, "executable": executable}
        put(places[0] / f"{number}.json", mapping=mapping)
    combined, stateless = find_firmware(places).firmware
    assert (combined.combined, combined.variables) == (True, "")
    assert (stateless.combined, stateless.variables) == (False, "")


def test_memory(places: tuple[Path, ...], tmp_path: Path) -> None:
    put(places[0] / "a.json", mapping={"device": "memory", "filename": str(tmp_path / "CODE.fd")})
    (found,) = find_firmware(places).firmware
    assert (found.device, found.executable) == (FirmwareDevice.MEMORY, str(tmp_path / "CODE.fd"))


def test_order_is_by_name_whatever_the_directory(places: tuple[Path, ...]) -> None:
    put(places[0] / "50-b.json")
    put(places[1] / "40-a.json")
    put(places[2] / "60-c.json")
    assert names(find_firmware(places)) == ["etc/40-a.json", "usr/50-b.json", "home/60-c.json"]


def test_the_more_specific_of_the_same_name_counts(places: tuple[Path, ...]) -> None:
    for directory in places:
        put(directory / "50-a.json")
    assert names(find_firmware(places)) == ["home/50-a.json"]


def test_an_empty_file_hides(places: tuple[Path, ...]) -> None:
    put(places[0] / "50-a.json")
    put(places[0] / "60-b.json")
    (places[1] / "50-a.json").touch()
    found = find_firmware(places)
    assert (names(found), found.problems) == (["usr/60-b.json"], ())


@pytest.mark.parametrize(
    "changes",
    [{"interface-types": ["bios"]}, {"mapping": {"device": "kernel", "filename": "/x"}}],
)
def test_firmware_of_other_kinds_is_left_out(
    places: tuple[Path, ...], changes: dict[str, Any]
) -> None:
    put(places[0] / "a.json", **changes)
    assert find_firmware(places) == FoundFirmware()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("\udcff", "is not valid JSON"),
        ("[]", "is not as QEMU's docs/interop/firmware.json wants it"),
        ('{"mapping": {}}', "is not as QEMU's docs/interop/firmware.json wants it"),
    ],
)
def test_descriptors_that_cannot_be_understood(
    places: tuple[Path, ...], text: str, why: str
) -> None:
    path = places[0] / "10-mine.json"
    path.write_text(text, errors="surrogateescape")
    put(places[0] / "50-a.json")
    found = find_firmware(places)
    assert (names(found), found.problems) == (["usr/50-a.json"], (f"{path}: {why}",))


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": [{"architecture": 5, "machines": []}]},
        {"targets": [{"architecture": "x86_64"}]},
        {"features": [None]},
        {"mapping": {"device": "memory", "filename": "a\0b"}},
        {"mapping": {"device": ["flash"]}},
    ],
)
def test_wrong_types(places: tuple[Path, ...], changes: dict[str, Any]) -> None:
    put(places[0] / "a.json", **changes)
    (problem,) = find_firmware(places).problems
    assert problem.endswith("is not as QEMU's docs/interop/firmware.json wants it")


def test_files_that_are_not_there(places: tuple[Path, ...], tmp_path: Path) -> None:
    (tmp_path / "VARS.fd").unlink()
    path = put(places[0] / "a.json")
    found = find_firmware(places)
    assert found.problems == (f"{path}: {tmp_path / 'VARS.fd'} is not there",)
    assert found.firmware == ()


def test_a_descriptor_that_cannot_be_read(places: tuple[Path, ...]) -> None:
    (places[0] / "a.json").symlink_to("/nonexistent/descriptor.json")
    (problem,) = find_firmware(places).problems
    assert problem.endswith("a.json: No such file or directory")


@pytest.mark.parametrize(
    ("environment", "last"),
    [
        ({"HOME": "/home/me"}, "/home/me/.config/qemu/firmware"),
        ({"HOME": "/home/me", "XDG_CONFIG_HOME": "/cfg"}, "/cfg/qemu/firmware"),
        ({"HOME": "/home/me", "XDG_CONFIG_HOME": "cfg"}, "/home/me/.config/qemu/firmware"),
        ({}, "/.config/qemu/firmware"),
    ],
)
def test_where_they_lie(environment: dict[str, str], last: str) -> None:
    assert firmware_directories(environment) == (
        Path("/usr/share/qemu/firmware"),
        Path("/etc/qemu/firmware"),
        Path(last),
    )
