import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.suites.measurements import Metric, measurements


@pytest.mark.parametrize(
    ("line", "metrics"),
    [
        (
            "INFO: timer: latency: min 1200 ns, median 150 ns, p99 9000 ns, max 2000 ns, samples 6",
            [
                ("timer: latency: min", 1200.0, "ns"),
                ("timer: latency: median", 150.0, "ns"),
                ("timer: latency: max", 2000.0, "ns"),
                ("timer: latency: samples", 6.0, ""),
            ],
        ),
        (
            "INFO: timer: latency: min 1200 ns, p99 9000 ns, samples 20",
            [
                ("timer: latency: min", 1200.0, "ns"),
                ("timer: latency: p99", 9000.0, "ns"),
                ("timer: latency: samples", 20.0, ""),
            ],
        ),
        (
            "INFO: timer: clock: 62500000 Hz, 30 ns per read",
            [("timer: clock: frequency", 62500000.0, "Hz"), ("timer: clock: per read", 30.0, "ns")],
        ),
        ("INFO: unit: avg 1.5 cycles", [("unit: avg", 1.5, "cycles")]),
        ("cpuid 2345", [("cpuid", 2345.0, "cycles")]),
        ("wr_tsc_adjust_msr 1", [("wr_tsc_adjust_msr", 1.0, "cycles")]),
        ("x2apic_self_ipi_tpr_sti_hlt 9", [("x2apic_self_ipi_tpr_sti_hlt", 9.0, "cycles")]),
        ("mmio-no-eventfd:pci-mem 77", [("mmio-no-eventfd:pci-mem", 77.0, "cycles")]),
        ("  ipi ipi_halt 51760", [("ipi ipi_halt", 51760.0, "cycles")]),
        (
            "12 cycles/emulated memory load instruction",
            [("emulated memory load instruction", 12.0, "cycles")],
        ),
        ("rdtsc latency 104", [("rdtsc latency", 104.0, "cycles")]),
        (
            "    Latency STGI:   max: 155246 min: 26 avg: 48",
            [
                ("Latency STGI max", 155246.0, "cycles"),
                ("Latency STGI min", 26.0, "cycles"),
                ("Latency STGI avg", 48.0, "cycles"),
            ],
        ),
        ("TSC cycles:  123", [("TSC cycles", 123.0, "cycles")]),
        ("Total stalls: 4", [("Total stalls", 4.0, "")]),
        (
            f"{'hyp_call':30}{20234567:15}.{1:<15}{308:15}.{7:<15}",
            [("hyp_call total", 20234567.1, "ns"), ("hyp_call avg", 308.7, "ns")],
        ),
        (
            "  36:  360  291  280  281 avg=275  cpi=7  ",
            [
                ("36 instructions: avg", 275.0, "cycles"),
                ("36 instructions: cpi", 7.0, "cycles"),
            ],
        ),
        (
            "INFO: vtimer-busy-loop: Difference : 1149 us",
            [("vtimer-busy-loop: Difference", 1149.0, "us")],
        ),
        (
            "PASS: exittime: sigp sense running(0): total/best/avg/worst 1.5/2/3/4 us",
            [
                ("exittime: sigp sense running(0): total", 1.5, "us"),
                ("exittime: sigp sense running(0): best", 2.0, "us"),
                ("exittime: sigp sense running(0): avg", 3.0, "us"),
                ("exittime: sigp sense running(0): worst", 4.0, "us"),
            ],
        ),
    ],
)
def test_measurements(line: str, metrics: list[Metric]) -> None:
    assert list(measurements(line)) == metrics


@pytest.mark.parametrize(
    "line",
    [
        "PASS: vtimer-busy-loop: latency within 10 ms",
        "PASS: CPL0 Split Lock #AC = 0",
        "PASS: timer: min 5 ns",
        "INFO: timer: histogram: 12 below 2048 ns",
        "INFO: timer: deadline in the past: met after 12 ns",
        "INFO: PMU version: 0x6",
        "INFO: psci: PSCI version 1.1",
        "INFO: ptimer-busy-loop: TVAL is -8182 ticks",
        "INFO: gicv2: mmio: nr_cpus=2",
        "INFO: vtimer-busy-loop: After timer: 0x00000000003933fd",
        "tscdeadline (skipped)",
        "cr4 = 20",
        "PM timer port is 608",
        "ipi called, cpu 1",
        "static:78498 out of 1000000",
        "setup: CPU 1 online",
        "SUMMARY: 905 tests, 18 skipped",
        "EXIT: STATUS=1",
        "Domain0 Next Address        : 0x0000000080200000",
    ],
)
def test_lines_that_are_none(line: str) -> None:
    assert measurements(line) == ()


@given(st.text(max_size=100))
def test_any_line_is_harmless(line: str) -> None:
    for name, _, _ in measurements(line):
        assert name
