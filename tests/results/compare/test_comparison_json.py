import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from matrix.results.compare.changes import ChangeKind
from matrix.results.compare.comparison_json import write_document
from matrix.results.compare.matching import Pairing, pair_runs, pair_variants
from matrix.results.compare.measured import Thresholds
from matrix.results.run_record import RunRecord
from tests import make


def document(*pairings: Pairing) -> Any:
    written: list[bytes] = []
    write_document(written.append, pairings, Thresholds())
    return json.loads(b"".join(written), parse_constant=no_constant)


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def test_two_runs(told: Pairing) -> None:
    found = document(told)
    assert set(found) == {"comparisons", "regressions", "lost_coverage", "thresholds", "rule"}
    assert found["regressions"] == 5
    assert found["thresholds"] == {"factor": 1.5, "seconds": 1.0, "metric": 0.2}
    (comparison,) = found["comparisons"]
    assert set(comparison) == {"axis", "a", "b", "environment", "cases", "counts"}
    assert comparison["axis"] is None
    assert comparison["a"]["run"] == "runs/first"
    assert comparison["b"]["matrix"] == "9.9"
    assert {"what": "host kernel", "a": "6.1.0", "b": "6.12.0"} in comparison["environment"]


def test_a_case(told: Pairing) -> None:
    (comparison,) = document(told)["comparisons"]
    timer = comparison["cases"][0]
    assert timer == {
        "id": "kut.timer.aarch64.auto",
        "scenario": "kut",
        "test": "timer",
        "variant": "aarch64 auto",
        "a": {
            "id": "kut.timer.aarch64.auto",
            "verdict": "pass",
            "reason": "",
            "attempts": 1,
            "accelerator": "tcg",
            "qemu_version": "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)",
            "suite_revision": "",
            "artifacts": "cases/kut.timer.aarch64.auto",
            "skip_cause": None,
            "reused": False,
        },
        "b": {
            "id": "kut.timer.aarch64.auto",
            "verdict": "fail",
            "reason": "1 of 3 subtests failed",
            "attempts": 1,
            "accelerator": "tcg",
            "qemu_version": "10.0.2",
            "suite_revision": "",
            "artifacts": "cases/kut.timer.aarch64.auto",
            "skip_cause": None,
            "reused": False,
        },
        "change": "new-failure",
        "regression": True,
        "subtests": [
            {
                "name": "latency",
                "change": "new-failure",
                "before": "pass",
                "after": "fail",
                "message": "12 ms",
                "regression": True,
            },
            {
                "name": "wraps",
                "change": "new-skip",
                "before": "pass",
                "after": "skip",
                "message": "too slow",
                "regression": False,
            },
        ],
        "seconds": None,
        "metrics": [],
        "differences": [],
    }


def test_times_and_metrics(told: Pairing) -> None:
    (comparison,) = document(told)["comparisons"]
    cases = {case["test"]: case for case in comparison["cases"]}
    assert cases["boot"]["seconds"] == {
        "name": "",
        "unit": "s",
        "before": {"median": 30.0, "spread": 0.0, "count": 1},
        "after": {"median": 3.0, "spread": 0.0, "count": 1},
        "factor": 0.1,
    }
    assert [each["name"] for each in cases["vmexit"]["metrics"]] == ["cpuid"]
    assert cases["gone"]["b"] is None


def test_counts_are_those_of_the_cases(told: Pairing) -> None:
    (comparison,) = document(told)["comparisons"]
    counts, cases = comparison["counts"], comparison["cases"]
    assert counts["cases"] == 23
    assert counts["changed"] == len(cases)
    assert counts["slower"] == counts["faster"] == counts["metrics"] == 1
    for kind in ChangeKind:
        assert counts[kind.value] == sum(case["change"] == kind.value for case in cases)
        found = sum(sub["change"] == kind.value for case in cases for sub in case["subtests"])
        assert counts["subtests"][kind.value] == found


def test_variants(several_qemus: RunRecord) -> None:
    first, second = document(*pair_variants(several_qemus, "qemu"))["comparisons"]
    assert (first["axis"], first["a"]["value"], first["b"]["value"]) == ("qemu", "system", "10.0")
    assert second["environment"] == [{"what": "QEMU", "a": "7.2.22", "b": "11.1.3"}]


def test_nothing_changed(told: Pairing) -> None:
    (comparison,) = document(pair_runs(told.a, told.a))["comparisons"]
    assert comparison["cases"] == []


def test_numbers_that_json_lacks_are_null(pairing: Callable[[Any, Any], Pairing]) -> None:
    run = make.run()
    values = ((("x", each, "ns"),) for each in (0.0, 5.0))
    pair = pairing(*([(run, [make.attempt(metrics=value)])] for value in values))
    (case,) = document(pair)["comparisons"][0]["cases"]
    assert case["metrics"][0]["factor"] is None


def test_text_that_is_no_utf_8(pairing: Callable[[Any, Any], Pairing]) -> None:
    run = make.run()
    pair = pairing([(run, [make.attempt()])], [(run, [make.attempt("fail")])])
    assert isinstance(pair.b, RunRecord)
    pair.b.info = replace(pair.b.info, hostname="\udcff")
    (comparison,) = document(pair_runs(pair.a, pair.b))["comparisons"]
    assert comparison["environment"] == [{"what": "host", "a": "builder", "b": "\\xff"}]
    assert comparison["b"]["host"] == "\\xff"


def test_memory_does_not_follow_the_number_of_cases(pairing: Callable[[Any, Any], Pairing]) -> None:
    """Every case changes in 21 subtests; only one of each side is held at a time. (CPython keeps
    freed tuples of up to 20 elements.)"""

    def results(prefix: str, count: int) -> Iterator[Any]:
        for number in range(count):
            lines = [f"{prefix}: subtest {'x' * n}" for n in range(21)]
            run = make.run(make.case(f"t{number}"))
            yield run, [make.attempt("pass" if prefix == "PASS" else "fail", subtests=lines)]

    def peak(count: int) -> int:
        pair = pairing(*(list(results(prefix, count)) for prefix in ("PASS", "FAIL")))
        write_document(lambda _: None, [pair], Thresholds())
        tracemalloc.start()
        try:
            write_document(lambda _: None, [pair], Thresholds())
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(200) < 2 * peak(20)
