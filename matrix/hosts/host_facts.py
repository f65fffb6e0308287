"""The machine itself: CPUs and memory that guests may take, the CPU's name, the kernel."""

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from matrix.hosts.kvm import KvmDevice, read_device
from matrix.inventory import Host
from matrix.results.printable import in_ci
from matrix.vm.cgroups import available_memory, read_limits

CPUINFO_BYTES = 8192
"""How much of /proc/cpuinfo is read: the first CPU's entry takes 2–4 KiB, and the kernel makes up
only what is read, which on hosts with hundreds of CPUs saves tens of milliseconds."""

LINE_BYTES = 4096
"""How much of a file is read for its first line."""

BOOT_FILES = ("proc/sys/kernel/random/boot_id",)
MACHINE_FILES = tuple(
    f"sys/class/dmi/id/{name}" for name in ("sys_vendor", "product_name", "bios_version")
)
"""What tells kinds of machines apart, as of a cloud; only x86 and Arm with UEFI have them."""

CAP_SYS_PTRACE = 19
"""Linux, linux/capability.h."""

VENDOR_KEYS = ("vendor_id", "CPU implementer", "mvendorid")
MODEL_KEYS = ("model name", "cpu model", "cpu", "uarch", "processor 0", "CPU part", "isa")
IDENTITY_KEYS = (
    *VENDOR_KEYS,
    *MODEL_KEYS,
    *("cpu family", "model", "stepping", "microcode", "flags", "Features", "features", "revision"),
)
"""Keys of /proc/cpuinfo by architecture: x86, Arm, POWER, s390, RISC-V, MIPS."""


@dataclass(frozen=True, slots=True)
class HostState:
    """The host as the inventory shows it, and what proofs of KVM on it depend on."""

    host: Host
    device: KvmDevice
    key: str
    """Text that changes with the kernel, the boot (in CI: the kind of machine), the CPU and
    /dev/kvm's state."""


def read_host(root: Path = Path("/"), *, device: KvmDevice | None = None) -> HostState:
    """Read the host's state below ``root`` (tests give a made-up tree).

    Args:
        root: where ``proc``, ``sys`` and ``dev`` are found.
        device: the KVM device, where it is known already.
    """
    system = os.uname()
    cpu = read_cpuinfo(root / "proc/cpuinfo")
    identity = " ".join(cpu[key] for key in IDENTITY_KEYS if key in cpu)
    if device is None:
        device = read_device(root, cpu=identity)
    limits = read_limits(root)
    huge_page_size, huge_pages_free = read_huge_pages(root)
    host = Host(
        architecture=system.machine,
        kernel=system.release,
        cpus=_cpus(limits.cpus),
        memory=available_memory(root, limits),
        cpu_vendor=_first(cpu, VENDOR_KEYS),
        cpu_model=_first(cpu, MODEL_KEYS),
        kvm_device=device.problem,
        kvm_modules=device.modules,
        kvm_dirty_ring=device.dirty_ring,
        userfaultfd=why_no_userfaultfd(root),
        huge_page_size=huge_page_size,
        huge_pages_free=huge_pages_free,
        memory_limit=limits.memory_limit,
    )
    # The boot is part of it: what lies below this kernel (firmware settings, an outer hypervisor)
    # decides whether guests run, shows nowhere, and changes only with a reboot. A CI job mostly has
    # a machine of its own, and asks again where it is of another kind.
    below = MACHINE_FILES if in_ci(os.environ) else BOOT_FILES
    boot = "\n".join(_text(root / name).strip() for name in below)
    key = f"{system.machine}\n{system.release}\n{system.version}\n{boot}\n{device.state}"
    return HostState(host, device, key)


def why_no_userfaultfd(root: Path = Path("/")) -> str:
    """Why this user may not handle the kernel's page faults in user space; empty where it may.

    Linux, Documentation/admin-guide/mm/userfaultfd.rst: by a capability, a setting or a device.
    QEMU asks for more than UFFD_USER_MODE_ONLY, as vhost and KVM fault in the kernel.
    """
    for line in _text(root / "proc/self/status").splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff" and int(value.strip() or "0", 16) >> CAP_SYS_PTRACE & 1:
            return ""
    setting = _text(root / "proc/sys/vm/unprivileged_userfaultfd").strip()
    if setting == "1" or os.access(root / "dev/userfaultfd", os.R_OK | os.W_OK):
        return ""
    if not setting:
        return "the kernel has no userfaultfd"
    return (
        "no permission for userfaultfd: be root, set vm.unprivileged_userfaultfd=1 (sysctl), or "
        "get access to /dev/userfaultfd"
    )


def read_huge_pages(root: Path = Path("/")) -> tuple[int, int]:
    """Bytes of a huge page of the default size, and how many can be had now; zeros for none."""
    values = {}
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if name in ("Hugepagesize", "HugePages_Free", "HugePages_Rsvd") and words:
            values[name] = int(words[0])
    free = values.get("HugePages_Free", 0) - values.get("HugePages_Rsvd", 0)
    return values.get("Hugepagesize", 0) * 1024, max(0, free)


def read_cpuinfo(path: Path) -> dict[str, str]:
    """The keys and values of the first CPU in a ``cpuinfo`` file; empty where it is unreadable."""
    try:
        with path.open("rb") as file:
            text = file.read(CPUINFO_BYTES).decode(errors="replace")
    except OSError:
        return {}
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            values.setdefault(key.strip(), value.strip())
    return values


def _cpus(limit: float | None) -> int:
    """CPUs that this process may use at once; a limit of 1.5 CPUs is one."""
    available = len(os.sched_getaffinity(0))
    return available if limit is None else max(1, min(available, int(limit)))


def _first(values: dict[str, str], keys: tuple[str, ...]) -> str:
    return next((values[key] for key in keys if values.get(key)), "")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def first_lines(paths: Collection[str]) -> tuple[tuple[str, str], ...]:
    """(path, first line) of each file that can be read; devices and pipes are not files."""
    found = []
    for path in dict.fromkeys(paths):
        try:
            if not stat.S_ISREG(Path(path).stat().st_mode):
                continue
            with Path(path).open("rb") as file:
                lines = file.read(LINE_BYTES).decode(errors="replace").splitlines()
        except (OSError, ValueError):  # ValueError: a NUL in the path
            continue
        found.append((path, lines[0].strip() if lines else ""))
    return tuple(found)
