"""The history for people: lines of styled segments, readable at 80 columns.

Everything that a run, and so a stranger, wrote is printable in every segment.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from matrix.results.compare.measured import Thresholds
from matrix.results.compare.ranking import factor_words
from matrix.results.compare.run_differences import short_revision
from matrix.results.compare.words import counted
from matrix.results.counts import Counts
from matrix.results.history.past import CaseHistory, Entry, History, PastRun
from matrix.results.history.trend import (
    Break,
    Trend,
    flakiness,
    last_break,
    metric_trends,
    telling,
    time_trend,
)
from matrix.results.outcome import WORST_FIRST
from matrix.results.printable import display_width, printable, shortened
from matrix.results.segments import BLANK, Line, Style, line, wrapped
from matrix.verdicts import Verdict

MOST_CASES = 40
"""Cases that are listed; ``--json`` has all."""

MOST_METRICS = 30

LONGEST_NAME = 40
"""Columns of a metric's name."""

LETTERS: dict[Verdict, str] = {
    Verdict.PASS: ".",
    Verdict.FAIL: "F",
    Verdict.SKIP: "s",
    Verdict.XFAIL: "x",
    Verdict.XPASS: "X",
    Verdict.TIMEOUT: "T",
    Verdict.STALL: "S",
    Verdict.CRASH: "C",
    Verdict.ERROR: "E",
    Verdict.FLAKY: "~",
}
"""A verdict in one column."""

_BARS = "▁▂▃▄▅▆▇█"


def history_lines(history: History, width: int, last: int) -> Iterator[Line]:
    """All runs, what fails now, and what is flaky.

    Args:
        history: of all cases.
        width: columns to keep to; only paths and other long words go beyond.
        last: how many runs were asked for.
    """
    shown = history.runs[-last:]
    yield (
        ("Runs: ", Style.HEADING),
        (f"the latest {len(shown):,} of {history.runs_in_all:,}", Style.PLAIN),
    )
    for run in reversed(shown):
        yield from _run_lines(run, width)
    yield from _sections(history.cases, width)


def cases_lines(cases: Sequence[CaseHistory], width: int, last: int) -> Iterator[Line]:
    """Several cases, two lines each, the worst first. Arguments as :func:`history_lines`."""
    ordered = sorted(cases, key=lambda case: (WORST_FIRST.index(case.last.verdict), case.id))
    for case in ordered[:MOST_CASES]:
        yield from _case_lines(case, width, last)
    if len(ordered) > MOST_CASES:
        yield line(f"… and {len(ordered) - MOST_CASES:,} more (see --json)", Style.FAINT)
    yield BLANK
    yield from _legend([entry for case in ordered for entry in case.entries[-last:]], width)


def case_lines(case: CaseHistory, width: int, last: int) -> Iterator[Line]:
    """Everything of one case. Arguments as :func:`history_lines`."""
    yield line(case.id, Style.HEADING)
    yield (
        (f"  {case.last.verdict.value:<8}", Style.of(case.last.verdict)),
        (_day(case.last.run), Style.PLAIN),
    )
    yield from wrapped(case.last.reason, width, " " * 10)
    yield from wrapped(_where(case.last, case.suite), width, " " * 10, Style.FAINT)
    yield BLANK
    shown = case.entries[-last:]
    strip = "".join(LETTERS[entry.verdict] for entry in case.entries)
    yield from _strip(strip, width)
    yield from _legend(case.entries, width)
    yield from _flaky_lines(case, width)
    yield from _break_lines(case, width)
    yield from _trend_lines(case, width)
    yield BLANK
    yield (
        ("Runs: ", Style.HEADING),
        (f"the latest {len(shown):,} of {len(case.entries):,} that have it", Style.PLAIN),
    )
    for entry in reversed(shown):
        yield (
            (f"  {_day(entry.run)}  ", Style.PLAIN),
            (f"{entry.verdict.value:<8}", Style.of(entry.verdict)),
            (f"{entry.seconds:8.2f} s  ", Style.PLAIN),
            (f"{printable(entry.run.key)}  {printable(entry.run.hostname)}", Style.FAINT),
        )


def _sections(cases: Sequence[CaseHistory], width: int) -> Iterator[Line]:
    """What fails now, the latest to break first, what always did, and what is flaky."""
    broken = [(last_break(case.entries), case) for case in cases if _broken(case)]
    broke = [(found, case) for found, case in broken if found is not None]
    broke.sort(key=lambda each: each[0].first_bad.run.started, reverse=True)
    never = [case for found, case in broken if found is None]
    yield BLANK
    if not broken:
        yield line("Nothing failed when it was run last.", Style.PASS)
    if broke:
        yield (("Broken: ", Style.HEADING), (counted(len(broke), "case"), Style.FAIL))
        for found, case in broke[:MOST_CASES]:
            yield from _broken_lines(found, case, width)
        yield from _more(len(broke))
    if broke and never:
        yield BLANK
    if never:
        yield (("Never good: ", Style.HEADING), (counted(len(never), "case"), Style.FAIL))
        for case in never[:MOST_CASES]:
            verdict = telling(case.entries)[-1].verdict
            yield ((f"  {verdict.value:<8}", Style.of(verdict)), (printable(case.id), Style.PLAIN))
        yield from _more(len(never))
    yield from _flaky_cases(cases)


def _flaky_cases(cases: Sequence[CaseHistory]) -> Iterator[Line]:
    rates = ((flakiness(case.entries).rate, case) for case in cases)
    flaky = sorted(((-rate, case.id) for rate, case in rates if rate))
    if not flaky:
        return
    yield BLANK
    number = counted(len(flaky), "case")
    what = "verdicts that changed while nothing else did"
    yield (("Flaky: ", Style.HEADING), (f"{number} with {what}", Style.FLAKY))
    for rate, case_id in flaky[:MOST_CASES]:
        yield ((f"  {-rate:5.0%}  ", Style.FLAKY), (printable(case_id), Style.PLAIN))
    yield from _more(len(flaky))


def _more(count: int) -> Iterator[Line]:
    if count > MOST_CASES:
        yield line(f"  … and {count - MOST_CASES:,} more (see --json)", Style.FAINT)


def _broken(case: CaseHistory) -> bool:
    told = telling(case.entries)
    return bool(told) and not told[-1].verdict.good


def _run_lines(run: PastRun, width: int) -> Iterator[Line]:
    verdicts = Counts(Counter(dict(run.counts))).words()
    unfinished = "" if run.finished else "; not finished"
    names = ", ".join(run.scenarios)
    text = f"{run.key}  {run.hostname}  {names}: {verdicts}{unfinished}"
    style = Style.PLAIN if run.exit_code == 0 else Style.FAIL
    yield from wrapped(text, width, " " * 20, style, f"  {_day(run)}  ")


def _broken_lines(found: Break, case: CaseHistory, width: int) -> Iterator[Line]:
    verdict = telling(case.entries)[-1].verdict
    yield ((f"  {verdict.value:<8}", Style.of(verdict)), (printable(case.id), Style.PLAIN))
    text = f"good on {_day(found.last_good.run)}, bad in {counted(found.bad, 'run')} since "
    text += _day(found.first_bad.run)
    changed = "; ".join(f"{each.what} {each.a} → {each.b}" for each in found.differences)
    text += f"; {changed}" if changed else "; nothing else is known to have changed"
    yield from wrapped(text, width, " " * 10, Style.FAINT)


def _case_lines(case: CaseHistory, width: int, last: int) -> Iterator[Line]:
    verdict = case.last.verdict
    yield line(case.id)
    strip = "".join(LETTERS[entry.verdict] for entry in case.entries[-last:])
    words = [strip]
    seconds, flaky = time_trend(case), flakiness(case.entries)
    if seconds is not None:
        words.append(_measured(seconds))
    if flaky.changes:
        words.append(f"flaky {flaky.rate:.0%}")
    yield from wrapped(
        "  ".join(words), width, " " * 10, Style.of(verdict), f"  {verdict.value:<8}"
    )


def _strip(strip: str, width: int) -> Iterator[Line]:
    """The verdicts of all runs, the latest last, in as many lines as are needed."""
    columns = max(20, width - 4)
    for start in range(0, len(strip), columns):
        yield line(f"  {strip[start : start + columns]}")


def _legend(entries: Sequence[Entry], width: int) -> Iterator[Line]:
    used = {entry.verdict for entry in entries}
    words = ", ".join(
        f"{LETTERS[each]} {each.value}" for each in reversed(WORST_FIRST) if each in used
    )
    yield from wrapped(f"One sign a run, the latest last: {words}", width, "  ", Style.FAINT)


def _flaky_lines(case: CaseHistory, width: int) -> Iterator[Line]:
    flaky = flakiness(case.entries)
    if flaky.rate is None:
        return
    yield BLANK
    style = Style.FLAKY if flaky.changes else Style.PLAIN
    attempts = counted(flaky.pairs, "time")
    text = (
        f"the verdict changed {flaky.changes:,} of {attempts} that it was tried again with the "
        "same QEMU, accelerator, kernel, CPU and suite"
    )
    yield from wrapped(text, width, "  ", style, f"Flakiness: {flaky.rate:.0%}  ")


def _break_lines(case: CaseHistory, width: int) -> Iterator[Line]:
    found = last_break(case.entries)
    if found is None:
        if _broken(case):
            yield BLANK
            yield line(f"Never good in {counted(len(telling(case.entries)), 'run')}", Style.FAIL)
        return
    yield BLANK
    runs = counted(found.bad, "run")
    if found.fixed is not None:
        text = f"for {runs}, good again since {_day(found.fixed.run)}"
        yield (("Broke: ", Style.HEADING), (text, Style.PLAIN))
    else:
        yield (("Broken: ", Style.HEADING), (f"for {runs}, up to the latest", Style.FAIL))
    for what, entry in (("last good", found.last_good), ("first bad", found.first_bad)):
        yield (
            (f"  {what}  ", Style.FAINT),
            (f"{_day(entry.run)}  {entry.verdict.value:<8}", Style.of(entry.verdict)),
            (printable(entry.run.key), Style.PLAIN),
        )
        yield from wrapped(_where(entry, case.suite), width, " " * 13)
    yield from _difference_lines(found, width)


def _difference_lines(found: Break, width: int) -> Iterator[Line]:
    if not found.differences:
        yield line("  nothing else is known to have changed", Style.FAINT)
    for each in found.differences:
        text = f"{each.what}: {each.a or 'unknown'} → {each.b or 'unknown'}"
        yield from wrapped(text, width, " " * 15, Style.PLAIN, "  changed    ")


def _trend_lines(case: CaseHistory, width: int) -> Iterator[Line]:
    trends = [each for each in (time_trend(case),) if each is not None]
    metrics = sorted(metric_trends(case), key=lambda each: each.change is None)
    for title, rows in (("Time of an attempt", trends), ("Metrics", metrics)):
        if not rows:
            continue
        yield BLANK
        yield line(title, Style.HEADING)
        for trend in rows[:MOST_METRICS]:
            yield from _trend_line(trend, width)
        if len(rows) > MOST_METRICS:
            yield line(f"  … and {len(rows) - MOST_METRICS:,} more (see --json)", Style.FAINT)
    if any(each.change for each in (*trends, *metrics)):
        yield from wrapped(f"Told of: {Thresholds().rule()}.", width, "  ", Style.FAINT)


def _trend_line(trend: Trend, width: int) -> Iterator[Line]:
    """``cpuid  1,240 cycles ±12 of 30 attempts  ▁▁▁▂  1,240 → 1,674 +35 %``."""
    name = shortened(trend.name, LONGEST_NAME) if trend.name else "median"
    words = f"  {name}  {_measured(trend)}"
    told = ""
    if trend.change is not None:
        latest = trend.change
        told = (
            f"  {_number(latest.before.median)} → {_number(latest.after.median)}"
            f" {factor_words(latest)}"
        )
    bars = _sparkline(trend.medians, min(20, max(8, width - display_width(words + told) - 2)))
    style = Style.FAIL if trend.change is not None else Style.PLAIN
    if display_width(f"{words}  {bars}{told}") <= width:
        yield ((f"{words}  {bars}", Style.PLAIN), (told, style))
        return
    yield line(words)
    yield ((f"      {bars}", Style.PLAIN), (told, style))


def _measured(trend: Trend) -> str:
    """``2.1 s ±0.1 of 12 attempts``: their median and spread."""
    unit = f" {printable(trend.unit)}" if trend.unit else ""
    overall = trend.overall
    spread = f" ±{_spread(overall.spread)}" if overall.count > 1 else ""
    return f"{_number(overall.median)}{unit}{spread} of {counted(overall.count, 'attempt')}"


def _sparkline(values: Sequence[float], most: int) -> str:
    """The latest values as bars, from the least to the greatest of them."""
    shown = values[-most:]
    if len(shown) < 2:
        return ""
    least, span = min(shown), max(shown) - min(shown)
    if not span:
        return _BARS[0] * len(shown)
    return "".join(_BARS[int((value - least) / span * (len(_BARS) - 1))] for value in shown)


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def _spread(value: float) -> str:
    return f"{value:.2g}" if value < 99.5 else f"{value:,.0f}"


def _day(run: PastRun) -> str:
    """``2026-11-21 09:30``."""
    return printable(run.started[:16].replace("T", " "))


def _where(entry: Entry, suite: str) -> str:
    """``QEMU 10.0.2, tcg, kernel 6.1.0, kvm-unit-tests 1da1819e49fc, on builder``."""
    parts = [
        f"QEMU {entry.qemu_version.partition(' ')[0]}" if entry.qemu_version else "",
        entry.accelerator,
        f"kernel {entry.kernel}" if entry.kernel else "",
        f"{suite} {short_revision(entry.suite_revision)}" if entry.suite_revision else "",
        f"on {entry.run.hostname}" if entry.run.hostname else "",
    ]
    return printable(", ".join(part for part in parts if part))
