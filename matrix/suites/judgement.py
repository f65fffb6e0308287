"""How an execution of a test ended, and the sentences that the judges of all suites share.

Pure: no I/O, no clock.
"""

from dataclasses import dataclass, replace
from signal import Signals

from matrix.attempt import Ending, Outcome, Transcript, signal_name
from matrix.model import Accelerator, ExitChannel, Test
from matrix.patterns import late
from matrix.suites.stderr import complaint, ended_by, host_complaint
from matrix.verdicts import SkipCause, SubtestVerdict, Verdict

NAMES_SHOWN = 3
"""Failed subtests named in a reason."""

PIECE_LIMIT = 160
"""Characters of each text of the guest or QEMU that goes into a reason."""

_UNEXPECTED = late(r"([0-9]{1,9}) unexpected failures")
_TESTS = late(r"([0-9]{1,9}) tests")
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


@dataclass(frozen=True, slots=True)
class End:
    """All that a judgement is made from."""

    test: Test
    channel: ExitChannel
    """Where its machine's guests report their status."""
    outcome: Outcome
    """How the process ended that ran it."""
    transcript: Transcript
    """What it printed."""
    accelerator: str
    """``kvm`` or ``tcg``, as it really ran."""
    kvm_doubt: str = ""
    """Why KVM failed its proof on this host, empty where it did not. Endings without the guest's
    own verdict are then laid at KVM's door."""
    program: str = "QEMU"
    """What ran it, in words."""

    @property
    def on_kvm(self) -> bool:
        """Whether it ran under KVM."""
        return self.accelerator == Accelerator.KVM

    @property
    def doubt(self) -> str:
        """Why KVM is to be doubted, if it ran under it."""
        return self.kvm_doubt if self.on_kvm else ""

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
        text = f"{what}: {short(said)}" if said else what
        return Judgement(Verdict.CRASH, sentence(text, self.failures(), self.doubt_clause()))

    def host_trouble(self) -> Judgement | None:
        """The host's failure, by what QEMU said at its end; None where it said nothing of it."""
        lines = self.outcome.stderr_tail
        if said := host_complaint(lines):
            return Judgement(Verdict.ERROR, f"the host cannot run it: {short(said)}")
        if (said := ended_by(lines)) and said == complaint(lines):
            reason = f"{self.program} was ended from outside: {short(said)}"
            return Judgement(Verdict.ERROR, reason)
        return None

    def doubt_clause(self) -> str:
        """That KVM was in doubt before, where it was."""
        return f"KVM failed its proof on this host: {short(self.doubt)}" if self.doubt else ""

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
            short(f"{subtest.name}: {subtest.message}" if subtest.message else subtest.name)
            + (" (passed unexpectedly)" if subtest.verdict is SubtestVerdict.XPASS else "")
            for subtest in failed[:NAMES_SHOWN]
        ]
        if names and count > len(names):
            names.append(f"and {count - len(names)} more")
        match = _TESTS.match(self.transcript.summary)
        seen = sum(number for _, number in self.transcript.counts)
        total = max(seen, count, int(match[1]) if match else 0)
        listed = f": {'; '.join(names)}" if names else ""
        return f"{count} of {total} {plural(total, 'subtest')} failed{listed}"

    def cause(self) -> str:
        """The first line with which the guest explained its end, or empty."""
        notes = (note for note in self.transcript.notes if _explains(note))
        return short(next(notes, ""))

    def last_line(self) -> str:
        """Where the guest's output stopped."""
        line = self.outcome.last_line
        return f"last line: {short(line)}" if line.strip() else "it printed nothing"


def unfinished(end: End) -> Judgement:
    """The host or the user ended it, not the test."""
    if end.outcome.ending is Ending.INTERRUPTED:
        return Judgement(Verdict.ERROR, "interrupted")
    return Judgement(Verdict.ERROR, end.outcome.reason or "the case could not be run")


def killed(end: End) -> Judgement:
    """What ran the test was killed by a signal that was not ours."""
    if trouble := end.host_trouble():  # QEMU aborts where it gets no thread
        return trouble
    number = end.outcome.signal
    if number is None:  # what it ran on is gone
        what = end.outcome.reason or f"{end.program} was killed"
        return end.crash(what, complaint(end.outcome.stderr_tail))
    hint = next((hint for signal, hint in _SIGNAL_HINTS.items() if signal == number), "")
    what = f"{end.program} was killed by {signal_name(number)}" + (f" ({hint})" if hint else "")
    return end.crash(what, complaint(end.outcome.stderr_tail))


def hung(end: End, also: str = "") -> Judgement:
    """Neither verdict nor end within its time; ``also`` goes on with how long that was."""
    outcome = end.outcome
    if outcome.ending is Ending.TIMEOUT:
        verdict, what = Verdict.TIMEOUT, f"timed out after {outcome.seconds:.0f} s"
    else:
        dead = f"the guest is dead after {outcome.seconds:.0f} s"
        verdict, what = Verdict.STALL, f"{dead} ({outcome.reason})" if outcome.reason else dead
    return Judgement(
        verdict,
        sentence(
            f"{what}{also}",
            short(outcome.doing),
            end.last_line(),
            end.failures(),
            end.doubt_clause(),
        ),
    )


def _explains(note: str) -> bool:
    """Whether a note of a transcript says why, rather than where, or what was lost."""
    return not note.startswith(("STACK:", "the summary counts", "RECURSIVE STACK"))


def sentence(*pieces: str) -> str:
    """The pieces of a reason as one; empty ones are left out."""
    return "; ".join(piece for piece in pieces if piece)


def short(text: str) -> str:
    """The text on one line, cut where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= PIECE_LIMIT else f"{text[: PIECE_LIMIT - 1]}…"


def plural(count: int, noun: str) -> str:
    """``noun``, or more of it."""
    return noun if count == 1 else f"{noun}s"
