"""Tests that are programs of a host: every reason to skip one, and its command line."""

from dataclasses import replace
from typing import Any

import pytest

from matrix.capabilities import Kind, Need
from matrix.hosts.wanted import files_wanted_by
from matrix.inventory import Host, Inventory
from matrix.migrating import Migration
from matrix.model import Accelerator, Architecture, Case, ExitChannel, Launch, Target
from matrix.plan.decisions import Run, Skip
from matrix.plan.machines import MIB
from matrix.plan.planner import decide
from matrix.plan.prelaunch import can_prelaunch
from matrix.plan.program import launch_program
from matrix.verdicts import SkipCause
from tests import make

X86 = Architecture.X86_64
HOST = Host(architecture="x86_64", kernel="6.12.1-amd64", cpus=2, memory=8 * 2**30)


def program(**axes: Any) -> Case:
    test = make.test(
        name="log", image="/kvm/log", arguments="-m 2", smp=2, memory=2**30, accelerator="kvm"
    )
    built = make.build(X86, target=Target.PROGRAM, revision="6.12.117")
    case: Case = make.case(arch=axes.pop("arch", X86), test=test, build=built, **axes)
    return case


def test_it_runs_without_any_qemu() -> None:
    case = program()
    decision = decide(case, Inventory(HOST))
    why = "the program uses KVM itself"
    assert decision == Run(case, Accelerator.KVM, why, vcpus=2, memory=2**30)
    assert not can_prelaunch(decision)
    argv = ("/kvm/log", "-m", "2")
    assert launch_program(case) == Launch(argv, ExitChannel.STATUS, program="log", monitor=False)


def test_a_parameter_that_it_needs_is_read_on_the_host() -> None:
    needs = (Need(Kind.PARAMETER, "kvm.enable_pmu=Y"),)
    case = replace(program(), test=replace(program().test, needs=needs))
    path = "/sys/module/kvm/parameters/enable_pmu"
    assert files_wanted_by([case]) == (path,)
    assert isinstance(decide(case, Inventory(HOST, files=((path, "Y"),))), Run)
    skipped = decide(case, Inventory(HOST, files=((path, "N"),)))
    assert isinstance(skipped, Skip)
    reason = f"needs kvm.enable_pmu=Y, but on this host {path} holds 'N'"
    assert (skipped.reason, skipped.cause) == (reason, SkipCause.HOST)
    elsewhere = decide(case, Inventory(replace(HOST, architecture="aarch64")))
    assert isinstance(elsewhere, Skip)
    assert elsewhere.reason == "a program for x86_64, but this host is aarch64"


@pytest.mark.parametrize(
    ("axes", "host", "reason", "cause"),
    [
        (
            {"accel": Accelerator.TCG},
            {},
            "the test is a program that uses KVM itself, but the accelerator is tcg",
            SkipCause.TEST,
        ),
        (
            {"memory": 2**28},
            {},
            "the test is a program, which has no choice of memory",
            SkipCause.TEST,
        ),
        (
            {"migration": Migration()},
            {},
            "the test is a program, which cannot be migrated",
            SkipCause.TEST,
        ),
        (
            {},
            {"architecture": "aarch64"},
            "a program for x86_64, but this host is aarch64",
            SkipCause.NO_ACCELERATOR,
        ),
        ({}, {"kvm_device": "no /dev/kvm"}, "needs KVM: no /dev/kvm", SkipCause.NO_ACCELERATOR),
        ({}, {"cpus": 1}, "needs 2 CPUs, but this host has 1", SkipCause.HOST),
        (
            {},
            {"memory_limit": 512 * MIB},
            "needs 1024 MiB of memory, but this host has 512 MiB",
            SkipCause.HOST,
        ),
    ],
)
def test_reasons_to_skip(
    axes: dict[str, Any], host: dict[str, Any], reason: str, cause: SkipCause
) -> None:
    case = program(**axes)
    assert decide(case, Inventory(replace(HOST, **host))) == Skip(case, reason, cause)


def test_another_kernels_suite_is_noted() -> None:
    decision = decide(program(), Inventory(replace(HOST, kernel="6.18.4-x")))
    assert isinstance(decision, Run)
    assert decision.notes == ("builtin of Linux 6.12.117, but the host runs 6.18.4-x",)
