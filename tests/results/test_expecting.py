"""A file of known failures from a run fits that run: whatever failed is known, and nothing else."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix import __version__
from matrix.attempt import Attempt
from matrix.errors import UsageError
from matrix.inventory import Binary
from matrix.model import Accelerator, Architecture, Endian, Expectation, Target
from matrix.plan.applicable import applicable
from matrix.plan.decisions import VIRTUAL, Decision, Run, Skip
from matrix.results import expecting
from matrix.results.case_record import CaseRecord, record_of, unrun
from matrix.results.expecting import expectation_lines, pattern_of
from matrix.results.run_info import QemuFingerprint
from matrix.scenario.case_id import case_id, encode, variant_suffix
from matrix.scenario.expectations import read_expectations
from matrix.scenario.known import KnownFailures
from matrix.scenario.scenario import KnownFailure
from matrix.verdict.known_failures import apply_known_failures
from matrix.verdicts import Subtest, SubtestVerdict, Verdict
from tests import make

VERSIONS = {"system": (7, 2, 22), "10.0": (10, 0, 3)}
BINARIES = [
    Binary(name, arch, f"/{name}", version, ".".join(map(str, version)) + " (Debian)")
    for name, version in VERSIONS.items()
    for arch in Architecture
]


@dataclass
class Record:
    """As much of a RunRecord as is asked for."""

    finished: list[tuple[Decision, Sequence[Attempt]]]
    info: Any

    given = Path("runs/one")

    def results(self) -> Iterable[CaseRecord]:
        for decision, attempts in self.finished:
            if attempts:
                yield record_of(decision.case, attempts)
            else:
                yield unrun(Skip(decision.case, "why"))

    def decision(self, case_id: str) -> Decision:
        return next(each for each, _ in self.finished if each.case.id == case_id)

    def counts(self) -> dict[Verdict, int]:
        return {Verdict.PASS: len(self.finished)}

    def unfinished(self) -> tuple[str, ...]:
        return ()


def written(*finished: tuple[Decision, Sequence[Attempt]]) -> str:
    return written_from(finished)


def written_from(*runs: Sequence[tuple[Decision, Sequence[Attempt]]]) -> str:
    info = make.info(binaries=tuple(QemuFingerprint.of(binary) for binary in BINARIES))
    records: list[Any] = [Record(list(finished), info) for finished in runs]
    return "".join(f"{line}\n" for line in expectation_lines(*records))


def read(text: str) -> tuple[KnownFailure, ...]:
    known, problems = read_expectations(text.encode(), "known.yaml")
    assert not problems, text
    return known


def expected_by(known: tuple[KnownFailure, ...], decision: Decision) -> tuple[Expectation, ...]:
    """The known failures of a case where it runs."""
    assert isinstance(decision, Run)
    case = decision.case
    binary = next(
        b for b in BINARIES if (b.qemu, b.architecture) == (case.variant.qemu, case.variant.arch)
    )
    of_case = KnownFailures("smoke", known).of(case.id, case.test.name, case.variant.arch)
    host = SimpleNamespace(cpu_vendor="", kernel="6.1")
    label = decision.accelerator_label
    return applicable(of_case, label, binary, host, case.build)  # type: ignore[arg-type]  # no more is asked for


def attempt(verdict: str, *failing: str, reason: str = "it broke") -> Attempt:
    made: Attempt = make.attempt(verdict, reason)
    return replace(
        made,
        subtests=tuple(Subtest(name, SubtestVerdict.FAIL) for name in failing),
        subtest_counts=((SubtestVerdict.FAIL, len(failing)),),
        by_subtests=verdict == "fail" and bool(failing),
    )


_failing = st.lists(
    st.sampled_from(["pmu: a", "b [x]", "*", " odd\x00name ", "x" * 300, ""]), max_size=3
)
_outcomes: st.SearchStrategy[Any] = st.one_of(
    st.just(("pass", [], True)),
    st.tuples(st.sampled_from(["fail", "timeout", "stall", "crash"]), _failing, st.booleans()),
)
_places = st.tuples(
    st.sampled_from(["boot", "b[oo]t", "v1.0", "t" * 180]),
    st.sampled_from([Architecture.ARM, Architecture.X86_64]),
    st.sampled_from(["kvm", "tcg"]),
    st.sampled_from(list(VERSIONS)),
    st.sampled_from([None, 2]),
)
_runs = st.dictionaries(_places, st.lists(_outcomes, min_size=1, max_size=2), max_size=12)


@settings(max_examples=80, deadline=None)
@given(_runs)
def test_the_same_run_with_the_file_has_only_known_failures(runs: dict[Any, Any]) -> None:
    finished: list[tuple[Decision, Sequence[Attempt]]] = []
    for (test, arch, accel, qemu, smp), outcomes in runs.items():
        case = make.case(test, arch.value, accel=Accelerator(accel), qemu=qemu, smp=smp)
        name = case_id("smoke", encode(test), variant_suffix(case.variant))
        case = replace(case, id=name)
        attempts = []
        for number, (verdict, names, alone) in enumerate(outcomes, start=1):
            made = attempt(verdict, *names, reason=f"{verdict} after {number} s")
            attempts.append(replace(made, number=number, by_subtests=made.by_subtests and alone))
        run = make.run(case, accel)
        virtual = accel == "kvm" and arch is Architecture.ARM
        finished.append((replace(run, host=VIRTUAL) if virtual else run, attempts))
    known = read(written(*finished))
    for decision, all_of_it in finished:
        expected = expected_by(known, decision)
        for each in all_of_it:
            after = apply_known_failures(each, expected)
            wanted = Verdict.PASS if each.verdict is Verdict.PASS else Verdict.XFAIL
            assert after.verdict is wanted, (decision.case.id, each, expected)
    again = [
        (replace(d, expected=expected_by(known, d)), a) for d, a in finished if isinstance(d, Run)
    ]
    now = [(d, [apply_known_failures(each, d.expected) for each in a]) for d, a in again]
    once_more = read(written(*now))
    for decision, all_of_it in now:
        expected = expected_by(once_more, decision)
        for each in all_of_it:
            seen = replace(each, verdict=each.observed or each.verdict, observed=None)
            assert apply_known_failures(seen, expected).verdict is each.verdict


def test_what_is_the_same_is_one_entry() -> None:
    finished = [
        (
            make.run(
                make.case(
                    *("pmu", arch),
                    accel=Accelerator.AUTO,
                    qemu=qemu,
                    build=make.build(arch, builtin=True),
                ),
                "tcg",
            ),
            [attempt("timeout", reason=f"timed out after {seconds} s")],
        )
        for seconds, arch in enumerate((Architecture.X86_64, Architecture.I386))
        for qemu in VERSIONS
    ]
    text = written(*finished)
    assert text.startswith(
        f"# Known failures: 4 cases, written by matrix {__version__} from\n"
        "#   runs/one, 4 cases, 2026-11-21T09:30:00.000Z\n"
    )
    assert text.partition("expect:\n")[2] == (
        "  - cases: [pmu]\n"
        "    arch: [x86_64, i386]\n"
        "    accel: [tcg]\n"
        '    qemu: ["==7.2", "==10.0"]\n'
        "    verdicts: [stall, timeout]\n"
        '    reason: "timed out after 0 s"\n'
    )


def test_a_guest_that_hangs_may_be_found_dead_sooner_or_later() -> None:
    outcomes = [
        attempt("timeout", reason="timed out after 90 s; vCPU 0 running at pc 0x400"),
        replace(attempt("stall", reason="the guest is dead after 84 s"), number=2),
    ]
    decision = make.run(make.case("svm"))
    (entry,) = (each.expectation for each in read(written((decision, outcomes))))
    assert entry.verdicts == (Verdict.STALL, Verdict.TIMEOUT)


def test_a_limit_of_a_known_timeout_is_kept() -> None:
    hangs = Expectation("old.yaml:1", "bug", ("*",), verdicts=(Verdict.TIMEOUT,), known_limit=1.5)
    decision = replace(make.run(make.case("svm")), expected=(hangs,))
    known = apply_known_failures(attempt("timeout", reason="timed out after 2 s"), (hangs,))
    (entry,) = (each.expectation for each in read(written((decision, [known]))))
    assert entry.known_limit == 1.5
    (entry,) = (each.expectation for each in read(written((decision, [attempt("timeout")]))))
    assert entry.known_limit is None


def test_several_runs_are_one_whatever_their_scenarios_are_called() -> None:
    """What failed in one and passed in another fails sometimes."""
    ours = make.build(builtin=True)
    first = make.case("psci", scenario="once", build=ours)
    second = make.case("psci", scenario="again", build=ours)
    bad, good = attempt("fail", "cpu-on"), make.attempt("pass")
    third = make.run(make.case("pmu", scenario="again", build=ours))
    text = written_from([(make.run(first), [bad])], [(make.run(second), [good]), (third, [bad])])
    assert text.startswith("# Known failures: 2 cases, ")
    assert text.count("#   runs/one, ") == 2
    assert text.partition("expect:\n")[2] == (
        "  - cases: [psci]\n"
        "    arch: [x86_64]\n"
        "    accel: [tcg]\n"
        '    qemu: "==7.2"\n'
        "    verdicts: [fail, pass]\n"
        "    subtests: [cpu-on]\n"
        '    reason: "it broke"\n'
        "  - cases: [pmu]\n"
        "    arch: [x86_64]\n"
        "    accel: [tcg]\n"
        '    qemu: "==7.2"\n'
        "    subtests: [cpu-on]\n"
        '    reason: "it broke"\n'
    )


@pytest.mark.parametrize(
    ("arch", "changes", "line", "others"),
    [
        ("x86_64", {"efi": True}, "    firmware: [uefi]\n", {"efi": False}),
        ("x86_64", {"efi": False}, "    firmware: [default]\n", {"efi": True}),
        ("ppc64", {"endian": Endian.BIG}, "    endian: [big]\n", {"endian": Endian.LITTLE}),
        ("ppc64", {}, "    endian: [little]\n", {"endian": Endian.BIG}),
        ("s390x", {"endian": Endian.BIG}, "", None),
        ("x86_64", {"target": Target.PROGRAM}, "", None),
    ],
)
def test_what_fails_in_one_kind_of_build_is_not_known_of_another(
    arch: str, changes: dict[str, Any], line: str, others: dict[str, Any] | None
) -> None:
    case = make.case("smap", arch)
    external = replace(case.build, builtin=False)
    decision = make.run(replace(case, build=replace(external, **changes)))
    text = written((decision, [attempt("fail", "a")]))
    known = read(text)
    assert len(expected_by(known, decision)) == 1
    assert line in text
    assert bool(line) is ("firmware" in text or "endian" in text)
    if others is not None:
        other = make.run(replace(case, build=replace(external, **others)))
        assert expected_by(known, other) == ()


def test_kvm_of_a_virtual_host_is_not_that_of_a_machine() -> None:
    native = make.run(make.case("pmu", accel=Accelerator.KVM))
    virtual = replace(native, host=f"{VIRTUAL}x86_64-debian-13")
    text = written((virtual, [attempt("fail", "a")]))
    assert "format: 2\nexpect:\n" in text
    assert '    accel: ["kvm (virtual)"]\n' in text
    assert expected_by(read(text), native) == ()
    assert len(expected_by(read(text), virtual)) == 1
    text = written((native, [attempt("fail", "a")]))
    assert expected_by(read(text), virtual) == ()
    assert len(expected_by(read(text), native)) == 1


def test_where_only_some_cases_fail_they_are_named() -> None:
    bad, good = make.case("pmu", smp=4), make.case("pmu", smp=1)
    text = written(
        (make.run(bad), [attempt("fail", "a")]),
        (make.run(good), [attempt("pass")]),
    )
    assert '  - cases: ["smoke.pmu.x86_64.auto.smp=4"]\n' in text
    assert '    subtests: [a]\n    reason: "it broke"\n' in text


def test_skips_and_errors_are_no_failures() -> None:
    text = written(
        (Skip(make.case("a"), "why"), []),
        (make.run(make.case("b")), [attempt("skip")]),
        (make.run(make.case("c")), [attempt("error")]),
    )
    assert text.endswith("expect: []\n")
    assert "Known failures: 0 cases" in text


def test_unexpected_passes_are_dropped_and_known_reasons_kept() -> None:
    expectation = Expectation("old.yaml:1", "tracked as bug 7", ("*",))
    passed, failed = replace(make.run(make.case("a")), expected=(expectation,)), make.run()
    failed = replace(failed, expected=(expectation,))
    text = written(
        (passed, [apply_known_failures(attempt("pass"), (expectation,))]),
        (failed, [apply_known_failures(attempt("fail"), (expectation,))]),
    )
    (known,) = read(text)
    assert known.expectation.cases == ("boot",)
    assert known.expectation.reason == "tracked as bug 7"


def test_another_failure_than_the_known_one_is_told_as_it_was_seen() -> None:
    expectation = Expectation("old.yaml:1", "tracked as bug 7", ("*",))
    decision = replace(make.run(), expected=(expectation,))
    crashed = apply_known_failures(attempt("crash", reason="QEMU died"), (expectation,))
    assert "old.yaml" in crashed.reason
    (known,) = read(written((decision, [crashed])))
    assert known.expectation.reason == "QEMU died"


def test_many_subtests_are_not_listed() -> None:
    names = [f"n{number}" for number in range(expecting.MOST_SUBTESTS + 1)]
    (few,) = read(written((make.run(), [attempt("fail", *names[1:])])))
    assert len(few.expectation.subtests) == expecting.MOST_SUBTESTS
    (many,) = read(written((make.run(), [attempt("fail", *names)])))
    assert many.expectation.subtests == ()


def test_a_file_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [make.case("pmu", smp=number) for number in range(1, 8)]
    finished = [(make.run(case), [attempt("fail")]) for case in cases]
    finished.append((make.run(make.case("pmu")), [attempt("pass")]))
    monkeypatch.setattr(expecting, "MOST_CASES", 3)
    assert [len(each.places) for each in read(written(*finished))] == [3, 3, 1]
    monkeypatch.setattr(expecting, "MOST_ENTRIES", 2)
    with pytest.raises(UsageError, match="3 entries would be needed"):
        written(*finished)


@pytest.mark.parametrize("word", ["no", "True", "null", "1.0", "a: b", "- x", "#", '"', "é", "0x1"])
def test_words_stay_words(word: str) -> None:
    failed = attempt("fail", word, reason=word)
    (known,) = read(written((make.run(make.case(word)), [failed])))
    assert known.expectation.cases == (word,)
    assert known.expectation.subtests == (word,)
    assert known.expectation.reason == word


@given(st.text(min_size=1, max_size=400))
def test_a_pattern_matches_its_name_and_is_taken(name: str) -> None:
    pattern = pattern_of(name)
    assert fnmatchcase(name, pattern)
    assert len(pattern) <= expecting.LONGEST_PATTERN
    assert pattern.isprintable()
    assert pattern == pattern.strip()


@given(st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=60))
def test_a_pattern_matches_nothing_else(name: str) -> None:
    pattern = pattern_of(name)
    assert not fnmatchcase(name + "x", pattern)
    assert not fnmatchcase("x" + name, pattern)
