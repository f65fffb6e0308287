"""What a kernel logs of the parameters it was given, and of the mode of its KVM. Pure."""

import re
from collections.abc import Iterable

from matrix.hosts.virtual.protocol import KernelRecord
from matrix.model import KvmMode

_REFUSED = re.compile(
    r"unknown parameter '[^']*' ignored"
    r"|invalid for parameter `"
    r"|too large for parameter `"
    r"|Malformed early option "
    r"|Unknown kernel command line parameters "
)
"""kernel/module/main.c (unknown_module_param_cb), kernel/params.c (parse_args), init/main.c
(do_early_param, print_unknown_bootoptions) of Linux 6.12."""
_MODE = re.compile(r"kvm \[\d+\]: (?P<said>.*) mode initialized(?: successfully)?$")
"""arch/arm64/kvm/arm.c (kvm_arm_init): "VHE", "VHE+NV2", "Hyp", "Hyp nVHE", "Protected nVHE", …"""
_NESTED = "CPU features: detected: Nested Virtualization Support"
"""arch/arm64/kernel/cpufeature.c, only where the mode is nested and the CPU has FEAT_NV2."""


def refused_parameter(records: Iterable[KernelRecord]) -> str:
    """The line with which the kernel refuses a parameter; empty where it takes all."""
    return next((record.text for record in records if _REFUSED.search(record.text)), "")


def logged_mode(records: Iterable[KernelRecord]) -> tuple[KvmMode | None, str]:
    """In which mode KVM on aarch64 runs, and the line that says so."""
    texts = [record.text for record in records]
    found = next((match for match in map(_MODE.search, texts) if match), None)
    if found is None:
        return None, ""
    if found["said"].startswith("Protected"):
        return KvmMode.PROTECTED, found.string
    if found["said"].startswith("Hyp"):
        return KvmMode.NVHE, found.string
    nested = next((text for text in texts if _NESTED in text), "")
    if nested or "+NV" in found["said"]:
        return KvmMode.NESTED, nested or found.string
    return KvmMode.VHE, found.string
