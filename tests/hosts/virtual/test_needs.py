"""What a virtual host that runs has of what a case needs, and how a device comes to VFIO."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from matrix.capabilities import Kind, Need
from matrix.hosts.virtual.needs import BACKENDS, placed, unmet_need
from matrix.model import HostDevice
from tests import make

EDU = "0000:00:10.0"
DEVICE = f"/sys/bus/pci/devices/{EDU}"
TAKEN = f"/sys/bus/pci/drivers/vfio-pci/{EDU}/vendor"
ENOENT = 2


class Sysfs:
    """A host's files, and what its kernel does when one is written."""

    ready = SimpleNamespace(release="6.12")

    def __init__(self, *, driver: bool = True, iommu: bool = True, there: bool = True) -> None:
        self.files: dict[str, str] = {BACKENDS[0]: "N\n"}
        self.files |= {f"{DEVICE}/vendor": "0x1234\n"} if there else {}
        self.driver, self.iommu = driver, iommu
        self.written: list[tuple[str, str]] = []

    async def get_file(self, path: str) -> bytes | None:
        return self.files[path].encode() if path in self.files else None

    async def read_text(self, path: str) -> str | None:
        return self.files.get(path, "").strip() or None

    async def set_file(self, path: str, content: str) -> int:
        self.written.append((path.rpartition("/")[2], content))
        if path.endswith("/unbind"):
            return ENOENT  # no driver has it
        if path.endswith("/drivers_probe"):
            if self.iommu:
                self.files[f"{DEVICE}/iommu_group/type"] = "DMA\n"
            if self.iommu and self.driver:
                self.files[TAKEN] = "0x1234\n"
        return 0


def unmet(guest: Any, *needs: Need, checks: tuple[tuple[str, str], ...] = ()) -> str:
    case = make.case(make.test(needs=needs, checks=checks), make.ARM64)
    return asyncio.run(unmet_need(guest, case, (HostDevice.EDU,)))


def test_a_device_is_bound_once() -> None:
    guest, need = Sysfs(), Need(Kind.DEVICE, "edu")
    assert unmet(guest, need) == ""
    assert guest.written == [
        ("driver_override", "vfio-pci"),
        ("unbind", EDU),
        ("drivers_probe", EDU),
    ]
    assert unmet(guest, need) == ""
    assert len(guest.written) == 3


@pytest.mark.parametrize(
    ("guest", "reason"),
    [
        (Sysfs(iommu=False), "has no driver for its IOMMU"),
        (Sysfs(driver=False), "does not give it to vfio-pci (error 0)"),
        (Sysfs(there=False), f"sees no device at {EDU}"),
    ],
)
def test_why_a_device_is_not_bound(guest: Sysfs, reason: str) -> None:
    said = unmet(guest, Need(Kind.DEVICE, "edu"))
    assert said == f"needs the device edu to assign, but Linux 6.12 of the virtual host {reason}"


def test_a_kernel_whose_vfio_drives_no_iommu() -> None:
    """As Debian's of riscv64 are."""
    guest = Sysfs()
    del guest.files[BACKENDS[0]]
    assert "has nothing that drives an IOMMU for VFIO (" in unmet(guest, Need(Kind.DEVICE, "edu"))
    assert guest.written == []
    guest.files[BACKENDS[1]] = "10:126\n"
    assert unmet(guest, Need(Kind.DEVICE, "edu")) == ""


def test_a_device_that_waits_for_a_missing_iommu_is_let_alone() -> None:
    """A disk is not given up while it waits for a request that never ends."""
    guest, driver = Sysfs(iommu=False), f"{DEVICE}/driver/{EDU}/vendor"
    guest.files[driver] = "0x1af4\n"
    assert unmet(guest, Need(Kind.DEVICE, "edu")).endswith("has no driver for its IOMMU")
    assert guest.written == []
    guest = Sysfs()
    guest.files |= {driver: "0x1af4\n", f"{DEVICE}/iommu_group/type": "DMA\n"}
    assert unmet(guest, Need(Kind.DEVICE, "edu")) == ""


def test_files_are_looked_at_before_devices() -> None:
    guest = Sysfs()
    said = unmet(guest, Need(Kind.NESTED, "svm"), Need(Kind.DEVICE, "edu"))
    assert said.startswith("needs nested virtualization (SVM), but on the virtual host /sys/module")
    assert guest.written == []
    said = unmet(guest, checks=(("/proc/x", "7"),))
    assert said == "needs /proc/x to hold '7', but in the virtual host it cannot be read"


def test_words_have_the_devices_place() -> None:
    words = ("-device", "vfio-pci,host={device:edu}", "{memory}")
    assert placed(words, (HostDevice.EDU,)) == ("-device", f"vfio-pci,host={EDU}", "{memory}")
