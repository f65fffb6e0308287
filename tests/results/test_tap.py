"""Checked with a small TAP 14 parser of its own, written from the specification.

What other programs make of the file is in test_consumers.py.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix.results.recorder import Recorder
from matrix.results.tap import escaped, write_tap
from matrix.verdicts import SubtestVerdict, Verdict
from tests import make
from tests.results.conftest import RunMaker

POINT = re.compile(r"(?P<not>not )?ok (?P<number>\d+)(?: - (?P<rest>.*))?")


@dataclass
class Point:
    ok: bool
    number: int
    description: str
    directive: str
    reason: str
    diagnostic: Any = None
    subtests: "list[Point]" = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """As a harness counts: a TODO or a SKIP never fails."""
        return not self.ok and not self.directive


def parse(text: str) -> list[Point]:
    """The points of a TAP 14 document. Anything that is not in the specification fails."""
    version, *lines = text.split("\n")
    assert version == "TAP version 13"
    assert lines.pop() == ""
    return parse_document(lines)


def parse_document(lines: list[str]) -> list[Point]:
    plan = re.fullmatch(r"1\.\.(\d+)", lines[0])
    assert plan, lines[0]
    points: list[Point] = []
    subtest: list[str] = []
    name: str | None = None
    position = 1
    while position < len(lines):
        line = lines[position]
        position += 1
        if line.startswith("    "):
            subtest.append(line[4:])
        elif line.startswith("# Subtest: "):
            assert not subtest
            name = line.removeprefix("# Subtest: ")
        elif line == "  ---":
            end = lines.index("  ...", position)
            block = "\n".join(each.removeprefix("  ") for each in lines[position:end])
            assert points[-1].diagnostic is None
            points[-1].diagnostic = yaml.safe_load(block)
            position = end + 1
        elif not line.startswith("#"):
            points.append(parse_point(line, name))
            if subtest:
                points[-1].subtests = parse_document(subtest)
            subtest, name = [], None
    assert not subtest
    assert [point.number for point in points] == list(range(1, int(plan[1]) + 1))
    return points


def parse_point(line: str, name: str | None) -> Point:
    match = POINT.fullmatch(line)
    assert match, line
    rest = match["rest"] or ""
    # The first unescaped # with whitespace on both sides.
    directive = re.search(r"(?:^|\s)#\s+(SKIP|TODO)(?:\s+(.*))?$", rest, re.IGNORECASE)
    description = rest[: directive.start()] if directive else rest
    assert name is None or description == name
    return Point(
        ok=not match["not"],
        number=int(match["number"]),
        description=unescaped(description),
        directive=directive[1].upper() if directive else "",
        reason=unescaped(directive[2] or "") if directive else "",
    )


def unescaped(text: str) -> str:
    return re.sub(r"\\([\\#])", r"\1", text).replace(r"\x23", "#")


def written(recorder: Recorder) -> list[Point]:
    write_tap(recorder.record)
    return parse((recorder.run.path / "results.tap").read_text())


@pytest.mark.parametrize(
    ("verdict", "strict", "ok", "directive"),
    [
        ("pass", False, True, ""),
        ("fail", False, False, ""),
        ("timeout", False, False, ""),
        ("stall", False, False, ""),
        ("crash", False, False, ""),
        ("error", False, False, ""),
        ("flaky", False, False, ""),
        ("skip", False, True, "SKIP"),
        ("xfail", False, False, "TODO"),
        ("xpass", False, True, "TODO"),
        ("xpass", True, False, ""),
    ],
)
def test_every_verdict(
    recorded: RunMaker, verdict: str, strict: bool, ok: bool, directive: str
) -> None:
    recorder = recorded([(make.run(), [make.attempt(verdict, "why # not \\")])], strict=strict)
    (point,) = written(recorder)
    assert (point.ok, point.directive) == (ok, directive)
    assert point.description == make.case().id
    if directive:
        assert point.reason == "why # not \\"
    if point.failed:
        assert point.diagnostic["message"] == "why # not \\"
    else:
        assert point.diagnostic is None


def test_every_verdict_is_tried() -> None:
    (mark,) = vars(test_every_verdict)["pytestmark"]
    tried = {each[0] for each in mark.args[1]}
    assert tried == {verdict.value for verdict in Verdict}


def test_subtests_are_nested(recorded: RunMaker) -> None:
    attempt = make.attempt(
        "fail",
        "2 of 6 subtests failed",
        subtests=[
            "PASS: plain", "FAIL: sum: 1 # 2", "SKIP: clock: no \\ clock", "XFAIL: old",
            "KFAIL: k: m", "XPASS: surprise",
        ],
        subtests_dropped=7,
        command="/runs/x: y/command.sh",
        artifacts="cases/x",
    )  # fmt: skip
    recorder = recorded([(make.run(), [attempt]), (make.skip(make.case("smp"), "no #"), [])])
    failed, skipped = written(recorder)
    assert failed.failed
    assert [(p.ok, p.description, p.directive, p.reason) for p in failed.subtests] == [
        (True, "plain", "", ""),
        (False, "sum: 1 # 2", "", ""),
        (True, "clock", "SKIP", "no \\ clock"),
        (False, "old", "TODO", "expected failure"),
        (False, "k", "TODO", "known failure: m"),
        (False, "surprise (passed, a failure was expected)", "", ""),
    ]
    assert failed.diagnostic == {
        "message": "2 of 6 subtests failed",
        "verdict": "fail",
        "seconds": 0.5,
        "accelerator": "tcg",
        "command": str(recorder.run.path / "cases/x/command.sh"),
        "artifacts": "cases/x",
    }
    assert (skipped.directive, skipped.reason, skipped.subtests) == ("SKIP", "no #", [])
    text = (recorder.run.path / "results.tap").read_text()
    assert "    # 7 more subtests, which are only counted\n" in text


def test_failing_subtests_are_those_that_the_guest_counts(recorded: RunMaker) -> None:
    subtests = [f"{verdict.value.upper()}: x: y" for verdict in SubtestVerdict]
    (point,) = written(recorded([(make.run(), [make.attempt("fail", subtests=subtests)])]))
    failed = {
        verdict
        for verdict, subtest in zip(SubtestVerdict, point.subtests, strict=True)
        if subtest.failed
    }
    assert failed == {SubtestVerdict.FAIL, SubtestVerdict.XPASS}


def test_a_flaky_case_names_its_attempts(recorded: RunMaker) -> None:
    attempts = [make.attempt("pass", number=1), make.attempt("fail", 'a "b": c', number=2)]
    (point,) = written(recorded([(make.run(make.case(repeat=2)), attempts)]))
    assert point.diagnostic["attempts"] == ["pass: ", 'fail: a "b": c']


def test_what_is_unfinished_is_not_planned(recorded: RunMaker) -> None:
    recorder = recorded([(make.run(), []), (make.run(make.case("smp")), [make.attempt()])])
    assert [point.description for point in written(recorder)] == [make.case("smp").id]


def test_the_text_is_golden(recorded: RunMaker) -> None:
    attempt = make.attempt("fail", "broke", subtests=["PASS: a", "FAIL: b: c"])
    recorder = recorded([(make.run(), [attempt]), (make.skip(make.case("smp"), "no KVM"), [])])
    written(recorder)
    assert (recorder.run.path / "results.tap").read_text() == (
        "TAP version 13\n"
        "1..2\n"
        "# Subtest: smoke.boot.x86_64.auto\n"
        "    1..2\n"
        "    ok 1 - a\n"
        "    not ok 2 - b: c\n"
        "not ok 1 - smoke.boot.x86_64.auto\n"
        "  ---\n"
        '  message: "broke"\n'
        '  verdict: "fail"\n'
        "  seconds: 0.500\n"
        '  accelerator: "tcg"\n'
        "  ...\n"
        "ok 2 - smoke.smp.x86_64.auto # SKIP no KVM\n"
    )


@given(st.text())
def test_escaping_comes_back(text: str) -> None:
    assert not re.search(r"(?<!\\)(\\\\)*#", escaped(text))
    assert "\n" not in escaped(text)
    if text.isprintable() and r"\x23" not in text:
        assert unescaped(escaped(text)) == text.strip()


@settings(max_examples=40, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), min_size=1), verdict=st.sampled_from(Verdict))
def test_any_text_gives_tap(
    text: str, verdict: Verdict, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tap") / "run"
    attempt = make.attempt(verdict.value, text, artifacts=text)
    subtest = make.subtest("FAIL: x")
    object.__setattr__(subtest, "name", text)
    object.__setattr__(attempt, "subtests", (subtest,))
    case = make.case(case_id=text)
    with Recorder.start(path, make.info(), [make.run(case)]) as recorder:
        event = {"event": "attempt-finished", "case": text, "attempt": attempt}
        recorder.record.finish(text, attempt, recorder._journal.append(event))
        (point,) = written(recorder)
    assert len(point.subtests) == 1
    assert point.failed == (not verdict.good)
