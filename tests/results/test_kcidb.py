"""KCIDB: every document is valid by its own schema, and says what KCIDB's words mean."""

import json
import math
from typing import Any

import pytest

from matrix.errors import UsageError
from matrix.results.json_text import json_bytes
from matrix.results.kcidb import kcidb_document
from matrix.verdicts import Verdict
from tests import make
from tests.results.conftest import RunMaker

schema = pytest.importorskip("kcidb_io.schema", reason="the extra kcidb is not installed")

EXPECTED = {
    "pass": "PASS", "xpass": "PASS", "fail": "FAIL", "timeout": "FAIL", "stall": "FAIL",
    "crash": "FAIL", "flaky": "FAIL", "xfail": "FAIL", "skip": "SKIP", "error": "MISS",
}  # fmt: skip


def written(recorder: Any, origin: str = "matrix") -> dict[str, Any]:
    """The document as it is read back."""
    data = json_bytes(kcidb_document(recorder.record, origin), nonfinite="null")
    document: dict[str, Any] = json.loads(data)
    schema.V5_3.validate(document)
    return document


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict(recorded: RunMaker, verdict: Verdict) -> None:
    document = written(recorded([(make.run(), [make.attempt(verdict.value, "why")])]))
    (test,) = document["tests"]
    assert test["status"] == EXPECTED[verdict.value]
    assert test["misc"]["verdict"] == verdict.value
    key = "known_failure" if verdict is Verdict.XFAIL else "reason"
    assert test["misc"][key] == "why"
    assert test["start_time"].endswith("+00:00")


def test_names_that_a_path_cannot_have(recorded: RunMaker) -> None:
    case = make.case("vmx/é.a b", smp=4)
    document = written(recorded([(make.run(case), [make.attempt()])]))
    (test,) = document["tests"]
    assert test["path"] == "builtin.smoke.vmx__.a_b"
    assert test["comment"] == case.id


def test_builds_and_checkouts_are_there_once(recorded: RunMaker) -> None:
    cases = [make.case(test, arch) for test in ("a", "b") for arch in ("arm", "x86_64")]
    document = written(recorded([(make.run(each), [make.attempt()]) for each in cases]), "our_ci")
    assert len(document["checkouts"]) == 1
    assert [each["architecture"] for each in document["builds"]] == ["arm", "x86_64"]
    assert {each["build_id"] for each in document["tests"]} == {
        each["id"] for each in document["builds"]
    }
    assert all(each["id"].startswith("our_ci:") for each in document["tests"])


def test_the_excerpt_is_as_long_as_it_may_be(recorded: RunMaker) -> None:
    artifacts = "cases/one"
    metrics = (("ns", math.nan, "ns"), ("x", 1.5, ""))
    attempt = make.attempt("fail", artifacts=artifacts, metrics=metrics)
    recorder = recorded([(make.run(), [attempt])])
    (recorder.run.path / artifacts).mkdir()
    (recorder.run.path / artifacts / "console.log").write_bytes(b"\0\xff\n" * 20_000)
    (test,) = written(recorder)["tests"]
    assert len(test["log_excerpt"]) == 16384
    assert test["misc"]["metrics"] == {"x": {"value": 1.5, "unit": ""}}


def test_no_origin(recorded: RunMaker) -> None:
    with pytest.raises(UsageError, match="--origin Our-CI: write lower-case letters"):
        written(recorded([(make.run(), [make.attempt()])]), "Our-CI")
