"""One run from its plan to its reports: signals, the event loop, and what is left behind."""

import asyncio
import gc
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import chain

from matrix.attempt import Attempt
from matrix.errors import ExitCode, HostError
from matrix.hosts.case_inputs import CaseInputs
from matrix.hosts.interface import Host
from matrix.plan.decisions import Decision
from matrix.results.history.place import Database
from matrix.results.journal import EventName
from matrix.results.recorder import Recorder
from matrix.run.host_care import HostRules
from matrix.run.known_durations import known_seconds, load_writer
from matrix.run.progress import CompositeProgress, NullProgress, Progress, Running
from matrix.run.session import NOTHING, Session, Stop

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a run, unless it was ignored when the program started: Ctrl-C, a CI system's or service
manager's word, the terminal gone."""


LATER = (
    "matrix.vm.watch",
    "matrix.suites.unit_tests_judge",
    "matrix.verdict.deciding",
    "junitparser.xunit2",
    "matrix.results.summary",
    "matrix.results.summary_text",
)
"""What is needed only at the end of guests and of the run: each is loaded while a guest starts,
which is another process's work, so that a short run does not wait for it."""


def execute(
    recorder: Recorder,
    hosts: Sequence[Host],
    progress: Progress,
    *,
    history: Database | None = None,
    seed: int | None = None,
    most_failures: int | None = None,
    rules: HostRules | None = None,
    inputs: CaseInputs | None = None,
    not_reused: Mapping[str, str] = NOTHING,
    later: tuple[str, ...] = (),
) -> ExitCode:
    """Run what is left of a recorder's plan, and write its reports.

    Args:
        recorder: of a new or a resumed run; stays open.
        hosts: where its cases run.
        progress: who is told.
        history: says how long cases took last, so that the longest start first. It is not
            written here.
        seed: of the hops of guests that are migrated, None for one that depends on the case.
        most_failures: cases that did not pass, after which no other is started; None for no limit.
        rules: when hosts get no more cases; None: when they are lost.
        inputs: says what cases follow from, so that later runs can reuse their results.
        not_reused: why cases are run, of those that were to be reused.
        later: modules that the caller needs when the run is over: see :data:`LATER`.

    Returns:
        What the command ends with.

    Raises:
        HostError: the run cannot go on; what was finished is on disk, and reports were written
            as far as the disk let us.
    """
    gc.freeze()  # what is loaded stays; only what the run makes is worth looking through
    gc.enable()
    session = Session(
        recorder,
        hosts,
        CompositeProgress(progress, _Troubles(recorder)),
        known_seconds(recorder.record.decisions, history),
        seed=seed,
        most_failures=most_failures,
        rules=rules,
        inputs=inputs,
        not_reused=not_reused,
        meanwhile=chain(map(import_module, (*LATER, *later)), load_writer(history)),
    )
    return _end(recorder, _run_session(session, recorder))


class _Troubles(NullProgress):
    """Keeps in the run what becomes of its hosts: what ran elsewhere in the end may have passed."""

    def __init__(self, recorder: Recorder) -> None:
        self._note = recorder.note

    def moved(self, running: Running, attempt: Attempt) -> None:
        """Note it with the host and the reason."""
        where = {"host": attempt.host, "reason": attempt.reason}
        case = running.decision.case.id
        event = {"event": EventName.ATTEMPT_MOVED, "case": case, "attempt": attempt.number}
        self._note(event | where)

    def host_lost(self, host: str, why: str) -> None:
        """Note it with the reason."""
        self._note({"event": EventName.HOST_LOST, "host": host, "reason": why})

    def host_back(self, host: str) -> None:
        """Note it."""
        self._note({"event": EventName.HOST_BACK, "host": host})


def _end(recorder: Recorder, failure: HostError | None) -> ExitCode:
    """Write the reports, also of a session that failed, whose failure is raised then."""
    try:
        code = recorder.end()
    except HostError as error:
        failure = failure or error
    if failure is not None:
        raise failure
    return code


def _run_session(session: Session, recorder: Recorder) -> HostError | None:
    """Run it; gives why it could not go on, if it could not."""
    failure: HostError | None = None
    begun = time.monotonic()
    try:
        asyncio.run(_interruptible(session, list(recorder.record.decisions)))
    except* HostError as group:
        failure = _first(group)
    except* asyncio.CancelledError:
        pass  # ended at once, by the second signal; the record says what is unfinished
    recorder.record.elapsed += time.monotonic() - begun
    return failure


async def _interruptible(session: Session, decisions: list[Decision]) -> None:
    """The session, which the first signal ends cleanly and the second at once."""
    stop = Stop()
    with _handled(stop, asyncio.current_task()):
        await session.run(decisions, stop)


@contextmanager
def _handled(stop: Stop, task: "asyncio.Task[None] | None") -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def end() -> None:
        if stop.requested and task is not None:
            task.cancel()
        stop.request()

    # What was ignored when we started stays so: nohup, trap '' HUP, a job of a shell's background.
    before = {each: signal.getsignal(each) for each in SIGNALS}
    handled = [number for number in SIGNALS if before[number] is not signal.SIG_IGN]
    for number in handled:
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number] or signal.SIG_DFL)


def _first(group: BaseExceptionGroup[HostError]) -> HostError:
    """One of a group: they all come from the same host's same trouble."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, HostError)  # noqa: S101 - the group was split by this type
    return error
