from typing import Any

from matrix.results.compare.brief import MOST_LINES, qemu_lines
from matrix.results.run_record import RunRecord
from matrix.results.segments import plain
from matrix.results.summary_text import record_summary
from tests import make
from tests.conftest import Golden
from tests.results.conftest import RunMaker


def test_the_section(golden: Golden, several_qemus: RunRecord) -> None:
    golden("compare-brief-80.txt", plain(qemu_lines(several_qemus, 80)))


def test_the_summary_of_a_run_has_it(several_qemus: RunRecord) -> None:
    text = plain(record_summary(several_qemus, 80))
    assert plain(qemu_lines(several_qemus, 80)) in text
    assert text.endswith("\nResults in runs/three\n")


def test_a_run_with_one_qemu_has_none(recorded: RunMaker) -> None:
    record = recorded([(make.run(), [make.attempt("fail")])]).record
    assert list(qemu_lines(record, 80)) == []
    assert list(qemu_lines(recorded([]).record, 80)) == []


def test_qemus_that_agree(recorded: RunMaker) -> None:
    runs = [make.run(make.case(qemu=qemu)) for qemu in ("10.0", "11.1")]
    record = recorded([(run, [make.attempt()]) for run in runs]).record
    text = plain(qemu_lines(record, 80))
    assert text.startswith("\nDifferences between QEMUs, compared with 10.0: none\n")
    assert "compares metrics too" in text


def test_regressions_come_first_and_no_more_than_fit(recorded: RunMaker) -> None:
    results = []
    for qemu in ("system", "10.0"):
        for number in range(50):
            axes: dict[str, Any] = {} if qemu == "system" else {"qemu": qemu}
            run = make.run(make.case(f"t{number}", **axes))
            after = "fail" if number == 49 else "skip"
            results.append((run, [make.attempt("pass" if qemu == "system" else after)]))
    lines = plain(qemu_lines(recorded(results).record, 80)).splitlines()
    assert len(lines) == MOST_LINES + 3
    assert lines[2] == "  t49 x86_64 auto: pass; 10.0: fail"
    assert lines[-1].startswith("  … and 30 more; matrix compare ")


def test_subtests_of_one_verdict_are_counted(recorded: RunMaker) -> None:
    results = []
    for qemu, lines in (
        ("10.0", ["FAIL: a", "FAIL: b", "PASS: c", "PASS: d"]),
        ("11.1", ["FAIL: a", "PASS: b", "FAIL: c", "SKIP: d"]),
    ):
        run = make.run(make.case(qemu=qemu))
        results.append((run, [make.attempt("fail", subtests=lines)]))
    text = plain(qemu_lines(recorded(results).record, 120))
    assert (
        "boot x86_64 auto: fail; 11.1: 1 subtest newly failing and 1 subtest fixed"
        " and 1 subtest skipped" in text
    )


def test_scenarios_are_named_where_there_are_several(recorded: RunMaker) -> None:
    results = []
    for scenario in ("one", "two"):
        for qemu, verdict in (("10.0", "pass"), ("11.1", "fail")):
            run = make.run(make.case(scenario=scenario, qemu=qemu))
            results.append((run, [make.attempt(verdict)]))
    text = plain(qemu_lines(recorded(results).record, 80))
    assert "  one: boot x86_64 auto: pass; 11.1: fail\n" in text


def test_an_unfinished_run_tells_what_it_knows(recorded: RunMaker) -> None:
    runs = [make.run(make.case(qemu=qemu)) for qemu in ("10.0", "11.1")]
    record = recorded([(runs[0], [make.attempt()]), (runs[1], [])]).record
    assert "QEMUs, compared with 10.0: none" in plain(qemu_lines(record, 80))
