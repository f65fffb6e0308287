"""What cases need of a host, and what is said of one that lacks it."""

import pytest

from matrix.capabilities import Kind, Need, Offer, lacking, lacking_in_files

HERE = Offer("this host", 2)
THERE = Offer("virtual-x", 1, ("edu",), is_virtual=True)


@pytest.mark.parametrize(
    ("need", "offer", "reason"),
    [
        (Need(Kind.CPUS, "2"), HERE, ""),
        (Need(Kind.CPUS, "3"), HERE, "needs 3 CPUs, but this host has 2"),
        (
            Need(Kind.CPUS, "2"),
            THERE,
            "needs 2 CPUs, but virtual-x has 1 (cpus=2 gives it)",
        ),
        (Need(Kind.DEVICE, "edu"), THERE, ""),
        (
            Need(Kind.DEVICE, "nvme"),
            THERE,
            "needs the device nvme to assign, but virtual-x has edu (devices=nvme gives it)",
        ),
        (
            Need(Kind.DEVICE, "edu"),
            HERE,
            (
                "needs the device edu to assign, but this host has none (a virtual KVM host with "
                "devices=edu has it)"
            ),
        ),
        (
            Need(Kind.DEVICE, "edu"),
            Offer("virtual-y", 1, ("edu",), "no driver", is_virtual=True),
            "needs the device edu to assign, but virtual-y has no IOMMU: no driver",
        ),
        (
            Need(Kind.IOMMU),
            Offer("virtual-y", 1, no_iommu="no driver", is_virtual=True),
            "needs an IOMMU, but virtual-y has no IOMMU: no driver",
        ),
        (Need(Kind.PARAMETER, "kvm.a=1"), HERE, ""),  # its file tells
    ],
)
def test_what_is_known_before_anything_runs(need: Need, offer: Offer, reason: str) -> None:
    assert lacking([need], offer) == reason


@pytest.mark.parametrize(
    ("need", "content", "reason"),
    [
        (Need(Kind.PARAMETER, "kvm.enable_pmu=Y"), "Y", ""),
        (Need(Kind.PARAMETER, "kvm.enable_pmu=Y"), "1", ""),
        (Need(Kind.PARAMETER, "kvm.n=off"), "off", ""),
        (
            Need(Kind.PARAMETER, "kvm.enable_pmu=Y"),
            "N",
            (
                "needs kvm.enable_pmu=Y, but on virtual-x "
                "/sys/module/kvm/parameters/enable_pmu holds 'N' (kvm.enable_pmu=Y gives it)"
            ),
        ),
        (Need(Kind.NESTED, "svm"), "1", ""),
        (
            Need(Kind.NESTED, "vmx"),
            None,
            (
                "needs nested virtualization (VMX), but on virtual-x "
                "/sys/module/kvm_intel/parameters/nested is not there"
            ),
        ),
        (Need(Kind.IOMMU), "DMA-FQ", ""),
        (
            Need(Kind.IOMMU),
            None,
            ("needs an IOMMU, but on virtual-x /sys/kernel/iommu_groups/0/type is not there"),
        ),
        (Need(Kind.HUGE_PAGES, "3"), "4", ""),
        (
            Need(Kind.HUGE_PAGES, "3"),
            "0",
            (
                "needs 3 huge pages, but on virtual-x /proc/sys/vm/nr_hugepages holds '0' "
                "(append=hugepages=3 gives it)"
            ),
        ),
        (Need(Kind.DEVICE, "edu"), None, ""),
    ],
)
def test_what_the_hosts_kernel_tells(need: Need, content: str | None, reason: str) -> None:
    assert lacking_in_files([need], {need.file: content}, THERE) == reason
