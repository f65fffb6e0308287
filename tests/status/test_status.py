"""The whole folder, of small repositories and runs."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.attempt import Reused
from matrix.cli.status_command import run_status
from matrix.errors import UsageError
from matrix.model import Accelerator, AcceleratorLabel, Architecture
from matrix.results.recorder import Recorder
from matrix.results.run_record import RunRecord, load_run
from matrix.status.exercised import ALL, Cell, Way, exercised
from matrix.verdicts import Verdict
from tests import make
from tests.status.conftest import Repository

KVM, VIRTUAL_KVM, TCG = AcceleratorLabel
ARM = Architecture.AARCH64
Ran = tuple[str, Architecture, AcceleratorLabel, str, Verdict]
"""Test, architecture, accelerator, host, verdict."""


def record(path: Path, day: str, *ran: Ran) -> RunRecord:
    decisions = [
        replace(
            make.run(make.case(test, arch, accel=Accelerator(accel.split()[0]))),
            host=host or "local",
        )
        for test, arch, accel, host, _ in ran
    ]
    info = replace(make.info(), started=f"{day}T00:00:00.000Z")
    with Recorder.start(path, info, decisions) as recorder:
        for decision, (_, _, accel, host, verdict) in zip(decisions, ran, strict=True):
            recorder.begin(decision.case, 1)
            recorder.finish(decision.case, make.attempt(verdict, accelerator=accel, host=host))
        recorder.end()
    return load_run(path)


@pytest.fixture
def runs(tmp_path: Path) -> list[RunRecord]:
    """An older and a newer one: a case breaks, one is new, one is skipped."""
    first = record(
        *(tmp_path / "first", "2024-01-05"),
        ("pmu", make.X86, KVM, "", Verdict.PASS),
        ("timer", ARM, KVM, "virtual-aarch64", Verdict.PASS),  # as earlier versions wrote it
        ("ioapic", ARM, VIRTUAL_KVM, "virtual-aarch64", Verdict.PASS),
        ("smp", ARM, TCG, "", Verdict.PASS),
    )
    second = record(
        *(tmp_path / "second", "2024-02-05"),
        ("pmu", make.X86, KVM, "", Verdict.FAIL),
        ("pmu-2", make.X86, KVM, "", Verdict.PASS),
        ("vmx", make.X86, TCG, "", Verdict.SKIP),
    )
    return [second, first]


def test_what_was_exercised(runs: list[RunRecord]) -> None:
    found = exercised(runs)
    assert found.runs == ["2024-01-05", "2024-02-05"]
    counted = {
        (cell.architecture, cell.feature, cell.way): (counts.passed, counts.ran)
        for cell, counts in found.ordered()
    }
    assert counted == {
        ("arm64", ALL, Way.VIRTUAL): (2, 2),
        ("arm64", "Interrupt controllers", Way.VIRTUAL): (1, 1),
        ("arm64", "Timers and clocks", Way.VIRTUAL): (1, 1),
        ("arm64", ALL, Way.EMULATED): (1, 1),
        ("arm64", "SMP and IPIs", Way.EMULATED): (1, 1),
        ("x86", ALL, Way.NATIVE): (1, 2),
        ("x86", "PMU", Way.NATIVE): (1, 2),
    }
    trend = found.trend[Cell("x86", "PMU", Way.NATIVE)]
    assert [(each.passed, each.ran) for each in trend] == [(1, 1), (1, 2)]


def test_what_was_reused_was_exercised_in_another_run(tmp_path: Path) -> None:
    decision = make.run(make.case("pmu"))
    reused = replace(make.attempt(), reused=Reused("../first", "", 0.5))
    with Recorder.start(tmp_path / "run", make.info(), [decision]) as recorder:
        recorder.finish(decision.case, reused)
    assert exercised([recorder.record]).latest == {}


def test_the_folder(
    kernel: Repository,
    repository: Callable[[str], Repository],
    runs: list[RunRecord],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tests = repository("kut")
    tests.days = 5
    (tests.path / "x86").mkdir()
    (tests.path / "x86/unittests.cfg").write_text("[apic]\n[=evil]\n")
    tests.commit("Ann <ann@redhat.com>")
    mapping = tmp_path / "mapping"
    mapping.write_text("arm.com Arm <b>Limited</b>\n")
    paths = [each.given for each in runs]
    out = tmp_path / "talk"
    run_status(kernel.path, paths, out, unit_tests=tests.path, organizations=[mapping])
    assert capsys.readouterr().out == f"{out}/index.html\n"
    document = json.loads((out / "status.json").read_text())
    assert document["unknown"] == {"nowhere.test": 1}
    assert [(each["name"], each["commits"], each["merges"]) for each in document["releases"]] == [
        ("v6.1", 2, 0),
        ("v6.2", 3, 1),
        ("unreleased", 1, 0),
    ]
    first, second, _ = document["releases"]
    assert first["parts"] == {"x86": 1, "common": 1}
    assert first["touched"] == {"x86": 1, "common": 1, "documentation": 1}
    assert second["organizations"] == {"Arm <b>Limited</b>": 2, "Google": 1}
    assert second["selftests"] == [["arm64", "vgic_init"]]
    assert second["unit_tests"] == [["x86", "=evil"], ["x86", "apic"]]
    page = (out / "index.html").read_text()
    assert "KVM from v6.1 to unreleased" in page
    assert "Arm &lt;b&gt;Limited&lt;/b&gt;" in page
    assert "<script" not in page
    assert "http" not in page.partition("<body>")[2]
    rows = list(csv.DictReader((out / "tests.csv").read_text().splitlines()))
    assert ["'=evil" in row["test"] for row in rows] == [False, True, False]
    assert {path.name for path in out.glob("*.csv")} == {
        *("releases.csv", "parts.csv", "release-organizations.csv", "organizations.csv"),
        *("authors.csv", "tests.csv", "exercised.csv"),
    }
    run_status(kernel.path, [], out, since="v6.1")  # what is ours is written anew
    assert "KVM from v6.2 to unreleased" in (out / "index.html").read_text()


def test_people_are_told_apart_by_the_mailmap_and_paid_by_the_address(
    kernel: Repository, tmp_path: Path
) -> None:
    (kernel.path / ".mailmap").write_text("Ann <ann@google.com> Annie <ann@redhat.com>\n")
    kernel.commit("Annie <ann@redhat.com>", "virt/kvm/kvm_main.c")
    run_status(kernel.path, [], tmp_path / "talk")
    document = json.loads((tmp_path / "talk/status.json").read_text())
    people = {
        each["name"]: (each["commits"], set(each["organizations"])) for each in document["people"]
    }
    assert people["Ann"] == (4, {"Red Hat", "Google"})
    assert document["authors"] == 3


def test_a_page_of_somebody_else_stays(kernel: Repository, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UsageError, match=r"index.html exists and is not a report"):
        run_status(kernel.path, [], tmp_path)
    assert not (tmp_path / "status.json").exists()
