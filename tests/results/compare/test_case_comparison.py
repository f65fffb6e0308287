import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matrix.errors import MatrixError
from matrix.results.compare.case_comparison import compare_cases
from matrix.results.compare.changes import CaseComparison, ChangeKind
from matrix.results.compare.comparison_json import write_document
from matrix.results.compare.comparison_text import comparison_lines
from matrix.results.compare.markdown import markdown
from matrix.results.compare.matching import Pairing, pair_runs, pair_variants
from matrix.results.compare.measured import Thresholds
from matrix.results.compare.tally import Gathered, Tally
from matrix.results.recorder import Recorder
from matrix.results.run_record import RunRecord, load_run
from matrix.results.segments import plain
from matrix.verdicts import Verdict
from tests import make

RULES = Thresholds()


def test_the_story(told: Pairing) -> None:
    kinds = {each.test: each.kind.value for each in compare_cases(told, RULES) if each.kind}
    assert kinds == {
        "timer": "new-failure",
        "psci": "new-failure",
        "its": "changed-failure",
        "pmu": "no-longer-skipped",
        "mte-sync": "new-skip",
        "mte-async": "new-skip",
        "debug-bp": "fix",
        "lpa": "new-xfail",
        "sve": "new-xpass",
        "race": "new-flaky",
        "gone": "only-a",
        "new-good": "only-b",
        "new-bad": "only-b",
    }
    by_test = {each.test: each for each in compare_cases(told, RULES)}
    regressed = {test for test, each in by_test.items() if each.regressed}
    assert regressed == {"timer", "psci", "gic", "its", "race"}
    timed = {test for test, each in by_test.items() if each.seconds}
    assert timed == {"cache", "boot"}
    assert [each.name for each in by_test["vmexit"].metrics] == ["cpuid"]
    assert not any(by_test[f"same-{number}"].changed for number in range(5))


def test_each_side_says_what_it_is(told: Pairing) -> None:
    timer = next(compare_cases(told, RULES))
    assert timer.a is not None
    assert timer.b is not None
    assert (timer.scenario, timer.test, timer.variant) == ("kut", "timer", "aarch64 auto")
    assert (timer.a.verdict, timer.b.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert timer.b.reason == "1 of 3 subtests failed"
    assert timer.a.qemu_version.startswith("7.2.22")
    assert timer.b.qemu_version == "10.0.2"
    assert timer.b.artifacts == "cases/kut.timer.aarch64.auto"
    assert timer.b.accelerator == "tcg"


def test_variants_of_one_run(several_qemus: RunRecord) -> None:
    first, second = pair_variants(several_qemus, "qemu")
    changed = [each for each in compare_cases(first, RULES) if each.changed]
    assert [(each.test, each.variant) for each in changed] == [
        ("psci", "aarch64 auto"),
        ("gic", "aarch64 auto"),
        ("mte", "aarch64 auto"),
        ("slow", "aarch64 auto"),
        ("psci", "riscv64 auto"),
        ("gic", "riscv64 auto"),
        ("slow", "riscv64 auto"),
    ]
    assert changed[0].b is not None
    assert changed[0].b.qemu_version == "10.0.2"
    kinds = [each.kind for each in compare_cases(second, RULES) if each.test == "gic"]
    assert kinds == [ChangeKind.CHANGED_FAILURE] * 2


def test_cases_without_a_result_are_on_one_side_only(
    pairing: Callable[[Any, Any], Pairing],
) -> None:
    done: list[Any] = [(make.run(), [make.attempt("fail")])]
    open_: list[Any] = [(make.run(), [])]
    (case,) = compare_cases(pairing(done, open_), RULES)
    assert case.kind is ChangeKind.ONLY_A
    assert case.b is not None
    assert case.b.verdict is None
    assert not case.regressed
    (case,) = compare_cases(pairing(open_, done), RULES)
    assert case.kind is ChangeKind.ONLY_B
    (case,) = compare_cases(pairing(open_, open_), RULES)
    assert not case.changed


def test_a_case_that_got_another_accelerator(
    compared_attempts: Callable[..., CaseComparison],
) -> None:
    case = compared_attempts([make.attempt(accelerator="kvm")], [make.attempt("fail")])
    assert [(each.what, each.a, each.b) for each in case.differences] == [
        ("accelerator", "kvm", "tcg")
    ]


def test_a_strangers_folders_are_not_shown(
    compared_attempts: Callable[..., CaseComparison],
) -> None:
    for artifacts in ("/etc", "cases/../../etc", "../x", "", "casesx/y"):
        case = compared_attempts([make.attempt()], [make.attempt("fail", artifacts=artifacts)])
        assert case.b
        assert case.b.artifacts == ""


def test_long_reasons_are_cut(compared_attempts: Callable[..., CaseComparison]) -> None:
    case = compared_attempts([make.attempt()], [make.attempt("fail", "x" * 10**6)])
    assert case.b
    assert len(case.b.reason) == 1000


verdicts = st.sampled_from([verdict.value for verdict in Verdict if verdict is not Verdict.FLAKY])
subtests = st.lists(
    st.tuples(st.sampled_from(["PASS", "FAIL", "SKIP", "KFAIL"]), st.sampled_from("abc")).map(
        ": ".join
    ),
    max_size=3,
)
attempts = st.tuples(
    verdicts,
    st.sampled_from([0.1, 1.0, 5.0, 20.0]),
    subtests,
    st.lists(st.tuples(st.just("m"), st.sampled_from([1.0, 2.0]), st.just("ns")), max_size=1),
)
outcomes = st.one_of(
    st.none(),  # not in the plan
    st.just("skipped"),  # by the plan
    st.lists(attempts, min_size=0, max_size=3),  # none: no result yet
)
runs = st.lists(outcomes, min_size=1, max_size=4)


def run_of(path: Path, results: Any) -> RunRecord:
    """A finished run on disk, read again."""
    decisions = []
    for number, outcome in enumerate(results):
        if outcome is None:
            continue
        repeat = len(outcome) if isinstance(outcome, list) and outcome else 1
        case = make.case(f"t{number}", repeat=repeat)
        skipped = outcome == "skipped"
        decisions.append((make.skip(case) if skipped else make.run(case), outcome))
    with Recorder.start(path, make.info(), [decision for decision, _ in decisions]) as recorder:
        for decision, outcome in decisions:
            for index, parts in enumerate(outcome if isinstance(outcome, list) else []):
                verdict, seconds, lines, metrics = parts
                attempt = make.attempt(
                    verdict, number=index + 1, seconds=seconds, subtests=lines, metrics=metrics
                )
                recorder.finish(decision.case, replace(attempt, metrics=tuple(metrics)))
    return load_run(path)


def shape(case: CaseComparison, turn: bool) -> tuple[object, ...]:
    """What must be the same from both ends."""

    def ends(a: object, b: object) -> str:
        return f"{b} {a}" if turn else f"{a} {b}"

    subtests = [(each.name, ends(each.before, each.after)) for each in case.subtests]
    measured = [
        (each.name, ends(each.before, each.after))
        for each in (case.seconds, *case.metrics)
        if each is not None
    ]
    sides = [side.verdict if side else "absent" for side in (case.a, case.b)]
    return (case.test, ends(*sides), sorted(subtests), sorted(measured), case.changed)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(a=runs, b=runs)
def test_a_comparison_is_empty_with_itself_and_mirrored_the_other_way(
    tmp_path_factory: pytest.TempPathFactory, a: Any, b: Any
) -> None:
    folder: Path = tmp_path_factory.mktemp("mirror")
    one, other = run_of(folder / "a", a), run_of(folder / "b", b)
    assert not any(each.changed for each in compare_cases(pair_runs(one, one), RULES))
    there = list(compare_cases(pair_runs(one, other), RULES))
    back = list(compare_cases(pair_runs(other, one), RULES))
    assert sorted((shape(each, False) for each in there), key=str) == sorted(
        (shape(each, True) for each in back), key=str
    )
    assert mirrored(there) == mirrored_back(back)
    shutil.rmtree(folder)


def mirrored(cases: list[CaseComparison]) -> dict[str, int]:
    tally = tally_of(cases)
    return {
        "changed": tally.changed,
        "slower": tally.slower,
        "faster": tally.faster,
        "metrics": tally.metrics,
        "only_a": tally.kinds[ChangeKind.ONLY_A],
        "only_b": tally.kinds[ChangeKind.ONLY_B],
    }


def mirrored_back(cases: list[CaseComparison]) -> dict[str, int]:
    numbers = mirrored(cases)
    numbers["slower"], numbers["faster"] = numbers["faster"], numbers["slower"]
    numbers["only_a"], numbers["only_b"] = numbers["only_b"], numbers["only_a"]
    return numbers


def tally_of(cases: list[CaseComparison]) -> Tally:
    tally = Tally()
    for case in cases:
        tally.add(case)
    return tally


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(["run.json", "plan.jsonl", "events.jsonl"]), data=st.data())
def test_a_hostile_run_gives_no_traceback(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder: Path = tmp_path_factory.mktemp("hostile")
    attempt = ("fail", 1.0, ["FAIL: a"], [("m", 1.0, "ns")])
    record = run_of(folder / "a", [[attempt, attempt], "skipped"])
    shutil.copytree(folder / "a", folder / "b")
    path = folder / "b" / name
    whole = path.read_bytes()
    values: st.SearchStrategy[bytes] = st.one_of(
        st.binary(max_size=12),
        st.sampled_from(
            [b"null", b"-1", b"1e999", b"[]", b"{}", b'"../../x"', b'"\\u0000"', b'"\\u001b[2J"',
             b"9" * 30, b"true", b'"', b"\n", b"NaN", b"-0.0", b'"cases/../../.."', b'"`@all"']
        ),
    )  # fmt: skip
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(start + 40, len(whole))))
    path.write_bytes(whole[:start] + data.draw(values) + whole[end:])
    try:
        text = everything(pair_runs(record, load_run(folder / "b")))
    except MatrixError as error:
        text = str(error)
    assert all(line.isprintable() for line in text.split("\n"))
    shutil.rmtree(folder)


def everything(pairing: Pairing) -> str:
    """A comparison in every form that people read."""
    write_document(lambda _: None, [pairing], RULES)
    comment = markdown([Gathered.of(pairing, compare_cases(pairing, RULES))], RULES)
    gathered = Gathered.of(pairing, compare_cases(pairing, RULES))
    return plain(comparison_lines([gathered], RULES, 80)) + comment
