"""Looks for an axis ``colour`` in everything that a run is read from.

A program of :mod:`tests.scenario.test_axes`, which adds the axis to a copy of the package first.
"""

import json
import sys
from pathlib import Path
from typing import Any

from matrix.attempt import Attempt
from matrix.hosts.host_settings import HostFile
from matrix.inventory import Host
from matrix.model import Accelerator, Architecture, Case
from matrix.plan.decisions import Run
from matrix.pytest_plugin.asking import Wish
from matrix.pytest_plugin.collecting import _properties
from matrix.pytest_plugin.markers import _axes
from matrix.report.gather import gather
from matrix.results.compare.matching import pair_variants
from matrix.results.history.baseline import recorded_run
from matrix.results.history.database import opened
from matrix.results.history.place import Database
from matrix.results.history.writer import record_run
from matrix.results.recorder import Recorder
from matrix.results.run_info import RunInfo, ScenarioSource
from matrix.results.run_record import RunRecord, load_run
from matrix.results.summary_text import record_summary
from matrix.run.options import Selection
from matrix.run.prepare import chosen
from matrix.scenario.schema import json_schema
from matrix.verdicts import Verdict

SCENARIO = """\
name: paint
suite: {kind: kvm-unit-tests, build: builtin, tests: [boot]}
matrix: {arch: [x86_64], accel: [tcg], colour: [red, blue]}
"""


def main(folder: Path) -> None:
    """Look everywhere, and raise AssertionError where the axis is missing.

    Args:
        folder: to work in.
    """
    path = folder / "paint.yaml"
    path.write_text(SCENARIO)
    cases = selected(path)
    assert [case.id for case in cases] == [
        "paint.boot.x86_64.tcg.colour=red",
        "paint.boot.x86_64.tcg.colour=blue",
    ]
    assert selected(path, keyword="colour=blue") == cases[1:]
    (green,) = selected(path, set_axis=("colour=green",))
    assert green.variant.axes()["colour"] == "green"
    assert json.dumps(json_schema()).count('"colour"') >= 3  # matrix, include, exclude
    in_files(record(folder / "run", cases))
    in_the_history(folder, load_run(folder / "run"))
    assert _axes(cases[0])["colour"] == "red"
    wish = Wish(Architecture.X86_64, "boot", axes=(("colour", "red"),))
    assert json.loads(wish.scenario())["matrix"]["colour"] == ["red"]


def selected(path: Path, **options: Any) -> list[Case]:
    """The cases of a scenario."""
    return chosen(Selection(scenarios=(path,), **options), HostFile())[1]


def record(path: Path, cases: list[Case]) -> RunRecord:
    """A run in which the first case passes and the others fail."""
    decisions = [Run(case, Accelerator.TCG, "asked for", 1, 2**27) for case in cases]
    host = Host(architecture="x86_64", kernel="6.1.0", cpus=2, memory=2**32)
    source = ScenarioSource.of("paint", "paint.yaml", SCENARIO)
    info = RunInfo("2026-11-21T09:30:00.000Z", host, scenarios=(source,))
    with Recorder.start(path, info, decisions) as recorder:
        for case in cases:
            recorder.begin(case, 1)
            verdict = Verdict.PASS if case is cases[0] else Verdict.FAIL
            result = recorder.finish(case, Attempt(1, verdict, "", 0.5, accelerator="tcg"))
            assert result is not None
            assert ("colour", case.variant.axes()["colour"]) in _properties(result)
        recorder.end()
    return load_run(path)


def in_files(run: RunRecord) -> None:
    """Results, JUnit, the terminal's table, a comparison, and the report."""
    path = run.run.path
    axes = [case["axes"] for case in json.loads((path / "results.json").read_text())["cases"]]
    assert [each["colour"] for each in axes] == ["red", "blue"]
    assert '"colour" value="red"' in (path / "junit.xml").read_text()
    text = "".join(words for line in record_summary(run, 80) for words, _ in line)
    assert "colour=blue" in text
    (pairing,) = pair_variants(run, "colour")
    assert pairing.values == ("red", "blue")
    index: Any = gather([run], path / "report.html").index({})
    assert "colour" in index["axes"]
    assert index["words"]["colour"] == ["red", "blue"]
    assert index["columns"]["colour"] == [0, 1]


def in_the_history(folder: Path, run: RunRecord) -> None:
    """Recorded, and read again."""
    database = Database(folder / "history.sqlite")
    key, _ = record_run(database, run)
    with opened(database) as session:
        stored = recorded_run(session, f"history:{key}")
    axes = [each.axes.axes() for each in stored.planned()]
    assert {each["colour"] for each in axes} == {"red", "blue"}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
