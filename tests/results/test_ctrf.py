"""CTRF: its closed set of keys and statuses, and what becomes of each verdict."""

import uuid
from typing import Any

import pytest

from matrix.results.ctrf import STATUSES, ctrf_document
from matrix.verdicts import Verdict
from tests import make
from tests.results.conftest import RunMaker

TEST = {
    "id": str, "name": str, "status": str, "duration": int, "rawStatus": str, "suite": list,
    "labels": dict, "tags": list, "extra": dict, "start": int, "stop": int, "threadId": str,
    "message": str, "flaky": bool, "retries": int, "retryAttempts": list, "stdout": list,
    "attachments": list,
}  # fmt: skip
"""What of the keys of a test in the format's schema is used here, and its type there."""


def check(document: dict[str, Any]) -> None:
    assert document.keys() == {"reportFormat", "specVersion", "generatedBy", "results"}
    results = document["results"]
    assert results.keys() == {"tool", "summary", "tests", "environment"}
    summary = results["summary"]
    assert summary.keys() == {"tests", *STATUSES, "start", "stop"}
    assert all(isinstance(each, int) for each in summary.values())
    assert summary["tests"] == len(results["tests"]) == sum(summary[each] for each in STATUSES)
    for test in results["tests"]:
        assert {"name", "status", "duration"} <= test.keys()
        assert all(isinstance(value, TEST[key]) for key, value in test.items())
        assert test["status"] in STATUSES
        if "id" in test:
            uuid.UUID(test["id"])


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        ("pass", "passed"),
        ("skip", "skipped"),
        ("xfail", "skipped"),
        ("xpass", "passed"),
        *((each, "failed") for each in ("fail", "timeout", "stall", "crash", "error", "flaky")),
    ],
)
def test_every_verdict(recorded: RunMaker, verdict: str, status: str) -> None:
    recorder = recorded([(make.run(), [make.attempt(verdict, "why")])])
    document = ctrf_document(recorder.record)
    check(document)
    (test,) = document["results"]["tests"]
    assert (test["status"], test["rawStatus"], test["message"]) == (status, verdict, "why")
    assert test["suite"] == ["smoke", "x86_64 auto"]
    assert test["duration"] == 500
    assert 0 < document["results"]["summary"]["start"] <= test["start"] <= test["stop"]


def test_a_strict_run_fails_by_an_unexpected_pass(recorded: RunMaker) -> None:
    recorder = recorded([(make.run(), [make.attempt("xpass")])], strict=True)
    assert ctrf_document(recorder.record)["results"]["tests"][0]["status"] == "failed"


def test_attempts_skips_and_what_has_not_ended(recorded: RunMaker) -> None:
    again = make.case("again", repeat=2)
    attempts = [make.attempt(), make.attempt("fail", "one \x1b[31m", number=2)]
    recorder = recorded(
        [
            (make.run(again), attempts),
            (make.skip(make.case("skipped")), []),
            (make.run(make.case("later")), []),
        ]
    )
    document = ctrf_document(recorder.record)
    check(document)
    flaky, skipped, later = document["results"]["tests"]
    assert flaky["flaky"] is True
    assert flaky["retries"] == 1
    assert [each["status"] for each in flaky["retryAttempts"]] == ["passed", "failed"]
    assert "\x1b" not in str(flaky)
    assert skipped["message"] == "no such QEMU"
    assert later["status"] == "pending"


def test_the_console_of_a_failure(recorded: RunMaker) -> None:
    artifacts = "cases/one"
    recorder = recorded([(make.run(), [make.attempt("fail", artifacts=artifacts)])])
    (recorder.run.path / artifacts).mkdir()
    (recorder.run.path / artifacts / "console.log").write_bytes(b"line\nFAIL: \xff\n")
    (test,) = ctrf_document(recorder.record)["results"]["tests"]
    assert test["stdout"] == ["line", "FAIL: \\xff"]
    assert test["attachments"][0]["path"] == "cases/one/console.log"


def test_every_verdict_is_known() -> None:
    assert len(Verdict) == 10
