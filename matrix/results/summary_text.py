"""A run's results for people: lines of styled segments, without a word about terminals.

Pure functions; :mod:`matrix.cli` adds the colours. What guests and strangers wrote is
:func:`~matrix.results.printable.printable` in every segment.
"""

import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matrix.migrating import MigrationSummary
from matrix.plan.decisions import LOCAL
from matrix.results.case_record import AttemptRecord, CaseRecord
from matrix.results.counts import Counts
from matrix.results.directory import COMMAND_FILE
from matrix.results.hops import hop_lines, running_summaries, summary_lines
from matrix.results.labels import variant_label
from matrix.results.outcome import counts_as_failure
from matrix.results.printable import printable
from matrix.results.reused_words import reused_words
from matrix.results.run_record import RunRecord
from matrix.results.segments import BLANK, MOST_REASONS, Groups, Line, Style, line, wrapped
from matrix.results.tables import Overview
from matrix.verdict.assists import assist_words
from matrix.verdicts import Subtest, SubtestVerdict, Verdict

MOST_SUBTESTS = 10
"""How many subtests that did not pass are named per case; its artifacts have all."""

MOST_IDS = 3
"""How many of the cases that share a reason are named."""

ASSISTED = " " * 10 + "assists: "


@dataclass(frozen=True, slots=True)
class Closing:
    """What a summary says of the run as a whole."""

    path: Path
    """The run directory, as the user named it."""
    elapsed: float
    """Seconds of wall time."""
    unfinished: tuple[str, ...] = ()
    """Ids of cases without a result."""
    in_flight: tuple[tuple[str, int], ...] = ()
    """Attempts (case id, number) that were running when the run ended."""
    strict: bool = False
    shortfalls: tuple[str, ...] = ()
    """What had to run and did not, in sentences."""
    troubles: tuple[str, ...] = ()
    """Those of its hosts and workers, in sentences."""
    differences: tuple[Line, ...] = ()
    """What its QEMUs differ in, where it has several."""
    hops: tuple[tuple[str, MigrationSummary], ...] = ()
    """Id and hops so far of each case that is being migrated."""
    told: Collection[str] = ()
    """Ids of cases whose failure stands above in full, printed as it happened."""


def record_summary(record: RunRecord, width: int, told: Collection[str] = ()) -> Iterator[Line]:
    """:func:`summary` of a run as it stands on disk; ``told`` as in :class:`Closing`. Raises as
    ``RunRecord.results``."""
    closing = Closing(
        path=record.given,
        elapsed=record.elapsed,
        unfinished=record.unfinished(),
        in_flight=record.in_flight(),
        strict=record.strict,
        shortfalls=record.shortfalls(),
        troubles=record.troubles.sentences(),
        differences=_differences(record, width),
        hops=tuple(running_summaries(record)),
        told=told,
    )
    return summary(record.results(), closing, width)


def _differences(record: RunRecord, width: int) -> tuple[Line, ...]:
    """What the QEMUs of a run differ in; most runs have only one, and need not load comparing."""
    if len({decision.case.variant.qemu for decision in record.decisions}) < 2:
        return ()
    from matrix.results.compare.brief import qemu_lines

    return tuple(qemu_lines(record, width))


def summary(results: Iterable[CaseRecord], closing: Closing, width: int) -> Iterator[Line]:
    """The summary of a run: accelerators, skips, flaky cases, those that did not pass, and last
    the table, where whoever looks at a terminal sees it.

    Args:
        results: of the finished cases; gone through once.
        closing: the rest.
        width: columns to keep to; only paths and other long words go beyond.
    """
    gathered = _Gathered()
    for result in results:
        gathered.add(result, closing, width)
    yield from _accelerators(gathered, width)
    yield from _group_lines("Skipped", Style.SKIP, gathered.skips, width)
    yield from _group_lines("Failed as expected", Style.XFAIL, gathered.known, width)
    yield from _group_lines(
        "Passed, although known to fail", Style.XPASS, gathered.unexpected, width
    )
    if gathered.flaky:
        yield BLANK
        changed = f"{_cases(gathered.counts.verdicts[Verdict.FLAKY])} whose verdict changed"
        yield (("Flaky: ", Style.HEADING), (changed, Style.FLAKY))
        yield from gathered.flaky
    if gathered.bad:
        yield BLANK
        yield (("Not passed: ", Style.HEADING), (_cases(gathered.failures), Style.FAIL))
        yield from gathered.bad
    yield from closing.differences
    yield from hop_lines((*gathered.migrated, *closing.hops), width)
    yield from _troubles(closing, width)
    yield from _unfinished(closing, width)
    yield from _tables(gathered, width)
    yield BLANK
    yield _count_line(gathered.counts, closing)
    skips = gathered.counts.skipped
    if skips and skips == gathered.counts.total and not closing.unfinished:
        nothing = f"Nothing was tested: {'all ' if skips > 1 else ''}{_cases(skips)} skipped"
        yield line(nothing, Style.FAIL)
    for sentence in closing.shortfalls:
        yield from wrapped(f"Too little ran: {sentence}", width, "  ", Style.FAIL, first="")
    yield (("Results in ", Style.PLAIN), (printable(str(closing.path)), Style.PATH))


def outcome_lines(result: CaseRecord, run: Path, width: int) -> Iterator[Line]:
    """A case that did not pass: verdict, id, time, reason, failing subtests, attempts, artifacts.

    Args:
        result: of the case.
        run: the run directory, as the user named it.
        width: columns to keep to.
    """
    yield _name_line(result)
    yield from wrapped(result.reason, width, " " * 10)
    failing = [each for each in result.subtests if each.verdict.failed]
    yield from _subtest_lines(failing[:MOST_SUBTESTS], width)
    if (total := max(result.failures, len(failing))) > MOST_SUBTESTS:
        more = total - MOST_SUBTESTS
        yield line(f"{' ' * 10}… and {more} more", Style.FAINT)
    if result.assists:
        words = assist_words(result.assists.items())
        yield from wrapped(words, width, " " * 12, Style.FAINT, ASSISTED)
    if result.artifacts:
        yield (
            (" " * 10, Style.PLAIN),
            (_inside(run, result.artifacts), Style.PATH),
        )


def _name_line(result: CaseRecord) -> Line:
    return (
        (f"  {result.verdict.value:<8}", Style.of(result.verdict)),
        (printable(result.id), Style.PLAIN),
        (f"  {duration(result.seconds)}", Style.FAINT),
    )


def case_lines(result: CaseRecord, run: Path, width: int) -> Iterator[Line]:
    """Everything that is known of one case: ``matrix show RUN CASE``. Arguments as
    :func:`outcome_lines`."""
    yield line(result.id, Style.HEADING)
    yield (
        (f"  {result.verdict.value:<8}", Style.of(result.verdict)),
        (duration(result.seconds), Style.FAINT),
    )
    yield from wrapped(result.reason, width, "  ")
    yield BLANK
    for what, value in _facts(result, run):
        yield ((f"  {what:<10}", Style.FAINT), (printable(value), Style.PLAIN))
    for attempt in result.attempts:
        yield BLANK
        yield from _attempt_lines(attempt, len(result.attempts), run, width)


def duration(seconds: float) -> str:
    """``0.31 s``, ``12.3 s``, ``2 min 5 s``, ``3 h 20 min``."""
    if round(seconds, 2) < 10:
        return f"{seconds:.2f} s"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


@dataclass(slots=True)
class _Gathered:
    """What one pass over the results leaves; its size follows the cases that did not pass."""

    overviews: dict[str, Overview] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    accelerators: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    skips: Groups = field(default_factory=lambda: Groups(MOST_IDS))
    known: Groups = field(default_factory=lambda: Groups(MOST_IDS))
    unexpected: Groups = field(default_factory=lambda: Groups(MOST_IDS))
    flaky: list[Line] = field(default_factory=list)
    bad: list[Line] = field(default_factory=list)
    failures: int = 0
    migrated: list[tuple[str, MigrationSummary]] = field(default_factory=list)

    def add(self, result: CaseRecord, closing: Closing, width: int) -> None:
        verdict = result.verdict
        self.overviews.setdefault(result.scenario, Overview()).add(result)
        self.counts.verdicts[verdict] += 1
        self.counts.reused += result.reused is not None
        if result.hops is not None:
            self.migrated.append((result.id, result.hops))
        if result.accelerator:
            why = (result.accelerator, result.accelerator_reason)
            self.accelerators.setdefault(why, {}).setdefault(result.axes.arch.value)
        if verdict is Verdict.FLAKY:
            self.flaky += outcome_lines(result, closing.path, width)
        elif counts_as_failure(verdict, strict=closing.strict):
            if result.id in closing.told:
                self.bad.append(_name_line(result))
            else:
                self.bad += outcome_lines(result, closing.path, width)
            self.failures += 1
        elif verdict is Verdict.SKIP:
            self.skips.add(result.reason, result.id)
        elif verdict is Verdict.XFAIL:
            self.known.add(result.reason, result.id)
        elif verdict is Verdict.XPASS:
            self.unexpected.add(result.reason, result.id)


def _tables(gathered: _Gathered, width: int) -> Iterator[Line]:
    for scenario, overview in gathered.overviews.items():
        yield BLANK
        if len(gathered.overviews) > 1:
            yield line(scenario, Style.HEADING)
        yield from overview.lines(width)


def _accelerators(gathered: _Gathered, width: int) -> Iterator[Line]:
    if not gathered.accelerators:
        return
    yield BLANK
    yield line("Accelerators", Style.HEADING)
    groups = sorted(gathered.accelerators.items())
    for (accelerator, reason), architectures in groups[:MOST_REASONS]:
        why = f": {reason}" if reason else ""
        text = f"{accelerator}  {', '.join(architectures)}{why}"
        yield from wrapped(text, width, " " * 7, first="  ")
    if len(groups) > MOST_REASONS:
        yield line(f"       … and {len(groups) - MOST_REASONS} more reasons", Style.FAINT)


def _group_lines(title: str, style: Style, groups: Groups, width: int) -> Iterator[Line]:
    if groups.count:
        yield BLANK
        yield ((f"{title}: ", Style.HEADING), (_cases(groups.count), style))
        yield from groups.lines(width)


def _troubles(closing: Closing, width: int) -> Iterator[Line]:
    if closing.troubles:
        yield BLANK
        yield line("Trouble of hosts", Style.HEADING)
    for sentence in closing.troubles:
        yield from wrapped(sentence, width, "    ", Style.PLAIN, first="  ")


def _unfinished(closing: Closing, width: int) -> Iterator[Line]:
    if not closing.unfinished:
        return
    yield BLANK
    yield (
        ("Not finished: ", Style.HEADING),
        (_cases(len(closing.unfinished)), Style.ERROR),
        (f"; matrix run --resume {shlex.quote(printable(str(closing.path)))}", Style.PLAIN),
    )
    if closing.in_flight:
        ids = [*dict.fromkeys(case_id for case_id, _ in closing.in_flight)][:MOST_REASONS]
        yield from wrapped("interrupted: " + ", ".join(ids), width, "  ", Style.FAINT)


def _count_line(counts: Counts, closing: Closing) -> Line:
    """``18 cases in 12.3 s: 15 of 17 passed, 2 fail, 1 skipped``."""
    segments = [(f"{_cases(counts.total)} in {duration(closing.elapsed)}", Style.PLAIN)]
    separator = ": "
    for verdict, text in counts.parts():
        segments.append((separator, Style.PLAIN))
        segments.append((text, Style.of(verdict) if verdict else Style.PLAIN))
        separator = ", "
    return tuple(segments)


def _cases(count: int) -> str:
    return f"{count:,} case{'' if count == 1 else 's'}"


def _facts(result: CaseRecord, run: Path) -> Iterator[tuple[str, str]]:
    yield "scenario", result.scenario
    yield "test", f"{result.test} of {result.suite}"
    yield "variant", variant_label(result.axes)
    yield "image", result.image
    if result.arguments:
        yield "arguments", result.arguments
    if result.reused is not None:
        yield "reused", reused_words(result.reused, run)
    if result.not_reused:
        yield "run", f"not reused: {result.not_reused}"
    if result.input_digest:
        yield "inputs", result.input_digest


def _attempt_lines(attempt: AttemptRecord, of: int, run: Path, width: int) -> Iterator[Line]:
    if of > 1:
        yield (
            (f"  Attempt {attempt.number}: ", Style.HEADING),
            (attempt.verdict.value, Style.of(attempt.verdict)),
            (f"  {duration(attempt.seconds)}", Style.FAINT),
        )
        yield from wrapped(attempt.reason, width, "  ")
    if attempt.accelerator:
        why = f"{attempt.accelerator}: {attempt.accelerator_reason}"
        yield from wrapped(why, width, " " * 12, first="  accelerator ")
    if attempt.host not in ("", LOCAL):
        yield line(f"  host        {printable(attempt.host)}")
    if attempt.assists:
        words = assist_words(attempt.assists.items())
        yield from wrapped(words, width, " " * 12, first="  assists     ")
    yield from _subtest_lines(attempt.subtests, width)
    if attempt.subtests_dropped:
        yield line(f"{' ' * 10}… and {attempt.subtests_dropped} more", Style.FAINT)
    if attempt.hops is not None:
        yield from summary_lines(attempt.hops, width)
    for metric in attempt.metrics:
        yield line(f"  {metric.name} = {metric.words()}")
    if attempt.artifacts:
        folder = _inside(run, attempt.artifacts)
        yield (("  artifacts ", Style.FAINT), (folder, Style.PATH))
        if attempt.command:
            script = shlex.quote(f"{folder}/{COMMAND_FILE}")
            yield (("  by hand   ", Style.FAINT), (script, Style.PATH))


def _inside(run: Path, relative: str) -> str:
    """Where an artifact is now, as the run directory may have been moved. The journal may be a
    stranger's: neither an absolute path of his nor a command is offered to be copied."""
    return printable(f"{run}/{relative}")


_SUBTEST_STYLES = {
    SubtestVerdict.PASS: Style.PASS,
    SubtestVerdict.FAIL: Style.FAIL,
    SubtestVerdict.SKIP: Style.SKIP,
    SubtestVerdict.XFAIL: Style.XFAIL,
    SubtestVerdict.XPASS: Style.FAIL,
    SubtestVerdict.KFAIL: Style.XFAIL,
}


def _subtest_lines(subtests: Sequence[Subtest], width: int) -> Iterator[Line]:
    for subtest in subtests:
        words = f"{subtest.verdict.value.upper()}: {subtest.name}"
        if subtest.message:
            words += f": {subtest.message}"
        yield from wrapped(words, width, " " * 12, _SUBTEST_STYLES[subtest.verdict], " " * 10)
