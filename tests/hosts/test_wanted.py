"""What planning some cases takes of the inventory."""

from dataclasses import replace
from typing import Any

import pytest

from matrix.hosts.installations import Installation
from matrix.hosts.wanted import DOCTOR_MODELS, Wanted, everything, files_wanted_by, wanted_by
from matrix.model import Accelerator, Architecture, Build, Case, Target, Test
from tests import make

X86 = Architecture.X86_64


def test_each_emulator_once_with_its_models() -> None:
    cases = [
        make.case(),
        make.case(cpu="host"),
        make.case(),
        make.case(arch=Architecture.ARM),
        make.case(qemu="10.0", cpu="max"),
        make.case(test=Test("apic", "i", qemu_params=("-cpu", "qemu64,+x2apic"))),
    ]
    assert wanted_by(cases) == (
        Wanted("system", X86, ("", "host", "qemu64,+x2apic")),
        Wanted("system", Architecture.ARM, ("",)),
        Wanted("10.0", X86, ("max",)),
    )


@pytest.mark.parametrize(
    "only_tcg",
    [make.case(accel=Accelerator.TCG), make.case(test=Test("t", "i", accelerator="tcg"))],
)
def test_no_proof_for_tcg(only_tcg: Case) -> None:
    assert wanted_by([only_tcg]) == (Wanted("system", X86, ()),)


def test_kvm_is_proven_where_the_test_is_for_kvm() -> None:
    (wanted,) = wanted_by([make.case(test=Test("t", "i", accelerator="kvm"))])
    assert wanted.cpus == ("",)


def test_nothing_for_cases_that_never_run() -> None:
    cases = [
        replace(make.case(), excluded="nodefault"),
        make.case(test=Test("t", "i", unsupported="no")),
    ]
    assert wanted_by(cases) == ()


def test_files() -> None:
    checks = (("/proc/a", "1"), ("/sys/b", "Y"))
    cases = [
        make.case(),
        make.case(test=Test("t", "i", checks=checks)),
        make.case(test=Test("u", "i", checks=checks)),
    ]
    assert files_wanted_by(cases) == ("/proc/a", "/sys/b")


def test_everything() -> None:
    found = everything([Installation("system"), Installation("mine")])
    assert len(found) == 2 * len(Architecture)
    assert all(wanted.cpus == DOCTOR_MODELS[wanted.architecture] for wanted in found)
    assert all("" in wanted.cpus for wanted in found)


@pytest.mark.parametrize(
    ("arch", "axes", "machine"),
    [
        (X86, {}, ""),
        (X86, {"machine": "q35,smm=on"}, "q35"),
        (Architecture.AARCH64, {}, "virt"),
        (X86, {"accel": Accelerator.TCG}, None),
    ],
)
def test_kvm_is_proven_with_firmware_where_a_build_needs_it(
    arch: Architecture, axes: dict[str, Any], machine: str | None
) -> None:
    plain = make.case(arch=arch, **axes)
    with_firmware = replace(plain, build=replace(plain.build, efi=True))
    (wanted,) = wanted_by([plain, with_firmware])
    assert wanted.firmware_machine == machine
    assert wanted_by([plain])[0].firmware_machine is None


def test_builds_for_kvmtool_want_no_qemu() -> None:
    of_qemu = make.case()
    of_kvmtool = replace(of_qemu, build=replace(of_qemu.build, target=Target.KVMTOOL))
    assert wanted_by([of_kvmtool]) == ()
    assert wanted_by([of_kvmtool, of_qemu]) == (Wanted("system", X86, ("",)),)


def test_programs_in_a_virtual_host_take_its_qemu() -> None:
    program = replace(make.case(), build=Build(X86, "/b", "/b", target=Target.PROGRAM))
    assert wanted_by([program]) == ()
    assert wanted_by([program], virtual=(Architecture.ARM,)) == ()
    assert wanted_by([program], virtual=(X86,)) == (Wanted("system", X86),)


def test_no_kvm_is_proven_where_virtual_hosts_have_it() -> None:
    kvm, auto = make.case(accel=Accelerator.KVM, cpu="host"), make.case()
    assert wanted_by([kvm], no_kvm_here=(X86,)) == (Wanted("system", X86),)
    assert wanted_by([kvm], virtual=(X86,)) == (Wanted("system", X86, ("host",)),)
    assert wanted_by([auto], no_kvm_here=(X86,)) == (Wanted("system", X86, ("",)),)
