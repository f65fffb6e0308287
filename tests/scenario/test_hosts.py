"""``hosts`` of a scenario, and the axes that say which of them a case runs in."""

from collections.abc import Callable

import pytest

from matrix.errors import ScenarioError, UsageError
from matrix.model import Architecture, HostDevice, KvmMode, Variant
from matrix.scenario.case_id import variant_suffix
from matrix.scenario.expand import SuiteTests, expand
from matrix.scenario.narrow import narrow
from matrix.scenario.scenario import HostKernel, Scenario, VirtualHostEntry
from matrix.scenario.selection import select

Load = Callable[..., Scenario]
TEXT = """\
name: kernels
suite: {kind: kvm-unit-tests, build: builtin}
hosts:
  - virtual: {arch: arm64}
  - virtual:
      arch: [x86_64, riscv64]
      kernel:
        - debian-12
        - "linux/{arch}/Image"
        - {image: "${LINUX}/vmlinux", modules: mods, name: mine}
      cpus: 2
      devices: edu
      memory: 2GiB
      kernel_parameters: loglevel=7
      module_parameters: {kvm.nx_huge_pages: "off", kvm.halt_poll_ns: 0}
matrix:
  arch: [aarch64, x86_64]
  kernel: [debian-12, mine]
  module_parameters: [{kvm_amd.nested: 0}, "kvm_amd.nested=1 kvm.a=2"]
"""


def test_hosts_and_their_kernels(load: Load) -> None:
    plain, full = load(TEXT, {"LINUX": "/linux"}).hosts
    assert plain == VirtualHostEntry((Architecture.AARCH64,), plain.kernels, plain.place)
    (usual,) = plain.kernels
    assert (usual.name, usual.image, usual.modules) == ("debian-13", "debian-13", "")
    assert full.architectures == (Architecture.X86_64, Architecture.RISCV64)
    assert [(kernel.name, kernel.image, kernel.modules) for kernel in full.kernels] == [
        ("debian-12", "debian-12", ""),
        ("Image", "/scenarios/linux/{arch}/Image", ""),
        ("mine", "/linux/vmlinux", "/scenarios/mods"),
    ]
    assert isinstance(full.kernels[2], HostKernel)
    assert full.kernels[2].written == ("${LINUX}/vmlinux", "mods", "")
    assert full.kernels[2].place.line == 10
    assert (full.cpus, full.memory, full.kernel_parameters) == (2, 2 << 30, "loglevel=7")
    assert full.devices == (HostDevice.EDU,)
    assert full.module_parameters == "kvm.halt_poll_ns=0 kvm.nx_huge_pages=off"


def test_a_kernel_is_an_axis(load: Load) -> None:
    scenario = load(TEXT, {"LINUX": "/linux"})
    assert len(scenario.variants) == 8
    assert variant_suffix(scenario.variants[3]) == (
        "aarch64.auto.kernel=mine.module_parameters=kvm.a=2%20kvm_amd.nested=1"
    )
    other = narrow(scenario, set_=["kernel=debian-13", "mode=nvhe"])
    assert {variant.kernel for variant in other.variants} == {"debian-13"}
    assert {variant.mode for variant in other.variants} == {KvmMode.NVHE}
    with pytest.raises(UsageError, match="'fast' is not a mode of KVM on aarch64"):
        narrow(scenario, set_=["mode=fast"])
    with pytest.raises(UsageError, match="'kvm' is not a module parameter"):
        narrow(scenario, set_=["module_parameters=kvm"])


def test_without_such_an_axis_ids_stay_as_they_were() -> None:
    assert variant_suffix(Variant(Architecture.ARM)) == "arm.auto"


def test_axes_select_cases(load_matrix: Load, suite: Callable[[Architecture], SuiteTests]) -> None:
    cases = expand(load_matrix("{arch: [arm64], kernel: [debian-12, debian-13]}"), suite)
    kept = select(cases, "kernel=debian-12 and boot")
    assert [case.id for case in kept] == ["s.boot.aarch64.auto.kernel=debian-12"]


@pytest.mark.parametrize("name", ["hosts: []", "hosts: {}"])
def test_no_hosts_at_all_are_no_list(load: Load, name: str) -> None:
    with pytest.raises(ScenarioError, match="hosts: "):
        load("name: s\nsuite: {kind: kvm-unit-tests}\nmatrix: {arch: [arm]}\n" + name)
