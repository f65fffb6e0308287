"""What cases need of the host that they run on, by name, and what hosts of every kind offer. Pure.

A host says of some capabilities before anything runs there whether it has them; of the others the
kernel tells in a file, which is read on this machine when it is surveyed, and in a virtual host
before the case starts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The capabilities."""

    CPUS = "cpus"
    HUGE_PAGES = "huge-pages"
    NESTED = "nested"
    PARAMETER = "parameter"
    IOMMU = "iommu"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Need:
    """One capability that a case needs."""

    kind: Kind
    value: str = ""
    """How many CPUs or huge pages; ``svm`` or ``vmx``; ``module.parameter=value``; the device."""

    @property
    def file(self) -> str:
        """Where a Linux host tells whether it has it; empty where that is known otherwise."""
        match self.kind:
            case Kind.HUGE_PAGES:
                return "/proc/sys/vm/nr_hugepages"
            case Kind.NESTED:
                return f"/sys/module/{_NESTED[self.value]}/parameters/nested"
            case Kind.PARAMETER:
                module, _, parameter = self.value.partition("=")[0].partition(".")
                return f"/sys/module/{module}/parameters/{parameter}"
            case Kind.IOMMU:
                return "/sys/kernel/iommu_groups/0/type"
            case Kind.CPUS | Kind.DEVICE:
                return ""

    @property
    def words(self) -> str:
        """What it is, behind "needs"."""
        match self.kind:
            case Kind.CPUS:
                return f"{self.value} CPUs"
            case Kind.HUGE_PAGES:
                return f"{self.value} huge pages"
            case Kind.NESTED:
                return f"nested virtualization ({self.value.upper()})"
            case Kind.PARAMETER:
                return self.value
            case Kind.IOMMU:
                return "an IOMMU"
            case Kind.DEVICE:
                return f"the device {self.value} to assign"


_NESTED = {"svm": "kvm_amd", "vmx": "kvm_intel"}
_TRUE, _FALSE = ("Y", "1"), ("N", "0")
"""As files of module parameters have them: bool, and int that is used as one."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a host has, as far as that is known before anything runs there."""

    host: str
    """Its name, or ``this host``."""
    cpus: int
    devices: tuple[str, ...] = ()
    """Those that it can assign to guests."""
    no_iommu: str = ""
    """Why it has no IOMMU; empty where it has one, or where that is not known yet."""
    is_virtual: bool = False


def lacking(needs: Iterable[Need], offer: Offer) -> str:
    """The first need that the host does not meet, and what would; empty where it meets all.

    Of those with a file nothing is said here.
    """
    for need in needs:
        if need.kind is Kind.CPUS and int(need.value) > offer.cpus:
            what = f"{offer.host} has {offer.cpus}"
        elif need.kind in (Kind.IOMMU, Kind.DEVICE) and offer.no_iommu:
            what = f"{offer.host} has no IOMMU: {offer.no_iommu}"
        elif need.kind is Kind.DEVICE and need.value not in offer.devices:
            what = f"{offer.host} has " + (", ".join(offer.devices) or "none")
        else:
            continue
        return f"needs {need.words}, but {what}{_remedy(need, offer)}"
    return ""


def lacking_in_files(
    needs: Iterable[Need], contents: Mapping[str, str | None], offer: Offer
) -> str:
    """As :func:`lacking`, of needs with a file, of which ``contents`` has the text or None."""
    for need in needs:
        if not need.file:
            continue
        found = contents.get(need.file)
        if not _meets(need, found):
            has = "is not there" if found is None else f"holds {found!r}"
            remedy = _remedy(need, offer)
            return f"needs {need.words}, but on {offer.host} {need.file} {has}{remedy}"
    return ""


def _meets(need: Need, found: str | None) -> bool:
    if found is None or need.kind is Kind.IOMMU:
        return found is not None
    if need.kind is Kind.HUGE_PAGES:
        return found.isdecimal() and int(found) >= int(need.value)
    wanted = "Y" if need.kind is Kind.NESTED else need.value.partition("=")[2]
    same = next((each for each in (_TRUE, _FALSE) if wanted in each), (wanted,))
    return found in same


def _remedy(need: Need, offer: Offer) -> str:
    """What gives a virtual host what it lacks, in the words of its option."""
    if need.kind is Kind.DEVICE and not offer.is_virtual:
        return f" (a virtual KVM host with devices={need.value} has it)"
    if not offer.is_virtual or offer.no_iommu:
        return ""
    match need.kind:
        case Kind.CPUS:
            return f" (cpus={need.value} gives it)"
        case Kind.HUGE_PAGES:
            return f" (append=hugepages={need.value} gives it)"
        case Kind.PARAMETER:
            return f" ({need.value} gives it)"
        case Kind.DEVICE:
            return f" (devices={need.value} gives it)"
        case Kind.NESTED | Kind.IOMMU:
            return ""
