"""The talk as one page without scripts, which loads nothing; its plots are bars of SVG."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from matrix import __version__
from matrix.report.page import GENERATOR, digest, style
from matrix.results.counts import Counts
from matrix.results.printable import printable
from matrix.status.exercised import ALL, Cell, Exercised, Way
from matrix.status.kvm_status import LAST_PARTS, ReleaseNumbers, Status

MOST_PEOPLE = 30
MOST_ORGANIZATIONS = 20
MOST_UNKNOWN = 30
MOST_SERIES = 7
"""Organizations that a plot tells apart."""
OTHERS = "others"


class Piece(NamedTuple):
    """A part of a bar that is 1000 wide where it is the longest."""

    begin: float
    width: float
    series: int
    about: str


class Bar(NamedTuple):
    """What a release has, as a bar."""

    release: ReleaseNumbers
    pieces: list[Piece]
    numbers: list[int]
    """Of each series."""


class Column(NamedTuple):
    """A run in a small plot of a trend, 20 high."""

    begin: int
    passed: float
    ran: float
    about: str


def page_of(status: Status) -> str:
    """The page."""
    parts = _series(status.total("parts"), (), len(status.total("parts")))
    parts = [*(each for each in parts if each not in LAST_PARTS), *LAST_PARTS]
    organizations = _series(status.total("organizations"), (OTHERS,), MOST_SERIES)
    first, last = status.releases[0].name, status.releases[-1].name
    return _template().render(
        policy=f"default-src 'none'; style-src 'sha256-{digest(_style())}'; base-uri 'none'",
        generator=f"{GENERATOR} {__version__}",
        version=__version__,
        style=Markup(_style()),  # noqa: S704 - files of ours
        title=f"KVM in {first}" if first == last else f"KVM from {first} to {last}",
        status=status,
        has_unit_tests=status.has_unit_tests,
        parts=parts,
        part_bars=_bars(status.releases, "parts", parts),
        organizations=organizations,
        organization_bars=_bars(status.releases, "organizations", organizations),
        architectures=_architectures(status),
        features=_features(status.exercised),
        ways=list(Way),
        most_people=MOST_PEOPLE,
        most_organizations=MOST_ORGANIZATIONS,
        unknown=list(status.unknown.items()),
        most_unknown=MOST_UNKNOWN,
    )


def _series(counted: Mapping[str, int], more: Sequence[str], most: int) -> list[str]:
    names = sorted(counted, key=lambda each: -counted[each])
    return [*names[:most], *(more if len(names) > most else ())]


def _bars(releases: Iterable[ReleaseNumbers], field: str, series: Sequence[str]) -> list[Bar]:
    releases = list(releases)
    longest = max(each.commits for each in releases) or 1
    found = []
    for release in releases:
        counted: dict[str, int] = dict.fromkeys(series, 0)
        for name, count in getattr(release, field).items():
            counted[name if name in counted else OTHERS] += count
        shown = [(place, name, counted[name]) for place, name in enumerate(series) if counted[name]]
        pieces, begin = [], 0.0
        for place, name, count in shown:
            width = 1000 * count / longest
            pieces.append(Piece(round(begin, 1), round(width, 1), place, f"{name}: {count:,}"))
            begin += width
        found.append(Bar(release, pieces, list(counted.values())))
    return found


def _architectures(status: Status) -> list[tuple[str, int, int, int, list[Counts | None]]]:
    """(name, commits, selftests, unit tests, what ran each way) of each architecture."""
    commits = status.total("touched")
    selftests, units = status.new_tests("selftests"), status.new_tests("unit_tests")
    latest = status.exercised.latest
    return [
        (
            *(name, commits.get(name, 0), selftests.get(name, 0), units.get(name, 0)),
            [latest.get(Cell(name, ALL, way)) for way in Way],
        )
        for name in status.architectures()
    ]


Feature = tuple[str, list[tuple[Counts, list[Column]] | None]]


def _features(exercised: Exercised) -> dict[str, list[Feature]]:
    """Of each architecture its features, each with what ran each way and its trend."""
    names: dict[str, dict[str, None]] = {}
    for cell, _ in exercised.ordered():
        names.setdefault(cell.architecture, {})[cell.feature] = None
    return {
        name: [
            (feature, [_way(exercised, Cell(name, feature, way)) for way in Way])
            for feature in features
        ]
        for name, features in names.items()
    }


def _way(exercised: Exercised, cell: Cell) -> tuple[Counts, list[Column]] | None:
    counts = exercised.latest.get(cell)
    if counts is None:
        return None
    trend = exercised.trend[cell]
    most = max(each.ran for each in trend) or 1
    columns = [
        Column(
            begin=place * 8,
            passed=round(20 * each.passed / most, 1),
            ran=round(20 * each.ran / most, 1),
            about=f"{run}: {each.passed:,} of {each.ran:,} passed",
        )
        for place, (run, each) in enumerate(zip(exercised.runs, trend, strict=True))
    ]
    return counts, columns if len(columns) > 1 else []


def _mood(counts: Counts) -> str:
    return "all" if counts.passed == counts.ran else "some" if counts.good else "none"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("matrix.status", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"mood": _mood, "printable": printable}
    return environment.get_template("status.html.j2")


@cache
def _style() -> str:
    return style() + (resources.files("matrix.status") / "assets/status.css").read_text("utf-8")
