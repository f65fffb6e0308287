"""``--reuse``: which cases need not run, as they passed in an earlier run with the same inputs.

What counts of a case is its latest result, over the runs that the named one runs again
(:mod:`matrix.run.rerun`), or over all runs of the history. A result that was itself reused names
the run that really ran the case. Never reused is what did not simply pass at its first attempt,
what the history has seen fail with the same inputs, and what measures
(:func:`matrix.plan.inputs.why_never`). Why a case is run all the same is said of each.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix.attempt import Attempt, Reused
from matrix.errors import MatrixError, UsageError
from matrix.hosts.case_inputs import CaseInputs, Noted
from matrix.plan.decisions import Decision, Run
from matrix.plan.inputs import changed, changed_words, digest_of, why_never
from matrix.results.case_record import CaseRecord
from matrix.results.directory import folder_name
from matrix.results.files import shown
from matrix.results.history.place import Database
from matrix.results.history.same_inputs import Before, failed_before, same_inputs
from matrix.results.latest import LATEST, latest_run, scenario_of_latest
from matrix.run.options import HISTORY, Selection
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
    source: str = ""
    """Where results were looked for, in words; empty where there was no run yet."""

    def summary(self) -> Iterator[str]:
        """What was found, in sentences."""
        if not self.source:
            yield "nothing to reuse: there is no earlier run of the scenario here"
            return
        same = "all that they follow from is the same"
        yield f"{len(self.attempts)} reused from {self.source}: {same}"
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


def choose(
    given: str,
    decisions: Sequence[Decision],
    inputs: CaseInputs,
    run: Path,
    history: Database | None,
) -> Reuse:
    """Which of the cases need not run.

    Args:
        given: ``latest`` (of each scenario), ``latest:SCENARIO``, ``history``, or a run directory.
        decisions: the plan.
        inputs: finds out what its cases follow from.
        run: the directory of the run that is to begin.
        history: None for none.

    Raises:
        UsageError: there is no such run or no history, or it is broken.
        HostError: it cannot be read.
    """
    planned = {each.case.id: each for each in decisions if isinstance(each, Run)}
    noted = {case_id: inputs.of(each) for case_id, each in planned.items()}
    before = _before(given, history, noted)
    source, known = _earlier(given, noted, planned, before)
    reuse = Reuse(source=source)
    for case_id, decision in planned.items():
        past = known.get(case_id)
        why = why_not(decision, noted[case_id], past, before.get(case_id, ()))
        if past is None or why:
            reuse.reasons[case_id] = why or f"no earlier result of it in {source or 'any run'}"
        else:
            reuse.attempts[case_id] = _taken_over(past, run)
    return reuse


def _before(
    given: str, history: Database | None, noted: Mapping[str, Noted | None]
) -> dict[str, tuple[Before, ...]]:
    """What the history knows of cases with the same inputs. Where not the history was asked for,
    it does no harm that there is none."""
    digests = {case_id: digest_of(each.inputs) for case_id, each in noted.items() if each}
    if history is None:
        if given == HISTORY:
            raise UsageError("--reuse history: there is no history; name a run instead")
        return {}
    with suppress(MatrixError):  # a broken one only knows less
        return same_inputs(history, digests, failed=given != HISTORY)
    return {}


def _earlier(
    given: str,
    noted: Mapping[str, Noted | None],
    planned: Mapping[str, Run],
    before: Mapping[str, Sequence[Before]],
) -> tuple[str, dict[str, Past]]:
    """Where results are taken from, in words, and the latest one of each case."""
    if given == HISTORY:
        known = {}
        for case_id, (latest, *_) in before.items():
            inputs = noted[case_id]
            assert inputs is not None  # noqa: S101 - its digest was looked for
            record = _whole(latest.record, inputs)
            known[case_id] = Past(latest.directory, latest.started, record)
        return "the history", known
    origins = _origins(given, {each.case.scenario for each in planned.values()})
    return ", ".join(map(shown, origins)), dict(_known(origins, set(planned)))


def _whole(record: CaseRecord, noted: Noted) -> CaseRecord:
    """A record of the history, which has neither paths nor subtests that passed, and was found by
    its inputs."""
    return replace(
        record,
        artifacts=f"cases/{folder_name(record.id)}",
        inputs=dict(noted.inputs),
        subtests_dropped=sum(record.subtest_counts.values()) - len(record.subtests),
    )


def why_not(
    decision: Run, noted: Noted | None, past: Past | None, before: Sequence[Before] = ()
) -> str:
    """Why a case has to run; empty where its result, if there is one, can be reused.

    Args:
        decision: as planned.
        noted: its inputs; None where not all are known.
        past: its latest result; None for none.
        before: what the history knows of it with the same inputs.
    """
    if never := why_never(decision):
        return never
    if noted is None:
        return "what it runs with is not known by content"
    if past is None:
        return ""
    record, run = past.record, shown(past.run)
    if record.verdict is not Verdict.PASS:
        return f"{record.verdict.value} in {run}"
    if len(record.attempts) != 1:
        return f"it took {len(record.attempts)} attempts in {run}"
    if bad := failed_before(before):
        return f"flaky: it came to {bad.record.verdict.value} with the same inputs, too"
    if not record.inputs:
        return f"{run} does not say what it ran with"
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
