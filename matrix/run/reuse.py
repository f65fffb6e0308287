"""``--reuse``: which cases need not run, as they passed in an earlier run with the same inputs.

What counts of a case is its latest result, over the runs that the named one runs again
(:mod:`matrix.run.rerun`). A result that was itself reused names the run that really ran the case.
Never reused is what did not simply pass at its first attempt, and what measures
(:func:`matrix.plan.inputs.why_never`). Why a case is run all the same is said of each.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix.attempt import Attempt, Reused
from matrix.errors import UsageError
from matrix.plan.decisions import Decision, Run
from matrix.plan.inputs import changed, changed_words, why_never
from matrix.results.case_record import CaseRecord
from matrix.results.files import shown
from matrix.results.latest import LATEST, latest_run, scenario_of_latest
from matrix.run.case_inputs import CaseInputs, Noted
from matrix.run.options import Selection
from matrix.run.rerun import chain_of
from matrix.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Past:
    """What a case came to in an earlier run."""

    run: Path
    """That run's directory, as it was named."""
    started: str
    record: CaseRecord


@dataclass(slots=True)
class Reuse:
    """What a run takes over from earlier ones."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    """The results that are taken over, by the ids of the cases."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why the others are run, by the ids of the cases."""
    runs: tuple[Path, ...] = ()
    """Where results were looked for; none where there was no run yet."""

    def summary(self) -> Iterator[str]:
        """What was found, in sentences."""
        if not self.runs:
            yield "nothing to reuse: there is no earlier run of the scenario here"
            return
        where = ", ".join(map(shown, self.runs))
        yield f"{len(self.attempts)} reused from {where}: all that they follow from is the same"
        for reason, count in Counter(self.reasons.values()).most_common():
            yield f"{count} to run: {reason}"


def check_reuse(selection: Selection) -> None:
    """Refuse what makes no sense beside ``--reuse``.

    Raises:
        UsageError: there is such an option.
    """
    if selection.reuse is not None and (selection.failed or selection.last_failed):
        raise UsageError(
            "--reuse beside --failed or --last-failed: these run what did not pass,"
            " which is never reused; give one of them"
        )


def choose(given: str, decisions: Sequence[Decision], inputs: CaseInputs, run: Path) -> Reuse:
    """Which of the cases need not run.

    Args:
        given: ``latest`` (of each scenario), ``latest:SCENARIO``, or a run directory.
        decisions: the plan.
        inputs: finds out what its cases follow from.
        run: the directory of the run that is to begin.

    Raises:
        UsageError: there is no such run, or it is broken.
        HostError: it cannot be read.
    """
    planned = [each for each in decisions if isinstance(each, Run)]
    origins = _origins(given, {each.case.scenario for each in planned})
    wanted = {each.case.id for each in planned}
    known = dict(_known(origins, wanted))
    reuse = Reuse(runs=tuple(origins))
    for decision in planned:
        case_id = decision.case.id
        past, noted = known.get(case_id), inputs.of(decision)
        why = why_not(decision, noted, past) if origins else "there is no earlier run"
        if past is None or why:
            reuse.reasons[case_id] = why
        else:
            reuse.attempts[case_id] = _taken_over(past, run)
    return reuse


def why_not(decision: Run, noted: Noted | None, past: Past | None) -> str:
    """Why a case has to run; empty where its result can be reused."""
    if never := why_never(decision):
        return never
    if past is None:
        return "that run has no result of it"
    record, run = past.record, shown(past.run)
    if record.verdict is not Verdict.PASS:
        return f"{record.verdict.value} in {run}"
    if len(record.attempts) != 1:
        return f"it took {len(record.attempts)} attempts in {run}"
    if not record.inputs:
        return f"{run} does not say what it ran with"
    if noted is None:
        return "what it runs with is not known by content"
    if differing := changed(record.inputs, dict(noted.inputs)):
        return f"{changed_words(differing)} since {run}"
    return ""


def _origins(given: str, scenarios: Iterable[str]) -> list[Path]:
    """The runs that are meant: of each scenario the latest, where no other is named."""
    if given != LATEST:
        scenario = scenario_of_latest(Path(given))
        return [Path(given) if scenario is None else latest_run(scenario)]
    found: dict[Path, None] = {}
    for scenario in sorted(scenarios):
        try:
            found[latest_run(scenario)] = None
        except UsageError:  # the first run of it
            continue
    return list(found)


def _known(origins: Iterable[Path], wanted: set[str]) -> Iterator[tuple[str, Past]]:
    """The latest result of each of the cases ``wanted``."""
    for origin in origins:
        left = set(wanted)
        for record in chain_of(origin):
            ids = [each.case.id for each in record.decisions if each.case.id in left]
            for result in record.results(ids):
                left.discard(result.id)
                yield result.id, Past(record.given, record.info.started, result)


def _taken_over(past: Past, run: Path) -> Attempt:
    """The attempt of a new run in ``run`` that has the result of an earlier one. Numbers that the
    guest measured stay there: they are no measurement of this run."""
    record = past.record
    origin, reused = past.run, record.reused
    if reused is None:
        reused = Reused("", past.started, record.seconds, record.artifacts)
    else:
        origin = Path(os.path.normpath(past.run / reused.run))
    where = os.path.relpath(origin, run)
    return Attempt(
        number=1,
        verdict=Verdict.PASS,
        reason=f"reused from {shown(origin)}",
        seconds=0.0,
        accelerator=record.accelerator,
        accelerator_reason=record.accelerator_reason,
        subtests=record.subtests,
        subtest_counts=tuple(record.subtest_counts.items()),
        subtests_dropped=record.subtests_dropped,
        host=record.host,
        inputs=tuple(record.inputs.items()),
        reused=replace(reused, run=where),
    )
