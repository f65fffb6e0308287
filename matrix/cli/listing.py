"""``matrix list``: the cases, which would run and which would be skipped, and why."""

import json as json_module
import sys
from collections.abc import Iterable
from typing import Any

from matrix.cli.steps import Steps
from matrix.model import Expectation
from matrix.plan.decisions import Broken, Decision, Run
from matrix.results.printable import printable, shown_json
from matrix.run.options import Selection
from matrix.run.prepare import prepare
from matrix.run.rerun import replayed


def run_list(selection: Selection, *, json: bool) -> None:
    """Print the plan; nothing is run but what the inventory needs to be taken."""
    decisions = prepare(replayed(selection), Steps()).decisions
    if json:
        document = {"cases": [entry(decision) for decision in decisions]}
        print(shown_json(json_module.dumps(document, indent=2)))
        return
    for line in lines(decisions):
        print(line)
    sys.stdout.flush()


def entry(decision: Decision) -> dict[str, Any]:
    """One case as ``--json`` prints it (a contract, see the README)."""
    case = decision.case
    common = {
        "id": case.id,
        "scenario": case.scenario,
        "suite": case.suite,
        "test": case.test.name,
        "axes": case.variant.axes(),
    }
    if isinstance(decision, Run):
        return {
            **common,
            "action": "run",
            "accelerator": decision.accelerator.value,
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


def lines(decisions: Iterable[Decision]) -> Iterable[str]:
    """One line per case, then the counts."""
    runs = skips = broken = 0
    for decision in decisions:
        if isinstance(decision, Run):
            runs += 1
            doubt = f"; KVM fails its proof: {decision.kvm_doubt}" if decision.kvm_doubt else ""
            why = f"{decision.accelerator.value} ({decision.why}{doubt})"
            if decision.expected:
                why += f"  known to fail: {'; '.join(each.reason for each in decision.expected)}"
            yield f"run   {decision.case.id}  {printable(why)}"
        elif isinstance(decision, Broken):
            broken += 1
            yield f"error {decision.case.id}  {printable(decision.reason)}"
        else:
            skips += 1
            yield f"skip  {decision.case.id}  {printable(decision.reason)}"
    yield f"{runs} to run, {skips} to skip" + (f", {broken} in error" if broken else "")
