"""What a case needs of a virtual host that runs: what its kernel tells, and devices for VFIO.

Linux, Documentation/driver-api/vfio.rst, and Documentation/ABI/testing/sysfs-bus-pci for the files.
"""

from collections.abc import Iterable, Sequence

from matrix.capabilities import Kind, Need, Offer, lacking_in_files
from matrix.hosts.virtual.l1_guest import VirtualGuest
from matrix.hosts.virtual.l1_machines import slot_of
from matrix.model import Case, HostDevice

PCI = "/sys/bus/pci"
DRIVER = "vfio-pci"
BACKENDS = (
    "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
    "/sys/class/misc/iommu/dev",
)
"""Files of what VFIO drives an IOMMU with: one of them, or QEMU says "No available IOMMU models".
Linux builds the first for x86, s390 and Arm alone (drivers/vfio/Kconfig, up to 7.2)."""


def placed(words: Iterable[str], devices: Sequence[HostDevice]) -> tuple[str, ...]:
    """Words with the place in the host of each device that ``{device:NAME}`` in them names."""
    named = {f"{{device:{each}}}": slot_of(each, devices) for each in devices}
    return tuple(_filled(word, named) for word in words)


def _filled(word: str, named: dict[str, str]) -> str:
    for name, place in named.items():
        word = word.replace(name, place)
    return word


async def unmet_need(guest: VirtualGuest, case: Case, devices: Sequence[HostDevice] = ()) -> str:
    """What of the host the test needs and has not, as only the host itself can tell: a capability,
    or a file's content (``check = PATH=VALUE``); else empty.

    VFIO then has what it needs of the host's ``devices``.

    Raises:
        HostLostError: the host is gone.
    """
    needs, offer = case.test.needs, Offer("the virtual host", 0, is_virtual=True)
    contents = {need.file: await guest.read_text(need.file) for need in needs if need.file}
    if reason := lacking_in_files(needs, contents, offer):
        return reason
    for path, value in case.test.checks:
        found = await guest.read_text(path)
        if found != value:
            is_what = "cannot be read" if found is None else f"holds {found!r}"
            return f"needs {path} to hold {value!r}, but in the virtual host it {is_what}"
    return await assign(guest, case.test.needs, devices)


async def assign(guest: VirtualGuest, needs: Iterable[Need], devices: Sequence[HostDevice]) -> str:
    """Have VFIO take what a case needs of the host's ``devices``; why it cannot, or empty.

    Raises:
        HostLostError: the host is gone.
    """
    for need in needs:
        if need.kind is not Kind.DEVICE:
            continue
        if reason := await _bind(guest, slot_of(need.value, devices)):
            return f"needs {need.words}, but {reason}"
    return ""


async def _bind(guest: VirtualGuest, slot: str) -> str:
    device, taken = f"{PCI}/devices/{slot}", f"{PCI}/drivers/{DRIVER}/{slot}/vendor"
    release = guest.ready.release if guest.ready is not None else ""
    if await guest.get_file(f"{device}/vendor") is None:
        return f"Linux {release} of the virtual host sees no device at {slot}"
    if not any([await guest.get_file(each) is not None for each in BACKENDS]):
        return (
            f"Linux {release} of the virtual host has nothing that drives an IOMMU for VFIO "
            "(CONFIG_VFIO_IOMMU_TYPE1 or CONFIG_IOMMUFD)"
        )
    if await guest.get_file(taken) is not None:
        return ""
    group, no_iommu = f"{device}/iommu_group/type", "has no driver for its IOMMU"
    # riscv-iommu-pci lets no device through until it has a driver: a disk that waits for its first
    # request is never given up.
    has_driver = await guest.get_file(f"{device}/driver/{slot}/vendor") is not None
    if has_driver and await guest.get_file(group) is None:
        return f"Linux {release} of the virtual host {no_iommu}"
    error = await guest.set_file(f"{device}/driver_override", DRIVER)
    await guest.set_file(f"{device}/driver/unbind", slot)  # fails where no driver has it
    error = error or await guest.set_file(f"{PCI}/drivers_probe", slot)
    if await guest.get_file(taken) is not None:
        return ""
    # A device is put into its group when the first driver is offered it, not before.
    if await guest.get_file(group) is None:
        return f"Linux {release} of the virtual host {no_iommu}"
    return f"Linux {release} of the virtual host does not give it to {DRIVER} (error {error})"
