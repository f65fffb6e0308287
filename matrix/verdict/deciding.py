"""Decides the verdict of an attempt: the only place that does, step by step.

Each step takes what the steps before it came to and returns it, or another verdict or reason, and
says why. The order matters: an explanation is added to the verdict that it explains, functions are
named in all that the reason says by then, and known failures are matched with the whole of it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from matrix.attempt import Attempt, ChainResult, Ending, Outcome, Transcript
from matrix.inventory import Inventory
from matrix.migrating import PROOF
from matrix.model import Launch
from matrix.plan.decisions import Run
from matrix.suites.judgement import End, Judgement
from matrix.suites.registry import suite_of
from matrix.verdict.assists import with_hint
from matrix.verdict.bad_hops import apply_hops
from matrix.verdict.known_failures import apply_known_failures
from matrix.verdict.qemu_bugs import known_qemu_bugs
from matrix.verdicts import SkipCause, Verdict


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the verdict of an attempt is decided from, once its last QEMU is gone."""

    decision: Run
    launch: Launch
    outcome: Outcome
    """Of the QEMU that had the guest last."""
    transcript: Transcript
    hops: ChainResult | None
    """Of a guest that was migrated, or was to be."""
    inventory: Inventory
    """Of the host that it ran on."""
    directory: Path
    """Of the attempt."""
    starts_nothing: Callable[[Run], Awaitable[str]]
    """Why a QEMU of the decision starts no guest at all; empty where it does. Asked only of one
    that refused this case."""
    disk_lost: str = ""
    """Why the process that serves the guest's disk no longer did so at its end, in words; empty
    where it did, or there is none."""


async def decide_attempt(
    evidence: Evidence, *, number: int = 1, command: str = "", artifacts: str = ""
) -> Attempt:
    """What an attempt came to; the other arguments are as :class:`Attempt` has them.

    Raises:
        HostError: ``diagnosis/stack.txt`` cannot be written.
    """
    judgement = _judge_guest(evidence)
    judgement = _judge_hops(evidence, judgement)
    judgement = _blame_disk_server(evidence, judgement)
    judgement = _note_early_end(evidence, judgement)
    judgement = _explain_no_migration(evidence, judgement)
    judgement = _explain_by_qemu_bugs(evidence, judgement)
    judgement = await _blame_broken_qemu(evidence, judgement)
    judgement = _note_broken_monitor(evidence, judgement)
    judgement = await _symbolize(evidence, judgement)
    decision, outcome, transcript = evidence.decision, evidence.outcome, evidence.transcript
    attempt = Attempt(
        number=number,
        verdict=judgement.verdict,
        reason=judgement.reason,
        seconds=outcome.seconds,
        accelerator=decision.accelerator_label.value,
        accelerator_reason=decision.why,
        subtests=transcript.subtests,
        subtest_counts=transcript.counts,
        subtests_dropped=transcript.dropped,
        metrics=transcript.metrics,
        command=command,
        artifacts=artifacts,
        observed=Verdict.FAIL if judgement.verdict is Verdict.XFAIL else None,
        migration=None if evidence.hops is None else evidence.hops.summary,
        by_subtests=judgement.by_subtests,
        assists=outcome.assists,
        skip_cause=judgement.skip_cause,
    )
    return with_hint(apply_known_failures(attempt, decision.expected))


def _judge_guest(evidence: Evidence) -> Judgement:
    """The suite's verdict: what the guest said, and how its QEMU ended."""
    decision, launch = evidence.decision, evidence.launch
    end = End(
        decision.case.test,
        launch.channel,
        evidence.outcome,
        evidence.transcript,
        accelerator=decision.accelerator_label.value,
        kvm_doubt=decision.kvm_doubt,
        program=launch.program,
    )
    return suite_of(decision.case.suite).judge(end)


def _judge_hops(evidence: Evidence, judgement: Judgement) -> Judgement:
    """A bad hop or a broken limit fails a guest that passed, unless it is known."""
    if evidence.hops is None:
        return judgement
    return apply_hops(judgement, evidence.hops, evidence.decision.expected)


def _blame_disk_server(evidence: Evidence, judgement: Judgement) -> Judgement:
    """What a guest comes to without its disk says nothing about the guest, its QEMUs or hops."""
    lost = evidence.disk_lost
    return Judgement(Verdict.ERROR, lost) if lost else judgement


def _note_early_end(evidence: Evidence, judgement: Judgement) -> Judgement:
    """Of a guest that did not get all its time: it may have passed, or failed otherwise."""
    limit, timeout = evidence.decision.limit, evidence.decision.case.timeout
    if limit is None or evidence.outcome.ending is not Ending.TIMEOUT:
        return judgement
    early = f"ended after {limit:.0f} s of {timeout:.0f} s"
    return judgement.adding(f"{early}: known to time out; --full gives it all")


def _explain_no_migration(evidence: Evidence, judgement: Judgement) -> Judgement:
    """A guest that is told to end after its last hop waits for that where there is none."""
    case = evidence.decision.case
    waits = PROOF in case.test.groups and case.migration is None
    if judgement.verdict is not Verdict.TIMEOUT or not waits:
        return judgement
    return judgement.adding("it runs until it was migrated, and its scenario has no 'migration'")


def _explain_by_qemu_bugs(evidence: Evidence, judgement: Judgement) -> Judgement:
    """A guest that fails after it was migrated may do so by a bug of its QEMUs."""
    hops, verdict = evidence.hops, judgement.verdict
    if hops is None or not hops.summary.completed or verdict.good or verdict is Verdict.ERROR:
        return judgement
    return judgement.adding(known_qemu_bugs(evidence.decision, evidence.inventory))


async def _blame_broken_qemu(evidence: Evidence, judgement: Judgement) -> Judgement:
    """A QEMU that refuses everything is broken: an error, where a refusal of this is a skip."""
    if judgement.skip_cause is not SkipCause.REFUSED or not evidence.launch.monitor:
        return judgement
    why = await evidence.starts_nothing(evidence.decision)
    return Judgement(Verdict.ERROR, why) if why else judgement


def _note_broken_monitor(evidence: Evidence, judgement: Judgement) -> Judgement:
    """What QEMU's monitor told may lack something, whatever the verdict."""
    broken = evidence.outcome.monitor_broken
    return judgement.adding(broken and f"QEMU's monitor broke the protocol: {broken}")


async def _symbolize(evidence: Evidence, judgement: Judgement) -> Judgement:
    """The addresses in the reason of a failure are those of functions."""
    outcome = evidence.outcome
    if judgement.verdict.good or outcome.ending is Ending.INTERRUPTED:
        return judgement
    from matrix.verdict.symbolization import symbolized  # its ELF library takes 0.1 s to load

    said = (*evidence.transcript.notes, outcome.doing)
    case, directory = evidence.decision.case, evidence.directory
    return replace(judgement, reason=await symbolized(judgement.reason, case, directory, said))
