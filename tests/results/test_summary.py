import json
import math
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from matrix.errors import HostError
from matrix.results.case_record import FORMAT, parsed, results_schema
from matrix.results.summary import write_results
from matrix.verdicts import SubtestVerdict, Verdict
from tests import make
from tests.results.conftest import RunMaker

CONTRACT = {
    "id", "scenario", "suite", "test", "axes", "verdict", "reason", "seconds", "subtest_counts",
    "subtests", "metrics", "hops", "command",
}  # fmt: skip
"""The keys of a case that other programs rely on."""


SCHEMA = Draft202012Validator(results_schema())


def results(recorder: Any) -> dict[str, Any]:
    write_results(recorder.record)
    document = json.loads((recorder.run.path / "results.json").read_text())
    assert isinstance(document, dict)
    assert [error.message for error in SCHEMA.iter_errors(document)] == []
    return document


def test_the_schema_refuses_what_is_no_results_json(recorded: RunMaker) -> None:
    document = results(recorded([(make.run(make.case("a")), [make.attempt("pass")])]))
    del document["cases"][0]["verdict"]
    assert not SCHEMA.is_valid(document)
    assert not SCHEMA.is_valid({"cases": []})


def test_a_case_has_what_the_contract_says(recorded: RunMaker) -> None:
    case = make.case("timer", smp=2, memory=2**28)
    attempt = make.attempt(
        "fail",
        "1 of 3 subtests failed",
        seconds=1.25,
        subtests=["PASS: a", "FAIL: b: 3 != 4", "SKIP: c: no clock"],
        metrics=(("latency p99", 1250.0, "ns"),),
        command="runs/x/cases/y/command.sh",
        artifacts="cases/y",
    )
    record = recorded([(make.run(case), [attempt])])
    document = results(record)
    assert document["format"] == FORMAT
    assert document["run"]["hostname"] == record.record.info.hostname
    assert document["run"]["started"] == record.record.info.started
    (found,) = document["cases"]
    assert found.keys() >= CONTRACT
    assert found == {
        "id": "smoke.timer.x86_64.auto.smp=2.memory=268435456",
        "scenario": "smoke",
        "suite": "builtin",
        "test": "timer",
        "axes": {"arch": "x86_64", "accel": "auto", "qemu": "system", "smp": 2, "memory": 2**28},
        "verdict": "fail",
        "reason": "1 of 3 subtests failed",
        "skip_cause": None,
        "image": "/images/x86_64/timer.elf",
        "arguments": "",
        "dynamic": False,
        "qemu_params": [],
        "vcpus": 1,
        "groups": [],
        "timeout": 90.0,
        "suite_revision": "",
        "limits": None,
        "seconds": 1.25,
        "accelerator": "tcg",
        "accelerator_reason": "no KVM",
        "host": "",
        "subtest_counts": {"pass": 1, "fail": 1, "skip": 1},
        "subtests_dropped": 0,
        "subtests": [
            {"name": "b", "verdict": "fail", "message": "3 != 4"},
            {"name": "c", "verdict": "skip", "message": "no clock"},
        ],
        "metrics": [{"name": "latency p99", "value": 1250.0, "unit": "ns"}],
        "assists": {},
        "hops": None,
        "command": "cases/y/command.sh",
        "artifacts": "cases/y",
        "inputs": {},
        "input_digest": "",
        "reused": None,
        "not_reused": "",
        "attempts": [
            {
                "number": 1,
                "verdict": "fail",
                "reason": "1 of 3 subtests failed",
                "seconds": 1.25,
                "metrics": [{"name": "latency p99", "value": 1250.0, "unit": "ns"}],
                "hops": None,
                "artifacts": "cases/y",
                "assists": {},
                "observed": None,
                "by_subtests": False,
                "host": "",
            }
        ],
    }
    assert document["counts"] == {verdict.value: int(verdict == "fail") for verdict in Verdict}
    assert document["exit_code"] == 1
    assert document["unfinished"] == []


def test_an_attempt_says_what_its_case_does_not(recorded: RunMaker) -> None:
    """Read again all is there but the subtests that passed, and nothing stands there twice."""
    attempts = [
        make.attempt("fail", "x", subtests=["PASS: a", "FAIL: b"]),
        make.attempt("pass", number=2, subtests=["PASS: a", "PASS: b"], accelerator="kvm"),
    ]
    case = make.case(repeat=2)
    recorder = recorded([(make.run(case), attempts)])
    (found,) = results(recorder)["cases"]
    assert "subtests" not in found["attempts"][0]
    assert found["attempts"][1]["accelerator"] == "kvm"
    assert found["attempts"][1]["subtests"] == []
    for each, counts in zip(parsed(found).attempts, ((1, 1), (2, 0)), strict=True):
        told = each.subtest_counts
        assert (told.get(SubtestVerdict.PASS, 0), told.get(SubtestVerdict.FAIL, 0)) == counts
        assert len(each.subtests) == counts[1]


def test_a_file_of_a_former_version_is_read(recorded: RunMaker) -> None:
    """What its attempts lack is as the case says; keys that it does not know have a default."""
    (found,) = results(recorded([(make.run(), [make.attempt("fail", subtests=["FAIL: a"])])]))[
        "cases"
    ]
    for key in ("image", "vcpus", "limits", "timeout"):
        del found[key]
    for key in ("observed", "by_subtests"):
        del found["attempts"][0][key]
    record = parsed(found)
    assert (record.image, record.attempts[0].observed) == ("", None)
    assert [each.name for each in record.attempts[0].subtests] == ["a"]


def test_a_skip_has_the_same_keys(recorded: RunMaker) -> None:
    document = results(recorded([(make.skip(make.case(), "no KVM"), [])]))
    (found,) = document["cases"]
    assert found.keys() >= CONTRACT
    assert (found["verdict"], found["reason"]) == ("skip", "no KVM")
    assert document["exit_code"] == 5


def test_no_cases_are_an_empty_list(recorded: RunMaker) -> None:
    document = results(recorded([]))
    assert document["cases"] == []
    assert document["exit_code"] == 5


def test_numbers_that_json_lacks_are_null(recorded: RunMaker) -> None:
    attempt = make.attempt(metrics=(("a", math.inf, "ns"), ("b", math.nan, "ns")))
    document = results(recorded([(make.run(), [attempt])]))
    assert [each["value"] for each in document["cases"][0]["metrics"]] == [None, None]


def test_an_unwritable_place_is_named(recorded: RunMaker) -> None:
    recorder = recorded([(make.run(), [])])
    (recorder.run.path / ".results.json.part").mkdir()
    with pytest.raises(HostError, match=r"cannot write .*results\.json: Is a directory"):
        write_results(recorder.record)


def test_memory_does_not_grow_with_what_guests_print(recorded: RunMaker) -> None:
    """1,000 subtests that failed in each of 10 cases take 3 MB as objects."""
    subtests = tuple(make.subtest(f"FAIL: a subtest, number {n}: message {n}") for n in range(1000))
    counts = ((SubtestVerdict.FAIL, len(subtests)),)
    recorder = recorded([(make.run(make.case(f"t{number}")), []) for number in range(10)])
    recorder.write_reports()  # what it loads is not what guests print
    tracemalloc.start()
    try:
        for decision in recorder.record.decisions:
            recorder.begin(decision.case, 1)
            attempt = make.attempt("fail")
            object.__setattr__(attempt, "subtests", subtests)
            object.__setattr__(attempt, "subtest_counts", counts)
            recorder.finish(decision.case, attempt)
        recorder.write_reports()
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 300_000
    assert peak < 4_000_000
    assert len(results(recorder)["cases"][9]["subtests"]) == 1000


def test_thousands_of_cases(tmp_path: Path, recorded: RunMaker) -> None:
    decisions = [
        make.run(make.case(f"t{test}", smp=smp)) for smp in range(1, 16) for test in range(200)
    ]
    attempt = make.attempt("pass", subtests=[f"PASS: {n}" for n in range(10)])
    recorder = recorded([(decision, []) for decision in decisions])
    # Less than 1 s; anything quadratic takes minutes.
    start = time.monotonic()
    for decision in decisions:
        recorder.record.start(decision.case.id, 1)
        recorder.finish(decision.case, attempt)
    write_results(recorder.record)
    assert time.monotonic() - start < 60
    assert len(results(recorder)["cases"]) == 3_000
