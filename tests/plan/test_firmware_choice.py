"""Which firmware is chosen, and how it is loaded."""

from dataclasses import replace

import pytest

from matrix.inventory import Binary, Firmware, FirmwareDevice, Machine
from matrix.model import Architecture
from matrix.plan.firmware_choice import choose_firmware, firmware_arguments
from tests import make

X86 = Architecture.X86_64

PLAIN = Firmware(
    descriptor="/usr/share/qemu/firmware/60-plain.json",
    device=FirmwareDevice.FLASH,
    executable="/fw/CODE.fd",
    targets=(("x86_64", ("pc-i440fx-*", "pc-q35-*")),),
    variables="/fw/VARS.fd",
    features=("acpi-s3", "verbose-dynamic"),
)
SECURE = replace(PLAIN, features=("secure-boot", "requires-smm"), executable="/fw/SECURE.fd")
ARM = replace(PLAIN, targets=(("aarch64", ("virt-*",)),), executable="/fw/ARM.fd")
ONLY_Q35 = replace(PLAIN, targets=(("x86_64", ("pc-q35-*",)),))

MACHINES = (
    Machine("pc-i440fx-7.2", alias="pc", is_default=True),
    Machine("pc-q35-7.2", alias="q35"),
    Machine("microvm"),
)


@pytest.fixture
def binary() -> Binary:
    return make.binary(X86, machines=MACHINES)


def test_the_first_that_suits(binary: Binary) -> None:
    later = replace(PLAIN, executable="/fw/later.fd")
    assert choose_firmware((SECURE, ARM, PLAIN, later), binary, "") is PLAIN


@pytest.mark.parametrize("machine", ["", "pc", "pc-i440fx-7.2", "q35", "pc-q35-7.2"])
def test_machines_match_by_name_and_alias(binary: Binary, machine: str) -> None:
    assert choose_firmware((PLAIN,), binary, machine) is PLAIN


def test_a_binary_that_was_not_asked_for_its_machines() -> None:
    binary = make.binary(X86)
    assert choose_firmware((ONLY_Q35,), binary, "") is ONLY_Q35
    assert choose_firmware((ONLY_Q35,), binary, "pc-q35-7.2") is ONLY_Q35


@pytest.mark.parametrize("feature", ["secure-boot", "enrolled-keys", "requires-smm"])
def test_firmware_that_wants_more_than_we_give_it(binary: Binary, feature: str) -> None:
    assert isinstance(choose_firmware((replace(PLAIN, features=(feature,)),), binary, ""), str)


def test_the_wrong_machine_names_the_right_one(binary: Binary) -> None:
    why = choose_firmware((ONLY_Q35,), binary, "")
    assert why == "no UEFI firmware for machine pc-i440fx-7.2, only for pc-q35-*"


def test_a_missing_one_names_the_package(binary: Binary) -> None:
    why = choose_firmware((ARM,), binary, "")
    assert why == (
        "no UEFI firmware for x86_64 is installed"
        " (Debian: apt-get install ovmf; Fedora: dnf install edk2-ovmf)"
    )


def test_a_missing_one_tells_of_broken_descriptors(binary: Binary) -> None:
    problems = ("/etc/qemu/firmware/10-mine.json: is not valid JSON", "/x/50-aarch64.json: bad")
    why = choose_firmware((), binary, "", problems)
    assert isinstance(why, str)
    assert why.endswith("; /etc/qemu/firmware/10-mine.json: is not valid JSON")


def test_flash_with_variables() -> None:
    assert firmware_arguments(PLAIN) == [
        "-drive",
        "if=pflash,unit=0,format=raw,readonly=on,file=/fw/CODE.fd",
        "-drive",
        "if=pflash,unit=1,format=raw,snapshot=on,file=/fw/VARS.fd",
    ]


def test_flash_without_variables() -> None:
    stateless = replace(PLAIN, variables="", executable_format="qcow2")
    assert firmware_arguments(stateless) == [
        "-drive",
        "if=pflash,unit=0,format=qcow2,readonly=on,file=/fw/CODE.fd",
    ]


def test_flash_that_holds_its_variables_itself_is_not_written_to() -> None:
    combined = replace(PLAIN, variables="", combined=True)
    assert firmware_arguments(combined) == [
        "-drive",
        "if=pflash,unit=0,format=raw,snapshot=on,file=/fw/CODE.fd",
    ]


def test_memory() -> None:
    memory = replace(PLAIN, device=FirmwareDevice.MEMORY)
    assert firmware_arguments(memory) == ["-bios", "/fw/CODE.fd"]


def test_a_comma_in_a_path() -> None:
    assert "file=/a,,b/CODE.fd" in firmware_arguments(replace(PLAIN, executable="/a,b/CODE.fd"))[1]
