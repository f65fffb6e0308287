"""When a case broke, how flaky it is, where its times go."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.results.history.past import CaseHistory, Entry, PastAttempt, PastRun
from matrix.results.history.trend import flakiness, last_break, metric_trends, time_trend
from matrix.verdicts import Verdict

SIGNS = {".": "pass", "F": "fail", "s": "skip", "E": "error", "x": "xfail", "T": "timeout"}


def entry(
    day: int,
    verdicts: Sequence[str],
    seconds: Sequence[float] = (),
    *,
    qemu: str = "7.2",
    kernel: str = "6.1",
) -> Entry:
    run = PastRun(
        key=f"run{day}",
        started=f"2026-11-{day:02}T21:30:00.000Z",
        finished=True,
        exit_code=0,
        elapsed=1.0,
        directory="/runs",
        tool_version="1",
        hostname="builder",
        kernel=kernel,
        cpu_model="Neoverse",
    )
    times = seconds or [1.0] * len(verdicts)
    attempts = tuple(
        PastAttempt(Verdict(verdict), each) for verdict, each in zip(verdicts, times, strict=True)
    )
    one = len(set(verdicts)) == 1
    verdict = Verdict(verdicts[0]) if one else Verdict.FLAKY
    return Entry(run, verdict, "", sum(times), "tcg", qemu, "abc", kernel, "Neoverse", attempts)


def entries(signs: str) -> list[Entry]:
    return [entry(day, [SIGNS[sign]]) for day, sign in enumerate(signs, start=1)]


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ("...FF", ("run3", "run4", None, 2)),
        ("..F..", ("run2", "run3", "run4", 1)),
        (".F.FT", ("run3", "run4", None, 2)),
        ("..sEF", ("run2", "run5", None, 1)),  # skips and errors tell nothing
        (".FsEF", ("run1", "run2", None, 2)),
        ("x.xF", ("run3", "run4", None, 1)),  # a known failure is good
        ("FFF", None),
        ("FF..", None),
        ("....", None),
        ("sE", None),
        ("", None),
    ],
)
def test_when_it_broke(signs: str, expected: tuple[str, str, str | None, int] | None) -> None:
    found = last_break(entries(signs))
    if expected is None:
        assert found is None
        return
    assert found is not None
    fixed = found.fixed.run.key if found.fixed else None
    assert (found.last_good.run.key, found.first_bad.run.key, fixed, found.bad) == expected


def test_what_changed_between_good_and_bad() -> None:
    found = last_break([entry(1, ["pass"]), entry(2, ["fail"], qemu="10.0", kernel="6.12")])
    assert found is not None
    assert [(each.what, each.a, each.b) for each in found.differences] == [
        ("QEMU", "7.2", "10.0"),
        ("host kernel", "6.1", "6.12"),
    ]


@given(st.text("".join(SIGNS), max_size=30))
def test_a_break_lies_between_good_and_bad(signs: str) -> None:
    found = last_break(entries(signs))
    if found is not None:
        assert found.last_good.verdict.good
        assert not found.first_bad.verdict.good
        assert found.last_good.run.started < found.first_bad.run.started
        assert found.bad >= 1


@pytest.mark.parametrize(
    ("signs", "changes", "pairs"),
    [
        ("....", 0, 3),
        (".F.F", 3, 3),
        ("..FF", 1, 3),
        (".sE.", 0, 1),
        (".F.T", 3, 3),
        (".", 0, 0),
        ("", 0, 0),
    ],
)
def test_how_flaky_it_is(signs: str, changes: int, pairs: int) -> None:
    flaky = flakiness(entries(signs))
    assert (flaky.changes, flaky.pairs) == (changes, pairs)
    assert flaky.rate == (changes / pairs if pairs else None)


def test_attempts_of_one_run_count() -> None:
    flaky = flakiness([entry(1, ["pass", "fail", "pass"]), entry(2, ["pass"])])
    assert (flaky.changes, flaky.pairs) == (2, 3)


def test_what_changes_with_qemu_is_not_flaky() -> None:
    runs = [entry(1, ["pass"]), entry(2, ["fail"], qemu="10.0"), entry(3, ["pass"])]
    assert flakiness(runs).rate is None


def history(*runs: Sequence[float], **metrics: tuple[tuple[float, ...], ...]) -> CaseHistory:
    days = [entry(day, ["pass"] * len(each), each) for day, each in enumerate(runs, start=1)]
    return CaseHistory(
        "case", "suite", tuple(days), {(name, "ns", 1): values for name, values in metrics.items()}
    )


def test_the_latest_runs_are_slower() -> None:
    trend = time_trend(history(*[[2.0]] * 10, *[[4.0]] * 5))
    assert trend is not None
    assert trend.before is not None
    assert trend.after is not None
    assert (trend.before.count, trend.after.count) == (10, 5)
    assert trend.change is not None
    assert trend.change.factor == 2.0
    assert trend.medians == (2.0,) * 10 + (4.0,) * 5


def test_noise_is_no_trend() -> None:
    trend = time_trend(history(*[[2.0], [6.0]] * 4, *[[4.0], [8.0]] * 2))
    assert trend is not None
    assert trend.after is not None
    assert trend.change is None


def test_few_runs_have_no_trend() -> None:
    trend = time_trend(history([2.0], [2.0], [9.0], [9.0]))
    assert trend is not None
    assert trend.before is None
    assert trend.change is None
    assert trend.overall.median == 5.5


def test_hung_guests_do_not_count() -> None:
    runs = CaseHistory("case", "suite", (entry(1, ["timeout"], [90.0]), entry(2, ["pass"], [1.0])))
    trend = time_trend(runs)
    assert trend is not None
    assert trend.medians == (1.0,)
    assert time_trend(CaseHistory("case", "suite", runs.entries[:1])) is None


def test_metrics() -> None:
    runs = history([1.0], steady=((5.0,),) * 8, risen=((5.0,),) * 5 + ((9.0,),) * 5)
    trends = {trend.name: trend for trend in metric_trends(runs)}
    assert trends["steady"].change is None
    assert trends["risen"].change is not None
    assert trends["risen"].change.factor == 1.8
