"""Command lines of destinations that do not match their source, changed on purpose. Pure.

QEMU takes the last of two options of one name, or merges their properties: so what differs is
appended. Only a device that has to be missing is taken out, and ``-smp``, whose topology is that
of the former number of vCPUs. Which device that is depends on the machine: the stream must hold its
state, and a device that the destination has beside the source's is not missed by anyone. Where no
option takes a device out of the machine, all QEMUs of a chain have one more (:data:`SPARE`), for a
destination to lack.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath

from matrix.model import Launch
from matrix.plan.command import last_option, without_option

OTHER_UUID = "6f1a6c1e-8f3f-4a51-9a3c-5d2f0f6b7c01"
"""Random; a source without ``-uuid`` has all zeros."""
EXTRA_MEMORY = 64
"""MiB: a block of memory that every machine type here takes more of."""
_UNITS = {"": 1, "m": 1, "g": 1 << 10, "k": 1 / 1024, "t": 1 << 20}
"""MiB per unit of ``-m``, whose default unit is MiB."""
SPARE = "i6300esb"
"""A PCI watchdog, which does nothing until a guest turns it on, and has a section in the stream."""


def more_memory(launch: Launch) -> Launch:
    """With more memory, of the same kind."""
    value = last_option(launch.argv, "-m") or "128"
    size, *rest = value.removeprefix("size=").split(",")
    number = size.rstrip("bB").rstrip("kmgtKMGT")
    unit = size.rstrip("bB")[len(number) :].lower()
    mebibytes = int(float(number) * _UNITS[unit]) + EXTRA_MEMORY
    return _with(launch, "-m", ",".join((f"{mebibytes}M", *rest)))


def other_vcpus(launch: Launch) -> Launch:
    """With one vCPU less; of one alone, with one more. Of its topology only ``maxcpus`` is kept."""
    value = last_option(launch.argv, "-smp") or "1"
    count, *rest = value.removeprefix("cpus=").split(",")
    other = int(count) - 1 or 2
    kept = [item for item in rest if item.startswith("maxcpus=")]
    bare = replace(launch, argv=without_option(launch.argv, "-smp"))
    return _with(bare, "-smp", ",".join((str(other), *kept)))


def other_uuid(launch: Launch) -> Launch:
    """With a UUID that its source has not."""
    return _with(launch, "-uuid", OTHER_UUID)


def other_machine(launch: Launch) -> Launch:
    """With another machine type that takes the same devices.

    Raises:
        ValueError: none is known for this architecture.
    """
    architecture, current = architecture_of(launch), machine_of(launch)
    if architecture in ("x86_64", "i386"):
        return _with_machine(launch, "pc" if "q35" in current else "q35")
    for candidate in OTHER_MACHINES.get(architecture, ()):
        if candidate != current:
            return _with_machine(launch, candidate)
    raise ValueError(f"no other machine type is known for {architecture}")


def without_device(launch: Launch) -> Launch:
    """Without a device whose state the source sends.

    Raises:
        ValueError: none is known for this architecture.
    """
    architecture = architecture_of(launch)
    change = MISSING_DEVICES.get(architecture)
    if change is None:
        raise ValueError(f"no device is known that {architecture} can do without")
    return change(launch)


def with_spare(launch: Launch) -> Launch:
    """With a device that :func:`without_device` can take out, where the machine has none."""
    spared = MISSING_DEVICES.get(architecture_of(launch)) is _no_spare
    return _with(launch, "-device", SPARE) if spared else launch


def architecture_of(launch: Launch) -> str:
    """The name of QEMU's target, from that of its program."""
    return PurePath(launch.argv[0]).name.removeprefix("qemu-system-")


def machine_of(launch: Launch) -> str:
    """The machine type, empty for the architecture's default."""
    for index in range(len(launch.argv) - 2, -1, -1):
        if launch.argv[index] in ("-machine", "--machine", "-M"):
            first = launch.argv[index + 1].split(",")[0]
            if "=" not in first or first.startswith("type="):
                return first.removeprefix("type=")
    return ""


OTHER_MACHINES: dict[str, tuple[str, ...]] = {
    "aarch64": ("virt-7.1", "virt-7.0"),
    "arm": ("virt-7.1", "virt-7.0"),
    "ppc64": ("pseries-7.1", "pseries-7.0"),
    "s390x": ("s390-ccw-virtio-7.1", "s390-ccw-virtio-7.0"),
    "riscv64": ("spike", "virt"),
    "riscv32": ("spike", "virt"),
}
"""Machine types that QEMU 7.2 to 11.1 have, of which one is not the case's. Their names are in the
stream."""


def _no_hpet(launch: Launch) -> Launch:
    return _with(launch, "-machine", "hpet=off")


def _other_interrupt_controller(launch: Launch) -> Launch:
    version = "2" if "gic-version=3" in " ".join(launch.argv) else "3"
    return _with(launch, "-machine", f"gic-version={version}")


def _no_first_serial(launch: Launch) -> Launch:
    """Pseries' terminal exists only with something behind it."""
    argv = list(launch.argv)
    for index, word in enumerate(argv[:-1]):
        if word in ("-serial", "--serial"):
            argv[index + 1] = "none"
    return replace(launch, argv=tuple(argv))


def _other_plic(launch: Launch) -> Launch:
    return _with(launch, "-machine", "aia=aplic")


def _no_console(launch: Launch) -> Launch:
    return _without_device(launch, "sclpconsole")


def _no_spare(launch: Launch) -> Launch:
    return _without_device(launch, SPARE)


def _without_device(launch: Launch, driver: str) -> Launch:
    """Without ``-device DRIVER[,…]``."""
    argv = list(launch.argv)
    for index, word in enumerate(argv):
        if word.partition(",")[0] == driver:
            del argv[index - 1 : index + 1]
            break
    return replace(launch, argv=tuple(argv))


MISSING_DEVICES: dict[str, Callable[[Launch], Launch]] = {
    "x86_64": _no_hpet,
    "i386": _no_hpet,
    "aarch64": _other_interrupt_controller,
    "arm": _other_interrupt_controller,
    "ppc64": _no_first_serial,
    "s390x": _no_console,
    "riscv64": _other_plic,
    "riscv32": _other_plic,
    "mips64el": _no_spare,
    "loongarch64": _no_spare,
}


def _with(launch: Launch, *words: str) -> Launch:
    return replace(launch, argv=(*launch.argv, *words))


def _with_machine(launch: Launch, machine: str) -> Launch:
    """With the type replaced where it is named: its other properties are kept."""
    argv = list(launch.argv)
    for index in range(len(argv) - 2, -1, -1):
        if argv[index] in ("-machine", "--machine", "-M"):
            first, *rest = argv[index + 1].split(",")
            if "=" in first and not first.startswith("type="):
                rest.insert(0, first)
            argv[index + 1] = ",".join((machine, *rest))
            return replace(launch, argv=tuple(argv))
    return _with(launch, "-machine", machine)
