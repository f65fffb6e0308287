"""What the history tells of the past: plain data, as :mod:`.query` reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from matrix.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class PastRun:
    """One recorded run."""

    key: str
    """Its name in the history."""
    started: str
    """UTC, ISO 8601."""
    finished: bool
    exit_code: int
    elapsed: float
    directory: str
    """Where it was; it may be gone."""
    tool_version: str
    hostname: str
    kernel: str
    cpu_model: str
    scenarios: tuple[str, ...] = ()
    counts: tuple[tuple[Verdict, int], ...] = ()
    """How many cases came to each verdict."""


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """One attempt of a case in one run."""

    verdict: Verdict
    seconds: float


@dataclass(frozen=True, slots=True)
class Entry:
    """What a case came to in one run, or alike in several in a row."""

    run: PastRun
    """The latest of them."""
    verdict: Verdict
    reason: str
    seconds: float
    """Of all attempts together."""
    accelerator: str
    qemu_version: str
    suite_revision: str
    kernel: str
    cpu_model: str
    """These two of the host that it ran on."""
    attempts: tuple[PastAttempt, ...] = ()
    """Of each run."""
    runs: int = 1
    """How many; of several there are no reasons and no times."""
    since: PastRun | None = None
    """The first of several."""

    @property
    def first(self) -> "Entry":
        """As it was in the first of the runs."""
        return replace(self, run=self.since, runs=1, since=None) if self.since else self


MetricKey = tuple[str, str, int]
"""A metric's name, its unit, and which of those of that name it is, as the guest printed them."""


@dataclass(frozen=True, slots=True)
class CaseHistory:
    """One case over its runs, the latest last."""

    id: str
    suite: str
    entries: tuple[Entry, ...]
    metrics: Mapping[MetricKey, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    """Of each metric the values of each run that has any, the latest last; read for few cases
    only."""

    @property
    def last(self) -> Entry:
        """The latest entry; there is one."""
        return self.entries[-1]


@dataclass(frozen=True, slots=True)
class History:
    """What was asked for."""

    runs: tuple[PastRun, ...]
    """The latest last."""
    runs_in_all: int
    """That the database has, on the hosts that were asked for."""
    cases: tuple[CaseHistory, ...]
    """By id; only those that one of the runs has."""
