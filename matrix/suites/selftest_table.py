"""What is known of single KVM selftests: their time, their needs, and how to run them.

Of Linux 6.12 unless a line says otherwise; a program that is not here is run without arguments.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from matrix.capabilities import Kind, Need

_GIB = 1 << 30
_PERF = ("perf",)


@dataclass(frozen=True, slots=True)
class Settings:
    """How one program is run."""

    arguments: str = ""
    seconds: float = 0.0
    """It may need so much, where its suite gives less."""
    cpus: int = 1
    """CPUs that it keeps busy, and that the host must have."""
    memory: int = 1 << 29
    """Bytes that it takes."""
    groups: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    """What else the host must have: without it the program skips, or fails, by itself."""


USUAL = Settings()
_PMU = Settings(needs=(Need(Kind.PARAMETER, "kvm.enable_pmu=Y"),))
_SVM = Settings(needs=(Need(Kind.NESTED, "svm"),))
_VMX = Settings(needs=(Need(Kind.NESTED, "vmx"),))

SETTINGS: Mapping[str, Settings] = {
    "access_tracking_perf_test": Settings(memory=2 * _GIB, groups=_PERF),
    "demand_paging_test": Settings(memory=2 * _GIB, groups=_PERF),
    "dirty_log_page_splitting_test": Settings(
        needs=(
            Need(Kind.PARAMETER, "kvm.eager_page_split=Y"),
            Need(Kind.PARAMETER, "kvm.tdp_mmu=Y"),
        )
    ),
    "dirty_log_perf_test": Settings(seconds=300, memory=2 * _GIB, groups=_PERF),
    "dirty_log_test": Settings(seconds=300, cpus=2, memory=2 * _GIB),
    "hardware_disable_test": Settings(seconds=300, cpus=2),
    "hyperv_evmcs": _VMX,
    "hyperv_svm_test": _SVM,
    "kvm_page_table_test": Settings(memory=2 * _GIB, groups=_PERF),
    "max_guest_memory_test": Settings(memory=3 * _GIB),
    "memslot_modification_stress_test": Settings(memory=2 * _GIB),
    # One second for each of its measurements instead of five.
    "memslot_perf_test": Settings("-l 1", seconds=300, cpus=2, memory=2 * _GIB, groups=_PERF),
    # It writes the host's module parameters while it runs.
    "nx_huge_pages_test.sh": Settings(groups=("nodefault",)),
    "pmu_counters_test": _PMU,
    "pmu_event_filter_test": _PMU,
    "rseq_test": Settings(cpus=2),
    "steal_time": Settings(cpus=2),
    "svm_int_ctl_test": _SVM,
    "svm_nested_shutdown_test": _SVM,
    "svm_nested_soft_inject_test": _SVM,
    "svm_vmcall_test": _SVM,
    "vmx_apic_access_test": _VMX,
    "vmx_close_while_nested_test": _VMX,
    "vmx_dirty_log_test": _VMX,
    "vmx_invalid_nested_guest_state": _VMX,
    "vmx_nested_tsc_scaling_test": _VMX,
    "vmx_preemption_timer_test": _VMX,
    "vmx_set_nested_state_test": _VMX,
    "vmx_tsc_adjust_test": _VMX,
    "xapic_ipi_test": Settings(cpus=2),
}

HINTS: Mapping[str, str] = {
    "X86_FEATURE_VMX": "Intel's nested virtualization, by module parameter nested of kvm_intel",
    "X86_FEATURE_SVM": "AMD's nested virtualization, by module parameter nested of kvm_amd",
    "forced_emulation": "module parameter force_emulation_prefix of kvm",
    "kvm_is_pmu_enabled": "module parameter enable_pmu of kvm",
    "tdp_mmu": "module parameter tdp_mmu of kvm",
    "hugepages": "huge pages, by /proc/sys/vm/nr_hugepages; of a virtual host, append=hugepages=N",
}
"""Part of a requirement that a test says it lacks → what gives it to a host."""
