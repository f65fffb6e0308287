"""``matrix explore``: random valid sequences on one guest at a time, and what breaks in them."""

import asyncio
import json as json_module
import os
import secrets
import shutil
import sys
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count, zip_longest
from pathlib import Path
from typing import Any

from matrix.cli.arguments import Execution
from matrix.cli.explorable import explorable, only_qemus, selected, sequence, temporary
from matrix.cli.exploring_metrics import SoFar, bound, tell
from matrix.cli.side_by_side import JOB, claimed, in_jobs
from matrix.cli.style import duration
from matrix.errors import ExitCode, UsageError
from matrix.explore.cells import Coverage
from matrix.explore.exploration import (
    NAME,
    Exploration,
    keep,
    kept,
    seen_of,
    summary,
    together,
)
from matrix.explore.explorer import Explorer, Found
from matrix.explore.finding import Chosen, Finding, read, write
from matrix.explore.subject import Subject, places
from matrix.explore.world import Pair
from matrix.hosts.cache import Cache, cache_directory
from matrix.hosts.host_facts import read_host
from matrix.inventory import Inventory
from matrix.migratable.refusals import refusals_of
from matrix.places import expanded
from matrix.plan.decisions import Run
from matrix.results.compare.words import counted
from matrix.results.directory import RunDirectory
from matrix.results.files import host_errors, shown
from matrix.results.printable import printable, shown_json
from matrix.run.options import Selection
from matrix.run.serving import parse_address

FINDINGS = Path("findings-of-explore")
"""Where findings go without ``-o``: in a folder of this one, named by date and scenario."""
SEED_BITS = 32
KEPT_EVERY = 60.0
"""Seconds after which what was seen is kept again: a power loss or SIGKILL loses no more."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command was told."""

    selection: Selection
    output: Path
    """Where findings go; exists."""
    seed: int
    """Of the first job; each further one's is greater by one."""
    json: bool
    seconds: float
    earlier: Exploration | None
    """What is gone on with."""
    refused: Sequence[Mapping[Pair, str]] = ()
    """For each case, between which QEMUs its guest does not go."""
    left_out: tuple[str, ...] = ()
    """Cases that cannot be explored, and why."""
    metrics: str = ""
    """Where metrics are served; empty for nowhere."""


def run_explore(
    selection: Selection,
    execution: Execution,
    seconds: float,
    *,
    json: bool,
    jobs: int = 1,
    resume: Path | None = None,
) -> ExitCode:
    """Explore, and print what was found and covered, also what was before, with ``resume``.

    Raises:
        UsageError, ScenarioError, SuiteError, NothingSelected, HostError: as ``matrix run``.
    """
    seed = secrets.randbits(SEED_BITS) if execution.seed is None else execution.seed
    if execution.output is not None and execution.output.exists():
        raise UsageError(f"{shown(execution.output)} exists; findings overwrite nothing")
    if execution.metrics:
        parse_address(execution.metrics)  # before QEMUs are asked
    earlier = None
    if resume is not None:
        selection, earlier = _resumed(selection, execution, resume)
    elif not selection.scenarios:
        raise UsageError("no scenario given; try: matrix explore explore")
    explored = explorable(selection)
    decisions, inventory = explored.decisions, explored.inventory
    scenarios = dict.fromkeys(each.case.scenario for each in decisions)
    output = resume or execution.output or RunDirectory.default_path(list(scenarios), FINDINGS)
    refused = () if selection.no_predict else _refused(decisions, inventory)
    asked = _Asked(
        *(selection, output, seed, json, seconds, earlier),
        refused=refused,
        left_out=explored.left_out,
        metrics=execution.metrics,
    )
    if not json:
        seeds = f"seed {seed}" if jobs == 1 else f"seeds {seed} to {seed + jobs - 1}, one a job"
        print(f"{seeds}; --seed {seed} draws the same sequences again", flush=True)
    with _made(output), temporary() as folder:
        try:
            _explore_all(asked, decisions, inventory, folder, jobs)
        finally:  # also of one that was interrupted, or that the host has failed
            total = _concluded(asked, folder)
    return ExitCode.NOT_PASSED if total.signatures else ExitCode.OK


def _resumed(
    selection: Selection, execution: Execution, folder: Path
) -> tuple[Selection, Exploration]:
    """What is gone on with, and how its cases are chosen. Raises UsageError."""
    if execution.output is not None:
        raise UsageError("--resume goes on in the same folder; -o is for a new one")
    others = "--qemu, --host, --fresh, --no-predict, --for, --seed, --jobs, --metrics and --json"
    given = replace(selection, no_predict=False)
    only_qemus("--resume takes scenario and options from its folder", given, others)
    if folder.is_file():
        raise UsageError(
            f"--resume {shown(folder)}: a file; the exploration's folder is wanted,"
            f" --resume {shown(folder.parent)}"
        )
    earlier = kept(folder / NAME)
    again = replace(
        selected(earlier.chosen, selection),
        scenarios=tuple(map(Path, earlier.scenarios)),
        no_predict=selection.no_predict,
    )
    return again, earlier


def _concluded(asked: _Asked, folder: Path) -> Exploration:
    """What all jobs have seen, with what was before: kept and printed."""
    total = _kept(asked, folder)
    if total is None:
        return Exploration()
    if asked.json:
        print(shown_json(json_module.dumps(_report(total, asked), indent=2)))
    else:
        print("\n".join(map(printable, summary(total))), flush=True)
        print(_sums(total))
        print(f"Exploration in {shown(asked.output)}; to go on with it:")
        print(f"  matrix explore --resume {shown(asked.output)}", flush=True)
    return total


def _kept(asked: _Asked, folder: Path) -> Exploration | None:
    """What all jobs have left, with what was before: kept; None where that is nothing."""
    found = [kept(path) for path in sorted(folder.glob(f"{JOB}*.json"))]
    parts = [*filter(None, (asked.earlier,)), *found]
    if not parts:
        return None
    total = together(parts)
    keep(total, asked.output / NAME)
    return total


def _explore_all(
    asked: _Asked, decisions: Sequence[Run], inventory: Inventory, folder: Path, jobs: int
) -> None:
    """Explore by so many jobs, in processes of their own where metrics are served: a scrape's
    thread or descriptor is not taken for one that a guest has left. Raises HostError."""
    with bound(asked.metrics, SoFar(folder, asked.earlier or Exploration())) as server:

        def work(job: int) -> Coroutine[Any, Any, None]:
            if server is not None:
                server.leave()
            return _explore(asked, decisions, inventory, folder, job)

        in_jobs(jobs, folder, work, None if server is None else server.serving())


async def _explore(
    asked: _Asked, decisions: Sequence[Run], inventory: Inventory, folder: Path, job: int
) -> None:
    """Explore as the job of that number, and leave in ``folder`` what was seen."""
    own = folder / f"{JOB}{job}"
    with host_errors("create", own):
        own.mkdir()
    subjects = [
        await Subject.make(decision, inventory, own / f"launch-{number}", refused or {})
        for number, (decision, refused) in enumerate(zip_longest(decisions, asked.refused))
    ]

    def found(each: Found) -> None:
        path = _room(asked.output)
        finding = _finding(asked, decisions[each.subject], each, asked.seed + job)
        if not asked.json:  # before it is written, which may fail
            print("\n".join(_told(finding)), flush=True)
        with host_errors("create", path):
            shutil.copytree(each.evidence, path.with_suffix(""), dirs_exist_ok=True)
        write(finding, path)
        keeping.written.add(each.failure.signature)
        if not asked.json:
            print(f"  {_command(path)}", flush=True)

    earlier, parent = asked.earlier or Exploration(), os.getppid()
    keeping = _Keeping(asked, folder, job, set(earlier.signatures))
    explorer = Explorer(
        subjects,
        asked.seed + job,
        own,
        found,
        known=earlier.signatures,
        claim=lambda signature: claimed(folder, signature),
        stop=lambda: os.getppid() != parent,
        on_trouble=_trouble,
        on_lived=lambda: keeping.lived(explorer),
        on_counted=lambda: keeping.tell(explorer),
    )
    explorer.coverage.seen.update(earlier.coverage.seen)
    keeping.tell(explorer)
    try:
        await explorer.explore(asked.seconds)
    finally:
        keep(_part(asked, explorer), keeping.path)


@dataclass(slots=True)
class _Keeping:
    """Keeps now and then what a job has seen."""

    asked: _Asked
    folder: Path
    job: int
    written: set[str]
    """Signatures of failures that were written down."""
    due: float = 0.0

    @property
    def path(self) -> Path:
        """Where the job leaves what it has seen."""
        return self.folder / f"{JOB}{self.job}.json"

    def lived(self, explorer: Explorer) -> None:
        """A sequence is over: what was seen is kept if that is due."""
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + KEPT_EVERY
        part = _part(self.asked, explorer)
        # Another job may not have written down yet what it has claimed.
        told = {name: times for name, times in part.signatures.items() if name in self.written}
        keep(replace(part, signatures=told), self.path)
        if self.job == 0:  # two that write the same file would be in each other's way
            _kept(self.asked, self.folder)

    def tell(self, explorer: Explorer) -> None:
        """Leave what was seen for metrics, where they are served."""
        if self.asked.metrics:
            tell(_part(self.asked, explorer), self.folder, self.job)


def _trouble(why: str) -> None:
    print(printable(f"matrix: the host failed, and exploring goes on: {why}"), file=sys.stderr)


def _room(folder: Path) -> Path:
    """The next finding's file; its folder is made, so that no other job takes the number."""
    for number in count(1):
        path = folder / f"finding-{number}.json"
        with host_errors("create", path):
            try:
                path.with_suffix("").mkdir()
            except FileExistsError:
                continue  # of another job
            return path
    raise AssertionError


def _part(asked: _Asked, explorer: Explorer) -> Exploration:
    coverage = Coverage(explorer.coverage.cells)
    coverage.seen.update(explorer.coverage.seen)
    if asked.earlier is not None:
        coverage.seen.subtract(asked.earlier.coverage.seen)
    worlds = [subject.world for subject in explorer.subjects]
    cannot = (f"{each.architecture}: {why}" for each in worlds for why in each.cannot)
    names = [
        str(path.absolute()) if path.suffix else str(path) for path in asked.selection.scenarios
    ]
    return Exploration(
        scenarios=tuple(names),
        chosen=_chosen(asked.selection),
        seeds=(explorer.seed,),
        guests=explorer.lives,
        steps=explorer.steps,
        seconds=explorer.seconds,
        signatures=dict(explorer.signatures),
        seen=seen_of(coverage),
        impossible=tuple(dict.fromkeys((*cannot, *asked.left_out))),
        took=dict(explorer.took),
    )


def _chosen(selection: Selection, case: str = "", scenario: str = "") -> Chosen:
    return Chosen(
        case=case,
        scenario=scenario,
        arch=selection.arch,
        accel=selection.accel,
        qemu=_anywhere(selection.qemu),
        build=_anywhere(selection.build),
        set_axis=selection.set_axis,
        host="" if selection.host is None else str(selection.host.absolute()),
    )


def _finding(asked: _Asked, decision: Run, found: Found, seed: int) -> Finding:
    selection, case = asked.selection, decision.case
    return Finding(
        chosen=_chosen(selection, case.id, _scenario_of(selection, case.scenario)),
        signature=found.failure.signature,
        reason=found.failure.reason,
        steps=found.steps,
        failed=found.failed,
        lives=found.lives,
        shrunk_from=found.shrunk_from,
        seed=seed,
    )


def _scenario_of(selection: Selection, name: str) -> str:
    """The scenario as it is named anywhere: a file by its absolute path."""
    for path in selection.scenarios:
        if len(selection.scenarios) == 1 or path.stem == name:
            return str(path.absolute()) if path.suffix else str(path)
    return name


def _anywhere(options: Sequence[str]) -> tuple[str, ...]:
    """``NAME=DIR`` with an absolute path, so that a finding is repeated from any folder."""
    pairs = (option.partition("=") for option in options)
    return tuple(f"{name}={expanded(path).absolute()}" if path else name for name, _, path in pairs)


def _refused(decisions: Sequence[Run], inventory: Inventory) -> list[dict[Pair, str]]:
    """For each case, between which QEMUs its guest does not go, as far as that can be predicted."""
    host, cache = read_host(), Cache(cache_directory())

    async def all_of_them() -> list[dict[Pair, str]]:
        return [
            await refusals_of(decision, places(decision), inventory, host, cache)
            for decision in decisions
        ]

    return asyncio.run(all_of_them())


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """A folder for what is found, made before hours are spent to find it; gone again if nothing
    was explored."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    with host_errors("create", folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):  # something is in it
            for each in missing:
                each.rmdir()


def _command(path: Path) -> str:
    return f"matrix explore --replay {shown(path)}"


def _told(finding: Finding) -> Iterator[str]:
    yield printable(f"FOUND {finding.reason}")
    yield printable(f"  {finding.chosen.case}, {finding.failed} of {finding.lives} lives;")
    yield f"  {len(finding.steps)} steps, of {finding.shrunk_from} before shrinking:"
    yield from sequence(finding.steps)


def _sums(total: Exploration) -> str:
    coverage = total.coverage
    rate = total.steps / max(total.seconds, 0.001)
    return (
        f"{counted(total.guests, 'guest')}, {counted(total.steps, 'step')} in"
        f" {duration(total.seconds)} ({rate:.1f} a second), {coverage.covered} of"
        f" {len(coverage.cells)} cells seen, {counted(len(total.signatures), 'failure')} found"
    )


def _report(total: Exploration, asked: _Asked) -> dict[str, Any]:
    files = asked.output.glob("finding-*.json")
    findings = [(path, read(path)) for path in sorted(files, key=lambda path: int(path.stem[8:]))]
    return {
        "seed": asked.seed,
        "seeds": total.seeds,
        "guests": total.guests,
        "steps": total.steps,
        "seconds": round(total.seconds, 3),
        "findings": [
            {
                "case": finding.chosen.case,
                "signature": finding.signature,
                "reason": finding.reason,
                "steps": [str(step) for step in finding.steps],
                "failed": finding.failed,
                "lives": finding.lives,
                "seen": total.signatures.get(finding.signature, 0),
                "file": str(path),
                "command": _command(path),
            }
            for path, finding in findings
        ],
        "coverage": [
            {
                "arch": seen.cell.architecture,
                "state": seen.cell.state,
                "qemu": seen.cell.pair,
                "operation": seen.cell.what,
                "seen": seen.times,
            }
            for seen in total.seen
        ],
        "impossible": total.impossible,
    }
