"""The answer: what broke, on which variants."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matrix.attempt import Reused
from matrix.errors import ExitCode
from matrix.model import Accelerator, AcceleratorLabel
from matrix.report.answer import (
    Coverage,
    areas_by_architecture,
    broken,
    conclusion,
    counts_of,
    coverage_of,
    reasons,
)
from matrix.report.areas import AREA_NAMES
from matrix.report.case_rows import AXES, fill_row, new_row
from matrix.results.case_record import record_of
from matrix.results.counts import Counts
from matrix.verdicts import Verdict
from tests import make
from tests.report.conftest import RowsOf


@pytest.mark.parametrize(
    ("counts", "code", "sentence"),
    [
        ({}, ExitCode.NOTHING_SELECTED, "Nothing was selected."),
        ({Verdict.PASS: 1}, ExitCode.OK, "Nothing broke: 1 of 1 case passed."),
        (
            {Verdict.PASS: 8, Verdict.XFAIL: 2, Verdict.SKIP: 1},
            ExitCode.OK,
            "Nothing broke: 8 of 10 cases passed, 2 failed as expected; 1 was skipped.",
        ),
        ({Verdict.SKIP: 3}, ExitCode.NOTHING_SELECTED, "Nothing ran: all 3 cases were skipped."),
        (
            {Verdict.FAIL: 2, Verdict.PASS: 1000, Verdict.SKIP: 5},
            ExitCode.NOT_PASSED,
            "2 of 1,002 cases did not pass; 5 were skipped.",
        ),
        (
            {Verdict.SKIP: 1, None: 3},
            ExitCode.INTERRUPTED,
            "Nothing ran; 1 was skipped; 3 cases have no result yet.",
        ),
        (
            {Verdict.ERROR: 1, Verdict.PASS: 1},
            ExitCode.ERROR,
            "1 of 2 cases did not pass.",
        ),
        (
            {Verdict.FAIL: 1, Verdict.PASS: 1, None: 3},  # as by -x
            ExitCode.NOT_PASSED,
            "1 of 2 cases did not pass; 3 cases have no result yet.",
        ),
        (
            {Verdict.PASS: 1, None: 3},
            ExitCode.INTERRUPTED,
            "Nothing broke: 1 of 1 case passed; 3 cases have no result yet.",
        ),
    ],
)
def test_the_conclusion_has_every_case_in_it(counts: Any, code: Any, sentence: Any) -> None:
    assert conclusion(Counts(Counter(counts)), strict=False) == (code, sentence)


def test_what_was_reused_is_said_apart(rows_of: RowsOf) -> None:
    origin = Reused("../one", "2026-11-21T09:30:00.000Z", 0.5)
    rows = rows_of(*((name, "x86_64", "pass", "") for name in ("a", "b", "c")))
    fill_row(rows[0], record_of(make.case("a"), [replace(make.attempt(), reused=origin)]))
    counts = counts_of(rows)
    assert (counts.passed, counts.reused) == (3, 1)
    assert conclusion(counts, strict=False)[1].startswith(
        "Nothing broke: 3 of 3 cases passed, 1 of them reused"
    )


def test_an_unexpected_pass_counts_where_it_is_strict() -> None:
    counts = Counts.of([Verdict.XPASS])
    assert conclusion(counts, strict=False)[0] is ExitCode.OK
    assert conclusion(counts, strict=True)[0] is ExitCode.NOT_PASSED


def test_where_one_axis_tells_it_is_named(rows_of: RowsOf) -> None:
    rows = rows_of(
        ("gic", "aarch64", "fail", "x", {"qemu": "7.2"}),
        ("gic", "arm", "fail", "x", {"qemu": "7.2"}),
        ("gic", "aarch64", "pass", "", {"qemu": "10.0"}),
        ("gic", "arm", "pass", "", {"qemu": "10.0"}),
    )
    (found,) = broken(rows, strict=False)
    assert found.where == "only with QEMU 7.2"
    assert (found.failed, found.ran) == (2, 4)
    assert [label for _, label in found.cases] == ["aarch64 tcg QEMU 7.2", "arm tcg QEMU 7.2"]


def test_where_no_axis_tells_it_is_counted(rows_of: RowsOf) -> None:
    rows = rows_of(
        ("t", "x86_64", "fail", "x", {"smp": 1}),
        ("t", "x86_64", "pass", "", {"smp": 2}),
        ("t", "arm", "fail", "x", {"smp": 2}),
        ("t", "arm", "pass", "", {"smp": 1}),
    )
    assert broken(rows, strict=False)[0].where == "on 2 of 4 variants"


def test_everywhere_and_nowhere_else(rows_of: RowsOf) -> None:
    everywhere = rows_of(("t", "x86_64", "fail", "x"), ("t", "arm", "fail", "x"))
    assert broken(everywhere, strict=False)[0].where == "on every variant that ran it (2)"
    once = rows_of(("t", "x86_64", "fail", "x"), ("t", "arm", "skip", "no QEMU"))
    assert broken(once, strict=False)[0].where == ""


def test_the_worst_comes_first(rows_of: RowsOf) -> None:
    rows = rows_of(
        ("a", "arm", "fail", "x"),
        ("b", "arm", "crash", "x"),
        ("c", "arm", "fail", "x"),
        ("c", "x86_64", "fail", "x"),
        ("d", "arm", "pass", ""),
    )
    assert [each.test for each in broken(rows, strict=False)] == ["b", "c", "a"]


def test_reasons_that_differ_by_addresses_are_one(rows_of: RowsOf) -> None:
    rows = rows_of(
        ("t", "arm", "stall", "dead after 6 s; vCPU 0 at pc 0x1234"),
        ("t", "i386", "stall", "dead after 7 s; vCPU 0 at pc 0x99"),
        ("t", "ppc64", "stall", "QEMU hangs"),
    )
    (found,) = broken(rows, strict=False)
    assert found.reasons == ("dead after 6 s; vCPU 0 at pc 0x1234", "QEMU hangs")


def test_skips_by_reason(rows_of: RowsOf) -> None:
    rows = rows_of(
        ("a", "arm", "skip", "no KVM"),
        ("b", "arm", "skip", "no QEMU"),
        ("c", "arm", "skip", "no KVM"),
    )
    assert [(each.reason, each.count) for each in reasons(rows, Verdict.SKIP)] == [
        ("no KVM", 2),
        ("no QEMU", 1),
    ]


def test_natively_and_under_emulation(rows_of: RowsOf) -> None:
    rows = rows_of(
        ("timer", "x86_64", "pass", "", {"accel": AcceleratorLabel.KVM}),
        ("timer", "x86_64", "fail", "x"),
        ("timer", "arm", "pass", ""),
        ("timer", "arm", "skip", "no KVM", {"accel": AcceleratorLabel.KVM}),
    )
    (virtual,) = rows_of(("timer", "x86_64", "pass", "", {"accel": AcceleratorLabel.KVM}))
    ran = make.attempt(accelerator=AcceleratorLabel.VIRTUAL_KVM)
    fill_row(virtual, record_of(make.case("timer", accel=Accelerator.KVM), [ran]))
    assert AcceleratorLabel.VIRTUAL_KVM in virtual.axes
    rows.append(virtual)
    found = areas_by_architecture(rows)
    (x86,), (arm,) = found["x86_64"], found["arm"]
    assert x86.name == "Timers and clocks"
    assert said(x86.coverage) == [
        "natively 1 of 1 passed",
        "in virtual KVM hosts 1 of 1 passed",
        "emulated 0 of 1 passed, 1 fail",
    ]
    assert said(arm.coverage) == ["emulated 1 of 1 passed"]
    assert (arm.coverage.not_run.skipped, arm.coverage.total) == (1, 2)


def said(coverage: Coverage) -> list[str]:
    return [f"{word} {counts.words()}" for word, _, counts in coverage.ways()]


OUTCOMES = st.tuples(
    st.sampled_from([*Verdict, None]),
    st.sampled_from(["kvm", AcceleratorLabel.VIRTUAL_KVM, "tcg", ""]),
    st.sampled_from(["timer", "smp", "apic-timer", "boot"]),
    st.sampled_from(["x86_64", "arm"]),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(OUTCOMES, max_size=30))
def test_every_case_is_counted_once(outcomes: list[Any]) -> None:
    """Also one that its own guest skipped, and one that nothing says the accelerator of."""
    rows = []
    for verdict, accelerator, test, arch in outcomes:
        row = new_row(0, "run", make.run(make.case(test, arch)), {})
        row.verdict, row.accelerator = verdict, accelerator
        rows.append(row)
    for arch, areas in areas_by_architecture(rows).items():
        here = [row for row in rows if row.axes[AXES.index("arch")] == arch]
        groups = [(here, coverage_of(here))]
        groups += [
            (
                [row for row in here if area.name in (AREA_NAMES[n] for n in row.areas)],
                area.coverage,
            )
            for area in areas
        ]
        for cases, found in groups:
            ran = sum(counts.ran for _, _, counts in found.ways())
            passed = sum(counts.passed for _, _, counts in found.ways())
            assert found.total == found.everything().total == len(cases)
            assert ran + found.not_run.skipped + found.not_run.unfinished == len(cases)
            assert passed == sum(row.verdict is Verdict.PASS for row in cases)
            assert found.not_run.skipped == sum(row.verdict is Verdict.SKIP for row in cases)
