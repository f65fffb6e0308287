"""The page itself: one HTML file with everything in it, which loads nothing from anywhere.

What guests, QEMU and strangers wrote reaches it in two ways only: as text that Jinja2 escapes, and
as compressed JSON in base64 that the page's script puts into text nodes. A content security policy
lets run nothing but that script, by its digest, and forbids scripts to make HTML from text.
"""

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from heapq import nlargest
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from matrix import __version__
from matrix.errors import ExitCode
from matrix.report.answer import (
    MOST_GROUPS,
    MOST_REASONS,
    AreaCounts,
    Coverage,
    Reason,
    areas_by_architecture,
    broken,
    conclusion,
    counts_of,
    coverage_of,
    reasons,
    variant_words,
    varying_axes,
)
from matrix.report.areas import AREA_NAMES
from matrix.report.case_rows import AXES, Row
from matrix.report.gather import Gathered
from matrix.report.highlights import contrasts, slowest
from matrix.report.migrations import Downtime
from matrix.report.modules import join_modules
from matrix.report.packing import packed
from matrix.report.pairing import comparable
from matrix.results.counts import Counts
from matrix.results.files import written_atomically
from matrix.results.outcome import WORST_FIRST
from matrix.results.summary_text import duration
from matrix.scenario.axes import axis_title
from matrix.verdicts import Verdict

GENERATOR = "qemu-matrix"
"""Begin of what the page's ``<meta name="generator">`` says; how we know a page of ours again."""

MOST_DOWNTIMES = 5
"""Attempts whose longest downtimes the summary names."""

MOST_NEWS = 10
"""Cases that the summary names of those that broke, and of those that were fixed."""

ENTRY = "main.js"
"""The module of the page that imports all others."""

_WORDS = {
    ExitCode.OK: ("Passed", "good"),
    ExitCode.NOT_PASSED: ("Failed", "bad"),
    ExitCode.ERROR: ("Error", "bad"),
    ExitCode.INTERRUPTED: ("Incomplete", "open"),
    ExitCode.NOTHING_SELECTED: ("Empty", "open"),
}


class Architecture(NamedTuple):
    """The state of KVM on one architecture."""

    name: str
    areas: list[AreaCounts]
    coverage: Coverage


def write_page(gathered: Gathered, path: Path) -> None:
    """Write a page; one that was there before is replaced once this one is complete.

    Raises:
        HostError: it cannot be written.
    """
    with written_atomically(path) as file:
        for piece in _template().generate(_content(gathered)):
            file.write(piece.encode("utf-8", "backslashreplace"))


def prepare() -> None:
    """Do ahead of :func:`write_page` what does not depend on what is to be written."""
    _template()
    _policy()


def is_page(path: Path) -> bool:
    """Whether a file is a page that this program wrote, and may write anew."""
    if not path.is_file():  # a pipe would be read for ever
        return False
    try:
        with path.open("rb") as file:
            return f'<meta name="generator" content="{GENERATOR} '.encode() in file.read(4096)
    except OSError:
        return False


def _content(gathered: Gathered) -> dict[str, object]:
    counts = gathered.counts()
    strict = any(run.strict for run in gathered.runs)
    short = [each for run in gathered.runs for each in run.shortfalls]
    verdicts = counts_of(gathered.rows)
    code, sentence = conclusion(verdicts, strict=strict, shortfalls=short)
    word, mood = _WORDS[code]
    architectures = list(_architectures(gathered))
    overview = _overview(architectures)
    groups = broken(gathered.rows, strict=strict)
    comparisons = comparable(gathered.rows)
    shown_counts = [(v.value if v else "unfinished", n) for v, n in counts.items()]
    return {
        "policy": _policy(),
        "generator": f"{GENERATOR} {__version__}",
        "version": __version__,
        "style": Markup(style()),  # noqa: S704 - a file of ours
        "script": Markup(_script()),  # noqa: S704 - files of ours
        "title": ", ".join(_scenarios(gathered)[:6]) or "nothing",
        "scenarios": len(_scenarios(gathered)),
        "sentence": sentence,
        "word": word,
        "mood": mood,
        "total": len(gathered.rows),
        "counts": shown_counts,
        "bars": _bars(shown_counts),
        "broken": groups[:MOST_GROUPS],
        "broken_more": max(0, len(groups) - MOST_GROUPS),
        "contrasts": list(contrasts(gathered.rows, comparisons)),
        "has_comparison": bool(comparisons),
        "most_news": MOST_NEWS,
        "slowest": slowest(gathered.rows),
        "downtimes": _downtimes(gathered),
        "news": gathered.news,
        "reason_groups": list(_reason_groups(gathered)),
        "runs": gathered.runs,
        "architectures": architectures,
        "overview": overview,
        "heat": _heat(overview) if len(overview) > 1 or len(architectures) > 1 else [],
        "has_migrations": bool(gathered.migrations.entries),
        "has_measurements": bool(gathered.details.metrics or gathered.details.histograms),
        "shortened": gathered.details.shortened,
        "index": packed(gathered.index(comparisons)),
        "measurements": packed(
            {"metrics": gathered.details.metrics, "histograms": gathered.details.histograms}
        ),
        "past": packed(gathered.past) if gathered.past else "",
        "hop_chunks": gathered.migrations.packer.chunks,
        "chunks": gathered.details.packer.chunks,
    }


def _downtimes(gathered: Gathered) -> list[tuple[Downtime, Row, str]]:
    """The attempts with the longest downtimes: what it was, the case, and words for its variant."""
    worst = nlargest(MOST_DOWNTIMES, gathered.migrations.downtimes, key=lambda each: each.seconds)
    rows = [(each, gathered.rows[each.case]) for each in worst]
    named = varying_axes(gathered.rows)
    return [(each, row, variant_words(row, named)) for each, row in rows]


def _bars(counts: list[tuple[str, int]]) -> list[tuple[str, float, float]]:
    """(verdict, begin, width) of a bar that is 1000 wide, in which no part is too small to see."""
    total = sum(max(count, _least(counts)) for _, count in counts)
    bars, begin = [], 0.0
    for verdict, count in counts:
        width = 1000 * max(count, _least(counts)) / total
        bars.append((verdict, round(begin, 2), round(width, 2)))
        begin += width
    return bars


def _least(counts: list[tuple[str, int]]) -> float:
    return sum(count for _, count in counts) / 150


def _scenarios(gathered: Gathered) -> list[str]:
    place = AXES.index("scenario")
    return list(dict.fromkeys(row.axes[place] for row in gathered.rows))


def _reason_groups(
    gathered: Gathered,
) -> Iterator[tuple[str, str, str, list[Reason], int]]:
    """What was not run, and what is known: (heading, about, verdict, reasons, how many more)."""
    for heading, about, verdict in (
        ("Not run", "", Verdict.SKIP),
        ("Known failures", "They failed as expected.", Verdict.XFAIL),
        ("Known failures that passed", "Their expectations can go.", Verdict.XPASS),
    ):
        found = reasons(gathered.rows, verdict)
        if found:
            more = max(0, len(found) - MOST_REASONS)
            yield heading, about, verdict.value, found[:MOST_REASONS], more


def _architectures(gathered: Gathered) -> Iterator[Architecture]:
    place = AXES.index("arch")
    for name, areas in areas_by_architecture(gathered.rows).items():
        rows = [row for row in gathered.rows if row.axes[place] == name]
        yield Architecture(
            name=name,
            areas=areas,
            coverage=coverage_of(rows),
        )


Overview = list[tuple[str, list[tuple[str, AreaCounts | None]]]]


def _overview(architectures: list[Architecture]) -> Overview:
    """Area by area what each architecture has of it."""
    found = {each.name: {area.name: area for area in each.areas} for each in architectures}
    return [
        (name, [(arch, areas.get(name)) for arch, areas in found.items()])
        for name in AREA_NAMES
        if any(name in areas for areas in found.values())
    ]


Heat = list[tuple[str, list[tuple[str, Counts, list[tuple[str, float, float]]] | None]]]


def _heat(overview: Overview) -> Heat:
    """Area by area each architecture's cases and the bar that they make, worst verdict first."""
    found: Heat = []
    for name, cells in overview:
        row: list[tuple[str, Counts, list[tuple[str, float, float]]] | None] = []
        for arch, area in cells:
            if area is None:
                row.append(None)
                continue
            counts = area.coverage.everything()
            ordered = sorted(_worst_first(counts), key=lambda each: each[0] is Verdict.SKIP)
            shown = [(verdict.value, count) for verdict, count in ordered]
            if counts.unfinished:
                shown.append(("unfinished", counts.unfinished))
            row.append((arch, counts, _bars(shown)))
        found.append((name, row))
    return found


def _milliseconds(seconds: float) -> str:
    """``0.012 ms``, ``12.3 ms``, ``412 ms``; a second and more as other times."""
    return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else duration(seconds)


def _mood(counts: Counts) -> str:
    return "all" if counts.passed == counts.ran else "some" if counts.good else "none"


def _worst_first(counts: Counts) -> list[tuple[Verdict, int]]:
    return [(each, counts.verdicts[each]) for each in WORST_FIRST if counts.verdicts[each]]


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("matrix.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": duration,
        "axis_title": axis_title,
        "milliseconds": _milliseconds,
        "worst_first": _worst_first,
        "mood": _mood,
    }
    return environment.get_template("page.html.j2")


@cache
def style() -> str:
    """The style sheet of our pages."""
    return _asset("style.css")


@cache
def _script() -> str:
    return join_modules(_asset, ENTRY)[1]


def _asset(name: str) -> str:
    return (resources.files("matrix.report") / "assets" / name).read_text("utf-8")


@cache
def _policy() -> str:
    """Nothing is loaded, nothing runs but what is in the page by its digest, no form, no base."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'sha256-{digest(_script())}'",
            f"style-src 'sha256-{digest(style())}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def digest(text: str) -> str:
    """What a content security policy names an inline script or style by."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
