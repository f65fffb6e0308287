"""What a page says of runs."""

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.attempt import Reused
from matrix.migrating import Migration, MigrationSummary
from matrix.report import case_rows as cases_module
from matrix.report.case_rows import AXES, qemu_label
from matrix.report.gather import Gathered, gather
from matrix.verdicts import Verdict
from tests import make
from tests.report.conftest import RunMaker


def details(gathered: Gathered, number: int) -> Any:
    where = gathered.rows[number].where
    assert where is not None
    chunk = gzip.decompress(base64.b64decode(gathered.details.packer.chunks[where.chunk]))
    return json.loads(chunk)[where.place]


def test_rows_columns_and_details(recorded: RunMaker, tmp_path: Path) -> None:
    failed = make.attempt(
        "fail",
        "1 of 2 subtests failed",
        subtests=["PASS: one", "FAIL: two: expected 1"],
        metrics=(("latency: max", 7.5, "us"),),
    )
    files = {
        "console.log": "FAIL: two\n",
        "qemu.log": "warning\n",
        "command.sh": "#!/bin/sh\n",
        "diagnosis/registers.txt": "RAX=0\n",
    }
    record = recorded(
        [
            (make.run(make.case("good")), make.attempt(), {"console.log": "PASS: one\n"}),
            (make.run(make.case("bad", "arm", smp=4)), failed, files),
            (make.skip(make.case("absent"), "no such QEMU"), None, {}),
        ]
    )
    gathered = gather([record], tmp_path / "run/report.html")
    assert gathered.counts() == {Verdict.FAIL: 1, Verdict.SKIP: 1, Verdict.PASS: 1}
    index: Any = json.loads(json.dumps(gathered.index({})))
    assert index["id"] == [
        "smoke.good.x86_64.auto",
        "smoke.bad.arm.auto.smp=4",
        "smoke.absent.x86_64.auto",
    ]
    assert [index["verdicts"][each] for each in index["verdict"]] == ["pass", "fail", "skip"]
    assert [index["words"]["smp"][each] for each in index["columns"]["smp"]] == ["", "4", ""]
    assert [index["words"]["qemu"][each] for each in index["columns"]["qemu"]] == [
        "7.2.0 (system)"
    ] * 3
    assert index["links"] == ["."]
    (attempt,) = details(gathered, 1)["attempts"]
    assert attempt["subtests"] == [["fail", "two", "expected 1"], ["pass", "one", ""]]
    assert [text[0] for text in attempt["texts"]] == list(files)
    assert attempt["metrics"] == [["latency: max", 7.5, "us"]]
    assert attempt["artifacts"] == "cases/smoke.bad.arm.auto.smp=4"
    assert gathered.details.metrics == [[1, 1, "latency: max", 7.5, "us"]]


def test_what_was_skipped_is_of_the_row_of_what_ran(recorded: RunMaker, tmp_path: Path) -> None:
    """It never came to an accelerator; another variant than those that ran stays ``auto``."""
    record = recorded(
        [
            (make.run(make.case("ran")), make.attempt(), {}),
            (make.skip(make.case("absent"), "no"), None, {}),
            (make.skip(make.case("absent", "arm"), "no"), None, {}),
        ]
    )
    rows = gather([record], tmp_path / "run/report.html").rows
    assert [row.axes[AXES.index("accel")] for row in rows] == ["tcg", "tcg", "auto"]
    assert [row.accelerator for row in rows] == ["tcg", "", ""]


def test_the_facts_of_a_run(recorded: RunMaker, tmp_path: Path) -> None:
    record = recorded([(make.run(make.case()), make.attempt(), {})])
    (facts,) = gather([record], tmp_path / "pages/index.html").runs
    assert facts.link == "../run"
    assert facts.started == "2026-11-21 09:30:00 UTC"
    assert facts.command == "matrix run smoke.yaml"
    assert facts.qemus == (("7.2.0", "x86_64"),)
    ((_, host),) = facts.hosts
    assert host.startswith("2 × Fast CPU, Linux ")


def test_several_runs_are_an_axis(recorded: RunMaker, tmp_path: Path) -> None:
    results: Any = [(make.run(make.case()), make.attempt(), {})]
    records = [recorded(results, "a/run"), recorded(results, "b/run")]
    gathered = gather(records, tmp_path / "index.html")
    assert [run.name for run in gathered.runs] == ["run", "run (2)"]
    assert [row.axes[0] for row in gathered.rows] == ["run", "run (2)"]
    assert gathered.index({})["links"] == ["a/run", "b/run"]


def test_cases_that_failed_have_room_before_others(
    recorded: RunMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.report.gather.DETAILS_BUDGET", 60_000)
    monkeypatch.setattr("matrix.report.gather.LEAST_DETAILS", 60_000)
    files = {"console.log": "".join(f"line {n * 7919 % 1000003:x}\n" for n in range(600))}
    results = [(make.run(make.case(f"good{n}")), make.attempt(), files) for n in range(40)]
    results.append((make.run(make.case("bad")), make.attempt("fail", "x"), files))
    gathered = gather([recorded(results)], tmp_path / "run/report.html")
    assert details(gathered, 40)["attempts"][0]["texts"]
    assert gathered.details.shortened > 10
    assert not details(gathered, 39)["attempts"][0]["texts"]
    assert details(gathered, 39)["attempts"][0]["artifacts"]
    assert sum(map(len, gathered.details.packer.chunks)) < 90_000


def test_an_interrupted_run_has_rows_without_a_verdict(recorded: RunMaker, tmp_path: Path) -> None:
    results: Any = [
        (make.run(make.case("a")), make.attempt(), {}),
        (make.run(make.case("b")), None, {}),
    ]
    gathered = gather([recorded(results)], tmp_path / "run/report.html")
    assert gathered.counts() == {Verdict.PASS: 1, None: 1}
    assert gathered.runs[0].unfinished == 1
    assert gathered.index({})["verdict"] == [9, -1]


def test_hops_are_gathered(
    recorded: RunMaker,
    write_hops: Callable[..., Path],
    summary: MigrationSummary,
    tmp_path: Path,
) -> None:
    case = make.case("ram-integrity", migration=Migration())
    hops = {"hops.jsonl": write_hops(40, bad=[3]).read_bytes()}
    record = recorded([(make.run(case), make.attempt(migration=summary), hops)])
    gathered = gather([record], tmp_path / "run/report.html")
    (entry,) = gathered.migrations.entries
    assert (entry["case"], entry["hops"]) == (0, 40)
    chunk = gzip.decompress(base64.b64decode(gathered.migrations.packer.chunks[0]))
    document = json.loads(chunk)[0]
    assert document["number"] == list(range(1, 41))
    assert document["good"].count(0) == 1
    assert document["words"]["outcome"] == ["completed", "lost"]
    assert [hop["number"] for hop in document["details"] if not hop["good"]] == [3]
    grid = gathered.migrations.grid()
    assert {(each["source"], each["hops"], each["good"]) for each in grid} == {
        ("system 7.2.0", 20, 20),
        ("system 7.2.1", 20, 19),
    }


def test_a_folder_outside_of_the_run_is_neither_read_nor_linked(
    recorded: RunMaker, tmp_path: Path
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/console.log").write_text("secret\n")
    record = recorded([(make.run(make.case()), make.attempt(), {"console.log": "mine\n"})])
    journal = record.run.journal_path
    text = journal.read_text()
    for place in ("../secret", str(tmp_path / "secret"), "cases/../../secret"):
        journal.write_text(text.replace("cases/smoke.boot.x86_64.auto", place))
        from matrix.results.run_record import load_run

        gathered = gather([load_run(record.run.path)], tmp_path / "run/report.html")
        (attempt,) = details(gathered, 0)["attempts"]
        assert attempt["texts"] == []
        assert attempt["artifacts"] == ""


def test_numbers_that_guests_print_are_bounded(
    recorded: RunMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases_module, "MOST_POINTS", 5)
    metrics = tuple((f"m{n}", float(n), "ns") for n in range(9))
    record = recorded([(make.run(make.case()), make.attempt(metrics=metrics), {})])
    gathered = gather([record], tmp_path / "run/report.html")
    assert len(gathered.details.metrics) == 5


@pytest.mark.parametrize(
    ("name", "version", "label"),
    [
        ("system", "7.2.22 (Debian 1:7.2)", "7.2.22 (system)"),
        ("10.0", "10.0.2", "10.0.2"),
        ("mine", "", "mine"),
        ("7.2.0", "7.2.0", "7.2.0"),
    ],
)
def test_qemus_are_named_by_version(name: Any, version: Any, label: Any) -> None:
    assert qemu_label(name, version) == label


def test_what_was_skipped_of_a_strangers_run_has_no_path(
    recorded: RunMaker, tmp_path: Path
) -> None:
    run = replace(make.run(make.case()), why="")
    record = recorded([(run, make.attempt(accelerator="<b>", seconds=1e300), {})])
    gathered = gather([record], tmp_path / "run/report.html")
    assert gathered.rows[0].accelerator == ""


def test_a_reused_result_leads_to_where_it_comes_from(recorded: RunMaker, tmp_path: Path) -> None:
    origin = Reused("../one", "2026-11-21T09:30:00.000Z", 0.5, "cases/a")
    reused = replace(make.attempt(), reused=origin)
    record = recorded([(make.run(make.case("a")), reused, {}), (make.run(), make.attempt(), {})])
    gathered = gather([record], tmp_path / "run/report.html")
    assert [details(gathered, number)["reused"] for number in (0, 1)] == ["../one/cases/a", ""]
