"""What can be plugged into a machine while it runs, and how it is unplugged. Pure.

Nothing here needs a driver in the guest, which the embedded guests do not have. Unplugging does,
mostly: what a machine does with the request of a guest that never answers is in
``findings/unplug-before-the-guest-looks.sh``, the same in QEMU 7.2, 10.0 and 11.1.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from matrix.model import Launch
from matrix.plan.command import last_option

X86 = ("-x86_64", "-i386")
PORT = "explore-port"
"""Where a device goes on machines whose PCI bus takes none while they run."""
SLOTS = "slots=1,maxmem=512M"
MEMORY_SIZE = 32 << 20
BACKEND = "explore-memory-backend"


class Part(StrEnum):
    """What is plugged."""

    DEVICE = "device"
    """A random number generator: migratable, and silent as long as no guest asks it."""
    MEMORY = "memory"
    VCPU = "vcpu"

    @property
    def id(self) -> str:
        """QEMU's name for it."""
        return f"explore-{self.value}"


@dataclass(frozen=True, slots=True)
class Hotplug:
    """What one machine takes."""

    parts: frozenset[Part] = frozenset()
    bus: str = ""
    """Where the device goes, as options of it."""
    at_reset: bool = False
    """A device that is to go does so with the next reset; else at once, unless it was there at a
    reset, which puts it to use: then only the guest's driver can let it go."""
    port: bool = False
    """The command line gives it the port that the device goes to."""
    missing: Mapping[Part, str] = field(default_factory=dict)
    """Why it does not take the others."""

    def fitted(self, launch: Launch) -> Launch:
        """The command line of a machine that takes the parts."""
        argv = list(launch.argv)
        if self.port:
            argv += ["-device", f"pcie-root-port,id={PORT},chassis=9"]
        for option, part, more in (("-m", Part.MEMORY, SLOTS), ("-smp", Part.VCPU, "maxcpus=2")):
            if part in self.parts:
                last = len(argv) - 1 - argv[::-1].index(option)
                argv[last + 1] += f",{more}"
        return replace(launch, argv=tuple(argv))

    def words(self, parts: Iterable[Part], vcpu: Mapping[str, object]) -> tuple[str, ...]:
        """What a destination's command line needs to have them, too.

        Args:
            parts: that the source has.
            vcpu: driver and place of the vCPU, as :func:`device_add` takes them.
        """
        found: list[str] = []
        for part in sorted(parts):
            if part is Part.MEMORY:
                memory = f"memory-backend-ram,id={BACKEND},size={MEMORY_SIZE}"
                found += ["-object", memory]
            arguments = dict(self.device(part, vcpu))
            options = ",".join(f"{name}={value}" for name, value in arguments.items())
            found += ["-device", options.removeprefix("driver=")]
        return tuple(found)

    def device(self, part: Part, vcpu: Mapping[str, object]) -> Mapping[str, object]:
        """Arguments of ``device_add`` for it; ``vcpu`` as for :meth:`words`."""
        match part:
            case Part.DEVICE:
                place = dict(word.split("=") for word in self.bus.split(","))
                return {"driver": "virtio-rng-pci", "id": part.id, **place}
            case Part.MEMORY:
                return {"driver": "pc-dimm", "id": part.id, "memdev": BACKEND}
            case Part.VCPU:
                return {**vcpu, "id": part.id}


_NO_FIRMWARE = "the machine takes memory with firmware (ACPI) alone, and this guest has none"
_NO_VCPUS = "QEMU plugs no vCPUs into this machine"
_UNTRIED = "nobody has tried it with this machine"
_BY_FAMILY: Mapping[str, Hotplug] = {
    "pc-i440fx": Hotplug(frozenset(Part), "bus=pci.0,addr=0x10", at_reset=True),
    "pc-q35": Hotplug(frozenset(Part), f"bus={PORT}", at_reset=True, port=True),
    "virt": Hotplug(
        frozenset({Part.DEVICE}),
        f"bus={PORT}",
        port=True,
        missing={Part.MEMORY: _NO_FIRMWARE, Part.VCPU: _NO_VCPUS},
    ),
}
"""By the machine type without its version."""
_SHORT = {"pc": "pc-i440fx", "q35": "pc-q35"}


def hotplug_of(launch: Launch) -> Hotplug:
    """What the machine of that command line takes; nothing where that was never tried."""
    machine = last_option(launch.argv, "-machine").partition(",")[0]
    if launch.argv[0].endswith(X86) and (not machine or "=" in machine):
        machine = "pc"  # QEMU's default
    family = _SHORT.get(machine) or machine.rpartition("-")[0] or machine
    found = _BY_FAMILY.get(family, Hotplug(missing=dict.fromkeys(Part, _UNTRIED)))
    missing = dict(found.missing)
    if Part.VCPU in found.parts and last_option(launch.argv, "-smp") != "1":
        missing[Part.VCPU] = "it has several vCPUs already"
    if Part.MEMORY in found.parts and not last_option(launch.argv, "-m").isalnum():
        missing[Part.MEMORY] = "its memory is not a size alone"
    return replace(found, parts=found.parts - missing.keys(), missing=missing)
