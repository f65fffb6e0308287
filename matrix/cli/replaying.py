"""``matrix explore --replay``: the sequence of a finding once more."""

import asyncio
import json as json_module
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from matrix.cli.arguments import Execution
from matrix.cli.explorable import explorable, only_qemus, selected, sequence, temporary
from matrix.errors import ExitCode, UsageError
from matrix.explore.exploration import NAME
from matrix.explore.explorer import replay
from matrix.explore.finding import Finding, read
from matrix.explore.sequences import first_impossible
from matrix.explore.shrinking import Rule
from matrix.explore.subject import Subject, places
from matrix.hosts.installations import installations
from matrix.hosts.project import load_settings
from matrix.results.files import shown
from matrix.results.printable import printable, shown_json
from matrix.run.options import Selection, with_defaults


def run_replay(path: Path, selection: Selection, execution: Execution, *, json: bool) -> ExitCode:
    """Live a finding's sequence again, as often as the rule says.

    Raises:
        UsageError: the file is no finding, or its case or sequence is not possible here.
        ScenarioError, SuiteError, HostError: as ``matrix run``.
    """
    if path.name == NAME and path.is_file():
        raise UsageError(
            f"{shown(path)} is an exploration, and no finding: --resume {shown(path.parent)} goes"
            " on with it, --replay takes one of its finding-N.json"
        )
    finding = read(path)
    if execution != Execution():
        raise UsageError("--replay takes the seed from its file, and writes nothing")
    others = "--qemu, --host, --fresh and --json"
    only_qemus("--replay takes case and scenario from its file", selection, others)
    if not finding.steps:
        raise UsageError(f"{shown(path)}: steps: there is none; a finding has at least one")
    chosen = _chosen(path, finding, selection)
    found = explorable(chosen, finding.chosen.case)
    decision = found.decisions[0]
    destinations = (step.destination for step in finding.steps if step.destination)
    _check_given(path, selection, (*places(decision), *destinations))
    with temporary() as folder:

        async def lives() -> list[str]:
            subject = await Subject.make(decision, found.inventory, folder / "launch")
            place = first_impossible(subject.world, finding.steps)
            if place is not None:
                what = printable(str(finding.steps[place]))
                raise UsageError(f"{shown(path)}: step {place + 1}: {what} is not possible there")
            failures = await replay(subject, finding.steps, folder, Rule().of)
            return ["" if each is None else each.signature for each in failures]

        signatures = asyncio.run(lives())
    same = sum(each == finding.signature for each in signatures)
    if json:
        shown_ = {"signature": finding.signature, "lives": signatures, "failed": same}
        print(shown_json(json_module.dumps(shown_, indent=2)))
    else:
        print("\n".join(sequence(finding.steps)))
        for signature in signatures:
            print(printable(f"failed: {signature}" if signature else "passed"))
        print(f"{same} of {len(signatures)} lives failed as recorded")
    return ExitCode.NOT_PASSED if any(signatures) else ExitCode.OK


def _chosen(path: Path, finding: Finding, given: Selection) -> Selection:
    """The selection of the finding, whose QEMUs are all there. Raises UsageError."""
    names = {option.partition("=")[0] for option in given.qemu}
    pairs = [option.partition("=") for option in finding.chosen.qemu]
    gone = {name: place for name, _, place in pairs if place and not Path(place).is_dir()}
    there = tuple(each for each in finding.chosen.qemu if each.partition("=")[0] not in gone)
    selection = selected(replace(finding.chosen, qemu=there), given)
    settings = load_settings(selection.host)
    installed = installations(with_defaults(selection, settings.defaults).qemu, settings)
    known = {each.name for each in installed}
    for number, step in enumerate(finding.steps, 1):
        if step.destination and step.destination not in known:
            _missing(f"{shown(path)}: step {number}", step.destination)
    for name, place in gone.items():
        if name not in names:
            _missing(f"{shown(path)}: {printable(place)}", name)
    return selection


def _missing(where: str, name: str) -> None:
    name = printable(name)
    raise UsageError(f"{where}: there is no QEMU {name!r}; give --qemu {name}=DIR")


def _check_given(path: Path, given: Selection, known: Iterable[str]) -> None:
    """Each QEMU that is given takes the place of one that the finding has."""
    names = list(dict.fromkeys(known))
    for option in given.qemu:
        name = option.partition("=")[0]
        if name not in names:
            has = printable(", ".join(names))
            raise UsageError(
                f"--qemu {printable(option)}: {shown(path)} has no such QEMU, but {has}"
            )
