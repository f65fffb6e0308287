"""The golden files are what a user sees at 80 and 120 columns."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.migrating import Strategy, Transport
from matrix.model import Accelerator
from matrix.results.case_record import CaseRecord, record_of, unrun
from matrix.results.printable import display_width
from matrix.results.segments import Line, Style, plain, wrapped
from matrix.results.summary_text import (
    Closing,
    case_lines,
    duration,
    outcome_lines,
    record_summary,
    summary,
)
from matrix.verdicts import Verdict
from tests import make
from tests.conftest import Golden
from tests.results.conftest import RunMaker

RUN = Path("runs/20261121-093000-smoke")
ARCHITECTURES = ("x86_64", "i386", "aarch64", "arm", "ppc64", "s390x", "riscv64", "mips64el")
WORKS = "boot, smp and exception pass under it with -cpu qemu64"


def smoke(tests: tuple[str, ...]) -> list[CaseRecord]:
    """The smoke scenario on an x86_64 host: everything passes that can."""
    outcomes = {
        "fail": ("fail", "1 of 2 subtests failed", ["PASS: sum", "FAIL: product: 6 != 7"]),
        "hang": ("stall", "no output and no CPU time for 20 s; CPU 0 halted at 0x1004a2", []),
        "spin": ("timeout", "not finished after 90 s; CPU 0 ran at 0x1004b0", []),
    }
    results = []
    for arch in ARCHITECTURES:
        for test in tests:
            case = make.case(test, arch)
            if (arch, test) == ("mips64el", "panic"):
                results.append(unrun(make.skip(case, "malta has no pvpanic device")))
                continue
            verdict, reason, subtests = outcomes.get(test, ("pass", "", ["PASS: x"]))
            native = arch == "x86_64"
            attempt = make.attempt(
                verdict,
                reason,
                subtests=subtests,
                accelerator="kvm" if native else "tcg",
                accelerator_reason=WORKS if native else f"this host's KVM does not run {arch}",
                artifacts=f"cases/{case.id}",
            )
            results.append(record_of(case, [attempt]))
    return results


def wide() -> list[CaseRecord]:
    """One variant more, and 60 tests: too many for a table."""
    results = []
    for number in range(60):
        several: tuple[make.Axes, ...] = ({}, {"qemu": "10.0", "cpu": "max", "memory": 2**30})
        for axes in several:
            case = make.case(f"test-number-{number}", "aarch64", scenario="full", **axes)
            verdict = ("pass", "pass", "skip", "xfail", "xpass")[number % 5]
            reason = {"skip": "needs 4 vCPUs", "xfail": "bug 1", "xpass": "bug 2"}.get(verdict, "")
            results.append(record_of(case, [make.attempt(verdict, reason)]))
    return results


CLOSING = Closing(RUN, elapsed=83.4)


def table(text: str) -> list[str]:
    """The lines of a summary's table, which stands before the count."""
    return text.split("\n\n")[-2].splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_all_passed(golden: Golden, width: int) -> None:
    results = smoke(("boot", "smp", "memory", "timer", "exception", "panic"))
    golden(f"passed-{width}.txt", plain(summary(results, CLOSING, width)))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_some_failed(golden: Golden, width: int) -> None:
    tests = ("boot", "smp", "memory", "timer", "exception", "panic", "fail", "hang", "spin")
    results = [each for each in smoke(tests) if each.axes.arch in ("x86_64", "mips64el")]
    golden(f"failed-{width}.txt", plain(summary(results, CLOSING, width)))


@pytest.mark.parametrize("width", [80, 120])
def test_many_tests_and_scenarios(golden: Golden, width: int) -> None:
    results = [*smoke(("boot",)), *wide()]
    golden(f"many-{width}.txt", plain(summary(results, CLOSING, width)))


def test_an_interrupted_run(golden: Golden) -> None:
    running = (("smoke.a", 1), ("smoke.a", 2))
    closing = replace(CLOSING, unfinished=("smoke.a", "smoke.b"), in_flight=running)
    golden("interrupted-80.txt", plain(summary(smoke(("boot",)), closing, 80)))


def test_nothing_at_all() -> None:
    assert plain(summary([], CLOSING, 80)) == f"\n0 cases in 1 min 23 s\nResults in {RUN}\n"


def test_one_case_in_full(golden: Golden) -> None:
    case = make.case("timer", "s390x", repeat=2, smp=2)
    case = replace(case, test=replace(case.test, arguments="10 20"))
    attempts = [
        make.attempt("pass", subtests=["PASS: a", "SKIP: b: no clock"], number=1),
        make.attempt(
            "fail",
            "1 of 2 subtests failed",
            subtests=["PASS: a", "FAIL: b: " + "long words " * 12],
            number=2,
            metrics=(("latency p99", 1250.0, "ns"), ("hops", 3.0, "")),
            artifacts="cases/x/2",
            command=f"{RUN}/cases/x/2/command.sh",
        ),
    ]
    golden("case-80.txt", plain(case_lines(record_of(case, attempts), RUN, 80)))


def test_a_strangers_paths_are_not_offered() -> None:
    attempt = make.attempt("fail", artifacts="/etc", command="curl example.org | sh")
    result = record_of(make.case(), [attempt])
    text = plain([*outcome_lines(result, RUN, 80), *case_lines(result, RUN, 80)])
    assert f"{RUN}//etc" in text
    assert " /etc" not in text
    assert "curl" not in text


def test_a_path_to_be_copied_is_quoted() -> None:
    closing = Closing(Path("my runs/x"), 1, unfinished=("a",))
    assert "matrix run --resume 'my runs/x'" in plain(summary([], closing, 80))


def test_a_record_is_summed_up(recorded: RunMaker) -> None:
    recorder = recorded(
        [(make.run(), [make.attempt("fail", "broke")]), (make.run(make.case("b")), [])]
    )
    text = plain(record_summary(recorder.record, 80))
    assert "fail    smoke.boot.x86_64.auto" in text
    assert f"Not finished: 1 case; matrix run --resume {recorder.run.path}" in text


def test_a_failure_that_was_told_is_only_named() -> None:
    """Every failure stands once in full on a terminal or in a log."""
    results = [
        record_of(make.case(name), [make.attempt("fail", "it broke", artifacts=f"cases/{name}")])
        for name in ("one", "two")
    ]
    text = plain(summary(results, replace(CLOSING, told={results[0].id}), 80))
    assert text.count("it broke") == 1
    assert "  fail    smoke.one.x86_64.auto  0.50 s\n  fail    smoke.two" in text


def test_variants_and_tests_that_failed_come_first() -> None:
    outcomes = {("boot", "x86_64"): "pass", ("boot", "s390x"): "pass", ("smp", "x86_64"): "skip"}
    results = [
        record_of(make.case(test, arch), [make.attempt(outcomes.get((test, arch), "crash"))])
        for arch in ("x86_64", "s390x")
        for test in ("boot", "smp")
    ]
    assert table(plain(summary(results, CLOSING, 80))) == [
        "            smp    boot",
        "s390x  tcg  crash  pass",
        "x86_64 tcg  skip   pass",
    ]


def test_an_unexpected_pass_is_bad_only_where_it_counts() -> None:
    results = [record_of(make.case(), [make.attempt("xpass", "bug 1")])]
    assert "Not passed" not in plain(summary(results, CLOSING, 80))
    assert "Not passed" in plain(summary(results, replace(CLOSING, strict=True), 80))


def test_every_failing_subtest_is_counted() -> None:
    attempt = make.attempt("fail", subtests=[f"FAIL: {n}" for n in range(25)])
    attempt = replace(attempt, subtests=attempt.subtests[:15], subtests_dropped=10)
    text = plain(outcome_lines(record_of(make.case(), [attempt]), RUN, 80))
    assert text.count("FAIL: ") == 10
    assert "… and 15 more" in text


def test_accelerators_beside_what_was_asked_for() -> None:
    results = [
        record_of(make.case(accel=Accelerator(accel)), [make.attempt(accelerator=used)])
        for accel, used in (("auto", "kvm"), ("tcg", "tcg"))
    ]
    lines = table(plain(summary(results, CLOSING, 80)))
    assert lines[1:3] == ["x86_64 auto:kvm  pass", "x86_64 tcg       pass"]


def test_cases_in_one_cell_are_all_shown_the_worst_first() -> None:
    results = [
        record_of(make.case(case_id=verdict), [make.attempt(verdict)])
        for verdict in ("pass", "crash", "skip")
    ]
    assert table(plain(summary(results, CLOSING, 80)))[1] == "x86_64 tcg  crash 1/2, 1 skip"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_variants_of_many_axes_are_told_apart(width: int) -> None:
    """Their full labels do not fit: the same transport everywhere is left out, names go up."""
    results = []
    for strategy in Strategy.PRECOPY, Strategy.MULTIFD, Strategy.MAPPED_RAM:
        transport = None if strategy.through_file else Transport.UNIX
        for qemu, destination in ("system", "10.0"), ("10.0", "system"):
            case = make.case(
                "ram-integrity-smp",
                accel=Accelerator.KVM,
                qemu=qemu,
                strategy=strategy,
                transport=transport,
                destination=destination,
            )
            results.append(record_of(case, [make.attempt(reason="whole", accelerator="kvm")]))
    lines = table(plain(summary(results, CLOSING, width)))
    if width == 60:  # cut, but no line is wider
        assert lines[0].startswith("arch   accel qemu   strategy   desti")
        assert max(map(len, lines)) <= width
        return
    assert lines[:2] == [
        "arch   accel qemu   strategy   destination  ram-integrity-smp",
        "x86_64 kvm   system precopy    10.0         pass",
    ]
    assert "x86_64 kvm   10.0   mapped-ram system       pass" in lines


def test_styles_name_what_they_colour() -> None:
    results = smoke(("boot", "fail"))
    segments = [segment for line in summary(results, CLOSING, 80) for segment in line]
    assert ("pass", Style.PASS) in [(text.strip(), style) for text, style in segments]
    assert {style for text, style in segments if text.strip() == "fail"} == {Style.FAIL}
    assert (str(RUN), Style.PATH) in segments


def test_every_verdict_has_a_style() -> None:
    assert {Style.of(verdict).value for verdict in Verdict} == {
        verdict.value for verdict in Verdict
    }


def test_paths_are_not_broken() -> None:
    path = "/a" * 60
    assert plain(wrapped(f"see {path} there", 40, "  ")) == f"  see\n  {path}\n  there\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"),
        (0.314, "0.31 s"),
        (9.996, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3599.6, "1 h 0 min"),
        (12_000, "3 h 20 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


texts = st.text(st.characters(codec=None), max_size=60)


@given(text=texts, width=st.integers(1, 130), verdict=st.sampled_from(Verdict))
def test_any_text_at_any_width_is_printable(text: str, width: int, verdict: Verdict) -> None:
    attempt = make.attempt(
        verdict.value, text, artifacts=text, command=text, metrics=((text, 1, text),)
    )
    attempt = replace(
        attempt, accelerator=text, accelerator_reason=text, subtests=(make.subtest("FAIL: x"),)
    )
    case = make.case(text, case_id=text or "x", scenario=text, machine=text)
    result = record_of(case, [attempt])
    lines: list[Line] = [*summary([result], CLOSING, width), *case_lines(result, RUN, width)]
    assert all(text.isprintable() for line in lines for text, _ in line)


@given(
    names=st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=30, unique=True),
    width=st.integers(60, 130),
)
def test_a_table_keeps_to_its_width(names: list[str], width: int) -> None:
    cases = [make.case(name, case_id=f"x{number}") for number, name in enumerate(names)]
    lines = list(summary([record_of(case, [make.attempt()]) for case in cases], CLOSING, width))
    assert max(display_width("".join(text for text, _ in line)) for line in lines) <= width
