"""Chooses the UEFI firmware for a machine, and says how it is put onto the command line. Pure."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import assert_never

from matrix.inventory import Binary, Firmware, FirmwareDevice, Machine
from matrix.model import Architecture

UNWANTED = frozenset(
    {"secure-boot", "enrolled-keys", "requires-smm", "host-uefi-vars", "qemu-vars"}
)
"""Features of firmware that starts signed images only, or needs devices that we do not give it."""

PACKAGES = {
    Architecture.X86_64: "Debian: apt-get install ovmf; Fedora: dnf install edk2-ovmf",
    Architecture.AARCH64: "Debian: apt-get install qemu-efi-aarch64; "
    "Fedora: dnf install edk2-aarch64",
}
"""What brings the firmware of an architecture, and its descriptor."""


def choose_firmware(
    firmware: Sequence[Firmware], binary: Binary, machine: str, problems: Sequence[str] = ()
) -> Firmware | str:
    """The first firmware that suits, or why there is none.

    Args:
        firmware: what is installed, in the order of preference.
        binary: the emulator.
        machine: its machine's type, by name or alias; empty for the default.
        problems: descriptors that cannot be used, to be named where nothing else suits.
    """
    architecture = binary.architecture.value
    entry = _entry(binary, machine)
    names = (machine,) if entry is None else (entry.name, entry.alias)
    elsewhere: list[str] = []
    for candidate in firmware:
        patterns = [
            p for target, machines in candidate.targets if target == architecture for p in machines
        ]
        if not patterns or UNWANTED.intersection(candidate.features):
            continue
        if not any(names) or any(fnmatchcase(name, p) for name in names if name for p in patterns):
            return candidate
        elsewhere += patterns
    if elsewhere:
        one = ", ".join(dict.fromkeys(elsewhere))
        return f"no UEFI firmware for machine {names[0]}, only for {one}"
    reason = f"no UEFI firmware for {architecture} is installed"
    if binary.architecture in PACKAGES:
        reason += f" ({PACKAGES[binary.architecture]})"
    others = [other.value for other in PACKAGES if other is not binary.architecture]
    ours = [problem for problem in problems if not any(other in problem for other in others)]
    return "; ".join((reason, *ours))


def firmware_arguments(firmware: Firmware) -> list[str]:
    """The options that load it.

    Nothing that it writes is kept: its variables go to a temporary overlay of QEMU's own
    (``snapshot=on``), so every start finds them as the template has them and no copy of the 64 MiB
    that an Arm machine's store takes is left behind.
    """
    match firmware.device:
        case FirmwareDevice.MEMORY:
            return ["-bios", firmware.executable]
        case FirmwareDevice.FLASH:
            kept = "snapshot=on" if firmware.combined else "readonly=on"
            executable = _flash(0, firmware.executable, firmware.executable_format, kept)
            if not firmware.variables:
                return executable
            return executable + _flash(
                1, firmware.variables, firmware.variables_format, "snapshot=on"
            )
        case _:
            assert_never(firmware.device)


def _flash(unit: int, path: str, file_format: str, kept: str) -> list[str]:
    # A comma in a value of QEMU's options is written twice.
    name = path.replace(",", ",,")
    return ["-drive", f"if=pflash,unit={unit},format={file_format},{kept},file={name}"]


def _entry(binary: Binary, machine: str) -> Machine | None:
    if machine:
        return binary.machine(machine)
    return next((entry for entry in binary.machines if entry.is_default), None)
