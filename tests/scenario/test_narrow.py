"""What the command line makes of a scenario."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.errors import UsageError
from matrix.model import Accelerator, Architecture, Endian, RunSettings, Variant
from matrix.scenario.narrow import narrow
from matrix.scenario.scenario import Scenario
from tests.scenario.conftest import load_file

Load = Callable[..., Scenario]
ARM, I386, X86 = Architecture.ARM, Architecture.I386, Architecture.X86_64
AUTO, KVM, TCG = Accelerator.AUTO, Accelerator.KVM, Accelerator.TCG
BIG = Variant(Architecture.PPC64, TCG, endian=Endian.BIG)
SMOKE = Path(__file__).parents[2] / "scenarios/smoke.yaml"


def test_nothing_given_changes_nothing(load_matrix: Load) -> None:
    scenario = load_matrix("{arch: [arm, i386], exclude: [{arch: arm, reason: r}]}")
    assert narrow(scenario) == scenario


def test_architectures_are_kept_in_the_scenarios_order(load_matrix: Load) -> None:
    scenario = load_matrix("{arch: [x86_64, i386, arm64], smp: [1, 2]}")
    kept = narrow(scenario, arch=["arm64", "amd64", "x86_64"])
    assert [(v.arch, v.smp) for v in kept.variants] == [
        (X86, 1),
        (X86, 2),
        (Architecture.AARCH64, 1),
        (Architecture.AARCH64, 2),
    ]


def test_excluded_architectures_are_kept_too(load_matrix: Load) -> None:
    scenario = load_matrix("{arch: [arm, i386], exclude: [{arch: arm, reason: r}]}")
    kept = narrow(scenario, arch=["arm"])
    assert not kept.variants
    assert [exclusion.reason for exclusion in kept.exclusions] == ["r"]


@pytest.mark.parametrize(
    ("accel", "expected"),
    [
        (["tcg"], [*(Variant(arch, TCG) for arch in Architecture), BIG]),
        (["kvm"], [*(Variant(arch, KVM) for arch in Architecture), replace(BIG, accel=KVM)]),
        (["auto"], [*(Variant(arch) for arch in Architecture), replace(BIG, accel=AUTO)]),
        (
            ["kvm", "tcg", "kvm"],
            [
                *(Variant(arch, a) for arch in Architecture for a in (KVM, TCG)),
                *(replace(BIG, accel=a) for a in (KVM, TCG)),
            ],
        ),
    ],
)
def test_accel_replaces_the_axis_of_smoke(accel: list[str], expected: list[Variant]) -> None:
    assert list(narrow(load_file(SMOKE), accel=accel).variants) == expected


def test_set_replaces_or_adds_an_axis(load_matrix: Load) -> None:
    scenario = load_matrix("{arch: [arm, i386], smp: [1, 2]}")
    changed = narrow(scenario, set_=["smp=4", "memory=1.5GiB", "machine=a,b=c", "machine=d"])
    assert changed.variants == tuple(
        Variant(arch, smp=4, memory=1536 << 20, machine=machine)
        for arch in (ARM, I386)
        for machine in ("a,b=c", "d")
    )
    assert narrow(scenario, set_=["arch=x86_64"]).variants == (
        Variant(X86, smp=1),
        Variant(X86, smp=2),
    )
    assert narrow(scenario, set_=["arch=x86_64"], arch=["amd64"]).variants


def test_narrowing_twice_is_narrowing_at_once(load_matrix: Load) -> None:
    scenario = load_matrix("{arch: [arm, i386, x86_64], smp: [1, 2]}")
    twice = narrow(narrow(scenario, arch=["arm", "i386"], accel=["kvm"]), set_=["smp=4"])
    assert twice == narrow(scenario, arch=["arm", "i386"], accel=["kvm"], set_=["smp=4"])
    assert narrow(twice, arch=["arm"]).variants == (Variant(ARM, KVM, smp=4),)


def test_several_values_in_one_word(load_matrix: Load) -> None:
    scenario = load_matrix("{arch: [arm], smp: [2]}")
    assert narrow(scenario, set_=["smp=1,4"]) == narrow(scenario, set_=["smp=1", "smp=4"])
    with pytest.raises(UsageError, match="--set smp=1,x"):
        narrow(scenario, set_=["smp=1,x"])


def test_settings(load_matrix: Load) -> None:
    scenario = load_matrix("{arch: [arm]}")
    assert narrow(
        scenario, repeat=3, until_fail=True, retries=2, timeout=5.0
    ).settings == RunSettings(repeat=3, until_fail=True, retries=2, forced_timeout=5.0)
    assert not narrow(scenario, repeat=1, until_fail=True).settings.until_fail


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arch": ["s390x"]}, "--arch: scenario 's' has no s390x; it has arm, i386"),
        (
            {"arch": ["arm", "amr"]},
            (
                "--arch: 'amr' is not an architecture; did you mean 'arm'? allowed: x86_64, i386, "
                "aarch64, arm, ppc64, s390x, riscv64, riscv32, mips64el, loongarch64"
            ),
        ),
        (
            {"accel": ["hvf"]},
            "--accel: 'hvf' is not an accelerator; allowed: auto, kvm, tcg",
        ),
        (
            {"set_": ["spm=4"]},
            (
                "--set spm=4: 'spm' is not an axis; did you mean 'smp'? "
                "allowed: arch, accel, qemu, machine, cpu, smp, memory, backend, endian, kernel, "
                "mode, kernel_parameters, module_parameters, host, strategy, transport, fault, "
                "destination"
            ),
        ),
        ({"set_": ["smp"]}, "--set smp: there is no '='; as in --set smp=4"),
        (
            {"set_": ["smp=0"]},
            "--set smp=0: '0' is not a number of vCPUs; allowed: 1 to 4096",
        ),
        ({"set_": ["cpu="]}, "--set cpu=: is empty; a text is wanted"),
        ({"repeat": 0}, "--repeat: '0' is not a number of repeats; allowed: 1 to 10000"),
        ({"timeout": 0.0}, "--timeout: '0s' is out of range; allowed: 100ms to 30d"),
        ({"timeout": float("nan")}, "--timeout: 'nans' is out of range; allowed: 100ms to 30d"),
    ],
)
def test_what_is_refused(load_matrix: Load, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        narrow(load_matrix("{arch: [arm, i386]}"), **options)
    assert str(caught.value) == message


def test_too_many_combinations_are_refused(load_matrix: Load) -> None:
    scenario = load_matrix("{arch: [arm]}")
    numbers = range(1, 401)
    options = [*(f"smp={n}" for n in numbers), *(f"memory={n}MiB" for n in numbers)]
    with pytest.raises(UsageError, match="more than 100000 combinations"):
        narrow(scenario, set_=options)


def test_each_host_stands_for_every_host_of_the_run(load_matrix: Load) -> None:
    scenario = load_matrix("{arch: [arm], host: [each, b], exclude: [{host: c, reason: r}]}")
    assert scenario.matrix.names_each_host
    assert [each.host for each in narrow(scenario).variants] == ["each", "b"]
    found = narrow(scenario, hosts=["a", "b", "c"])
    assert [each.host for each in found.variants] == ["b", "a"]
    assert [each.variant.host for each in found.exclusions] == ["c"]
    named = narrow(scenario, hosts=["a", "b"], set_=["host=b"])
    assert [each.host for each in named.variants] == ["b"]
    given = narrow(scenario, hosts=["a", "b"], set_=["host=each"])
    assert [each.host for each in given.variants] == ["a", "b"]
    scenario = load_matrix("{arch: [arm], host: each}")
    assert [each.host for each in narrow(scenario, hosts=["a", "b"]).variants] == ["a", "b"]


def test_attempts_are_spread_if_the_scenario_or_the_user_says_so(load_matrix: Load) -> None:
    scenario = load_matrix("{arch: [arm]}")
    assert narrow(scenario, spread=True).settings.spread
    assert not narrow(scenario).settings.spread
