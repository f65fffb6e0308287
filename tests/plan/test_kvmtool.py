"""Builds for kvmtool: every reason to skip one, and its command line."""

from dataclasses import replace
from typing import Any

import pytest

from matrix.inventory import Host, Inventory
from matrix.model import (
    Accelerator,
    AcceleratorLabel,
    Architecture,
    ExitChannel,
    Expectation,
    Target,
)
from matrix.plan.decisions import Run, Skip
from matrix.plan.kvmtool import OVERHEAD, launch_kvmtool
from matrix.plan.machines import MIB
from matrix.plan.planner import decide
from matrix.versions import VersionRange
from tests import make

ARM, ARM64 = Architecture.ARM, Architecture.AARCH64
HOST = Host(architecture="aarch64", kernel="6.1.0", cpus=4, memory=8 * 2**30)
INVENTORY = Inventory(HOST, kvmtool="/usr/bin/lkvm")


def kvmtool_case(arch: Architecture = ARM64, **axes: Any) -> Any:
    test = make.test(
        image="/build/arm/selftest.flat",
        arguments="setup smp=2 mem=256",
        smp=2,
        qemu_params=("-m", "256"),
        kvmtool_params=("--mem", "256"),
    )
    return make.case(arch=arch, test=test, build=make.build(arch, target=Target.KVMTOOL), **axes)


def reason(case: Any, **changes: Any) -> str:
    inventory = replace(INVENTORY, **changes)
    decision = decide(case, inventory)
    assert isinstance(decision, Skip)
    return decision.reason


def test_it_runs_without_any_qemu() -> None:
    case = kvmtool_case()
    decision = decide(case, INVENTORY)
    assert decision == Run(
        case, Accelerator.KVM, "kvmtool has no other", vcpus=2, memory=256 * MIB + OVERHEAD
    )


@pytest.mark.parametrize(
    ("params", "axes", "vcpus", "mebibytes"),
    [
        ((), {}, 2, 320),
        (("--pmu",), {"smp": 4}, 4, 448),
        (("--mem", "1G"), {}, 2, 320),
        (("--mem", "256"), {"memory": 512 * MIB}, 2, 512),
    ],
)
def test_what_it_takes_of_the_host(
    params: tuple[str, ...], axes: dict[str, Any], vcpus: int, mebibytes: int
) -> None:
    case = kvmtool_case(**axes)
    case = replace(case, test=replace(case.test, kvmtool_params=params))
    decision = decide(case, INVENTORY)
    assert isinstance(decision, Run)
    assert (decision.vcpus, decision.memory - OVERHEAD) == (vcpus, mebibytes * MIB)


class TestSkips:
    def test_not_installed(self) -> None:
        found = reason(kvmtool_case(), kvmtool="")
        assert found.startswith("the build is for kvmtool, which is not installed (build it from")

    def test_no_kvm(self) -> None:
        host = replace(HOST, kvm_device="/dev/kvm: permission denied")
        found = reason(kvmtool_case(), host=host)
        assert found == "the build is for kvmtool, which needs KVM: /dev/kvm: permission denied"

    def test_another_host(self) -> None:
        found = reason(kvmtool_case(), host=replace(HOST, architecture="x86_64"))
        assert found.endswith("runs aarch64 guests under KVM only, and this host is x86_64")

    def test_tcg(self) -> None:
        assert reason(kvmtool_case(accel=Accelerator.TCG)).endswith("accelerator is tcg")
        case = kvmtool_case()
        case = replace(case, test=replace(case.test, accelerator="tcg"))
        assert reason(case).endswith("accelerator is tcg")

    @pytest.mark.parametrize("axis", ["machine", "cpu"])
    def test_axes_that_it_does_not_have(self, axis: str) -> None:
        assert reason(kvmtool_case(ARM64, **{axis: "x"})).endswith(f"has no choice of {axis}")

    def test_uefi(self) -> None:
        case = kvmtool_case()
        assert "UEFI" in reason(replace(case, build=replace(case.build, efi=True)))

    def test_host_files(self) -> None:
        case = kvmtool_case()
        case = replace(case, test=replace(case.test, checks=(("/sys/x", "Y"),)))
        assert reason(case) == "needs /sys/x to hold 'Y', but it cannot be read"


def test_known_failures_of_some_qemu_are_not_its() -> None:
    any_qemu = Expectation("known.yaml:1", "broken", ("boot",), accel=(AcceleratorLabel.KVM,))
    some = replace(any_qemu, qemu=(VersionRange((0, 0, 0, 0)),))
    case = replace(kvmtool_case(), expected=(any_qemu, some))
    decision = decide(case, INVENTORY)
    assert isinstance(decision, Run)
    assert decision.expected == (any_qemu,)


def test_command_line() -> None:
    launch = launch_kvmtool(kvmtool_case(), "/usr/bin/lkvm", "aarch64", initrd="/run/env")
    assert launch.argv == (
        *("/usr/bin/lkvm", "run"),
        *("--kernel", "/build/arm/selftest.flat"),
        *("--cpus", "2"),
        *("--params", "setup smp=2 mem=256"),
        *("--nodefaults", "--network", "mode=none", "--loglevel=warning"),
        *("--mem", "256"),
        *("--initrd", "/run/env"),
    )
    assert (launch.channel, launch.program) == (ExitChannel.CONSOLE, "kvmtool")
    assert not launch.monitor


def test_a_32_bit_guest_on_a_64_bit_host() -> None:
    case = kvmtool_case(ARM, smp=3, memory=512 * MIB)
    argv = launch_kvmtool(case, "lkvm", "aarch64").argv
    assert argv[-5:] == ("--mem", "256", "--mem", "512", "--aarch32")
    assert argv[argv.index("--cpus") + 1] == "3"
    assert "--aarch32" not in launch_kvmtool(case, "lkvm", "armv7l").argv
