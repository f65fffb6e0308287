"""One more host: what a run over it records, and what its files and its report say of it."""

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from matrix.attempt import Attempt
from matrix.cli.arguments import Execution
from matrix.cli.run_command import resume_run, start_run
from matrix.errors import ExitCode, HostError, HostLostError, UsageError
from matrix.hosts.contents import Contents
from matrix.hosts.interface import Assignment, Console, Ended, HopDone
from matrix.inventory import Binary, Host, Inventory, KvmProof, KvmState
from matrix.model import Architecture
from matrix.plan.schedule import Capacity
from matrix.results.case_record import results_schema
from matrix.run.options import Selection
from matrix.verdicts import Verdict

S390X = Architecture.S390X
SCENARIO = """
name: mainframe
suite: {kind: kvm-unit-tests, build: builtin, tests: [boot]}
matrix: {arch: [s390x], accel: [kvm]}
"""


class Mainframe:
    """A host with a KVM that no other has; its guests only say that they ran."""

    name = "lpar7"
    capacity = Capacity(vcpus=4, memory=2**34)
    inventory = Inventory(
        Host("s390x", "6.12.0", cpus=4, memory=2**34),
        binaries=(Binary("system", S390X, "/usr/bin/qemu-system-s390x", (9, 2, 0), "9.2.0"),),
        proofs=(KvmProof("system", S390X, "", KvmState.WORKS, "all guests passed"),),
    )
    lost = ""
    full = False

    @asynccontextmanager
    async def open(self, run: Path, contents: Contents) -> AsyncIterator["Mainframe"]:
        if self.lost:
            raise HostLostError(self.lost)
        yield self

    async def execute(
        self, assignment: Assignment, emit: Callable[[Console | HopDone], None]
    ) -> Ended:
        emit(Console("ready\n"))
        if self.full:
            raise HostError("no space left on device")
        decision = assignment.decision
        accelerator, why = decision.accelerator.value, decision.why
        return Ended(Attempt(assignment.attempt, Verdict.PASS, "", 0.5, accelerator, why))

    def release(self, token: str) -> None:
        pass

    def cancel(self, token: str) -> None:
        pass


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Selection:
    monkeypatch.setenv("MATRIX_STATE", str(tmp_path / "state"))
    (tmp_path / "mainframe.yaml").write_text(SCENARIO)
    return Selection(scenarios=(tmp_path / "mainframe.yaml",))


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_a_run_says_where_each_case_ran(
    scenario: Selection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from jsonschema import validate

    run = tmp_path / "run"
    assert start_run(scenario, Execution(output=run), [Mainframe()]) is ExitCode.OK
    results = read(run / "results.json")
    validate(results, results_schema())
    (case,) = results["cases"]
    assert (case["verdict"], case["accelerator"], case["host"]) == ("pass", "kvm", "lpar7")
    assert set(results["run"]["hosts"]) == {"local", "lpar7"}
    assert results["run"]["hosts"]["lpar7"]["host"]["kernel"] == "6.12.0"
    (host,) = read(run / "run.json")["others"]
    assert (host["name"], host["binaries"][0]["version"]) == ("lpar7", "9.2.0")
    assert "<dd>lpar7: 4 × s390x, Linux 6.12.0 (s390x)</dd>" in (run / "report.html").read_text()
    assert "1 of 1 passed" in capsys.readouterr().out


def test_without_the_host_its_case_is_skipped_with_the_reason(
    scenario: Selection, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert start_run(scenario, Execution(output=run)) is ExitCode.NOTHING_SELECTED
    (case,) = read(run / "results.json")["cases"]
    assert (case["verdict"], case["host"]) == ("skip", "")
    assert "lpar7" not in case["reason"]


def test_a_run_is_resumed_with_its_hosts(scenario: Selection, tmp_path: Path) -> None:
    runs, mainframe = (tmp_path / "run", tmp_path / "copy"), Mainframe()
    mainframe.full = True
    with pytest.raises(HostError, match="no space left"):
        start_run(scenario, Execution(output=runs[0]), [mainframe])
    shutil.copytree(*runs)
    assert resume_run(runs[0], Selection(), Execution()) is ExitCode.ERROR
    assert resume_run(runs[1], Selection(), Execution(), [Mainframe()]) is ExitCode.OK
    reasons = [read(run / "results.json")["cases"][0]["reason"] for run in runs]
    assert reasons == ["host lpar7 is lost: the run has no host of this name", ""]


def test_a_host_that_cannot_be_opened_is_lost(scenario: Selection, tmp_path: Path) -> None:
    mainframe = Mainframe()
    mainframe.lost = "it does not answer"
    run = tmp_path / "run"
    assert start_run(scenario, Execution(output=run), [mainframe]) is ExitCode.ERROR
    (case,) = read(run / "results.json")["cases"]
    assert (case["verdict"], case["host"]) == ("error", "lpar7")
    assert case["reason"] == "host lpar7 is lost: it does not answer"


def test_hosts_have_names_of_their_own(scenario: Selection) -> None:
    with pytest.raises(UsageError, match="same name: local, lpar7, lpar7; rename one"):
        start_run(scenario, Execution(), [Mainframe(), Mainframe()])
