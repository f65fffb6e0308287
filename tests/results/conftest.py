"""Cases, decisions and runs to test the results with."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from matrix.attempt import Attempt
from matrix.plan.decisions import Decision
from matrix.results.recorder import Recorder
from matrix.results.run_info import RunInfo
from tests import make


@pytest.fixture
def info() -> RunInfo:
    return make.info()


Results = Sequence[tuple[Decision, Sequence[Attempt]]]
RunMaker = Callable[..., Recorder]


@pytest.fixture
def recorded(tmp_path: Path) -> Iterable[RunMaker]:
    """Makes a run directory in which each case came to the attempts given, and keeps it open."""
    opened: list[Recorder] = []

    def record(results: Results, path: Path | None = None, **options: Any) -> Recorder:
        path = path or tmp_path / f"run-{len(opened)}"
        decisions = [decision for decision, _ in results]
        recorder = Recorder.start(path, make.info(options=options), decisions)
        opened.append(recorder)
        for decision, attempts in results:
            for attempt in attempts:
                recorder.begin(decision.case, attempt.number)
                recorder.finish(decision.case, attempt)
        return recorder

    yield record
    for recorder in opened:
        recorder.__exit__()
