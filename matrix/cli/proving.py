"""``matrix migratable --prove``: makes the hops that were predicted, and says where both differ."""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.cli.run_command import sources
from matrix.cli.steps import Steps
from matrix.errors import ExitCode
from matrix.hosts.local.executor import LocalHost
from matrix.migratable.prediction import Answer, Prediction
from matrix.results.case_record import CaseRecord
from matrix.results.recorder import Recorder
from matrix.results.run_info import run_info
from matrix.run.capacity import capacity_of
from matrix.run.options import Selection
from matrix.run.prepare import prepare
from matrix.run.progress import NullProgress
from matrix.run.runner import execute
from matrix.verdicts import Verdict

GUEST = "ram-integrity"
"""The embedded guest that is migrated: it checks its memory, registers and clock."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a real hop came to."""

    gone: bool | None
    """Whether the guest has gone, and was right afterwards; None where no hop was made."""
    reason: str = ""

    def contradicts(self, prediction: Prediction) -> bool:
        """Whether the prediction was wrong. ``perhaps`` never is."""
        if self.gone is None or prediction.answer is Answer.PERHAPS:
            return False
        return self.gone is not (prediction.answer is Answer.YES)


def prove(
    predictions: Sequence[Prediction],
    qemu: tuple[str, ...],
    host: Path | None,
    output: Path | None,
    jobs: int | None,
) -> tuple[list[Proof], ExitCode]:
    """One hop of the embedded guest for each prediction, in their order; and what the run of them
    all came to.

    Args:
        predictions: what was predicted.
        qemu: the ``--qemu`` options.
        host: the host file.
        output: the run directory, which must not exist yet; one that is removed where None.
        jobs: guests at a time.

    Raises:
        UsageError, ScenarioError, SuiteError, HostError: as ``matrix run``.
    """
    with tempfile.TemporaryDirectory(prefix="matrix-migratable-") as folder:
        files = []
        for number, prediction in enumerate(predictions):
            files.append(Path(folder, f"{number}.yaml"))
            files[-1].write_text(json.dumps(scenario(number, prediction), indent=1))
        selection = Selection(scenarios=tuple(files), qemu=qemu, host=host)
        return _hops(selection, output or Path(folder, "run"), jobs)


def scenario(number: int, prediction: Prediction) -> dict[str, Any]:
    """The scenario of one hop; JSON is YAML."""
    guest = prediction.guest
    axes: dict[str, list[str]] = {
        "arch": [guest.architecture.value],
        "accel": ["tcg"],
        "qemu": [prediction.source],
        "destination": [prediction.destination],
        "machine": [guest.machine],
    }
    if guest.cpu:
        axes["cpu"] = [guest.cpu]
    return {
        "name": f"migratable-{number}",
        "suite": {"kind": "kvm-unit-tests", "build": "builtin", "tests": [GUEST]},
        "matrix": axes,
        "migration": {"mode": "continuous", "hops": 1, "pace": "0ms"},
    }


def _hops(selection: Selection, path: Path, jobs: int | None) -> tuple[list[Proof], ExitCode]:
    prepared = prepare(selection, Steps())
    inventory = prepared.inventory
    info = run_info(
        sources(prepared), inventory, others={}, arguments=tuple(sys.argv[1:]), options={}
    )
    with Recorder.start(path, info, prepared.decisions) as recorder:
        host = LocalHost(inventory, capacity_of(inventory.host, jobs, None))
        code = execute(recorder, [host], NullProgress())
        results = {result.scenario: result for result in recorder.record.results()}
    return [_proof(results.get(each.name)) for each in prepared.scenarios], code


def _proof(result: CaseRecord | None) -> Proof:
    if result is None:
        return Proof(None, "it was not tried")
    if result.verdict is Verdict.PASS:
        return Proof(gone=True)
    tried = result.hops is not None and result.hops.hops > 0 and result.verdict is not Verdict.ERROR
    return Proof(False if tried else None, result.reason)
