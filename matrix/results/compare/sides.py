"""What a side of a comparison is: a run directory, or what was kept of a run elsewhere."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from matrix.errors import UsageError
from matrix.plan.decisions import Decision
from matrix.results.fingerprint import RunInfo
from matrix.results.outcome import CaseResult
from matrix.results.printable import printable


class Place(Protocol):
    """Where a side comes from."""

    @property
    def given(self) -> Path:
        """As the user named it."""
        ...


class ComparedRun(Protocol):
    """What a comparison needs of a side; :class:`matrix.results.record.RunRecord` is one."""

    @property
    def run(self) -> Place:
        """Where it comes from."""
        ...

    @property
    def info(self) -> RunInfo:
        """Its fingerprint; ``started`` is empty where nothing is known of it."""
        ...

    @property
    def decisions(self) -> Sequence[Decision]:
        """The cases, in order."""
        ...

    def decision(self, case_id: str) -> Decision:
        """The case of that id. Raises UsageError where there is none."""
        ...

    def is_finished(self, case_id: str) -> bool:
        """Whether a case has a result."""
        ...

    def unfinished(self) -> Sequence[str]:
        """The ids of the cases that have none."""
        ...

    def shortfalls(self) -> Sequence[str]:
        """What had to run and did not, in sentences."""
        ...

    def results(self, case_ids: Iterable[str] | None = None) -> Iterator[CaseResult]:
        """The results of cases, in the order in which they are asked for."""
        ...


@dataclass(frozen=True, slots=True)
class NamedPlace:
    """A place that is no run directory."""

    given: Path


class StoredRun:
    """A side of which only results were kept: every case is in memory, with the subtests that did
    not pass, and without what was run."""

    def __init__(
        self,
        name: str,
        info: RunInfo,
        results: Iterable[tuple[Decision, CaseResult]],
        unfinished: Iterable[str] = (),
        shortfalls: Iterable[str] = (),
    ) -> None:
        """The side.

        Args:
            name: as the user named it.
            info: of the run, as far as it is known; ``started`` empty where it is not.
            results: of the cases, in order.
            unfinished: ids of further cases, which have none.
            shortfalls: what had to run and did not, in sentences.
        """
        self.run = NamedPlace(Path(name))
        self.info = info
        self._shortfalls = tuple(shortfalls)
        self._results = {decision.case.id: (decision, result) for decision, result in results}
        self._unfinished = tuple(each for each in unfinished if each not in self._results)

    @property
    def decisions(self) -> Sequence[Decision]:
        """See :class:`ComparedRun`."""
        return tuple(decision for decision, _ in self._results.values())

    def decision(self, case_id: str) -> Decision:
        """See :class:`ComparedRun`."""
        try:
            return self._results[case_id][0]
        except KeyError:
            raise UsageError(
                f"{printable(str(self.run.given))} has no case {printable(case_id)!r}"
            ) from None

    def is_finished(self, case_id: str) -> bool:
        """See :class:`ComparedRun`."""
        return case_id in self._results

    def unfinished(self) -> Sequence[str]:
        """See :class:`ComparedRun`."""
        return self._unfinished

    def shortfalls(self) -> Sequence[str]:
        """See :class:`ComparedRun`."""
        return self._shortfalls

    def results(self, case_ids: Iterable[str] | None = None) -> Iterator[CaseResult]:
        """See :class:`ComparedRun`."""
        for case_id in self._results if case_ids is None else case_ids:
            yield self._results[case_id][1]
