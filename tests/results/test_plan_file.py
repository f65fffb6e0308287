import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.errors import UsageError
from matrix.model import Expectation, RunSettings
from matrix.plan.decisions import Broken, Decision, Run, Skip
from matrix.results.directory import RunDirectory
from matrix.results.plan_file import read_plan, write_plan
from matrix.verdicts import SkipCause, Verdict
from matrix.versions import parse_range
from tests import make


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "run")


@pytest.fixture
def decisions() -> list[Decision]:
    decisions: list[Decision] = [
        make.run(make.case(test, arch, smp=smp), "kvm", "it works")
        for arch in ("x86_64", "s390x")
        for smp in (None, 4)
        for test in ("boot", "smp")
    ]
    decisions.append(make.skip(make.case("panic", "mips64el"), "it has no pvpanic"))
    decisions.append(Skip(make.case("sbi", "riscv64"), "no QEMU", SkipCause.NO_QEMU))
    decisions.append(Broken(make.case("boot", "riscv64"), "no libslirp"))
    case = make.case("odd", memory=2**28)
    test = replace(
        case.test,
        qemu_params=("-append", "a b", "\x00\n"),
        checks=(("/sys/x", "Y"),),
        timeout=1.5,
        kvmtool_params=("ü",),
    )
    case = replace(
        case, test=test, settings=RunSettings(repeat=3, forced_timeout=9.0), excluded="x"
    )
    decisions.append(replace(make.run(case), kvm_doubt="boot failed"))
    return decisions


def test_a_plan_comes_back(directory: RunDirectory, decisions: list[Decision]) -> None:
    write_plan(directory, decisions)
    assert read_plan(directory) == tuple(decisions)


def test_a_plan_without_known_failures_is_read(
    directory: RunDirectory, decisions: list[Decision]
) -> None:
    """As earlier versions wrote it: a new run can be compared with an old one."""
    write_plan(directory, decisions)
    lines = [json.loads(line) for line in directory.plan_path.read_text().splitlines()]
    lines = [line for line in lines if line["kind"] != "expected"]
    for line in lines:
        if line["kind"] in ("run", "skip", "broken"):
            line["value"].pop("expected", None)
            line["value"]["case"].pop("expected", None)
    directory.plan_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_plan(directory) == tuple(decisions)


def test_an_empty_plan_comes_back(directory: RunDirectory) -> None:
    write_plan(directory, [])
    assert read_plan(directory) == ()


def test_what_cases_share_is_written_once(
    directory: RunDirectory, decisions: list[Decision]
) -> None:
    write_plan(directory, decisions)
    lines = [json.loads(line) for line in directory.plan_path.read_text().splitlines()]
    kinds = [line["kind"] for line in lines]
    assert kinds.count("run") == 9
    assert kinds.count("test") == 8
    assert kinds.count("build") == 4
    assert kinds.count("settings") == 2
    first, second = (each.case for each in read_plan(directory)[:2])
    assert first.build is second.build
    assert first.variant is second.variant


def test_known_failures_come_back_and_are_written_once(directory: RunDirectory) -> None:
    known = Expectation("known.yaml:1", "a bug", ("boot",), qemu=(parse_range(">=7.2,<10.1"),))
    other = Expectation("known.yaml:9", "another", ("*",), verdicts=(Verdict.FAIL, Verdict.PASS))
    cases = [replace(make.case(f"t{n}"), expected=(known, other)) for n in range(9)]
    decisions: list[Decision] = [replace(make.run(case), expected=(known,)) for case in cases]
    decisions += [make.skip(replace(make.case("skipped"), expected=(other,)))]
    write_plan(directory, decisions)
    assert directory.plan_path.read_text().count("another") == 2
    back = read_plan(directory)
    assert back == tuple(decisions)
    assert back[0].case.expected[0] is back[1].case.expected[0]


def test_a_path_that_json_cannot_hold_is_named(directory: RunDirectory) -> None:
    case = make.case()
    case = replace(case, test=replace(case.test, image=os.fsdecode(b"/images/\xff")))
    with pytest.raises(UsageError, match=r"case smoke\.boot\S* has a path .* not UTF-8: .*udcff"):
        write_plan(directory, [make.run(case)])
    assert not directory.plan_path.exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda lines: lines[:-1], "plan.jsonl is incomplete: its last line is missing"),
        (lambda lines: [*lines[:-2], lines[-1]], "the number of its decisions is another"),
        (lambda lines: [*lines, lines[0]], "a line after the end of the plan"),
        (lambda lines: [*lines[:-1], lines[-2], lines[-1]], "is there twice"),
        (lambda lines: lines[1:], "plan.jsonl:5: the case's "),
        (lambda lines: [b"{}\n", *lines], "plan.jsonl:1: not a line of a plan"),
        (lambda lines: [b'{"kind": []}\n', *lines], "plan.jsonl:1: not a line of a plan"),
        (lambda lines: [b'{"kind": "run"}\n', *lines], "plan.jsonl:1: a decision without a case"),
        (lambda lines: [b'{"kind": "test"}\n', *lines], "plan.jsonl:1: Input should be"),
        (lambda lines: [b"\xff\n", *lines], "plan.jsonl:1: "),
        (lambda lines: [lines[0][:-9] + b"\n", *lines[1:]], "plan.jsonl:1: EOF while parsing"),
        (lambda lines: [*lines[:5], lines[5].replace(b'"tcg"', b'"x"'), *lines[6:]], "accelerator"),
        (
            lambda lines: [*lines[:5], lines[5].replace(b'"test":0', b'"test":-1'), *lines[6:]],
            "plan.jsonl:6: the case's 'test' was not defined before",
        ),
        (
            lambda lines: [
                *lines[:5],
                lines[5].replace(b'_doubt":"","expected":0', b'_doubt":"","expected":1'),
                *lines[6:],
            ],
            "plan.jsonl:6: the decision's 'expected' was not defined before",
        ),
    ],
)
def test_a_broken_plan_is_named(directory: RunDirectory, change: Any, complaint: str) -> None:
    write_plan(directory, [make.run(), make.skip(make.case("smp"))])
    lines = directory.plan_path.read_bytes().splitlines(keepends=True)
    directory.plan_path.write_bytes(b"".join(change(lines)))
    with pytest.raises(UsageError) as caught:
        read_plan(directory)
    assert complaint in str(caught.value)
    assert str(caught.value).isprintable()


@given(change=st.binary(max_size=20), data=st.data())
def test_any_change_gives_a_plan_or_a_usage_error(
    change: bytes, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = RunDirectory.create(tmp_path_factory.mktemp("plan") / "run")
    write_plan(directory, [make.run(), make.skip(make.case("smp"))])
    whole = directory.plan_path.read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    directory.plan_path.write_bytes(whole[:start] + change + whole[end:])
    try:
        decisions = read_plan(directory)
    except UsageError:
        return
    assert all(isinstance(each, Run) or each.reason is not None for each in decisions)
