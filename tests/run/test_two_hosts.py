"""One run over two hosts, with real QEMUs: this machine twice, each time with other emulators."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
import pytest

from matrix.errors import ExitCode
from matrix.hosts.host_settings import HostFile
from matrix.hosts.installations import Installation
from matrix.hosts.local.executor import LocalHost
from matrix.hosts.survey import take_inventory
from matrix.hosts.wanted import wanted_by
from matrix.migrating import Hop
from matrix.migration.folding import HOPS_FILE
from matrix.migration.hop_records import read_hops
from matrix.model import Case
from matrix.plan.decisions import Run
from matrix.plan.planner import plan
from matrix.plan.schedule import Capacity
from matrix.results.recorder import Recorder
from matrix.results.run_info import run_info
from matrix.results.run_record import RunRecord
from matrix.run.options import Selection
from matrix.run.prepare import chosen
from matrix.run.progress import NullProgress
from matrix.run.runner import execute
from matrix.run.session import Session, Stop
from matrix.verdicts import Verdict
from tests.run.json_host import JsonHost, texts_in

pytestmark = pytest.mark.qemu

ONE, TWO = Capacity(vcpus=1, memory=2**33), Capacity(vcpus=2, memory=2**33)
SCENARIO = """
name: two
suite: {kind: kvm-unit-tests, build: builtin, tests: [boot]}
matrix: {arch: [x86_64, aarch64], accel: [tcg], memory: [128MiB, 129MiB, 130MiB]}
"""
MIGRATED = """
name: moved
suite: {kind: kvm-unit-tests, build: builtin, tests: [ram-integrity]}
matrix: {arch: [x86_64], accel: [tcg]}
migration: {mode: continuous, strategy: precopy, hops: 2, pace: 0s}
"""
ARCHITECTURES = {"pc": "x86_64", "board": "aarch64"}
"""Host → the only emulator that it has."""


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    paths = tmp_path / "two.yaml", tmp_path / "moved.yaml"
    for path, text in zip(paths, (SCENARIO, MIGRATED), strict=True):
        path.write_text(text)
    return chosen(Selection(scenarios=paths), HostFile())[1]


@pytest.fixture
def hosts(tmp_path: Path, cases: list[Case]) -> tuple[JsonHost, JsonHost]:
    """``pc`` runs one guest of x86_64 at a time, ``board`` two of aarch64."""
    found = []
    for (name, architecture), capacity in zip(ARCHITECTURES.items(), (ONE, TWO), strict=True):
        program = f"qemu-system-{architecture}"
        path = shutil.which(program)
        if path is None:
            pytest.skip(f"{program} is not installed")
        folder = tmp_path / name
        folder.mkdir()
        (folder / program).symlink_to(path)
        installed = [Installation("system", folder)]
        inventory = asyncio.run(take_inventory(installed, wanted_by(cases)))
        found.append(JsonHost(LocalHost(inventory, capacity, name)))
    return found[0], found[1]


Begin = Callable[[], Recorder]


@pytest.fixture
def begin(tmp_path: Path, cases: list[Case], hosts: tuple[JsonHost, JsonHost]) -> Begin:
    def begin() -> Recorder:
        inventories = {host.name: host.inventory for host in hosts}
        info = run_info((), hosts[0].inventory, others=inventories)
        return Recorder.start(tmp_path / "run", info, list(plan(cases, inventories)))

    return begin


def verdicts(record: RunRecord, host: str) -> list[Verdict | None]:
    runs = [each for each in record.decisions if isinstance(each, Run) and each.host == host]
    return [record.verdict(each.case.id) for each in runs]


def paths(texts: Iterable[str]) -> list[str]:
    """What of these names something of this machine."""
    return [text for text in texts if text.startswith("/") and Path(text).exists()]


class Hops(NullProgress):
    """A watcher that keeps the hops that it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Hop]] = []

    def hopped(self, case_id: str, hop: Hop) -> None:
        self.seen.append((case_id, hop))


def test_each_case_runs_where_it_can(hosts: tuple[JsonHost, JsonHost], begin: Begin) -> None:
    hops = Hops()
    with begin() as recorder:
        code = execute(recorder, hosts, hops, seed=5)
        record = recorder.record
    assert code is ExitCode.OK
    assert [host.at_once for host in hosts] == [1, 2]
    (moved,) = record.attempts("moved.ram-integrity.x86_64.tcg")
    assert moved.migration is not None
    assert (moved.migration.seed, moved.migration.completed) == (5, 2)
    folder = record.run.path / moved.artifacts
    assert [hop for _, hop in hops.seen] == list(read_hops(folder / HOPS_FILE))
    for host, count in zip(hosts, (4, 3), strict=True):
        assert verdicts(record, host.name) == [Verdict.PASS] * count
        assert len(host.sent) == len(set(host.tokens)) == count
        assert all(ARCHITECTURES[host.name] in token for token in host.tokens)
        sent = [text for each in host.sent for text in texts_in(json.loads(each))]
        assert paths(sent) == []
        events = [json.loads(each) for each in host.received]
        assert paths(text for event in events for text in texts_in(event)) == []
        assert sum("attempt" in event for event in events) == count
    for decision in record.decisions:
        assert isinstance(decision, Run)
        (attempt,) = record.attempts(decision.case.id)
        assert attempt.host == decision.host
        assert (record.run.path / attempt.artifacts / "console.log").read_bytes()


def test_a_host_that_breaks_takes_no_other_with_it(
    hosts: tuple[JsonHost, JsonHost], begin: Begin
) -> None:
    hosts[0].breaks_after = 1
    with begin() as recorder:
        code = execute(recorder, hosts, NullProgress())
        record = recorder.record
    assert code is ExitCode.ERROR
    assert sorted(map(str, verdicts(record, "pc"))) == ["error", "error", "error", "pass"]
    assert verdicts(record, "board") == [Verdict.PASS] * 3
    failed = [each for each in record.results() if each.verdict is Verdict.ERROR]
    assert {each.reason for each in failed} == {"host pc is lost: its power is off"}
    assert record.unfinished() == ()


def test_a_stop_cancels_on_every_host(hosts: tuple[JsonHost, JsonHost], begin: Begin) -> None:
    stop = Stop()
    for host in hosts:
        host.on_console = stop.request
    with begin() as recorder:
        session = Session(recorder, hosts, NullProgress(), {})
        asyncio.run(session.run(list(recorder.record.decisions), stop))
        assert recorder.record.unfinished()
    assert sum(len(host.sent) for host in hosts) < 7
    assert [host.running for host in hosts] == [0, 0]
    emulators = {f"qemu-system-{name}" for name in ARCHITECTURES.values()}
    ours = psutil.Process().children(recursive=True)
    assert not [each for each in ours if each.name() in emulators]
