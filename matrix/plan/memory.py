"""What a guest's memory is made of: QEMU's options for it, and why a host has none of the kind."""

from matrix.inventory import Host
from matrix.model import Architecture, Case, MemoryBackend
from matrix.plan.disks import has_backend
from matrix.plan.strategy_settings import RECIPES

MIB = 2**20
NAME = "matrix-memory"
"""Of the memory backend; its nodes' are numbered."""

WITHOUT_NUMA = (Architecture.S390X, Architecture.MIPS64EL)
"""Architectures none of whose machines has NUMA nodes."""


def backend_of(case: Case) -> MemoryBackend | None:
    """What the variant asks for, or what its migration needs; None where QEMU may choose."""
    if case.variant.backend is not None:
        return case.variant.backend
    if has_backend(case):  # which maps it
        return MemoryBackend.MEMFD
    if case.migration is None:
        return None
    shared = any(RECIPES[strategy].shared_memory for strategy in case.migration.strategies)
    return MemoryBackend.MEMFD if shared else None


def memory_arguments(backend: MemoryBackend | None, size: int) -> list[str]:
    """QEMU's options for ``size`` bytes of that memory; none where QEMU may choose."""
    match backend:
        case None:
            return []
        case MemoryBackend.RAM:
            return _whole("memory-backend-ram", size)
        case MemoryBackend.MEMFD:
            return _whole("memory-backend-memfd", size, ",share=on")
        case MemoryBackend.HUGEPAGES:
            # Taken at once: a guest that touches one that is not to be had is killed.
            return _whole("memory-backend-memfd", size, ",share=on,hugetlb=on,prealloc=on")
        case MemoryBackend.NUMA:
            arguments = []
            for node in range(2):
                name = f"{NAME}-{node}"
                arguments += ["-object", f"memory-backend-ram,id={name},size={_shown(size // 2)}"]
                arguments += ["-numa", f"node,nodeid={node},memdev={name}"]
            return arguments


def huge_pages_of(case: Case, size: int, host: Host) -> int:
    """Bytes in whole huge pages that a guest with ``size`` bytes of memory takes of the host's.

    QEMU takes them as it starts, and of a guest that is migrated there are up to three: while it
    goes from one to another, the next is started.
    """
    if case.variant.backend is not MemoryBackend.HUGEPAGES or not host.huge_page_size:
        return 0
    pages = -(-size // host.huge_page_size)
    return pages * host.huge_page_size * (1 if case.migration is None else 3)


def why_no_memory(case: Case, size: int, huge_pages: int, host: Host) -> str:
    """Why ``size`` bytes of the memory that the variant asks for cannot be had; else empty.

    ``huge_pages`` as :func:`huge_pages_of` says.
    """
    match case.variant.backend:
        case MemoryBackend.HUGEPAGES:
            return _why_no_huge_pages(huge_pages, host)
        case MemoryBackend.RAM | MemoryBackend.NUMA if has_backend(case):
            return "the process that serves its disk needs memory that can be shared"
        case MemoryBackend.NUMA if case.variant.arch in WITHOUT_NUMA:
            return f"no machine of {case.variant.arch.value} has NUMA nodes"
        case MemoryBackend.NUMA if size % (2 * MIB):
            return f"{size // MIB} MiB cannot be halved between two NUMA nodes"
        case _:
            return ""


def _whole(kind: str, size: int, properties: str = "") -> list[str]:
    backend = f"{kind},id={NAME},size={_shown(size)}{properties}"
    return ["-object", backend, "-machine", f"memory-backend={NAME}"]


def _shown(size: int) -> str:
    """As QEMU's options take it, in the largest unit that holds it whole."""
    units = {"M": MIB, "K": 2**10, "": 1}
    return next(f"{size // unit}{name}" for name, unit in units.items() if size % unit == 0)


def _why_no_huge_pages(needed_bytes: int, host: Host) -> str:
    page = host.huge_page_size
    if not page:
        return "the kernel has no huge pages"
    needed = needed_bytes // page
    if needed <= host.huge_pages_free:
        return ""
    return (
        f"needs {needed} huge pages of {page // 1024} KiB, and {host.huge_pages_free} are free "
        f"(sysctl vm.nr_hugepages)"
    )
