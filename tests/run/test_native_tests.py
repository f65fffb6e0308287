"""Tests that take as many vCPUs as there are, under KVM and under TCG."""

from dataclasses import replace
from pathlib import Path

import pytest

from matrix.inventory import Binary, Host, Inventory, KvmProof, KvmState, Machine
from matrix.model import Accelerator, Architecture, Case, Variant
from matrix.plan.decisions import LOCAL, Decision, Run
from matrix.plan.planner import plan
from matrix.run.native_tests import TCG_MAX_SMP, native_tests
from matrix.suites.build import read_build
from matrix.suites.unittests import read_tests

X86 = Architecture.X86_64


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A build with a test that takes all vCPUs and one that takes two."""
    (tmp_path / "x86").mkdir()
    (tmp_path / "config.mak").write_text("ARCH=x86_64\nTEST_DIR=x86\nTARGET=qemu\n")
    text = "[all]\nfile = all.flat\nsmp = $MAX_SMP\n[two]\nfile = two.flat\nsmp = 2\n"
    (tmp_path / "x86/unittests.cfg").write_text(text)
    for name in ("all", "two"):
        (tmp_path / f"x86/{name}.flat").touch()
    return tmp_path


def inventory(cpus: int, cpu_max: int = 288) -> Inventory:
    binary = Binary(
        "system",
        X86,
        "/usr/bin/qemu-system-x86_64",
        (7, 2, 22),
        "7.2.22",
        machines=(Machine("q35", cpu_max=cpu_max),),
    )
    proof = KvmProof("system", X86, "", KvmState.WORKS, "all pass")
    host = Host("x86_64", "6.1.0", cpus, 2**34)
    return Inventory(host, binaries=(binary,), proofs=(proof,))


def cases(directory: Path, accel: Accelerator) -> list[Case]:
    build = replace(read_build(directory), max_smp=TCG_MAX_SMP)
    return [
        Case(
            f"s.{test.name}", "s", "kvm-unit-tests", test, Variant(X86, accel, machine="q35"), build
        )
        for test in read_tests(build, max_smp=TCG_MAX_SMP)
    ]


def planned(directory: Path, accel: Accelerator, host: Inventory) -> list[Decision]:
    of_build = cases(directory, accel)
    return list(plan(of_build, {LOCAL: host}, native_tests(of_build, [host])))


def vcpus(directory: Path, accel: Accelerator, host: Inventory) -> dict[str, int]:
    decisions = planned(directory, accel, host)
    for decision in decisions:
        assert isinstance(decision, Run)
        assert decision.case.test.smp == decision.vcpus
    return {one.case.id: one.vcpus for one in decisions if isinstance(one, Run)}


def test_under_kvm_they_take_the_hosts_cpus(directory: Path) -> None:
    assert vcpus(directory, Accelerator.KVM, inventory(16)) == {"s.all": 16, "s.two": 2}
    assert vcpus(directory, Accelerator.AUTO, inventory(2)) == {"s.all": 2, "s.two": 2}


def test_under_tcg_they_take_eight(directory: Path) -> None:
    assert vcpus(directory, Accelerator.TCG, inventory(16)) == {"s.all": 8, "s.two": 2}


def test_a_machine_that_takes_fewer_gets_fewer(directory: Path) -> None:
    found = vcpus(directory, Accelerator.KVM, inventory(64, cpu_max=32))
    assert found == {"s.all": 8, "s.two": 2}


def test_the_build_remembers_for_what_is_evaluated_right_before_the_run(directory: Path) -> None:
    decisions = planned(directory, Accelerator.KVM, inventory(16))
    assert [decision.case.build.max_smp for decision in decisions] == [16, 8]


def test_where_there_is_no_kvm_nothing_is_read_twice(directory: Path) -> None:
    of_build = cases(directory, Accelerator.AUTO)
    (directory / "x86/unittests.cfg").unlink()
    unproven = replace(inventory(16), proofs=())
    assert native_tests(of_build, [unproven]) == {}
    assert all(isinstance(each, Run) for each in plan(of_build, {LOCAL: unproven}))


def test_only_tests_that_differ_are_kept(directory: Path) -> None:
    (found,) = native_tests(cases(directory, Accelerator.AUTO), [inventory(16)]).values()
    assert list(found) == ["all"]
