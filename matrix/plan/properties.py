"""What a scenario may set of a machine and a CPU model: what the QEMU that is asked types. Pure.

Scenario files need not be trusted (SECURITY.md), and a property that is a text may name a file that
QEMU reads or writes. So nothing is allowed but what the binary itself calls a boolean, a number, a
size or an enumeration, and texts that are known to name nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

from matrix.inventory import Binary, typed
from matrix.model import Architecture

VALUES = frozenset(
    {
        *("bool", "int", "int8", "int16", "int32", "int64", "size"),
        *("uint8", "uint16", "uint32", "uint64", "uint32_t", "uint64_t"),
        *("OnOffAuto", "PCSouthBridgeOption", "S390CpuEntitlement"),
    }
)
"""Types in ``qom-list-properties`` of QEMU 7.2 to 11.1 whose values can name no file."""

TEXTS = frozenset(
    {
        *("aia", "aia-guests", "boot-mode", "cap-cfpc", "cap-ibs", "cap-sbbc"),
        *("gic-version", "ic-mode", "iommu", "kvm-type", "loadparm", "max-cpu-compat", "msi"),
        *("nvdimm-persistence", "remap", "resize-hpt", "smbios-entry-point-type"),
        *("via", "x-oem-id", "x-oem-table-id"),
        *("hv-vendor-id", "model-id", "priv_spec", "vendor", "vext_spec", "pmp-granularity"),
    }
)
"""Properties that QEMU 7.2 to 11.1 calls texts (or nothing at all) and that are a choice out of a
few words, a name that the guest sees, or a number. Left out are those that name files, other
objects (``pflash0``, ``audiodev``), or whose value may stand for the host's own
(``host-serial=passthrough``)."""

PARTS = {
    "BootConfiguration": frozenset(
        {"menu", "once", "order", "reboot-timeout", "splash-time", "strict"}
    ),
    "SmpCachePropertiesWrapper": frozenset({"cache", "topology"}),
}
"""Type of a structure → the members that may be set (qapi/machine.json). vCPUs and memory, which
are structures too, are axes."""

LEGACY = frozenset({"igd-passthru", "kernel-irqchip", "kvm-shadow-mem"})
"""Of the accelerator, which ``-machine`` passes on (``qemu_apply_legacy_machine_options``)."""

ALLOWED = "a scenario sets booleans, numbers, sizes, enumerations and texts that name no file"

_X86 = (Architecture.X86_64, Architecture.I386)
_X86_SPELLINGS = {"tsc-freq": "tsc-frequency"}


class Flaw(NamedTuple):
    """Why a binary is not given the machine or CPU model that a scenario asks for."""

    what: str
    """What it lacks or should not be given: ``machine 'q53'``."""
    word: str = ""
    """What was not found, and what there is, as far as the binary says."""
    known: tuple[str, ...] = ()
    refused: str = ""
    """Why it is not given that although it may have it; empty where it lacks it."""
    unasked: bool = False
    """Nothing is known of the property: the binary did not say."""

    def described_for(self, binary: Binary) -> str:
        """The reason for a skip."""
        name = f"QEMU {'.'.join(map(str, binary.version))}"
        if self.refused:
            return f"{self.what} of {name}: {self.refused}; {ALLOWED}"
        return f"{name} has no {self.what}"


def machine_flaw(text: str, binary: Binary) -> Flaw | None:
    """What is wrong with ``TYPE[,PROPERTY=VALUE…]`` for the binary; None where it takes it."""
    name, *properties = text.split(",")
    machine = binary.machine(name)
    if machine is None and binary.machines and name:
        names = (each for entry in binary.machines for each in (entry.name, entry.alias) if each)
        return Flaw(f"machine {name!r}", name, tuple(names))
    types = typed(machine.properties) if machine else {}
    whole = f"machine {name!r}"
    for each in properties:
        key, equals, _ = each.partition("=")
        key = key.replace("_", "-")
        if not equals or not key:
            return Flaw(f"{each!r} of {whole}", refused="not NAME=VALUE")
        if key == "accel":
            return Flaw(f"'accel' of {whole}", refused="the accelerator is an axis of its own")
        if key in LEGACY:
            continue
        first, _, member = key.partition(".")
        if flaw := _flaw(first, member.rpartition(".")[2], types, whole):
            return flaw
    return None


def cpu_flaw(text: str, binary: Binary) -> Flaw | None:
    """What is wrong with ``MODEL[,PROPERTY…]`` for the binary; None where it takes it.

    Properties are written as QEMU takes them: ``NAME=VALUE``, and on x86 ``+NAME``, ``-NAME`` and
    ``NAME`` too, with underscores for dashes (``x86_cpu_parse_featurestr``).
    """
    model, *properties = text.split(",")
    architecture = binary.architecture
    if model and binary.cpus and _known_model(model, binary) is None:
        return Flaw(f"CPU model {model!r}", model, binary.cpus)
    if not properties:
        return None
    types = binary.properties_of_cpu(_known_model(model, binary) or "")
    whole = f"CPU model {model!r}"
    for name, is_switch in _cpu_properties(properties):
        key = name
        if architecture in _X86 and name not in types:
            key = name.replace("_", "-")
            key = _X86_SPELLINGS.get(key, key)
        elif is_switch and architecture not in _X86:
            return Flaw(f"{name!r} of {whole}", refused="not NAME=VALUE")
        if architecture not in _X86 and name.startswith("kvm-") and name not in types and types:
            continue  # Arm's and RISC-V's are there only while KVM is in use
        if flaw := _flaw(key, "", types, whole):
            return flaw
    return None


def _cpu_properties(properties: list[str]) -> Iterator[tuple[str, bool]]:
    """Name of each, and whether it is a switch and no assignment."""
    for each in properties:
        name, equals, _ = each.partition("=")
        yield (name, False) if equals else (name.removeprefix("+").removeprefix("-"), True)


def _known_model(model: str, binary: Binary) -> str | None:
    """The model as the binary writes it; POWER's may be written in any case."""
    if model in binary.cpus or binary.architecture is not Architecture.PPC64:
        return model if model in binary.cpus else None
    folded = {name.lower(): name for name in binary.cpus}
    return folded.get(model.lower())


def _flaw(name: str, member: str, types: dict[str, str], whole: str) -> Flaw | None:
    """What is wrong with one property, or with a member of one."""
    what = f"property {name!r} of {whole}"
    if not types:
        return Flaw(what, refused="QEMU did not say of what type it is", unasked=True)
    kind = types.get(name)
    if kind is None:
        return Flaw(what, name, tuple(types))
    if member:
        if member in PARTS.get(kind, ()):
            return None
        return Flaw(f"{member!r} in {what}", refused=f"it is part of a {kind}")
    if kind in VALUES or name in TEXTS:
        return None
    return Flaw(what, refused=f"QEMU types it as {kind or 'nothing'}")
