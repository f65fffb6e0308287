"""The state of this host's KVM: the device, what may be wrong with it, and which guests it can run.

That the device opens says nothing about whether guests run: :mod:`.kvm_proof` finds out.
"""

import errno
import fcntl
import grp
import os
import pwd
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matrix.model import Architecture

KVM_GET_API_VERSION = 0xAE00
"""ioctl number and :data:`API_VERSION`: Linux, Documentation/virt/kvm/api.rst, 4.1."""
API_VERSION = 12
KVM_CHECK_EXTENSION = 0xAE03
DIRTY_RING_EXTENSIONS = (192, 223)
"""KVM_CAP_DIRTY_LOG_RING and KVM_CAP_DIRTY_LOG_RING_ACQ_REL (Linux, linux/kvm.h): QEMU takes either
(``kvm_dirty_ring_init``)."""

GUESTS: dict[str, tuple[Architecture, ...]] = {
    "x86_64": (Architecture.X86_64, Architecture.I386),
    "i386": (Architecture.I386,),
    "i686": (Architecture.I386,),
    "aarch64": (Architecture.AARCH64, Architecture.ARM),
    "ppc64": (Architecture.PPC64,),
    "ppc64le": (Architecture.PPC64,),
    "s390x": (Architecture.S390X,),
    "riscv64": (Architecture.RISCV64,),
    "riscv32": (Architecture.RISCV32,),
    "mips64": (Architecture.MIPS64EL,),
    "loongarch64": (Architecture.LOONGARCH64,),
}
"""Guest architectures that KVM of a kernel of that ``uname -m`` can run."""

ALL_GROUPS = 2**32 - 1
"""How many a namespace maps that is no user namespace of its own."""
Opener = Callable[[Path], int]
"""Opens the device for reading and writing; returns a descriptor or raises OSError."""


@dataclass(frozen=True, slots=True)
class KvmDevice:
    """What is known of /dev/kvm without starting a guest."""

    problem: str
    """Empty where the device can be used, else why not and what would help."""
    state: str
    """Text that changes whenever the outcome of a proof may change: the device's ownership and
    mode, whether it opens, the KVM modules with their parameters, and the CPU."""
    modules: tuple[str, ...] = ()
    """Loaded KVM modules (``kvm``, ``kvm_intel``); a KVM built into the kernel shows here too."""
    dirty_ring: bool = False
    """Whether it reports dirty pages in rings."""


def open_device(path: Path) -> int:
    """Open the device as QEMU does."""
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def read_device(
    root: Path = Path("/"), *, cpu: str = "", opener: Opener = open_device
) -> KvmDevice:
    """Look at the KVM device below ``root``.

    Args:
        root: where ``dev`` and ``sys`` are found (tests give a made-up tree).
        cpu: what identifies the host's CPU, with its flags; becomes part of ``state``, and its
            flags tell why there may be no device.
        opener: opens the device.
    """
    path = root / "dev/kvm"
    modules = _modules(root)
    problem, dirty_ring = _look(root, path, cpu, opener)
    described = "\n".join(
        [_describe(path), problem, cpu, *(f"{name} {values}" for name, values in modules)]
    )
    return KvmDevice(problem, described, tuple(name for name, _ in modules), dirty_ring)


def why_no_kvm(
    architecture: Architecture, host_architecture: str, device: KvmDevice, *, built_in: bool
) -> str:
    """Why a QEMU binary cannot use KVM for a guest architecture; empty where it may try.

    Args:
        architecture: the guest's.
        host_architecture: ``uname -m``.
        device: of :func:`read_device`.
        built_in: whether the QEMU binary that would run the guest has KVM.
    """
    guests = GUESTS.get(host_architecture, ())
    if architecture not in guests:
        can = " and ".join(guest.value for guest in guests)
        runs = f"runs {can} guests only" if can else "runs none of these architectures"
        return f"this {host_architecture} host's KVM {runs}"
    if device.problem:
        return device.problem
    if not built_in:
        return "this QEMU was built without KVM"
    return ""


def _look(root: Path, path: Path, cpu: str, opener: Opener) -> tuple[str, bool]:
    """What is wrong with the device, and whether it has dirty rings."""
    try:
        descriptor = opener(path)
    except OSError as error:
        return _why_not_opened(root, path, cpu, error), False
    try:
        version = fcntl.ioctl(descriptor, KVM_GET_API_VERSION, 0)
        if version != API_VERSION:
            return f"/dev/kvm speaks API version {version}, QEMU needs {API_VERSION}", False
        rings = (fcntl.ioctl(descriptor, KVM_CHECK_EXTENSION, n) for n in DIRTY_RING_EXTENSIONS)
        return "", any(size > 0 for size in rings)
    except OSError as error:
        return f"/dev/kvm is not KVM's device: {os.strerror(error.errno or 0)}", False
    finally:
        os.close(descriptor)


def _why_not_opened(root: Path, path: Path, cpu: str, error: OSError) -> str:
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        what = "no /dev/kvm" if error.errno == errno.ENOENT else "/dev/kvm has no driver behind it"
        return f"{what}: {_why_no_device(root, cpu)}"
    if error.errno == errno.EACCES:
        return f"no permission to open /dev/kvm: {_who_may(root, path)}"
    if error.errno == errno.EPERM:
        return "no permission to open /dev/kvm: the container's device rules deny it"
    if error.errno == errno.EBUSY:
        return "/dev/kvm is busy: another hypervisor holds the CPU's virtualization"
    return f"/dev/kvm cannot be opened: {os.strerror(error.errno or 0)}"


def _why_no_device(root: Path, cpu: str) -> str:
    """The likeliest reason, as the kernel itself gives none to user space."""
    containers = ("run/.containerenv", ".dockerenv")
    if any((root / name).exists() for name in containers):
        return "start the container with --device /dev/kvm"
    flags = set(cpu.split())
    for flag, module in (("vmx", "kvm_intel"), ("svm", "kvm_amd")):
        if flag in flags:
            return f"load its module (modprobe {module})"
    if "GenuineIntel" in flags or "AuthenticAMD" in flags:
        return (
            "the CPU shows no virtualization (vmx, svm); enable it in the firmware's setup, "
            "or nested virtualization in the hypervisor"
        )
    return "the kernel offers no KVM here"


def _who_may(root: Path, path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        return os.strerror(error.errno or 0)
    if _unmapped(root, status.st_gid):
        return (
            "its group is not mapped in this user namespace; keep the groups that you have outside "
            "(podman run --group-add keep-groups), or run outside of it"
        )
    owner, group = _user_name(status.st_uid), _group_name(status.st_gid)
    return who_may_open(status.st_mode, owner, group, _user_name(os.geteuid()))


def _unmapped(root: Path, group: int) -> bool:
    """Whether a group is shown in place of one that this user namespace does not map
    (user_namespaces(7))."""
    try:
        lines = (root / "proc/self/gid_map").read_text().splitlines()
        overflow = int((root / "proc/sys/kernel/overflowgid").read_text())
    except (OSError, ValueError):
        return False
    mapped = sum(int(line.split()[2]) for line in lines)
    return group == overflow and mapped < ALL_GROUPS


def who_may_open(mode: int, owner: str, group: str, user: str) -> str:
    """Who may read and write a file of that mode, and what ``user`` can do about it, in words."""
    belongs = f"it is {stat.filemode(mode)} {owner}:{group}"
    if mode & stat.S_IRGRP and mode & stat.S_IWGRP and group not in ("root", "0"):
        return f"{belongs}, so join the group (usermod -aG {group} {user})"
    return belongs


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _describe(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        return os.strerror(error.errno or 0)
    return f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid} {status.st_rdev:x}"


def _modules(root: Path) -> list[tuple[str, str]]:
    """Each KVM module with its build (``srcversion``) and its parameters, as text."""
    modules = []
    for directory in sorted((root / "sys/module").glob("kvm*")):
        files = [directory / "srcversion", *sorted(directory.glob("parameters/*"))]
        values = [f"{file.name}={content}" for file in files if (content := _first_line(file))]
        modules.append((directory.name, " ".join(values)))
    return modules


def _first_line(path: Path) -> str:
    """A sysfs file's content; empty where it is not there or may not be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
