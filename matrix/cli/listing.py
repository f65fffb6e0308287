"""``matrix list``: the cases, which would run and which would be skipped, and why."""

import asyncio
import json as json_module
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix.cli.arguments import Execution
from matrix.cli.steps import Steps, say
from matrix.hosts.local.launch import make_launch
from matrix.hosts.project import load_settings
from matrix.model import Expectation
from matrix.plan.decisions import LOCAL, Broken, Decision, Run
from matrix.results.directory import folder_name
from matrix.results.printable import printable, shown_json
from matrix.run.options import Selection
from matrix.run.prepare import Prepared, prepare
from matrix.run.rerun import replayed

if TYPE_CHECKING:
    from matrix.run.reuse import Reuse


def run_list(selection: Selection, execution: Execution, *, json: bool, commands: bool) -> None:
    """Print the plan; nothing is run but what the inventory needs to be taken."""
    settings = load_settings(selection.host)
    prepared = prepare(
        replayed(selection, settings.defaults),
        Steps(),
        on_host=say,
        settings=settings,
        predict=not selection.no_predict,
    )
    decisions = prepared.decisions
    reuse = _reused(selection, execution, prepared)
    known = dict(_commands(prepared)) if commands else {}
    if json:
        cases = [entry(decision, reuse) for decision in decisions]
        for case in cases:
            if case["id"] in known:
                case["command"] = known[case["id"]]
        print(shown_json(json_module.dumps({"cases": cases}, indent=2)))
        return
    plan = lines(decisions, reuse)
    for line in plan if not commands else _command_lines(decisions, known, plan):
        print(line)
    sys.stdout.flush()


def _reused(selection: Selection, execution: Execution, prepared: Prepared) -> "Reuse | None":
    """What a run would take over from earlier ones; None where nobody asks."""
    if selection.reuse is None:
        return None
    from matrix.cli.history import history_of_run
    from matrix.hosts.case_inputs import CaseInputs
    from matrix.run.reuse import check_reuse, choose

    check_reuse(selection)
    history = history_of_run(execution.database, off=execution.no_history)
    inputs = CaseInputs(prepared.inventory)
    inputs.learn(prepared.decisions)
    reuse = choose(selection.reuse, prepared.decisions, inputs, Path.cwd() / "run", history)
    inputs.save()
    return reuse


def _commands(prepared: Prepared) -> Iterator[tuple[str, list[str]]]:
    """Id and command line of each case that would run; what it needs of files lies in its folder.

    Raises:
        HostError: a case cannot be started here.
        SuiteError: a build is no longer readable.
    """
    with tempfile.TemporaryDirectory(prefix="matrix-list-") as place, asyncio.Runner() as runner:
        for number, decision in enumerate(prepared.decisions):
            if isinstance(decision, Run) and decision.host == LOCAL:
                case, folder = decision.case.id, Path(place, str(number))
                folder.mkdir()
                launch = runner.run(make_launch(decision, prepared.inventory, folder))
                shown = f"RUN/cases/{folder_name(case)}"
                yield case, [each.replace(str(folder), shown) for each in launch.argv]


def _command_lines(
    decisions: Iterable[Decision], known: dict[str, list[str]], plan: Iterable[str]
) -> Iterator[str]:
    """Lines for a shell: those of the plan, each case's id or why it does not run, as comments."""
    *cases, counts = plan
    for line, decision in zip(cases, decisions, strict=True):
        yield f"# {line}"
        if decision.case.id in known:
            yield printable(shlex.join(known[decision.case.id]))
    yield f"# {counts}"


def entry(decision: Decision, reuse: "Reuse | None" = None) -> dict[str, Any]:
    """One case as ``--json`` prints it (a contract, see the README)."""
    case = decision.case
    common = {
        "id": case.id,
        "scenario": case.scenario,
        "suite": case.suite,
        "test": case.test.name,
        "axes": case.variant.axes(),
    }
    if reuse is not None and (attempt := reuse.attempts.get(case.id)) is not None:
        return {**common, "action": "reuse", "reason": attempt.reason}
    if isinstance(decision, Run):
        reasons = {} if reuse is None else reuse.reasons
        return {
            **common,
            **({"not_reused": reasons[case.id]} if case.id in reasons else {}),
            "action": "run",
            "accelerator": decision.accelerator_label.value,
            "host": decision.host,
            "reason": decision.why,
            "vcpus": decision.vcpus,
            "memory": decision.memory,
            "kvm_doubt": decision.kvm_doubt,
            "expected": [_known_failure(each) for each in decision.expected],
        }
    if isinstance(decision, Broken):
        return {**common, "action": "error", "reason": decision.reason}
    return {**common, "action": "skip", "reason": decision.reason, "skip_cause": decision.cause}


def _known_failure(expectation: Expectation) -> dict[str, Any]:
    return {
        "reason": expectation.reason,
        "place": expectation.place,
        "verdicts": [verdict.value for verdict in expectation.verdicts],
        "subtests": list(expectation.subtests),
    }


def lines(decisions: Iterable[Decision], reuse: "Reuse | None" = None) -> Iterable[str]:
    """One line per case, then the counts."""
    runs = skips = broken = 0
    attempts = {} if reuse is None else reuse.attempts
    reasons = {} if reuse is None else reuse.reasons
    for decision in decisions:
        if (attempt := attempts.get(decision.case.id)) is not None:
            yield f"reuse {decision.case.id}  {printable(attempt.reason)}"
        elif isinstance(decision, Run):
            runs += 1
            doubt = f"; KVM fails its proof: {decision.kvm_doubt}" if decision.kvm_doubt else ""
            on = "" if decision.host == LOCAL else f" on {' and '.join(decision.hosts)}"
            why = f"{decision.accelerator_label}{on} ({decision.why}{doubt})"
            if decision.expected:
                why += f"  known to fail: {'; '.join(each.reason for each in decision.expected)}"
            if decision.case.id in reasons:
                why += f"  not reused: {reasons[decision.case.id]}"
            yield f"run   {decision.case.id}  {printable(why)}"
        elif isinstance(decision, Broken):
            broken += 1
            yield f"error {decision.case.id}  {printable(decision.reason)}"
        else:
            skips += 1
            yield f"skip  {decision.case.id}  {printable(decision.reason)}"
    reused = f", {len(attempts)} reused" if attempts else ""
    yield f"{runs} to run, {skips} to skip{reused}" + (f", {broken} in error" if broken else "")
