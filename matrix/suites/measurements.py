"""Numbers that guests print, as named metrics: a table of the lines that are known to hold one.

The table is deliberately narrow: a line counts only if its whole form is that of a measurement, so
that no address or loop counter becomes a metric. Sources are named beside each row.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from matrix.migrating import FEWEST
from matrix.patterns import late

Metric = tuple[str, float, str]
"""Name, value, unit (``ns``, ``us``, ``cycles``, …; empty for a count)."""

_LABEL = r"(?:min|max|mean|avg|average|median|best|worst|total|stddev|p\d{1,2}(?:\.\d{1,3})?)"
_NUMBER = r"-?\d{1,18}(?:\.\d{1,9})?"
_UNIT = r"(?:ns|us|ms|s|cycles)"

_SERIES_ITEM = late(rf"({_LABEL}) ({_NUMBER}) ({_UNIT})")


@dataclass(frozen=True, slots=True)
class _Row:
    """One form of line. ``hint`` is in every such line, and cheap to look for."""

    hint: str
    pattern: re.Pattern[str]
    metrics: Callable[[re.Match[str]], Iterable[Metric]]


def _cycles(match: re.Match[str]) -> Iterator[Metric]:
    yield " ".join(match[1].split()), float(match[2]), "cycles"


def _cycles_before_name(match: re.Match[str]) -> Iterator[Metric]:
    yield match[2], float(match[1]), "cycles"


def _minimum_to_maximum(match: re.Match[str]) -> Iterator[Metric]:
    for name, value in zip(("max", "min", "avg"), match.groups()[1:], strict=True):
        yield f"{match[1]} {name}", float(value), "cycles"


def _total_to_worst(match: re.Match[str]) -> Iterator[Metric]:
    for name, value in zip(("total", "best", "avg", "worst"), match.groups()[1:5], strict=True):
        yield f"{match[1]}: {name}", float(value), match[6]


def _total_and_average(match: re.Match[str]) -> Iterator[Metric]:
    yield f"{match[1]} total", float(match[2]), "ns"
    yield f"{match[1]} avg", float(match[3]), "ns"


def _per_instructions(match: re.Match[str]) -> Iterator[Metric]:
    yield f"{match[1]} instructions: avg", float(match[2]), "cycles"
    yield f"{match[1]} instructions: cpi", float(match[3]), "cycles"


def _named(match: re.Match[str]) -> Iterator[Metric]:
    yield " ".join(match[1].split()), float(match[2]), match[3]


def _count(match: re.Match[str]) -> Iterator[Metric]:
    yield match[1], float(match[2]), ""


def _series(match: re.Match[str]) -> Iterator[Metric]:
    few = match[3] is not None and int(match[3]) < FEWEST
    for label, value, unit in _SERIES_ITEM.findall(match[2]):
        if not (few and label.startswith("p")):
            yield f"{match[1]}: {label}", float(value), unit
    if match[3]:
        yield f"{match[1]}: samples", float(match[3]), ""


def _clock(match: re.Match[str]) -> Iterator[Metric]:
    yield f"{match[1]}: frequency", float(match[2]), "Hz"
    yield f"{match[1]}: per read", float(match[3]), "ns"


_ROWS = (
    # The embedded guests, and whoever reports a distribution in the same way:
    # INFO: timer: latency: min 1200 ns, median 1500 ns
    _Row(
        "INFO: ",
        late(
            rf"INFO: (\S.{{0,200}}?): ({_LABEL} {_NUMBER} {_UNIT}"
            rf"(?:, {_LABEL} {_NUMBER} {_UNIT}){{0,15}})(?:, samples (\d{{1,18}}))?"
        ),
        _series,
    ),
    # The embedded guests: INFO: timer: clock: 62500000 Hz, 30 ns per read
    _Row(
        " ns per read",
        late(r"INFO: (\S.{0,60}): (\d{1,18}) Hz, (\d{1,18}) ns per read"),
        _clock,
    ),
    # x86/vmexit.c: cpuid 2345
    _Row(
        " ",
        late(
            r"(cpuid|vmcall|mov_\w+|inl_from_\w+|outl_to_\w+|tscdeadline\w*|(?:x2apic_)?self_ipi_\w+"
            r"|ipi(?:_halt)?|ple_round_robin|(?:wr|rd)_\w+|toggle_\w+|[\w-]+:pci-(?:mem|io)"
            r"|pci-(?:mem|io)) (\d{1,18})"
        ),
        _cycles,
    ),
    # x86/vmexit.c, of which that much for the interrupt itself: "  ipi ipi_halt 345"
    _Row(" ", late(r"  ((?:ipi|eoi) [\w:-]{1,60}) (\d{1,18})"), _cycles),
    # x86/realmode.c: 12 cycles/emulated memory load instruction
    _Row(
        " cycles/",
        late(r"(\d{1,18}) cycles/(emulated [\w ]{1,60})"),
        _cycles_before_name,
    ),
    # x86/tsc.c
    _Row("rdtsc latency ", late(r"(rdtsc latency) (\d{1,18})"), _cycles),
    # x86/svm_tests.c:     Latency VMRUN : max: 20 min: 3 avg: 4
    _Row(
        "Latency ",
        late(r" *(Latency \w{1,20}) ?: +max: (\d{1,18}) min: (\d{1,18}) avg: (\d{1,18})"),
        _minimum_to_maximum,
    ),
    # x86/kvmclock_test.c
    _Row("TSC cycles:", late(r"(TSC cycles): +(\d{1,18})"), _cycles),
    _Row("Total ", late(r"(Total (?:warps|stalls)): +(\d{1,18})"), _count),
    # arm/micro-bench.c: name, total ns, average ns
    _Row(
        ".",
        late(r"(\w{1,29}) +(\d{1,18}\.\d{1,9}) +(\d{1,18}\.\d{1,9}) *"),
        _total_and_average,
    ),
    # arm/pmu.c:   36:  360  291  280 avg=275  cpi=7
    _Row(
        "avg=",
        late(r" *(\d{1,9}):(?: +\d{1,18}){1,64} +avg=(\d{1,18}) +cpi=(\d{1,18}) *"),
        _per_instructions,
    ),
    # arm/timer.c: INFO: vtimer-busy-loop: Difference : 1149 us
    _Row(
        "Difference",
        late(rf"INFO: (\S.{{0,60}}: Difference) ?: ({_NUMBER}) ({_UNIT})"),
        _named,
    ),
)

_PASS_ROWS = (
    # s390x/exittime.c, in the text of the subtest
    _Row(
        "best/avg/worst",
        late(
            rf"PASS: (.{{1,200}}): total/best/avg/worst ({_NUMBER})/({_NUMBER})/({_NUMBER})"
            rf"/({_NUMBER}) ({_UNIT})"
        ),
        _total_to_worst,
    ),
)


def measurements(line: str) -> tuple[Metric, ...]:
    """The metrics that one line of a console holds; almost always none."""
    for row in _PASS_ROWS if line.startswith("PASS: ") else _ROWS:
        if row.hint in line and (match := row.pattern.fullmatch(line)) is not None:
            return tuple(row.metrics(match))
    return ()
