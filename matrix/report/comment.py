"""Runs as one Markdown comment on a merge request: the answer, what broke, and the coverage."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from matrix.report.answer import (
    Broken,
    Coverage,
    areas_by_architecture,
    broken,
    conclusion,
    counts_of,
    coverage_of,
    reasons,
)
from matrix.report.case_rows import AXES, Row
from matrix.report.gather import gather
from matrix.results.compare.markdown import LONGEST_TEXT, bounded, code, folded
from matrix.results.printable import shortened
from matrix.results.run_record import RunRecord
from matrix.verdicts import Verdict

MOST_GROUPS = 20
"""Tests, and reasons of skips, that are named."""
MOST_VARIANTS = 4


def comment(records: Sequence[RunRecord]) -> str:
    """The comment, in at most as many characters as GitHub takes.

    Raises:
        HostError: a journal cannot be read.
    """
    gathered = gather(records, Path("comment"))
    strict = any(run.strict for run in gathered.runs)
    short = [each for run in gathered.runs for each in run.shortfalls]
    counts = counts_of(gathered.rows)
    _, sentence = conclusion(counts, strict=strict, shortfalls=short)
    groups = broken(gathered.rows, strict=strict)
    return bounded(
        (
            f"### {'Too little ran' if short else sentence.rstrip('.')}\n",
            *(f"\n**Too little ran**: {_cut(each)}\n" for each in short),
            *_broken(groups),
            *_coverage(gathered.rows),
            *_reasons("Not run", gathered.rows, Verdict.SKIP),
            *_reasons("Known failures", gathered.rows, Verdict.XFAIL),
        )
    )


def _broken(groups: Sequence[Broken]) -> Iterator[str]:
    for position, each in enumerate(groups[:MOST_GROUPS]):
        head = "\n#### What broke\n\n" if not position else ""
        verdicts = ", ".join(f"{verdict.value} {count}" for verdict, count in each.verdicts)
        lines = [f"{head}- **{verdicts}** {code(each.test)} {_cut(each.where)}".rstrip() + "\n"]
        lines += [f"  - {_cut(reason)}\n" for reason in each.reasons if reason]
        lines += [f"  - {_cut(row.case_id)}\n" for row, _ in each.cases[:MOST_VARIANTS]]
        if each.failed > MOST_VARIANTS:
            lines.append(f"  - … and {each.failed - MOST_VARIANTS:,} more\n")
        yield "".join(lines)
    if len(groups) > MOST_GROUPS:
        yield f"- … and {len(groups) - MOST_GROUPS:,} more tests\n"


def _coverage(rows: Sequence[Row]) -> Iterator[str]:
    place = AXES.index("arch")
    architectures = areas_by_architecture(rows)
    lines = [
        f"- {name}: {_ways(coverage_of(row for row in rows if row.axes[place] == name))}\n"
        for name in architectures
    ]
    if lines:
        yield folded("Architectures", len(lines), lines)


def _ways(coverage: Coverage) -> str:
    parts = [
        f"{words} {counts.passed:,} of {counts.ran:,} passed"
        for words, _, counts in coverage.ways()
    ]
    if coverage.not_run.total:
        parts.append(f"{coverage.not_run.total:,} not run")
    return ", ".join(parts)


def _reasons(title: str, rows: Sequence[Row], verdict: Verdict) -> Iterator[str]:
    found = reasons(rows, verdict)
    lines = [f"- {each.count:,}: {_cut(each.reason)}\n" for each in found[:MOST_GROUPS]]
    if lines:
        yield folded(f"{title}, by reason", len(found), lines)


def _cut(text: str) -> str:
    return code(shortened(text, LONGEST_TEXT))
