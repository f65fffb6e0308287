"""The answer: what broke, on which variants."""

from collections.abc import Sequence
from typing import Any

import pytest

from matrix.errors import ExitCode
from matrix.model import Verdict
from matrix.report.answer import areas_by_architecture, broken, conclusion, reasons
from matrix.report.cases import Row, fill_row, new_row
from matrix.results.outcome import merge


@pytest.fixture
def rows_of(make: Any) -> Any:
    """Rows from (test, architecture, verdict, reason[, axes])."""

    def build(*cases: Sequence[Any]) -> list[Row]:
        rows = []
        for test, arch, verdict, reason, *more in cases:
            case = make.case(test, arch, **(more[0] if more else {}))
            row = new_row(0, "run", make.run(case), {})
            if verdict == "skip":
                row.verdict, row.reason = Verdict.SKIP, reason
            elif verdict is not None:
                accelerator = case.variant.accel.value
                fill_row(row, merge(case, [make.attempt(verdict, reason, accelerator=accelerator)]))
            rows.append(row)
        return rows

    return build


@pytest.mark.parametrize(
    ("counts", "code", "sentence"),
    [
        ({}, ExitCode.NOTHING_SELECTED, "Nothing was selected."),
        ({Verdict.PASS: 1}, ExitCode.OK, "Nothing broke in 1 case."),
        ({Verdict.PASS: 8, Verdict.XFAIL: 2}, ExitCode.OK, "Nothing broke in 10 cases."),
        ({Verdict.SKIP: 3}, ExitCode.OK, "Nothing ran: all 3 cases were skipped."),
        (
            {Verdict.FAIL: 2, Verdict.PASS: 1000, Verdict.SKIP: 5},
            ExitCode.NOT_PASSED,
            "2 of 1,002 cases did not pass.",
        ),
        (
            {Verdict.ERROR: 1, Verdict.PASS: 1},
            ExitCode.ERROR,
            "1 of 2 cases did not pass.",
        ),
        (
            {Verdict.FAIL: 1, Verdict.PASS: 1, None: 3},
            ExitCode.INTERRUPTED,
            "1 of 2 cases did not pass; 3 cases have no result yet.",
        ),
    ],
)
def test_the_conclusion_agrees_with_the_exit_code(counts: Any, code: Any, sentence: Any) -> None:
    assert conclusion(counts, strict=False) == (code, sentence)


def test_an_unexpected_pass_counts_where_it_is_strict() -> None:
    counts: dict[Verdict | None, int] = {Verdict.XPASS: 1}
    assert conclusion(counts, strict=False)[0] is ExitCode.OK
    assert conclusion(counts, strict=True)[0] is ExitCode.NOT_PASSED


def test_where_one_axis_tells_it_is_named(rows_of: Any) -> None:
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


def test_where_no_axis_tells_it_is_counted(rows_of: Any) -> None:
    rows = rows_of(
        ("t", "x86_64", "fail", "x", {"smp": 1}),
        ("t", "x86_64", "pass", "", {"smp": 2}),
        ("t", "arm", "fail", "x", {"smp": 2}),
        ("t", "arm", "pass", "", {"smp": 1}),
    )
    assert broken(rows, strict=False)[0].where == "on 2 of 4 variants"


def test_everywhere_and_nowhere_else(rows_of: Any) -> None:
    everywhere = rows_of(("t", "x86_64", "fail", "x"), ("t", "arm", "fail", "x"))
    assert broken(everywhere, strict=False)[0].where == "on every variant that ran it (2)"
    once = rows_of(("t", "x86_64", "fail", "x"), ("t", "arm", "skip", "no QEMU"))
    assert broken(once, strict=False)[0].where == ""


def test_the_worst_comes_first(rows_of: Any) -> None:
    rows = rows_of(
        ("a", "arm", "fail", "x"),
        ("b", "arm", "crash", "x"),
        ("c", "arm", "fail", "x"),
        ("c", "x86_64", "fail", "x"),
        ("d", "arm", "pass", ""),
    )
    assert [each.test for each in broken(rows, strict=False)] == ["b", "c", "a"]


def test_reasons_that_differ_by_addresses_are_one(rows_of: Any) -> None:
    rows = rows_of(
        ("t", "arm", "stall", "dead after 6 s; vCPU 0 at pc 0x1234"),
        ("t", "i386", "stall", "dead after 7 s; vCPU 0 at pc 0x99"),
        ("t", "ppc64", "stall", "QEMU hangs"),
    )
    (found,) = broken(rows, strict=False)
    assert found.reasons == ("dead after 6 s; vCPU 0 at pc 0x1234", "QEMU hangs")


def test_skips_by_reason(rows_of: Any) -> None:
    rows = rows_of(
        ("a", "arm", "skip", "no KVM"),
        ("b", "arm", "skip", "no QEMU"),
        ("c", "arm", "skip", "no KVM"),
    )
    assert [(each.reason, each.count) for each in reasons(rows, Verdict.SKIP)] == [
        ("no KVM", 2),
        ("no QEMU", 1),
    ]


def test_natively_and_under_emulation(rows_of: Any) -> None:
    rows = rows_of(
        ("timer", "x86_64", "pass", "", {"accel": "kvm"}),
        ("timer", "x86_64", "fail", "x"),
        ("timer", "arm", "pass", ""),
        ("timer", "arm", "skip", "no KVM", {"accel": "kvm"}),
    )
    found = areas_by_architecture(rows)
    (x86,), (arm,) = found["x86_64"], found["arm"]
    assert x86.name == "Timers and clocks"
    assert (x86.native, x86.emulated) == ({Verdict.PASS: 1}, {Verdict.FAIL: 1})
    assert (arm.native, arm.emulated, arm.skipped) == ({}, {Verdict.PASS: 1}, 1)
