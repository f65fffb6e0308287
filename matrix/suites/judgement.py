"""From the end of a QEMU process and what its guest said to a verdict with a reason.

The rules are those of kvm-unit-tests' runner (scripts/runtime.bash, scripts/vmm.bash there), but
for these: QEMU dying is a crash and never a skip; a guest that reports success after failed
subtests has failed; and QEMU refusing a configuration is told from a guest that failed without
starting QEMU twice. Pure: no I/O, no clock.
"""

from dataclasses import dataclass, replace
from signal import Signals
from typing import assert_never

from matrix.attempt import Ending, Outcome, Transcript
from matrix.model import ExitChannel, SkipCause, SubtestVerdict, Test, Verdict
from matrix.patterns import late
from matrix.suites.stderr import (
    complaint,
    ended_by,
    error_lines,
    host_complaint,
    image_complaint,
    kvm_complaint,
)

# Encoded statuses, (code << 1) | 1, as QEMU's exit status or in EXIT: STATUS=n.
SUCCESS = 1
SKIPPED = 77
TIMED_OUT = 124
"""Not from a guest, it is even: timeout(1) around QEMU."""
ABORTED = 127
SIGNALLED = 128

NAMES_SHOWN = 3
"""Failed subtests named in a reason."""

PIECE_LIMIT = 160
"""Characters of each text of the guest or QEMU that goes into a reason."""

_UNEXPECTED = late(r"([0-9]{1,9}) unexpected failures")
_TESTS = late(r"([0-9]{1,9}) tests")
_MIGRATION_PROMPTS = ("Now migrate the VM", "Begin continuous migration")
_SIGNAL_HINTS = {
    Signals.SIGSYS: "its sandbox denied it a system call",
    Signals.SIGKILL: "perhaps the host was out of memory",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and why, in one sentence that begins with what matters most.

    The reason of a pass is the guest's summary, which may be empty.
    """

    verdict: Verdict
    reason: str
    by_subtests: bool = False
    """A fail for its failed subtests, all of which the transcript names, and for nothing else."""
    skip_cause: SkipCause | None = None
    """Of a skip."""

    def adding(self, *pieces: str) -> "Judgement":
        """The same verdict, with more to its reason; empty pieces are left out."""
        return replace(self, reason=sentence(self.reason, *pieces))


def judge(
    test: Test,
    channel: ExitChannel,
    outcome: Outcome,
    transcript: Transcript,
    *,
    accelerator: str,
    kvm_doubt: str = "",
    program: str = "QEMU",
) -> Judgement:
    """What a run of ``test`` came to.

    Args:
        test: the test that ran.
        channel: where its machine's guests report their status.
        outcome: how its QEMU process ended.
        transcript: what the guest's console said.
        accelerator: ``kvm`` or ``tcg``, as the guest really ran.
        kvm_doubt: why KVM failed its proof on this host, empty where it did not. Endings without
            the guest's own verdict are then laid at KVM's door.
        program: what ran the guest, in words.
    """
    on_kvm = accelerator == "kvm"
    doubt = kvm_doubt if on_kvm else ""
    end = _End(test, channel, outcome, transcript, on_kvm, doubt, program)
    match outcome.ending:
        case Ending.ERROR:
            return Judgement(Verdict.ERROR, outcome.reason or "the case could not be run")
        case Ending.INTERRUPTED:
            return Judgement(Verdict.ERROR, "interrupted")
        case Ending.REFUSED:
            return _refused(end)
        case Ending.KILLED:
            return _killed(end)
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


@dataclass(frozen=True, slots=True)
class _End:
    """All that a judgement is made from, and the sentences that several rules share."""

    test: Test
    channel: ExitChannel
    outcome: Outcome
    transcript: Transcript
    on_kvm: bool
    doubt: str
    program: str

    def fail(self, *pieces: str) -> Judgement:
        """A failure; empty pieces are left out."""
        return Judgement(Verdict.FAIL, sentence(*pieces))

    def fail_by_subtests(self, *more: str) -> Judgement:
        """A failure that is nothing but the failures of subtests."""
        named = sum(subtest.verdict.failed for subtest in self.transcript.subtests)
        reason = sentence(self.failures(), *more)
        return Judgement(Verdict.FAIL, reason, by_subtests=self.failed_count() == named)

    def crash(self, what: str, said: str = "") -> Judgement:
        """QEMU's or KVM's failure: what happened, what QEMU said of it, the doubt in KVM."""
        text = f"{what}: {_short(said)}" if said else what
        return Judgement(Verdict.CRASH, sentence(text, self.failures(), self.doubt_clause()))

    def host_trouble(self) -> Judgement | None:
        """The host's failure, by what QEMU said at its end; None where it said nothing of it."""
        lines = self.outcome.stderr_tail
        if said := host_complaint(lines):
            return Judgement(Verdict.ERROR, f"the host cannot run it: {_short(said)}")
        if (said := ended_by(lines)) and said == complaint(lines):
            reason = f"{self.program} was ended from outside: {_short(said)}"
            return Judgement(Verdict.ERROR, reason)
        return None

    def doubt_clause(self) -> str:
        """That KVM was in doubt before, where it was."""
        return f"KVM failed its proof on this host: {_short(self.doubt)}" if self.doubt else ""

    def failed_count(self) -> int:
        """Unexpected failures, as seen or as the summary counts them, whichever is more."""
        counts = dict(self.transcript.counts)
        seen = sum(number for verdict, number in counts.items() if verdict.failed)
        match = _UNEXPECTED.search(self.transcript.summary)
        return max(seen, int(match[1]) if match else 0)

    def failures(self) -> str:
        """``2 of 9 subtests failed: NAME; NAME``, or empty."""
        count = self.failed_count()
        if not count:
            return ""
        failed = [subtest for subtest in self.transcript.subtests if subtest.verdict.failed]
        names = [
            _short(f"{subtest.name}: {subtest.message}" if subtest.message else subtest.name)
            + (" (passed unexpectedly)" if subtest.verdict is SubtestVerdict.XPASS else "")
            for subtest in failed[:NAMES_SHOWN]
        ]
        if names and count > len(names):
            names.append(f"and {count - len(names)} more")
        match = _TESTS.match(self.transcript.summary)
        seen = sum(number for _, number in self.transcript.counts)
        total = max(seen, count, int(match[1]) if match else 0)
        listed = f": {'; '.join(names)}" if names else ""
        return f"{count} of {total} {_plural(total, 'subtest')} failed{listed}"

    def cause(self) -> str:
        """The first line with which the guest explained its end, or empty."""
        notes = (note for note in self.transcript.notes if _explains(note))
        return _short(next(notes, ""))

    def last_line(self) -> str:
        """Where the guest's output stopped."""
        line = self.outcome.last_line
        return f"last line: {_short(line)}" if line.strip() else "it printed nothing"


def _refused(end: _End) -> Judgement:
    """QEMU ended before the guest ran: its opinion of the configuration, which is no failure.

    But a guest that cannot be loaded, a host without memory, and a KVM in doubt are not opinions.
    """
    lines = end.outcome.stderr_tail
    if trouble := end.host_trouble():
        return trouble
    if said := kvm_complaint(lines) if end.doubt else "":
        return end.crash("KVM failed before the guest started", said)
    if said := image_complaint(lines):
        return Judgement(Verdict.ERROR, f"{end.program} cannot load it: {_short(said)}")
    if said := complaint(lines) or end.outcome.reason:
        reason = f"{end.program} refused: {_short(said)}"
        return Judgement(Verdict.SKIP, reason, skip_cause=SkipCause.REFUSED)
    status = end.outcome.exit_status
    text = f"{end.program} ended before the guest started and said nothing"
    return Judgement(Verdict.ERROR, text if status is None else f"{text} (exit status {status})")


def _killed(end: _End) -> Judgement:
    if trouble := end.host_trouble():  # QEMU aborts where it gets no thread
        return trouble
    number = end.outcome.signal or 0
    hint = next((hint for signal, hint in _SIGNAL_HINTS.items() if signal == number), "")
    what = f"{end.program} was killed by {_signal_name(number)}" + (f" ({hint})" if hint else "")
    return end.crash(what, complaint(end.outcome.stderr_tail))


def _hung(end: _End) -> Judgement:
    """Neither verdict nor end within the time that the guest had."""
    outcome = end.outcome
    if outcome.ending is Ending.TIMEOUT:
        verdict, what = Verdict.TIMEOUT, f"timed out after {outcome.seconds:.0f} s"
    else:
        dead = f"the guest is dead after {outcome.seconds:.0f} s"
        verdict, what = Verdict.STALL, f"{dead} ({outcome.reason})" if outcome.reason else dead
    if outcome.last_line.startswith(_MIGRATION_PROMPTS):
        what += ", waiting to be migrated"
    if end.transcript.status is not None:
        what += f", although it had reported STATUS={end.transcript.status}"
    return Judgement(
        verdict,
        sentence(what, _short(outcome.doing), end.last_line(), end.failures(), end.doubt_clause()),
    )


def _panicked(end: _End) -> Judgement:
    if "panic" not in end.test.groups:
        return end.fail("the guest panicked", end.cause(), end.failures(), end.last_line())
    if end.failed_count():
        return end.fail_by_subtests("the guest panicked as it should")
    return Judgement(Verdict.PASS, "the guest panicked as it should")


def _exited(end: _End) -> Judgement:
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
    if status > SIGNALLED and _is_signal(status - SIGNALLED):
        signal = _signal_name(status - SIGNALLED)
        what = f"{end.program} ended as if by {signal} (exit status {status})"
        return end.crash(what, complaint(end.outcome.stderr_tail))
    if status % 2 == 0:
        return _qemu_failed(end, status)
    return _reported(end, status)


def _qemu_failed(end: _End, status: int) -> Judgement:
    """QEMU gave up while the guest ran."""
    if trouble := end.host_trouble():
        return trouble
    lines = end.outcome.stderr_tail
    said = (kvm_complaint(lines) if end.on_kvm else "") or complaint(lines)
    return end.crash(f"{end.program} failed with exit status {status}", said)


def _unreported(end: _End) -> Judgement:
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


def _reported(end: _End, status: int) -> Judgement:
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


def _succeeded(end: _End) -> Judgement:
    """The guest says success; it is believed unless its own output says otherwise."""
    said = end.transcript.status
    if end.failed_count():
        return end.fail_by_subtests("although the guest reported success")
    if end.channel is ExitChannel.QEMU_EXIT and said is not None and said != SUCCESS:
        return end.fail(f"the console says STATUS={said}, although QEMU's status says success")
    if "panic" in end.test.groups:
        return end.fail("the guest did not panic; it reported success")
    return Judgement(Verdict.PASS, _short(end.transcript.summary))


def _skip_reason(end: _End) -> str:
    skipped = [
        f"{subtest.name}: {subtest.message}" if subtest.message else subtest.name
        for subtest in end.transcript.subtests
        if subtest.verdict is SubtestVerdict.SKIP
    ]
    if skipped:
        # Often the same thing is missing for each of them: say it once.
        distinct = list(dict.fromkeys(skipped))
        more = f"; and {len(distinct) - 1} more" if len(distinct) > 1 else ""
        return f"the guest skipped: {_short(distinct[0])}{more}"
    cause = end.cause() or _short(end.transcript.summary)
    return f"the guest skipped: {cause}" if cause else "the guest skipped, and did not say why"


def _explains(note: str) -> bool:
    """Whether a note of a transcript says why, rather than where, or what was lost."""
    return not note.startswith(("STACK:", "the summary counts", "RECURSIVE STACK"))


def sentence(*pieces: str) -> str:
    """The pieces of a reason as one; empty ones are left out."""
    return "; ".join(piece for piece in pieces if piece)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= PIECE_LIMIT else f"{text[: PIECE_LIMIT - 1]}…"


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _is_signal(number: int) -> bool:
    return any(number == signal for signal in Signals)


def _signal_name(number: int) -> str:
    return Signals(number).name if _is_signal(number) else f"signal {number}"
