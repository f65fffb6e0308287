"""Guests that migrate from host to host, with real QEMUs: two workers of this machine."""

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix.migrating import Hop, HopOutcome
from matrix.migration.folding import HOPS_FILE
from matrix.migration.hop_records import read_hops
from matrix.model import Architecture
from tests.cli.conftest import World
from tests.cli.test_fleet_run import Lab
from tests.installed import lend_answers
from tests.migration.conftest import OTHER_QEMUS

pytestmark = pytest.mark.qemu

SCENARIO = """
name: far
suite: {kind: kvm-unit-tests, build: builtin, tests: [ram-integrity]}
matrix:
  arch: [x86_64]
  accel: [tcg]
  strategy: [precopy]
  transport: [tcp+tls-x509, unix]
  include:
    - {arch: aarch64, accel: tcg, strategy: postcopy, transport: tcp}
migration: {mode: continuous, hops: 3, pace: 20ms, destination: {host: other}}
"""
VERSIONS = """
name: far
suite: {{kind: kvm-unit-tests, build: builtin, tests: [ram-integrity]}}
matrix: {{arch: [x86_64], accel: [tcg], cpu: [qemu64], strategy: [precopy, postcopy]}}
migration: {{hops: 2, pace: 20ms, destination: {{host: other, qemu: "{qemu}"}}}}
"""
FAULTS = """
name: far
suite: {kind: kvm-unit-tests, build: builtin, tests: [ram-integrity]}
matrix:
  arch: [x86_64]
  accel: [tcg]
  strategy: [multifd]
  fault: [cut-link-in-precopy]
  include:
    - {arch: x86_64, accel: tcg, strategy: postcopy, fault: cut-link-briefly-in-postcopy}
    - {arch: x86_64, accel: tcg, strategy: postcopy, fault: cut-link-in-postcopy}
    - {arch: x86_64, accel: tcg, strategy: postcopy, fault: lose-source-host-in-postcopy}
migration: {mode: once, destination: {host: other}}
"""
LONGEST_BOUND = 0.5
"""Seconds; a busy machine answers late."""


@pytest.fixture
def lab(world: World) -> Iterator[Lab]:
    lend_answers(world.root / "cache", Architecture.X86_64, Architecture.AARCH64)
    found = Lab(world)
    yield found
    found.stop()


def hops_of(world: World, case_id: str) -> list[Hop]:
    return list(read_hops(world.root / "out/cases" / case_id / HOPS_FILE))


def test_guests_go_from_host_to_host_and_back(world: World, lab: Lab) -> None:
    for program in ("qemu-system-x86_64", "qemu-system-aarch64"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    Path(world.root / "scenario.yaml").write_text(SCENARIO)
    lab.start("z1", "z2", qemus=())
    done = world.run(*lab.run_arguments())
    assert done.returncode == 0, done.stdout + done.stderr
    found = {case["id"]: case for case in world.results()["cases"]}
    skipped = found.pop("far.ram-integrity.x86_64.tcg.strategy=precopy.transport=unix")
    assert (skipped["verdict"], skipped["reason"]) == (
        "skip",
        "transport 'unix' is within one host only",
    )
    assert [case["verdict"] for case in found.values()] == ["pass", "pass"]
    for case_id in found:
        hops = hops_of(world, case_id)
        assert [hop.outcome for hop in hops] == [HopOutcome.COMPLETED] * 3
        hosts = [hop.source.rpartition(" on ")[2] for hop in hops]
        hosts += [hops[-1].destination.rpartition(" on ")[2]]
        assert hosts in (["z1", "z2", "z1", "z2"], ["z2", "z1", "z2", "z1"])
        for before, after in itertools.pairwise(hops):
            assert before.destination == after.source
        for hop in hops:
            assert hop.clock_bound is not None
            assert hop.stop_to_resume is not None
            assert 0 < hop.clock_bound < LONGEST_BOUND
            assert hop.stop_to_resume > -hop.clock_bound
        assert any(hop.blackout is not None for hop in hops)
        console = (world.root / "out/cases" / case_id / "console.log").read_text()
        beats = [line.split()[2] for line in console.splitlines() if " BEAT " in line]
        assert beats == [f"n={number}" for number in range(1, len(beats) + 1)]
    assert lab.stop() == [0, 0]


@pytest.mark.slow  # four guests' worth of QEMUs, two of them asked about everything first
@pytest.mark.skipif(OTHER_QEMUS not in os.environ, reason=f"{OTHER_QEMUS} names no other QEMU")
@pytest.mark.parametrize("given", os.environ.get(OTHER_QEMUS, "").split())
def test_guests_go_to_another_version_on_the_other_host(world: World, lab: Lab, given: str) -> None:
    """Only z2 has it: from z1 to z2 and back, by a machine that both have."""
    qemu = given.partition("=")[0]
    Path(world.root / "scenario.yaml").write_text(VERSIONS.format(qemu=qemu))
    lab.start("z1", qemus=())
    lab.start("z2", qemus=("--qemu", given))
    done = world.run(*lab.run_arguments())
    assert done.returncode == 0, done.stdout + done.stderr
    for case in world.results()["cases"]:
        there, back = hops_of(world, case["id"])
        assert (there.outcome, back.outcome) == (HopOutcome.COMPLETED, HopOutcome.COMPLETED)
        assert there.source.startswith("system ")
        assert there.source.endswith(" on z1")
        assert there.destination.startswith(f"{qemu} {qemu}")
        assert there.destination.endswith(" on z2")
        assert (back.source, back.destination) == (there.destination, there.source)
        assert there.machine.startswith("pc-")


@pytest.mark.slow  # cuts of three and four seconds
def test_the_link_is_cut_and_a_host_is_lost(world: World, lab: Lab) -> None:
    """Over TLS: what is sent goes through a passage of the other host's worker."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    Path(world.root / "scenario.yaml").write_text(FAULTS)
    lab.start("z1", "z2", qemus=())
    done = world.run(*lab.run_arguments("-j", "2"))
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for case in world.results()["cases"]:
        hops = hops_of(world, case["id"])
        assert all(hop.good for hop in hops), hops
        found[case["axes"]["fault"]] = [hop.outcome for hop in hops]
        if case["axes"]["fault"] == "cut-link-in-precopy":
            assert "yank" in [event.what for event in hops[0].events]
    lost, completed = HopOutcome.LOST, HopOutcome.COMPLETED
    # The cancellation comes after the yank, and may come before QEMU has noticed that.
    cut, again = found.pop("cut-link-in-precopy")
    assert cut in {HopOutcome.FAILED, HopOutcome.CANCELLED}
    assert again is completed
    assert found == {
        "cut-link-briefly-in-postcopy": [completed, completed],
        "cut-link-in-postcopy": [lost],
        "lose-source-host-in-postcopy": [lost],
    }
