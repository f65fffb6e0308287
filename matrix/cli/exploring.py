"""``matrix explore``: random valid sequences on one guest at a time, and what breaks in them."""

import asyncio
import json as json_module
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matrix.cli.arguments import Execution
from matrix.cli.steps import Steps as Saying
from matrix.cli.style import duration
from matrix.errors import ExitCode, NothingSelected, UsageError
from matrix.explore.explorer import Explorer, Found, replay
from matrix.explore.finding import Chosen, Finding, read, write
from matrix.explore.sequences import repaired
from matrix.explore.shrinking import Rule
from matrix.explore.step import Steps
from matrix.explore.subject import Subject, why_not
from matrix.inventory import Inventory
from matrix.places import expanded
from matrix.plan.decisions import Run
from matrix.results.directory import RunDirectory
from matrix.results.files import host_errors, shown
from matrix.results.printable import printable, shown_json
from matrix.run.options import Selection
from matrix.run.prepare import prepare

FINDINGS = Path("findings-of-explore")
"""Where findings go without ``-o``: in a folder of this one, named by date and scenario."""
SEED_BITS = 32


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command was told, beside how long."""

    selection: Selection
    output: Path
    """Where findings go; exists."""
    seed: int
    json: bool


def run_explore(
    selection: Selection, execution: Execution, seconds: float, *, json: bool
) -> ExitCode:
    """Explore, and print what was found and covered.

    Raises:
        UsageError, ScenarioError, SuiteError, NothingSelected, HostError: as ``matrix run``.
    """
    seed = secrets.randbits(SEED_BITS) if execution.seed is None else execution.seed
    if execution.output is not None and execution.output.exists():
        raise UsageError(f"{shown(execution.output)} exists; findings overwrite nothing")
    decisions, inventory = _explorable(selection)
    scenarios = dict.fromkeys(each.case.scenario for each in decisions)
    output = execution.output or RunDirectory.default_path(list(scenarios), FINDINGS)
    asked = _Asked(selection, output, seed, json)
    if not json:
        print(f"seed {seed}; --seed {seed} draws the same sequences again", flush=True)
    with _made(output), _temporary() as folder:
        explorer = asyncio.run(_explore(asked, decisions, inventory, folder, seconds))
    return ExitCode.NOT_PASSED if explorer.signatures else ExitCode.OK


def run_replay(path: Path, selection: Selection, execution: Execution, *, json: bool) -> ExitCode:
    """Live a finding's sequence again, as often as the rule says.

    Raises:
        UsageError: the file is no finding, or its case or sequence is not possible here.
        ScenarioError, SuiteError, HostError: as ``matrix run``.
    """
    finding = read(path)
    if execution != Execution():
        raise UsageError("--replay takes the seed from its file, and writes nothing")
    if replace(selection, qemu=(), host=None, fresh=False) != Selection():
        raise UsageError(
            "--replay takes case and scenario from its file; beside it only --qemu, --host, --fresh"
            " and --json are taken"
        )
    decisions, inventory = _explorable(_selected(finding.chosen, selection), finding.chosen.case)
    with _temporary() as folder:

        async def lives() -> list[str]:
            subject = await Subject.make(decisions[0], inventory, folder / "launch")
            if repaired(subject.world, finding.steps) != finding.steps:
                raise UsageError(f"{shown(path)}: the QEMUs here cannot do that sequence")
            failures = await replay(subject, finding.steps, folder, Rule().of)
            return ["" if each is None else each.signature for each in failures]

        signatures = asyncio.run(lives())
    same = sum(each == finding.signature for each in signatures)
    if json:
        shown_ = {"signature": finding.signature, "lives": signatures, "failed": same}
        print(shown_json(json_module.dumps(shown_, indent=2)))
    else:
        print("\n".join(_sequence(finding.steps)))
        for signature in signatures:
            print(printable(f"failed: {signature}" if signature else "passed"))
        print(f"{same} of {len(signatures)} lives failed as recorded")
    return ExitCode.NOT_PASSED if any(signatures) else ExitCode.OK


async def _explore(
    asked: _Asked,
    decisions: Sequence[Run],
    inventory: Inventory,
    folder: Path,
    seconds: float,
) -> Explorer:
    subjects = [
        await Subject.make(decision, inventory, folder / f"launch-{number}")
        for number, decision in enumerate(decisions)
    ]
    findings: list[tuple[Path, Finding]] = []

    def found(each: Found) -> None:
        path = asked.output / f"finding-{len(findings) + 1}.json"
        finding = _finding(asked, decisions[each.subject], each)
        findings.append((path, finding))
        if not asked.json:  # before it is written, which may fail
            print("\n".join(_told(finding)), flush=True)
        with host_errors("create", path):
            shutil.copytree(each.evidence, path.with_suffix(""))
        write(finding, path)
        if not asked.json:
            print(f"  {_command(path)}", flush=True)

    explorer = Explorer(subjects, asked.seed, folder, found)
    try:
        await explorer.explore(seconds)
    finally:  # also of one that was interrupted, or that the host has failed
        if asked.json:
            print(shown_json(json_module.dumps(_report(explorer, findings, asked.seed), indent=2)))
        else:
            print("\n".join(_summary(explorer)), flush=True)
    return explorer


def _finding(asked: _Asked, decision: Run, found: Found) -> Finding:
    selection, case = asked.selection, decision.case
    chosen = Chosen(
        case=case.id,
        scenario=_scenario_of(selection, case.scenario),
        arch=selection.arch,
        accel=selection.accel,
        qemu=_anywhere(selection.qemu),
        build=_anywhere(selection.build),
        set_axis=selection.set_axis,
        host="" if selection.host is None else str(selection.host.absolute()),
    )
    return Finding(
        chosen=chosen,
        signature=found.failure.signature,
        reason=found.failure.reason,
        steps=found.steps,
        failed=found.failed,
        lives=found.lives,
        shrunk_from=found.shrunk_from,
        seed=asked.seed,
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


def _selected(chosen: Chosen, given: Selection) -> Selection:
    """The selection of a finding; QEMUs that are given now come before those that it names."""
    names = {option.partition("=")[0] for option in given.qemu}
    recorded = [each for each in chosen.qemu if each.partition("=")[0] not in names]
    host = given.host or (Path(chosen.host) if chosen.host else None)
    return Selection(
        scenarios=(Path(chosen.scenario),),
        arch=chosen.arch,
        accel=chosen.accel,
        qemu=(*given.qemu, *recorded),
        build=chosen.build,
        set_axis=chosen.set_axis,
        host=host,
        fresh=given.fresh,
        include_all=True,
    )


def _explorable(selection: Selection, case: str = "") -> tuple[list[Run], Inventory]:
    """The cases that can be explored here, or that one."""
    prepared = prepare(replace(selection, include_all=True), Saying())
    decisions = [each for each in prepared.decisions if case in ("", each.case.id)]
    if not decisions:
        scenario = shown(selection.scenarios[0])
        raise UsageError(
            f"{scenario} has no case {printable(case)}; matrix list {scenario} shows those it has"
        )
    running = [each for each in decisions if isinstance(each, Run)]
    kept = [each for each in running if not why_not(each)]
    if kept:
        return kept, prepared.inventory
    reasons = [why_not(each) for each in running]
    reasons += [each.reason for each in decisions if not isinstance(each, Run)]
    raise NothingSelected(f"no case can be explored: {'; '.join(dict.fromkeys(reasons))}")


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """A folder for what is found, made before hours are spent to find it; gone again if empty."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    with host_errors("create", folder):
        folder.mkdir(parents=True)
    try:
        yield
    finally:
        with suppress(OSError):  # something is in it
            for each in missing:
                each.rmdir()


@contextmanager
def _temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="matrix-explore-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _command(path: Path) -> str:
    return f"matrix explore --replay {shown(path)}"


def _sequence(steps: Steps) -> list[str]:
    return [printable(f"  {number}. {step}") for number, step in enumerate(steps, 1)]


def _told(finding: Finding) -> Iterator[str]:
    yield printable(f"FOUND {finding.reason}")
    yield printable(f"  {finding.chosen.case}, {finding.failed} of {finding.lives} lives;")
    yield f"  {len(finding.steps)} steps, of {finding.shrunk_from} before shrinking:"
    yield from _sequence(finding.steps)


def _summary(explorer: Explorer) -> Iterator[str]:
    coverage, rate = explorer.coverage, explorer.steps / max(explorer.seconds, 0.001)
    by_kind: dict[str, Counter[bool]] = {}
    for cell in coverage.cells:
        kind = cell.what.partition(" over ")[0] if " with " not in cell.what else "hop with a fault"
        row = f"{cell.architecture}  {cell.pair}  {kind}"
        by_kind.setdefault(row, Counter())[cell in coverage.seen] += 1
    yield "seen  of"
    for row, counts in sorted(by_kind.items()):
        yield printable(f"{counts[True]:4}  {counts.total():<4}  {row}")
    impossible = (
        f"{w.architecture}: {why}"
        for w in (each.world for each in explorer.subjects)
        for why in w.cannot
    )
    yield from (printable(f"not done: {each}") for each in dict.fromkeys(impossible))
    yield (
        f"{explorer.lives} guests, {explorer.steps} steps in {duration(explorer.seconds)}"
        f" ({rate:.1f} a second), {coverage.covered} of {len(coverage.cells)} cells seen,"
        f" {len(explorer.signatures)} failures found"
    )


def _report(
    explorer: Explorer, findings: Sequence[tuple[Path, Finding]], seed: int
) -> dict[str, Any]:
    coverage = explorer.coverage
    return {
        "seed": seed,
        "guests": explorer.lives,
        "steps": explorer.steps,
        "seconds": round(explorer.seconds, 3),
        "findings": [
            {
                "case": finding.chosen.case,
                "signature": finding.signature,
                "reason": finding.reason,
                "steps": [str(step) for step in finding.steps],
                "failed": finding.failed,
                "lives": finding.lives,
                "seen": explorer.signatures[finding.signature],
                "file": str(path),
                "command": _command(path),
            }
            for path, finding in findings
        ],
        "coverage": [
            {
                "arch": cell.architecture,
                "state": cell.state,
                "qemu": cell.pair,
                "operation": cell.what,
                "seen": coverage.seen[cell],
            }
            for cell in sorted(coverage.cells)
        ],
    }
