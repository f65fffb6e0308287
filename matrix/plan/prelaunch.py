"""Which cases may be prelaunched: QEMU started ahead, its guest stopped until its turn. Pure.

Starting QEMU takes 20 to 100 ms, most of what a short test takes. Done while another guest runs it
costs nothing, provided that it takes nothing of the host that only one QEMU can have, and that no
value of the test depends on the moment at which it starts.
"""

from matrix.model import MemoryBackend, Target
from matrix.plan.decisions import Run

HARMLESS = frozenset(
    {
        "accel",
        "append",
        "cpu",
        "device",
        "enable-kvm",
        "global",
        "icount",
        "M",
        "m",
        "machine",
        "name",
        "no-reboot",
        "nodefaults",
        "smp",
        "uuid",
        "watchdog-action",
    }
)
"""Options of QEMU that take nothing of the host but memory, which a guest has to touch first. Of
others, two at the same time may want the same port, file or lock."""

HOST_DEVICES = ("vfio", "vhost")
"""Beginnings of the names of devices that are the host's, of which there is one."""


def can_prelaunch(decision: Run) -> bool:
    """Whether this case's QEMU may be started ahead."""
    case = decision.case
    return (
        case.migration is None
        and case.build.target is Target.QEMU  # others run at once
        and case.variant.backend is not MemoryBackend.HUGEPAGES  # taken at once
        and not case.test.dynamic
        and _is_harmless(case.test.qemu_params)
    )


def _is_harmless(parameters: tuple[str, ...]) -> bool:
    options = (word.lstrip("-") for word in parameters if word.startswith("-"))
    devices = any(word.startswith(HOST_DEVICES) for word in parameters)
    return not devices and HARMLESS.issuperset(options)
