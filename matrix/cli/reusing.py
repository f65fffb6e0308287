"""``--reuse`` of ``matrix run``: says what is taken over from earlier runs, and what is run."""

from collections.abc import Iterator, Sequence

from matrix.plan.decisions import Decision, Run
from matrix.results.printable import printable
from matrix.results.recorder import Recorder
from matrix.results.segments import Line, Style, line, wrapped
from matrix.run.reuse import Reuse


def reuse_lines(reuse: Reuse, width: int, *, verbose: bool) -> Iterator[Line]:
    """What of a run is reused and what is not, in numbers; with ``verbose`` case by case."""
    if verbose:
        for case_id, why in reuse.reasons.items():
            yield from wrapped(f"{case_id}  ({why})", width, " " * 8, first="run     ")
        for case_id, attempt in reuse.attempts.items():
            yield line(printable(f"reused  {case_id}  ({attempt.reason})"), Style.FAINT)
    for sentence in reuse.summary():
        yield from wrapped(sentence, width, "  ", first="")


def take_over(recorder: Recorder, reuse: Reuse, decisions: Sequence[Decision]) -> None:
    """Put the results that are reused on disk, as those of a new run.

    Raises:
        HostError: the disk fails us.
    """
    for decision in decisions:
        attempt = reuse.attempts.get(decision.case.id)
        if attempt is not None and isinstance(decision, Run):
            recorder.finish(decision.case, attempt)
