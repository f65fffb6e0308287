"""The judge of kvm-unit-tests: from the end of a QEMU and what its guest said to a verdict.

The rules are those of kvm-unit-tests' runner (scripts/runtime.bash, scripts/vmm.bash there), but
for these: QEMU dying is a crash and never a skip; a guest that reports success after failed
subtests has failed; and QEMU refusing a configuration is told from a guest that failed without
starting QEMU twice. Pure: no I/O, no clock.
"""

from typing import assert_never

from matrix.attempt import Ending, is_signal, signal_name
from matrix.model import ExitChannel
from matrix.suites.judgement import (
    End,
    Judgement,
    hung,
    killed,
    sentence,
    short,
    unfinished,
)
from matrix.suites.stderr import complaint, error_lines, image_complaint, kvm_complaint
from matrix.verdicts import SkipCause, SubtestVerdict, Verdict

# Encoded statuses, (code << 1) | 1, as QEMU's exit status or in EXIT: STATUS=n.
SUCCESS = 1
SKIPPED = 77
TIMED_OUT = 124
"""Not from a guest, it is even: timeout(1) around QEMU."""
ABORTED = 127
SIGNALLED = 128

_MIGRATION_PROMPTS = ("Now migrate the VM", "Begin continuous migration")


def judge(end: End) -> Judgement:
    """What a run of a test came to."""
    outcome = end.outcome
    match outcome.ending:
        case Ending.ERROR | Ending.INTERRUPTED:
            return unfinished(end)
        case Ending.REFUSED:
            return _refused(end)
        case Ending.KILLED:
            return killed(end)
        case Ending.INTERNAL_ERROR:
            # The registers that QEMU prints below the complaint may be all that the tail has.
            said = kvm_complaint(outcome.stderr_tail) or outcome.reason
            return end.crash("KVM gave the vCPU up", said)
        case Ending.TIMEOUT | Ending.STALL:
            return _panicked(end) if outcome.panicked else _hung(end)
        case Ending.EXITED:
            return _panicked(end) if outcome.panicked else _exited(end)
        case _:
            assert_never(outcome.ending)


def _hung(end: End) -> Judgement:
    prompted = end.outcome.last_line.startswith(_MIGRATION_PROMPTS)
    also = ", waiting to be migrated" if prompted else ""
    if end.transcript.status is not None:
        also += f", although it had reported STATUS={end.transcript.status}"
    return hung(end, also)


def _refused(end: End) -> Judgement:
    """QEMU ended before the guest ran: its opinion of the configuration, which is no failure.

    But a guest that cannot be loaded, a host without memory, and a KVM in doubt are not opinions.
    """
    lines = end.outcome.stderr_tail
    if trouble := end.host_trouble():
        return trouble
    if said := kvm_complaint(lines) if end.doubt else "":
        return end.crash("KVM failed before the guest started", said)
    if said := image_complaint(lines):
        return Judgement(Verdict.ERROR, f"{end.program} cannot load it: {short(said)}")
    if said := complaint(lines) or end.outcome.reason:
        reason = f"{end.program} refused: {short(said)}"
        return Judgement(Verdict.SKIP, reason, skip_cause=SkipCause.REFUSED)
    status = end.outcome.exit_status
    text = f"{end.program} ended before the guest started and said nothing"
    return Judgement(Verdict.ERROR, text if status is None else f"{text} (exit status {status})")


def _panicked(end: End) -> Judgement:
    if "panic" not in end.test.groups:
        return end.fail("the guest panicked", end.cause(), end.failures(), end.last_line())
    if end.failed_count():
        return end.fail_by_subtests("the guest panicked as it should")
    return Judgement(Verdict.PASS, "the guest panicked as it should")


def _exited(end: End) -> Judgement:
    """QEMU ended by itself: find the status that counts."""
    status = end.outcome.exit_status
    if status is None:
        return Judgement(Verdict.ERROR, f"{end.program} ended, but its exit status is not known")
    if end.channel is ExitChannel.CONSOLE:
        if end.transcript.status is not None:
            return _reported(end, end.transcript.status)
        return _qemu_failed(end, status) if status else _unreported(end)
    if status == 0:
        return _unreported(end)
    # A guest that summed up came to its end by itself, whatever QEMU complained of before.
    if status == SUCCESS and not end.transcript.summary and error_lines(end.outcome.stderr_tail):
        return _qemu_failed(end, status)
    if status == TIMED_OUT:
        return Judgement(Verdict.TIMEOUT, sentence("timed out", end.last_line(), end.failures()))
    if status > SIGNALLED and is_signal(status - SIGNALLED):
        signal = signal_name(status - SIGNALLED)
        what = f"{end.program} ended as if by {signal} (exit status {status})"
        return end.crash(what, complaint(end.outcome.stderr_tail))
    if status % 2 == 0:
        return _qemu_failed(end, status)
    return _reported(end, status)


def _qemu_failed(end: End, status: int) -> Judgement:
    """QEMU gave up while the guest ran."""
    if trouble := end.host_trouble():
        return trouble
    lines = end.outcome.stderr_tail
    said = (kvm_complaint(lines) if end.on_kvm else "") or complaint(lines)
    return end.crash(f"{end.program} failed with exit status {status}", said)


def _unreported(end: End) -> Judgement:
    """QEMU ended as if switched off, and the guest had not given its verdict."""
    shutdown = end.outcome.shutdown_reason
    if shutdown == "host-signal" and (trouble := end.host_trouble()):
        return trouble
    if shutdown == "guest-reset":
        what = "the guest reset (or triple-faulted) without reporting a status"
    elif shutdown == "guest-shutdown":
        what = "the guest powered off without reporting a status"
    else:
        what = "the guest reset or powered off without reporting a status"
        what += f" ({shutdown})" if shutdown else ""
    said = kvm_complaint(end.outcome.stderr_tail) if end.on_kvm else ""
    if said or end.doubt:
        return end.crash(what, said)
    if "panic" in end.test.groups:
        what = f"the guest did not panic; {what}"
    return end.fail(what, end.cause(), end.last_line(), end.failures())


def _reported(end: End, status: int) -> Judgement:
    """The guest gave its verdict itself: ``status``, encoded."""
    if status == SUCCESS:
        return _succeeded(end)
    if status == SKIPPED and not end.failed_count():
        return Judgement(Verdict.SKIP, _skip_reason(end), skip_cause=SkipCause.GUEST)
    if status == ABORTED:
        cause = end.cause()
        return end.fail(
            f"the guest aborted: {cause}" if cause else "the guest aborted",
            end.failures(),
            "" if cause else end.last_line(),
        )
    if status % 2 == 0:
        return end.fail(f"STATUS={status} is no status that a guest can report", end.failures())
    code = status >> 1
    if end.failed_count() and code == 1:
        return end.fail_by_subtests(end.cause())
    if failures := end.failures():
        return end.fail(failures, f"exit code {code}", end.cause())
    return end.fail(f"the guest exited with code {code}", end.cause(), end.last_line())


def _succeeded(end: End) -> Judgement:
    """The guest says success; it is believed unless its own output says otherwise."""
    said = end.transcript.status
    if end.failed_count():
        return end.fail_by_subtests("although the guest reported success")
    if end.channel is ExitChannel.QEMU_EXIT and said is not None and said != SUCCESS:
        return end.fail(f"the console says STATUS={said}, although QEMU's status says success")
    if "panic" in end.test.groups:
        return end.fail("the guest did not panic; it reported success")
    return Judgement(Verdict.PASS, short(end.transcript.summary))


def _skip_reason(end: End) -> str:
    skipped = [
        f"{subtest.name}: {subtest.message}" if subtest.message else subtest.name
        for subtest in end.transcript.subtests
        if subtest.verdict is SubtestVerdict.SKIP
    ]
    if skipped:
        # Often the same thing is missing for each of them: say it once.
        distinct = list(dict.fromkeys(skipped))
        more = f"; and {len(distinct) - 1} more" if len(distinct) > 1 else ""
        return f"the guest skipped: {short(distinct[0])}{more}"
    cause = end.cause() or short(end.transcript.summary)
    return f"the guest skipped: {cause}" if cause else "the guest skipped, and did not say why"
