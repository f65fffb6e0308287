"""Progress as lines: for pipes, files and CI logs; and what every progress says."""

import time
from pathlib import Path

from matrix.attempt import Attempt
from matrix.cli.standard_output import Output
from matrix.migrating import Hop
from matrix.model import Case, Target
from matrix.plan.attempts import most_attempts
from matrix.plan.decisions import Decision, Run, Skip
from matrix.results.case_record import record_of
from matrix.results.printable import printable
from matrix.results.segments import Line, Style, line
from matrix.run.progress import Running
from matrix.verdicts import Verdict

_WITH_REASON = (Verdict.SKIP, Verdict.XFAIL, Verdict.XPASS)
"""Verdicts that are good and need a reason all the same."""


HOPS_TOLD_EVERY = 60.0
"""Seconds between two lines of a log that say how far a soak is."""


class HopCounts:
    """How many hops the guests that run have made."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int, Hop]] = {}

    def add(self, case_id: str, hop: Hop) -> None:
        """Count one."""
        _, bad, _ = self._counts.get(case_id, (0, 0, hop))
        self._counts[case_id] = (hop.number, bad + (not hop.good), hop)

    def forget(self, case_id: str) -> None:
        """The case has ended."""
        self._counts.pop(case_id, None)

    def brief(self, case_id: str) -> str:
        """``412 hops, 1 bad``; empty where there are none."""
        if case_id not in self._counts:
            return ""
        count, bad, _ = self._counts[case_id]
        words = f"{count} hop{'' if count == 1 else 's'}"
        return words + (f", {bad} bad" if bad else "")

    def of(self, case_id: str) -> str:
        """``412 hops, 1 bad, last precopy over unix in 0.12 s``; empty where there are none."""
        if case_id not in self._counts:
            return ""
        _, _, hop = self._counts[case_id]
        how = f"{hop.strategy.value} over {hop.transport}"
        return f"{self.brief(case_id)}, last {how} in {hop.seconds:.2f} s"


class PlainProgress:
    """One line per attempt, and a failure with its subtests as it happens."""

    def __init__(
        self,
        output: Output,
        run: Path,
        told: set[str],
        *,
        verbose: bool = False,
        quiet: bool = False,
    ) -> None:
        """``told`` takes the ids of the cases whose failures are printed in full."""
        self._told_in_full = told
        self._verbose = verbose
        self._quiet = quiet
        self._output = output
        self._run = run
        self._total = 0
        self._done = 0
        self._hops = HopCounts()
        self._told = time.monotonic()

    def planned(self, decisions: list[Decision], attempts: int) -> None:
        """Say how many cases there are."""
        self._total = attempts
        self._output.say([line(opening(decisions, attempts))])

    def expected(self, attempts: int) -> None:
        """Count to another number from now on."""
        self._total = attempts

    def started(self, running: Running) -> None:
        """Nothing, or a line: the end of a case is what matters in a log."""
        if self._verbose:
            self._output.say([line(f"start   {running.decision.case.id}", Style.FAINT)])

    def hopped(self, case_id: str, hop: Hop) -> None:
        """A line for a hop that went wrong, and one a minute for those that did not."""
        self._hops.add(case_id, hop)
        now = time.monotonic()
        if not hop.good:
            self._output.say([bad_hop(case_id, hop)])
        elif now - self._told >= HOPS_TOLD_EVERY:
            self._told = now
            self._output.say([line(f"{case_id}: {self._hops.of(case_id)}")])

    def finished(self, running: Running, attempt: Attempt, left: float | None) -> None:  # noqa: ARG002 - a log shows no forecast
        """One line, and the failure where there is one."""
        self._done += 1
        case = running.decision.case
        self._hops.forget(case.id)
        number = f" attempt {attempt.number}" if most_attempts(case.settings) > 1 else ""
        if self._quiet and attempt.verdict.good:
            return
        words = f"  ({printable(attempt.reason)})" if attempt.verdict in _WITH_REASON else ""
        lines: list[Line] = [
            (
                (f"[{self._done:>{len(str(self._total))}}/{self._total}] ", Style.PLAIN),
                (f"{attempt.verdict.value:8}", Style.of(attempt.verdict)),
                (printable(f"{case.id}{number}"), Style.PLAIN),
                (f"  {attempt.accelerator}  {attempt.seconds:.1f} s{words}", Style.PLAIN),
            )
        ]
        if not attempt.verdict.good:
            self._told_in_full.add(case.id)
        if self._verbose or not attempt.verdict.good:
            lines += failure(running, attempt, self._run, self._output.width)[1:]
        self._output.say(lines)

    def moved(self, running: Running, attempt: Attempt) -> None:
        """A line for what it was."""
        self._hops.forget(running.decision.case.id)
        self._output.say([trouble(running, attempt)])

    def host_lost(self, host: str, why: str) -> None:
        """Say so."""
        self._output.say([lost_host(host, why)])

    def host_back(self, host: str) -> None:
        """Say so."""
        self._output.say([host_again(host)])

    def interrupted(self, cases: tuple[Case, ...]) -> None:
        """Name what was running."""
        self._output.say([line(interruption(cases))])


def bad_hop(case_id: str, hop: Hop) -> Line:
    """The line that tells of a hop that did not end as it had to."""
    return (
        ("bad hop  ", Style.FAIL),
        (printable(f"{case_id} hop {hop.number} ({hop.strategy.value}"), Style.PLAIN),
        (printable(f" over {hop.transport}): {hop.reason}"), Style.PLAIN),
    )


def trouble(running: Running, attempt: Attempt) -> Line:
    """The line that tells of an attempt that is started again on another host."""
    return (
        ("again    ", Style.FAIL),
        (printable(f"{running.decision.case.id} on another host than "), Style.PLAIN),
        (printable(f"{attempt.host}: {attempt.reason}"), Style.PLAIN),
    )


def lost_host(host: str, why: str) -> Line:
    """The line that tells of a host that gets no more cases."""
    words = printable(f"{host} gets no more cases: {why}")
    return ("host     ", Style.FAIL), (words, Style.PLAIN)


def host_again(host: str) -> Line:
    """The line that tells of a host that gets cases again."""
    words = printable(f"{host} gets cases again: the embedded guests pass there")
    return ("host     ", Style.PASS), (words, Style.PLAIN)


def failure(running: Running, attempt: Attempt, run: Path, width: int) -> list[Line]:
    """The lines that tell of an attempt that did not pass: as the summary will, but at once."""
    from matrix.results.summary_text import outcome_lines  # loaded while guests run

    return list(outcome_lines(record_of(running.decision.case, [attempt]), run, width))


def opening(decisions: list[Decision], attempts: int) -> str:
    """The first line of a run."""
    runs = sum(1 for decision in decisions if isinstance(decision, Run))
    skips = sum(1 for decision in decisions if isinstance(decision, Skip))
    words = f"{runs} case{'s' * (runs != 1)} to run"
    if attempts != runs:
        most = any(decision.case.settings.until_fail for decision in decisions)
        words += f" ({'at most ' if most else ''}{attempts} attempts)"
    broken = len(decisions) - runs - skips
    words += f", {skips} to skip" + (f", {broken} in error" if broken else "")
    programs = (each for each in decisions if each.case.build.target is Target.PROGRAM)
    notes = dict.fromkeys(note for each in programs if isinstance(each, Run) for note in each.notes)
    return "; ".join((words, *notes))


def interruption(cases: tuple[Case, ...]) -> str:
    """What an interrupt cut short."""
    names = ", ".join(dict.fromkeys(case.id for case in cases))
    return f"interrupted, while these were running (they have no verdict): {names}"
