"""How many vCPUs ``$MAX_SMP`` stands for, where the scenario does not say.

Tests are read before it is known what they run under. TCG is not bound by the host's CPUs, KVM is:
the tests that a plan gives to KVM, and that take as many vCPUs as there are, are read again.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from matrix.inventory import Inventory
from matrix.model import Accelerator, Build, Test
from matrix.plan.decisions import Decision, Run
from matrix.plan.planner import decide
from matrix.suites.unittests import read_tests

TCG_MAX_SMP = 8
"""What kvm-unit-tests' own CI uses."""


def with_host_smp(
    decisions: Iterable[Decision], inventory: Inventory, scenarios: Collection[str]
) -> list[Decision]:
    """``decisions`` with the values of tests under KVM as for as many vCPUs as the host has CPUs.

    Args:
        decisions: of cases whose tests were read with :data:`TCG_MAX_SMP`.
        inventory: of this host.
        scenarios: names of those that leave the number to us.

    Raises:
        SuiteError: a build is no longer readable.
    """
    cpus = inventory.host.cpus
    reread: dict[Build, Mapping[str, Test]] = {}

    def decided(decision: Decision) -> Decision:
        case = decision.case
        if (
            not isinstance(decision, Run)
            or decision.accelerator is not Accelerator.KVM
            or case.scenario not in scenarios
            or case.build.builtin
            or cpus == case.build.max_smp
        ):
            return decision
        build = replace(case.build, max_smp=cpus)
        if build not in reread:
            reread[build] = {test.name: test for test in read_tests(build, max_smp=cpus)}
        test = reread[build].get(case.test.name, case.test)
        if test == case.test:
            return decision
        native = decide(replace(case, test=test, build=build), inventory)
        # A machine may take fewer vCPUs than this host has CPUs: then it stays at the fewer.
        return native if isinstance(native, Run) else decision

    return [decided(decision) for decision in decisions]
