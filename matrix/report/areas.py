"""Which part of KVM and QEMU a case exercises: a small table of names and groups.

The names are kvm-unit-tests' tests and groups and those of the embedded guests, as they stand in
their ``unittests.cfg``. A case may be of several areas; one that no row knows is of "Other".
"""

import re
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

from matrix.model import Case


@dataclass(frozen=True, slots=True)
class Area:
    """One row of the table: patterns (:mod:`fnmatch`), any of which makes a test one of it."""

    name: str
    what: str
    """For the one who reads the report, in one line."""
    groups: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


AREAS = (
    Area(
        "Nested virtualization",
        "a hypervisor in the guest: VMX, SVM, SIE, and nested page tables",
        groups=("vmx", "svm", "nested_exception"),
        tests=("vmx*", "svm*", "ept*", "npt*", "nested*", "sie", "sie-*", "*-sie", "intercept"),
    ),
    Area(
        "Live migration",
        "the guest goes on in another QEMU process",
        groups=("migration",),
        tests=("*migrat*",),
    ),
    Area(
        "PMU",
        "performance counters",
        groups=("pmu",),
        tests=("pmu*", "perf*", "rdpru"),
    ),
    Area(
        "Timers and clocks",
        "deadlines, time sources and paravirtual clocks",
        groups=("timer", "rtas"),
        tests=(
            "*timer*",
            "tsc*",
            "*clock*",
            "timebase*",
            "*time-of-day*",
            "sck",
            "*-sck",
            "exittime",
            "*deadline*",
        ),
    ),
    Area(
        "SMP and IPIs",
        "starting vCPUs, interrupts between them, topology, atomics",
        groups=("psci",),
        tests=(
            "smp*",
            "*-smp*",
            "*ipi*",
            "psci",
            "topology*",
            "firq*",
            "atomics*",
            "spinlock*",
            "*_init_signal*",
            "*sipi*",
            "h_cede_tm",
        ),
    ),
    Area(
        "Interrupt controllers",
        "APIC, GIC and its ITS, IOAPIC, interrupt delivery",
        groups=("apic", "gic", "its", "h_cede_tm"),
        tests=("*apic*", "gic*", "its-*", "interrupts", "eventinj", "*posted*", "*firq*"),
    ),
    Area(
        "Memory and MMU",
        "page tables, protection keys, tagging, guest memory",
        groups=("mte", "pcid"),
        tests=(
            "memory*",
            "access*",
            "mmu*",
            "pku",
            "pks",
            "smap",
            "la57",
            "lam",
            "pcid*",
            "mte*",
            "*skey*",
            "skrf",
            "edat",
            "iep",
            "pfmf",
            "cmm",
            "*-cmm",
            "tprot",
            "mvpg*",
            "rmap_chain",
            "sieve",
            "asyncpf",
            "selftest-setup",
            "*dat",
        ),
    ),
    Area(
        "Exceptions and debugging",
        "faults, traps, breakpoints, panics",
        groups=("debug", "panic"),
        tests=("exception*", "debug*", "panic*", "*vectors*", "idt_test", "pgm*", "dbltrp"),
    ),
    Area(
        "Speculation and confidential guests",
        "speculation controls, protected virtualization, control-flow integrity",
        groups=("pv-host",),
        tests=("spec*", "pv-*", "uv-*", "cet", "tsx*", "umip", "*sev*", "*tdx*"),
    ),
    Area(
        "Paravirtual interfaces",
        "hypercalls, Hyper-V enlightenments, SBI, diagnose calls",
        groups=("hyperv", "sbi"),
        tests=(
            "hyperv*",
            "sbi*",
            "*hypercall*",
            "*vmcall*",
            "spapr*",
            "diag*",
            "sthyi",
            "sclp*",
            "kvmclock*",
            "vmware*",
            "hypercall",
        ),
    ),
    Area(
        "CPU and instructions",
        "CPU models, registers, emulated instructions",
        groups=("isa", "tasks", "cache"),
        tests=(
            "emulator*",
            "msr*",
            "cpumodel",
            "cpuid*",
            "realmode",
            "syscall",
            "taskswitch*",
            "xsave",
            "cmpxchg*",
            "vector",
            "fpu*",
            "sprs*",
            "adtl-status*",
            "setjmp",
            "cache",
            "stsi",
            "stfle*",
            "epsw",
            "execute",
            "gs",
        ),
    ),
    Area(
        "Devices and firmware",
        "PCI, IOMMU, system management mode, suspend",
        groups=("pci",),
        tests=("pci*", "*iommu*", "smm*", "s3", "edu*", "css", "uefi*", "efi*"),
    ),
    Area(
        "Exit costs",
        "what an exit from the guest takes",
        groups=("vmexit", "micro-bench"),
        tests=("vmexit*", "micro-bench*"),
    ),
    Area(
        "Start-up and self tests",
        "booting, the console, the test suite itself",
        groups=("selftest",),
        tests=("boot*", "selftest*", "fail", "hang", "spin", "deadloop"),
    ),
)

OTHER = len(AREAS)
"""The number of the area of what no row knows."""

AREA_NAMES = (*(area.name for area in AREAS), "Other")
AREA_WORDS = (*(area.what for area in AREAS), "what the table of areas does not know")


def areas_of(case: Case) -> tuple[int, ...]:
    """The numbers of a case's areas in :data:`AREA_NAMES`, at least one, the most telling first.

    A case whose guest we migrate is of the migration too, whatever its test.
    """
    found = _areas(case.test.name, case.test.groups)
    if case.migration is not None and MIGRATION not in found:
        found = (*(each for each in found if each != OTHER), MIGRATION)
    return found


MIGRATION = next(i for i, area in enumerate(AREAS) if area.name == "Live migration")


_NAMES = tuple(re.compile("|".join(map(translate, area.tests)) or "(?!)") for area in AREAS)
"""What matches the names of each area's tests; compiled here, while a guest starts."""


@lru_cache(maxsize=20_000)
def _areas(test: str, groups: tuple[str, ...]) -> tuple[int, ...]:
    name = test.lower()
    found = tuple(
        number
        for number, (area, names) in enumerate(zip(AREAS, _NAMES, strict=True))
        if any(group in area.groups for group in groups) or names.match(name)
    )
    return found or (OTHER,)
