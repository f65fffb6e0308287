"""What kernels log of parameters and of KVM's mode; the lines are of Debian's 6.1 and 6.12."""

import pytest

from matrix.hosts.virtual.kernel_says import logged_mode, refused_parameter
from matrix.hosts.virtual.protocol import KernelRecord
from matrix.model import KvmMode

NESTED = "CPU features: detected: Nested Virtualization Support"


def records(*lines: str) -> list[KernelRecord]:
    return [KernelRecord(6, number, 0.0, line) for number, line in enumerate(lines)]


@pytest.mark.parametrize(
    ("lines", "mode"),
    [
        (["kvm [1]: VHE mode initialized successfully"], KvmMode.VHE),
        (["kvm [1]: Hyp mode initialized successfully"], KvmMode.NVHE),
        (["kvm [1]: Hyp nVHE mode initialized successfully"], KvmMode.NVHE),
        (["kvm [1]: Protected nVHE mode initialized successfully"], KvmMode.PROTECTED),
        (["kvm [1]: Protected hVHE mode initialized successfully"], KvmMode.PROTECTED),
        ([NESTED, "kvm [1]: VHE mode initialized successfully"], KvmMode.NESTED),
        (["kvm [1]: VHE+NV2 mode initialized successfully"], KvmMode.NESTED),
        (["kvm [1]: HYP mode not available"], None),
        ([], None),
    ],
)
def test_the_mode_of_kvm(lines: list[str], mode: KvmMode | None) -> None:
    found, said = logged_mode(records("Booting Linux", *lines))
    assert found is mode
    assert said == (lines[0] if mode else "")


@pytest.mark.parametrize(
    "line",
    [
        "kvm_amd: unknown parameter 'nest' ignored",
        "kvm: `maybe' invalid for parameter `nx_huge_pages'",
        "Malformed early option 'kvm-arm.mode'",
        'Unknown kernel command line parameters "mitigatons=off", will be passed to user space.',
    ],
)
def test_a_parameter_that_is_not_taken(line: str) -> None:
    assert refused_parameter(records("Booting Linux", line)) == line


def test_a_kernel_that_takes_all() -> None:
    line = "Kernel command line: console=ttyAMA0 quiet kvm.halt_poll_ns=0"
    assert refused_parameter(records(line)) == ""
