import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser import JUnitXml

from matrix.results import junit
from matrix.results.junit import write_junit
from matrix.results.recorder import Recorder
from matrix.verdicts import Verdict
from tests import make
from tests.results.conftest import RunMaker

CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"skipped", "error", "failure", "system-out"},
}
"""What of junit-10.xsd of Jenkins' xunit plugin, which is strict, is used here."""

ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {
        "name", "tests", "failures", "errors", "time", "skipped", "timestamp", "hostname",
    },
    "property": {"name", "value"},
    "testcase": {"name", "classname", "time"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"type", "message"},
}  # fmt: skip


def written(recorder: Recorder) -> JUnitXml:
    write_junit(recorder.record)
    path = recorder.run.path / "junit.xml"
    check_shape(ET.parse(path).getroot())
    return JUnitXml.fromfile(str(path))


def check_shape(element: ET.Element) -> None:
    for child in element:
        assert child.tag in CHILDREN.get(element.tag, set()), f"{child.tag} in {element.tag}"
        check_shape(child)
    assert element.attrib.keys() <= ATTRIBUTES.get(element.tag, set())
    if element.tag in ("testsuites", "testsuite"):
        cases = list(element.iter("testcase"))
        assert int(element.attrib["tests"]) == len(cases)
        for kind in ("failure", "error"):
            found = sum(case.find(kind) is not None for case in cases)
            assert int(element.attrib[f"{kind}s"]) == found
        total = sum(float(case.attrib["time"]) for case in cases)
        assert float(element.attrib["time"]) == pytest.approx(total, abs=0.001 * len(cases) + 0.001)
    if element.tag == "testsuite":
        skipped = sum(case.find("skipped") is not None for case in element)
        assert int(element.attrib["skipped"]) == skipped
        names = [(case.get("classname"), case.get("name")) for case in element.iter("testcase")]
        assert len(names) == len(set(names))
    if element.tag == "testcase":
        outcomes = [child.tag for child in element if child.tag in ("failure", "error", "skipped")]
        assert len(outcomes) <= 1


def one_case(recorder: Recorder) -> Any:
    (suite,) = written(recorder)
    (case,) = suite
    return case


def test_a_suite_per_scenario_and_variant(recorded: RunMaker) -> None:
    cases = [
        make.case(test, arch, scenario=scenario)
        for test in ("boot", "smp")
        for scenario in ("smoke", "full")
        for arch in ("x86_64", "arm")
    ]
    suites = list(written(recorded([(make.run(case), [make.attempt()]) for case in cases])))
    assert [suite.name for suite in suites] == [
        "smoke x86_64 auto", "smoke arm auto", "full x86_64 auto", "full arm auto",
    ]  # fmt: skip
    assert [case.name for case in suites[0]] == ["boot", "smp"]
    assert [case.classname for case in suites[3]] == ["full.arm auto", "full.arm auto"]
    assert suites[0].timestamp == "2026-11-21T09:30:00"
    assert suites[0].hostname == "builder"


def test_axes_are_the_suites_properties(recorded: RunMaker) -> None:
    case = make.case(qemu="10.0", smp=4, memory=2**28)
    (suite,) = written(recorded([(make.run(case), [make.attempt()])]))
    properties = suite.properties()  # type: ignore[no-untyped-call]  # it has no annotations
    assert {each.name: each.value for each in properties} == {
        "arch": "x86_64", "accel": "auto", "qemu": "10.0", "smp": "4", "memory": "256MiB",
    }  # fmt: skip
    assert next(iter(suite)).classname == "smoke.x86_64 auto qemu=10_0 smp=4 memory=256MiB"


@pytest.mark.parametrize(
    ("verdict", "strict", "element"),
    [
        ("pass", False, None),
        ("fail", False, "failure"),
        ("timeout", False, "failure"),
        ("stall", False, "failure"),
        ("crash", False, "failure"),
        ("flaky", False, "failure"),
        ("error", False, "error"),
        ("skip", False, "skipped"),
        ("xfail", False, "skipped"),
        ("xpass", False, None),
        ("xpass", True, "failure"),
    ],
)
def test_every_verdict(recorded: RunMaker, verdict: str, strict: bool, element: str | None) -> None:
    recorder = recorded([(make.run(), [make.attempt(verdict, "known: the reason")])], strict=strict)
    case = one_case(recorder)
    if element is None:
        assert case.is_passed
        told = "passed, although it is a known failure: the reason" in case.system_out
        assert told == (verdict == "xpass")
        return
    (result,) = case.result
    assert result._tag == element
    assert result.type == verdict
    assert "the reason" in result.message
    assert "the reason" in result.text
    assert ("known failure" in result.message) == (verdict in ("xfail", "xpass"))


def test_every_verdict_is_tried() -> None:
    (mark,) = vars(test_every_verdict)["pytestmark"]
    tried = {each[0] for each in mark.args[1]}
    assert tried == {verdict.value for verdict in Verdict}


def test_a_failure_explains_itself(recorded: RunMaker, tmp_path: Path) -> None:
    recorder = recorded([(make.run(), [])])
    folder = recorder.begin(make.case(), 1)
    console = b"first\n" + b"x" * 20_000 + b"\n\x1b[31mlast \xff\0[[ATTACHMENT|/etc/passwd]]\n"
    (folder / "console.log").write_bytes(console)
    attempt = make.attempt(
        "fail",
        "1 subtest failed",
        subtests=["PASS: a", "FAIL: b: \x1b[1mbold\ud800 <&>\ufffe", "SKIP: c"],
        metrics=(("exit", 1250.5, "cycles"),),
        artifacts=recorder.run.relative(folder),
        command=str(folder / "command.sh"),
    )
    recorder.finish(make.case(), attempt)
    case = one_case(recorder)
    assert case.result[0].text.splitlines() == [
        "1 subtest failed",
        "FAIL: b: bold\\ud800 <&>\\ufffe",
        "SKIP: c",
        f"artifacts: cases/{folder.name}",
        f"by hand: {folder / 'command.sh'}",
    ]
    assert case.system_out.splitlines() == [
        "id = smoke.boot.x86_64.auto",
        "accelerator = tcg (no KVM)",
        f"artifacts = cases/{folder.name}",
        "exit = 1250.5 cycles",
        "",
        "last \\xff\\x00[[ATTACHMENT |/etc/passwd]]",
    ]


def test_a_flaky_case_names_its_attempts(recorded: RunMaker) -> None:
    attempts = [make.attempt("pass", number=1), make.attempt("fail", "broke", number=2)]
    case = one_case(recorded([(make.run(make.case(repeat=2)), attempts)]))
    assert case.result[0].text.splitlines()[1:] == ["attempt 1: pass", "attempt 2: fail broke"]
    assert case.time == 1.0


def test_many_subtests_are_bounded(recorded: RunMaker) -> None:
    attempt = make.attempt("fail", "x", subtests=[f"FAIL: {n}" for n in range(250)])
    lines = one_case(recorded([(make.run(), [attempt])])).result[0].text.splitlines()
    assert len(lines) == 2 + junit.MOST_SUBTESTS
    assert lines[-1] == "… and 50 more subtests that did not pass"


def test_a_console_outside_the_run_is_not_shown(recorded: RunMaker, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "console.log").write_text("it is secret")
    attempt = make.attempt("fail", artifacts="cases/../../secret")
    recorder = recorded([(make.run(), [])])
    recorder.begin(make.case(), 1)
    event = {"event": "attempt-finished", "case": make.case().id, "attempt": attempt}
    recorder.record.finish(make.case().id, attempt, recorder._journal.append(event))
    assert "it is secret" not in one_case(recorder).system_out


def test_cases_of_one_name_are_told_apart(recorded: RunMaker) -> None:
    cases = [make.case(case_id=f"id-{n}") for n in range(2)]
    (suite,) = written(recorded([(make.run(case), [make.attempt()]) for case in cases]))
    assert [case.name for case in suite] == ["boot", "boot (id-1)"]


def test_an_empty_run_is_an_empty_report(recorded: RunMaker) -> None:
    assert list(written(recorded([]))) == []


@settings(max_examples=30, deadline=None)
@given(text=st.text(st.characters(codec="utf-8")), value=st.floats())
def test_any_text_gives_xml(
    text: str, value: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("junit") / "run"
    case = make.case(text, case_id="x", machine=text)
    attempt = make.attempt("fail", text, metrics=((text, value, text),), artifacts=text)
    with Recorder.start(path, make.info(), [make.run(case)]) as recorder:
        event = {"event": "attempt-finished", "case": "x", "attempt": attempt}
        recorder.record.finish("x", attempt, recorder._journal.append(event))
        assert len(list(written(recorder))) == 1


def test_a_file_keeps_to_what_gitlab_reads(
    recorded: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    for number in range(30):
        artifacts = f"cases/{number}"
        attempt = make.attempt("fail", "why " * 200, artifacts=artifacts)
        runs.append((make.run(make.case(f"t{number}")), [attempt]))
    recorder = recorded(runs)
    for number in range(30):
        folder = recorder.run.path / f"cases/{number}"
        folder.mkdir()
        (folder / "console.log").write_text("a line\n" * 1000)
    monkeypatch.setattr(junit, "ROOM_FOR_CONSOLES", 50_000)
    monkeypatch.setattr(junit, "ROOM_FOR_TEXT", 70_000)
    (suite,) = written(recorder)
    texts = [case.system_out for case in suite]
    assert len(texts) == 30
    assert "a line" in texts[0]
    assert any("the console is left out" in text for text in texts)
    assert texts[-1] == "what else there is stands in results.json: this file is too long for it"
    assert (recorder.run.path / "junit.xml").stat().st_size < 90_000
