"""What a run has come to: its plan with its journal folded over it."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import ValidationError

from matrix.attempt import Attempt
from matrix.errors import ExitCode, Place, Problem, UsageError
from matrix.plan.attempts import Expected, expected_attempts, most_attempts
from matrix.plan.decisions import Decision, Run, Skip
from matrix.results.case_record import CaseRecord, PlannedCase, record_of, unrun
from matrix.results.coverage import Covered, shortfalls
from matrix.results.directory import RunDirectory
from matrix.results.files import shown
from matrix.results.journal import Entry, EventName, JournalReader, Span, replay
from matrix.results.json_text import Unusable, first_complaint
from matrix.results.outcome import exit_code, merged_verdict
from matrix.results.plan_file import read_plan
from matrix.results.printable import printable
from matrix.results.run_info import RunInfo, read_run_info
from matrix.results.troubles import Troubles
from matrix.verdicts import SkipCause, Verdict

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MOST_PROBLEMS = 100
"""How many unusable lines of a journal are named; the rest is only counted."""


_NONE = Expected((), 0)
ROOM = 40_000
"""For results that are kept in memory, as each of a run's reports reads them: subtests, of 0.15 KB
each, and :data:`RECORD` for the rest of a result. The first 4,000 of a run, mostly: 6 MB."""
RECORD = 10


class Finished(NamedTuple):
    """What is kept in memory of an attempt; all else is read again from the journal."""

    verdict: Verdict
    seconds: float
    span: Span
    skip_cause: SkipCause | None
    reused: bool


class RunRecord:
    """A plan and what has come of it so far.

    Holds a few hundred bytes per case, whatever the guests said: reasons, subtests and metrics
    stay in the journal and are read again when they are asked for.
    """

    def __init__(self, run: RunDirectory, info: RunInfo, decisions: Iterable[Decision]) -> None:
        self.run = run
        self.info = info
        self.problems: list[Problem] = []
        """Lines of the journal that could not be used, at most :data:`MOST_PROBLEMS`."""
        self.troubles = Troubles()
        """Those of its hosts and workers."""
        self.gave_up = False
        """Cases were left out on purpose, as too many before them did not pass."""
        self.elapsed = 0.0
        """Seconds of wall time, over all processes that ran it."""
        self._decisions = {decision.case.id: decision for decision in decisions}
        self._finished: dict[str, dict[int, Finished]] = {}
        self._running: set[tuple[str, int]] = set()
        self._last_time: datetime | None = None
        self._verdicts: dict[str, Verdict | None] = {}
        """Of the cases that were asked for since one of their attempts was finished."""
        self._merged: dict[str, CaseRecord] = {}
        """The first results, as far as there is room for them."""
        self._room = ROOM

    @property
    def given(self) -> Path:
        """The run directory, as the user named it."""
        return self.run.given

    def planned(self) -> Iterator[PlannedCase]:
        """What the plan says of each case, in order."""
        return map(PlannedCase.of_decision, self._decisions.values())

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The whole plan, in order."""
        return tuple(self._decisions.values())

    def decision(self, case_id: str) -> Decision:
        """What the plan says of a case.

        Raises:
            UsageError: the plan has no such case.
        """
        try:
            return self._decisions[case_id]
        except KeyError:
            raise UsageError(f"{shown(self.run.path)} has no case {printable(case_id)!r}") from None

    def is_finished(self, case_id: str) -> bool:
        """Whether a case has its result: all its attempts are finished, or there are none."""
        return self.verdict(case_id) is not None

    def attempts_left(self, case_id: str) -> tuple[int, ...]:
        """The numbers of a case's attempts that can be started; none where it is not to run."""
        return self.expected(case_id).startable

    def expected(self, case_id: str) -> Expected:
        """What is still to be run of a case, by what its finished attempts came to."""
        decision = self.decision(case_id)
        if not isinstance(decision, Run):
            return _NONE
        finished = self._finished.get(case_id, {})
        verdicts = {number: each.verdict for number, each in finished.items()}
        return expected_attempts(decision.case.settings, verdicts)

    def is_last(self, case_id: str, attempt: Attempt) -> bool:
        """Whether a case has its result once this attempt, which has ended, is finished."""
        decision = self.decision(case_id)
        finished = self._finished.get(case_id, {})
        verdicts = {number: each.verdict for number, each in finished.items()}
        verdicts[attempt.number] = attempt.verdict
        return not expected_attempts(decision.case.settings, verdicts).startable

    def unfinished(self) -> tuple[str, ...]:
        """The ids of the cases that have no result yet."""
        return tuple(case_id for case_id in self._decisions if not self.is_finished(case_id))

    def in_flight(self) -> tuple[tuple[str, int], ...]:
        """Attempts (case id, number) that were started and not finished: running, or killed."""
        return tuple(sorted(self._running))

    def verdict(self, case_id: str) -> Verdict | None:
        """A case's verdict, None while it has none."""
        if case_id not in self._verdicts:
            self._verdicts[case_id] = self._worked_out(case_id)
        return self._verdicts[case_id]

    def attempt_verdict(self, case_id: str, number: int) -> Verdict | None:
        """What an attempt came to by itself, None while it is not finished."""
        finished = self._finished.get(case_id, {}).get(number)
        return None if finished is None else finished.verdict

    def _worked_out(self, case_id: str) -> Verdict | None:
        decision = self.decision(case_id)
        if not isinstance(decision, Run):
            return Verdict.SKIP if isinstance(decision, Skip) else Verdict.ERROR
        finished = self._finished.get(case_id)
        if not finished or self.expected(case_id).startable:
            return None
        return merged_verdict(each.verdict for each in finished.values())

    def skip_cause(self, case_id: str) -> SkipCause | None:
        """Why a case was skipped; None where it was not, or that is not known."""
        if self.verdict(case_id) is not Verdict.SKIP:
            return None
        finished = self._finished.get(case_id)
        if finished:
            return next(iter(finished.values())).skip_cause
        decision = self.decision(case_id)
        return decision.cause if isinstance(decision, Skip) else None

    def is_reused(self, case_id: str) -> bool:
        """Whether a case's result is that of an earlier run."""
        return any(each.reused for each in self._finished.get(case_id, {}).values())

    def counts(self) -> dict[Verdict, int]:
        """How many finished cases came to each verdict; every verdict is a key."""
        counted = Counter(self.verdict(case_id) for case_id in self._decisions)
        return {verdict: counted[verdict] for verdict in Verdict}

    def seconds(self, case_id: str) -> float:
        """Seconds that a case's finished attempts took together."""
        return sum(each.seconds for each in self._finished.get(case_id, {}).values())

    @property
    def strict(self) -> bool:
        """Whether a known failure that passes makes the run fail."""
        return self.info.options.get("strict") is True

    @property
    def tap_version(self) -> int:
        """Which version of TAP ``results.tap`` calls itself: 13, or 14 where that was asked for."""
        return 14 if self.info.options.get("tap") == 14 else 13

    def exit_code(self) -> ExitCode:
        """What the command that made this run ends with."""
        return exit_code(
            self.counts(),
            unfinished=bool(self.unfinished()) and not self.gave_up,
            strict=self.strict,
            short=bool(self.shortfalls()),
        )

    def shortfalls(self) -> tuple[str, ...]:
        """What had to run and did not, in sentences: by the options, then by each scenario."""
        scenarios: dict[str, list[Decision]] = {}
        for decision in self._decisions.values():
            scenarios.setdefault(decision.case.scenario, []).append(decision)
        require, patterns = (self.info.options.get(key) for key in ("require", "fail_on_skip"))
        by_options = shortfalls(
            self._covered(self._decisions.values()),
            require if isinstance(require, str) else "",
            [str(each) for each in patterns] if isinstance(patterns, list) else (),
            asked_by="the command line",
        )
        by_scenarios = (
            shortfalls(
                self._covered(decisions),
                decisions[0].case.settings.require,
                decisions[0].case.settings.fail_on_skip,
                asked_by=f"scenario {printable(name)}",
                at_most_all=True,
            )
            for name, decisions in scenarios.items()
        )
        return tuple(chain(by_options, *by_scenarios))

    def _covered(self, decisions: Iterable[Decision]) -> Iterator[Covered]:
        for decision in decisions:
            name = decision.case.id
            yield Covered(printable(name), self.verdict(name), self.skip_cause(name))

    def results(self, case_ids: Iterable[str] | None = None) -> Iterator[CaseRecord]:
        """The results of the finished cases, whole, read from the journal one by one.

        Args:
            case_ids: which cases and in which order; None for all in the plan's order.

        Raises:
            UsageError: a case is not in the plan, or the journal was changed meanwhile.
            HostError: the journal cannot be read.
        """
        ids = self._decisions if case_ids is None else case_ids
        if not self._finished:
            yield from (self._unrun(case_id) for case_id in ids if self.is_finished(case_id))
            return
        with JournalReader(self.run.journal_path) as reader:
            for case_id in ids:
                if case_id in self._merged:
                    yield self._merged[case_id]
                    continue
                if not self.is_finished(case_id):
                    continue
                finished = self._finished.get(case_id)
                if finished:
                    attempts = [reader.attempt(each.span) for each in finished.values()]
                    result = record_of(self._decisions[case_id].case, attempts)
                    self.keep(case_id, result)
                    yield result
                else:
                    yield self._unrun(case_id)

    def keep(self, case_id: str, result: CaseRecord) -> None:
        """Keep a case's result in memory, if there is room for it."""
        takes = RECORD + sum(len(attempt.subtests) for attempt in result.attempts)
        if takes <= self._room and case_id not in self._merged:
            self._room -= takes
            self._merged[case_id] = result

    def attempts(self, case_id: str) -> tuple[Attempt, ...]:
        """The finished attempts of a case, also of one that has no result yet.

        Raises:
            UsageError: the journal was changed meanwhile.
            HostError: the journal cannot be read.
        """
        finished = self._finished.get(case_id)
        if not finished:
            return ()
        with JournalReader(self.run.journal_path) as reader:
            return tuple(reader.attempt(each.span) for each in finished.values())

    def result(self, case_id: str) -> CaseRecord | None:
        """The result of one case, None while it has none. Raises as :meth:`results`."""
        return next(self.results([case_id]), None)

    def take(self, entry: Entry) -> None:
        """Fold one line of the journal in. What makes no sense becomes a problem."""
        event = entry.event
        try:
            match event["event"]:
                case EventName.ATTEMPT_STARTED:
                    self.start(_text(event, "case"), _number(event, "attempt"))
                case EventName.ATTEMPT_FINISHED:
                    self.finish(_text(event, "case"), _attempt(event), entry.span)
                case EventName.RUN_STARTED | EventName.RUN_RESUMED:
                    self._running.clear()
                    self._last_time = None
                case _:
                    self.troubles.take(event)
            self._take_time(event)
        except ValidationError as error:
            self._report_line(entry, first_complaint(error))
        except ValueError as error:
            self._report_line(entry, printable(str(error)))

    def start(self, case_id: str, number: int) -> None:
        """Note that an attempt was started.

        Raises:
            Unusable: the plan has no such attempt.
        """
        self._check(case_id, number)
        self._running.add((case_id, number))

    def finish(self, case_id: str, attempt: Attempt, span: Span) -> None:
        """Note that an attempt was finished; ``span`` is where the journal has it.

        Raises:
            Unusable: the plan has no such attempt, or it was finished before.
        """
        self._check(case_id, attempt.number)
        if not 0 <= attempt.seconds < math.inf:
            raise Unusable(f"an attempt cannot have taken {attempt.seconds} seconds")
        finished = self._finished.setdefault(case_id, {})
        if attempt.number in finished:
            raise Unusable(f"attempt {attempt.number} of {case_id!r} was finished before")
        self._merged.pop(case_id, None)
        self._verdicts.pop(case_id, None)
        finished[attempt.number] = Finished(
            attempt.verdict, attempt.seconds, span, attempt.skip_cause, attempt.reused is not None
        )
        self._running.discard((case_id, attempt.number))

    def report(self, problem: Problem) -> None:
        """Note a line of the journal that could not be used."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)

    def _report_line(self, entry: Entry, why: str) -> None:
        place = Place(shown(self.run.journal_path), entry.line)
        self.report(Problem(place, why, "the line is ignored"))

    def _check(self, case_id: str, number: int) -> None:
        decision = self._decisions.get(case_id)
        if decision is None:
            raise Unusable(f"the plan has no case {case_id!r}")
        if not isinstance(decision, Run):
            raise Unusable(f"the plan does not run the case {case_id!r}")
        if not 1 <= number <= most_attempts(decision.case.settings):
            raise Unusable(f"the plan has no attempt {number} of {case_id!r}")

    def _take_time(self, event: dict[str, Any]) -> None:
        """Add the time since the last line of the same process."""
        try:
            now = datetime.fromisoformat(str(event.get("time")))
        except ValueError:
            return
        if now.tzinfo is None:
            return
        if self._last_time is not None:
            self.elapsed += max(0.0, (now - self._last_time).total_seconds())
        self._last_time = now

    def _unrun(self, case_id: str) -> CaseRecord:
        decision = self._decisions[case_id]
        assert not isinstance(decision, Run)  # noqa: S101 - it would have attempts
        return unrun(decision)


def load_run(path: Path) -> RunRecord:
    """Read a run directory, which may be anybody's.

    Raises:
        UsageError: it is none, or its ``run.json`` or ``plan.jsonl`` is broken. Of a broken
            journal the usable lines count; the others are in ``problems``.
        HostError: it cannot be read.
    """
    run = RunDirectory.open(path)
    record = RunRecord(run, read_run_info(run.info_path), read_plan(run))
    for entry in replay(run.journal_path, record.report):
        record.take(entry)
    return record


def _attempt(event: dict[str, Any]) -> Attempt:
    return _adapter().validate_python(event.get("attempt"))


def _text(event: dict[str, Any], key: str) -> str:
    value = event.get(key)
    if not isinstance(value, str):
        raise Unusable(f"{key!r} must be a text")
    return value


def _number(event: dict[str, Any], key: str) -> int:
    value = event.get(key)
    if not isinstance(value, int):
        raise Unusable(f"{key!r} must be a number")
    return value


@cache
def _adapter() -> "TypeAdapter[Attempt]":
    from pydantic import TypeAdapter  # 50 ms, which only readers need

    return TypeAdapter(Attempt)
