"""Tests whose number of vCPUs is the host's, as they are where they come to run under KVM."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product

from matrix.inventory import Inventory, KvmState
from matrix.model import Build, Case, Target, Test
from matrix.plan.planner import NativeTests
from matrix.suites.registry import suite_of

TCG_MAX_SMP = 8
"""What ``$MAX_SMP`` stands for under TCG where the scenario does not say, as in kvm-unit-tests' own
CI; under KVM it is the number of the host's CPUs."""


def native_tests(cases: Sequence[Case], hosts: Iterable[Inventory]) -> NativeTests:
    """The tests of ``cases``, all of which leave ``$MAX_SMP`` to us, as they are under KVM.

    Raises:
        SuiteError: a build is no longer readable.
    """
    found: dict[tuple[Build, int], dict[str, Test]] = {}
    suites = {case.build: case.suite for case in cases if not case.excluded}
    for inventory, (build, suite) in product(hosts, suites.items()):
        cpus = inventory.host.cpus
        known = build.builtin or cpus == build.max_smp or (build, cpus) in found
        if not known and _may_have_kvm(build, inventory):
            tests = suite_of(suite).tests(replace(build, max_smp=cpus))
            found[build, cpus] = {test.name: test for test in tests}
    return {key: _others(key[0], tests, cases) for key, tests in found.items()}


def _others(build: Build, tests: Mapping[str, Test], cases: Iterable[Case]) -> dict[str, Test]:
    """Those of ``tests`` that differ from the same test of ``cases``."""
    return {
        case.test.name: tests[case.test.name]
        for case in cases
        if case.build == build and not case.test.unsupported
        if tests.get(case.test.name, case.test) != case.test
    }


def _may_have_kvm(build: Build, inventory: Inventory) -> bool:
    """Whether a case of that build may come to run under KVM."""
    if build.target is Target.KVMTOOL:
        return not inventory.host.kvm_device
    return any(
        proof.architecture is build.architecture and proof.state is not KvmState.UNAVAILABLE
        for proof in inventory.proofs
    )
