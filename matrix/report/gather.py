"""Everything that a page says, gathered from the runs that it is about."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from matrix.inventory import Host
from matrix.plan.decisions import LOCAL, Run
from matrix.report.areas import AREA_NAMES
from matrix.report.case_rows import (
    AXES,
    VERDICTS,
    Details,
    Row,
    Words,
    fill_row,
    new_row,
    settle_skips,
)
from matrix.report.gantt import Gantt, gantt_of
from matrix.report.migrations import Migrations
from matrix.results.case_record import CaseRecord
from matrix.results.outcome import WORST_FIRST
from matrix.results.printable import printable
from matrix.results.run_info import HostInfo
from matrix.results.run_record import RunRecord
from matrix.scenario.axes import BARE_AXES, axis_title
from matrix.verdicts import Verdict

if TYPE_CHECKING:
    from matrix.report.past_runs import News

DETAILS_BUDGET = 7_000_000
"""Characters of the page for consoles and all else that cases left."""

LEAST_DETAILS = 1_000_000
"""The same, where there are so many cases that their table takes much of the page."""

ROW_SIZE = 30
"""Characters of the page that a row of the table takes."""

MIGRATION_BUDGET = 1_500_000
"""Characters of the page for hops."""

MOST_ARGUMENTS = 200


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a page says of one run as a whole. All text is printable."""

    name: str
    """Unique among the runs of a page."""
    link: str
    """Where its folder is, relative to the page; empty where that cannot be said."""
    started: str
    elapsed: float
    hosts: tuple[tuple[str, str], ...]
    """(name, CPUs and kernel); the first is the machine that the run was started on."""
    command: str
    qemus: tuple[tuple[str, str], ...]
    """(version, architectures)."""
    unfinished: int
    problems: tuple[str, ...]
    strict: bool
    shortfalls: tuple[str, ...]
    """What had to run and did not, in sentences."""
    troubles: tuple[str, ...] = ()
    """Those of its hosts and workers, in sentences."""
    gantt: Gantt | None = None


@dataclass(slots=True)
class Gathered:
    """The content of a page."""

    runs: list[RunFacts]
    rows: list[Row]
    details: Details
    migrations: Migrations
    past: dict[str, object] | None = None
    """What the history knows of the cases, where it was asked."""
    news: "News | None" = None
    """What is new since their latest earlier runs, where there are any."""

    def counts(self) -> dict[Verdict | None, int]:
        """How many cases came to each verdict, worst first; None: without a result."""
        found = dict.fromkeys((*WORST_FIRST, None), 0)
        for row in self.rows:
            found[row.verdict] += 1
        return {verdict: count for verdict, count in found.items() if count}

    def index(self, groups: Mapping[str, Sequence[int]]) -> dict[str, object]:
        """The cases in columns, for the page's script.

        Args:
            groups: which of them can be compared (:func:`matrix.report.pairing.comparable`).
        """
        words = {name: Words() for name in AXES}
        reasons, areas, hosts = Words(), Words(), Words()
        columns = {
            name: [words[name].number(row.axes[place]) for row in self.rows]
            for place, name in enumerate(AXES)
        }
        area_column = [areas.number(",".join(map(str, row.areas))) for row in self.rows]
        reason_column = [reasons.number(row.reason) for row in self.rows]
        host_column = [hosts.number(row.host) for row in self.rows]
        return {
            "verdicts": VERDICTS,
            "axes": AXES,
            "bare": BARE_AXES,
            "titles": {name: axis_title(name) for name in AXES},
            "words": {name: each.list() for name, each in words.items()},
            "reasons": reasons.list(),
            "hosts": hosts.list(),
            "areas": [[int(part) for part in each.split(",")] for each in areas.list()],
            "area_names": AREA_NAMES,
            "links": [run.link for run in self.runs],
            "id": [row.case_id for row in self.rows],
            "of_run": [row.run for row in self.rows],
            "verdict": [
                -1 if row.verdict is None else WORST_FIRST.index(row.verdict) for row in self.rows
            ],
            "seconds": [round(row.seconds, 3) for row in self.rows],
            "reason": reason_column,
            "host": host_column,
            "area": area_column,
            "ran": [row.accelerator for row in self.rows],
            "chunk": [row.where.chunk if row.where else -1 for row in self.rows],
            "place": [row.where.place if row.where else -1 for row in self.rows],
            "columns": columns,
            "groups": groups,
            "migrations": self.migrations.entries,
            "grid": self.migrations.grid(),
        }


def gather(records: Sequence[RunRecord], page: Path) -> Gathered:
    """Everything that a page at ``page`` says of these runs, in one pass over each of them.

    The details of cases that did not pass come first, so that they are those that there is room
    for.

    Raises:
        HostError: a journal cannot be read.
        UsageError: a journal was changed meanwhile.
    """
    names = _run_names(records)
    facts = [_facts(record, name, page) for record, name in zip(records, names, strict=True)]
    rows = sum(len(record.decisions) for record in records)
    details = Details(max(LEAST_DETAILS, DETAILS_BUDGET - rows * ROW_SIZE))
    gathered = Gathered(facts, [], details, Migrations(MIGRATION_BUDGET))
    places: list[dict[str, int]] = []
    for number, record in enumerate(records):
        versions = {host.name: _versions(host) for host in record.info.hosts}
        place: dict[str, int] = {}
        for decision in record.decisions:
            place[decision.case.id] = len(gathered.rows)
            host = decision.host if isinstance(decision, Run) else LOCAL
            of_host = versions.get(host, versions[LOCAL])
            row = new_row(number, names[number], decision, of_host)
            if isinstance(decision, Run):
                row.host = printable(record.info.hostname if host == LOCAL else host)
            gathered.rows.append(row)
        places.append(place)
    for number, result in _results(records):
        position = places[number][result.id]
        row, record = gathered.rows[position], records[number]
        fill_row(row, result)
        gathered.details.add(position, row, record, result)
        for attempt in result.attempts:
            migrated = attempt.hops is not None or result.limits is not None
            folder = record.run.inside(attempt.artifacts) if migrated else None
            if folder is not None:
                gathered.migrations.add(position, result, attempt, folder)
    settle_skips(gathered.rows)
    gathered.details.packer.close()
    gathered.migrations.packer.close()
    return gathered


def _versions(host: HostInfo) -> dict[tuple[str, str], str]:
    return {(each.qemu, each.architecture.value): each.version for each in host.binaries}


def _results(records: Sequence[RunRecord]) -> Iterator[tuple[int, CaseRecord]]:
    """The results of all runs, with the number of the run: those that are not good first."""
    for good in (False, True):
        for number, record in enumerate(records):
            ids = [decision.case.id for decision in record.decisions]
            verdicts = ((each, record.verdict(each)) for each in ids)
            wanted = [each for each, verdict in verdicts if verdict and verdict.good is good]
            for result in record.results(wanted):
                yield number, result


def _run_names(records: Sequence[RunRecord]) -> list[str]:
    """What the runs are called: the name of the folder, with a number where that is not enough."""
    names: dict[str, None] = {}
    for record in records:
        name = wanted = printable(record.run.path.name) or "run"
        count = 1
        while name in names:
            count += 1
            name = f"{wanted} ({count})"
        names[name] = None
    return list(names)


def _facts(record: RunRecord, name: str, page: Path) -> RunFacts:
    info = record.info
    versions: dict[str, list[str]] = {}
    used = {(each.case.variant.qemu, each.case.variant.arch) for each in record.decisions}
    binaries = dict.fromkeys(
        (each.version, each.architecture.value)
        for host in info.hosts
        for each in host.binaries
        if (each.qemu, each.architecture) in used
    )
    for version, architecture in binaries:
        versions.setdefault(printable(version), []).append(architecture)
    arguments = [printable(each) for each in info.arguments[:MOST_ARGUMENTS]]
    return RunFacts(
        name=name,
        link=_link(record.run.path, page),
        started=_moment(info.started),
        elapsed=record.elapsed,
        hosts=(
            (printable(info.hostname), _host_words(info.host)),
            *((printable(each.name), _host_words(each.host)) for each in info.others),
        ),
        command=_repeated(arguments),
        qemus=tuple((each, ", ".join(arches)) for each, arches in versions.items()),
        unfinished=len(record.unfinished()),
        problems=tuple(str(each) for each in record.problems[:20]),
        strict=record.strict,
        shortfalls=record.shortfalls(),
        troubles=tuple(map(printable, record.troubles.sentences())),
        gantt=gantt_of(record),
    )


def _host_words(host: Host) -> str:
    cpus = f"{host.cpus} × {host.cpu_model or host.architecture}"
    return printable(f"{cpus}, Linux {host.kernel} ({host.architecture})")


def _repeated(arguments: Sequence[str]) -> str:
    """The command line of a run without the folder it wrote to, which exists now."""
    kept, skip = ["matrix"], False
    for argument in arguments:
        if not skip and argument not in ("-o", "--output") and not argument.startswith("--output="):
            kept.append(argument)
        skip = argument in ("-o", "--output") and not skip
    return shlex.join(kept) if arguments else ""


def _moment(started: str) -> str:
    """``2026-11-21 12:10:31 UTC`` from what run.json says; as it is where it is no time."""
    try:
        return f"{datetime.fromisoformat(started).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError):
        return printable(started)[:40]


def _link(run: Path, page: Path) -> str:
    """A run's folder as a relative URL, for links that work wherever both are copied together."""
    try:
        relative = Path(os.path.relpath(run, page.parent)).as_posix()
    except ValueError:
        return ""
    return quote(relative, safe="/.")
