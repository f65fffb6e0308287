"""Which virtual host each case runs in, of those of the command line and of scenarios."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.errors import ScenarioError, UsageError
from matrix.hosts.virtual.choosing import VirtualHosts, chosen_hosts
from matrix.inventory import Binary, Host, Inventory
from matrix.migrating import Migration
from matrix.model import Accelerator, Architecture, Build, Case, RunSettings, Test
from matrix.plan.decisions import Run
from matrix.plan.virtual import VirtualPlace
from matrix.scenario.expand import SuiteTests, expand
from matrix.scenario.load import read_scenario
from matrix.scenario.narrow import narrow
from matrix.scenario.scenario import Scenario

NEEDED = (Architecture.AARCH64, Architecture.X86_64, Architecture.S390X)
INVENTORY = Inventory(
    Host("x86_64", "6.1", 2, 1 << 32),
    binaries=tuple(
        Binary(qemu, architecture, "/usr/bin/qemu", version, qemu)
        for architecture in NEEDED
        for qemu, version in (("system", (7, 2, 0)), ("10.0", (10, 0, 2)))
    ),
)
HOSTS = "[{virtual: {arch: [aarch64, x86_64], kernel: [debian-12, debian-13], cpus: 2}}]"
IMAGE = b"MZ" + bytes(54) + b"ARM\x64" + bytes(100)


def scenario(matrix: str, hosts: str = "", folder: Path = Path("/scenarios")) -> Scenario:
    text = f"name: s\nsuite: {{kind: kvm-unit-tests, build: builtin}}\nmatrix: {matrix}\n"
    more = f"hosts: {hosts}\n" if hosts else ""
    return read_scenario((text + more).encode(), "x.yaml", folder, {"SECRET": str(folder)})


def cases(one: Scenario) -> list[Case]:
    def suite(arch: Architecture) -> SuiteTests:
        return SuiteTests(Build(arch, "/b", "/b", builtin=True), (Test("boot", "/b/boot"),))

    return expand(one, suite)


def chosen(one: Scenario, options: Iterable[str] = ()) -> VirtualHosts:
    found = chosen_hosts(options, [one], INVENTORY)
    found.check([one], cases(one))
    return found


def places(one: Scenario, options: Iterable[str] = ()) -> list[VirtualPlace | None]:
    hosts = chosen(one, options)
    return [hosts.place_of(case) for case in cases(one)]


def names(one: Scenario, options: Iterable[str] = ()) -> list[str]:
    return [place.name if place is not None else "" for place in places(one, options)]


def test_each_kernel_is_a_host_of_its_own() -> None:
    one = scenario("{arch: [aarch64, x86_64], kernel: [debian-12, debian-13]}", HOSTS)
    hosts = chosen(one)
    found = [hosts.place_of(case) for case in cases(one)]
    assert [place is not None and place.name.rpartition("-")[0] for place in found] == [
        f"virtual-{arch}-debian-{release}" for arch in ("aarch64", "x86_64") for release in (12, 13)
    ]
    assert [host.starter.settings.cpus for host in hosts.hosts(lambda _: None)] == [2] * 4
    assert hosts.used_options()[0] == "aarch64=debian-12,cpus=2"
    first, second, *_ = hosts.hosts(lambda _: None)
    assert first.room is second.room
    assert first.capacity.most_hosts == 1
    assert found[0] is not None
    assert found[0].description == "Linux of debian-12 under TCG of QEMU system"


def test_the_command_line_goes_before_the_scenario() -> None:
    one = scenario("{arch: [aarch64, x86_64]}", "[{virtual: {arch: [aarch64, x86_64]}}]")
    assert names(one) == ["virtual-aarch64-debian-13", "virtual-x86_64-debian-13"]
    (aarch64, x86_64) = names(one, ["aarch64=debian-sid"])
    assert (aarch64, x86_64) == ("virtual-aarch64-debian-sid", "virtual-x86_64-debian-13")
    same = scenario("{arch: [aarch64], kernel: [debian-13]}", "[{virtual: {arch: aarch64}}]")
    assert names(same, ["aarch64=debian-13,mode=nvhe"]) == ["virtual-aarch64-debian-13-nvhe"]


def test_a_host_of_the_command_line_without_cases_is_told() -> None:
    one = scenario("{arch: [aarch64], accel: [kvm], kernel: [debian-13]}", HOSTS)
    hosts = chosen(one, ["aarch64=debian-12", "x86_64=debian-13"])
    for case in cases(one):
        assert hosts.place_of(case) is not None
    first = "--virtual-host aarch64=debian-12 has no case"
    assert list(hosts.without_cases()) == [
        f"{first}: they run on debian-13; --set kernel=debian-12 has them run there",
        "--virtual-host x86_64=debian-13 has no case",
    ]
    one = scenario("{arch: [s390x], accel: [kvm]}")
    hosts = chosen(one, ["s390x=debian-13"])
    assert [hosts.place_of(case) for case in cases(one)] != []
    assert list(hosts.without_cases()) == []


def test_axes_and_hosts_are_taken_together() -> None:
    one = scenario(
        "{arch: [aarch64], mode: [vhe, nvhe], kernel_parameters: [b=2],"
        " module_parameters: [{kvm.a: 1}]}",
        "[{virtual: {arch: aarch64, mode: protected, kernel_parameters: a=1,"
        " module_parameters: {kvm.a: 0, kvm.c: 3}}}]",
    )
    hosts = chosen(one)
    for case in cases(one):
        assert hosts.place_of(case) is not None
    first, second = (host.starter.settings for host in hosts.hosts(lambda _: None))
    assert first.command_line == "kvm.a=1 kvm.c=3 a=1 b=2"
    assert second.command_line == f"kvm-arm.mode=nvhe {first.command_line}"


def test_a_host_that_cannot_be_says_why() -> None:
    matrix = "{arch: [aarch64], qemu: [system, '10.0'], mode: [nested]}"
    old, new = places(scenario(matrix, "[{virtual: {arch: aarch64}}]"))
    assert old is not None
    assert old.missing == "QEMU system has no FEAT_NV2, which is there since 9.0"
    assert new is not None
    assert new.missing == ""
    (none,) = places(scenario("{arch: [s390x]}", "[{virtual: {arch: s390x}}]"))
    assert none is not None
    assert "SIE is not available" in none.missing
    (none,) = places(scenario("{arch: [riscv64]}", "[{virtual: {arch: riscv64}}]"))
    assert none is not None
    assert "no QEMU installation" in none.missing
    (other,) = places(scenario("{arch: [arm64], kernel: [debian-sid]}", HOSTS))
    assert other is not None
    assert other.missing == "none has kernel debian-sid, only debian-12, debian-13"
    assert places(scenario("{arch: [riscv64]}", HOSTS)) == [None]


def test_several_kernels_want_an_axis() -> None:
    one = scenario("{arch: [aarch64], accel: [kvm]}", HOSTS)
    with pytest.raises(ScenarioError) as caught:
        chosen(one)
    assert str(caught.value) == (
        "x.yaml:4:65: aarch64 has the kernels debian-12, debian-13, and no axis says which; "
        "add 'kernel: [debian-12, debian-13]' to 'matrix'"
    )
    plain = scenario("{arch: [aarch64], accel: [kvm]}")
    options = ["aarch64=debian-12", "aarch64=debian-13"]
    with pytest.raises(UsageError, match="--set kernel=debian-12 --set kernel=debian-13"):
        chosen(plain, options)
    chosen(narrow(plain, set_=["kernel=debian-13"]), options)
    chosen(scenario("{arch: [aarch64], accel: [tcg]}", HOSTS))


def test_a_kernel_that_nobody_has_is_a_typo() -> None:
    with pytest.raises(ScenarioError) as caught:
        chosen(scenario("{arch: [aarch64], kernel: [debain-12]}", HOSTS))
    assert str(caught.value).startswith(
        "x.yaml:3:36: kernel: no host has kernel 'debain-12'; did you mean 'debian-12'? allowed: "
    )
    one = narrow(scenario("{arch: [aarch64]}", HOSTS), set_=["kernel=mine"])
    with pytest.raises(UsageError, match="--set kernel=mine: kernel: no host has kernel 'mine'"):
        chosen(one)
    chosen(one, ["aarch64=debian-sid,name=mine"])


def test_images_of_a_scenario_are_looked_at(tmp_path: Path) -> None:
    hosts = "[{virtual: {arch: [aarch64, x86_64], kernel: '${SECRET}/{arch}/Image'}}]"
    one = scenario("{arch: [aarch64], kernel: [Image]}", hosts, tmp_path)
    (tmp_path / "arm64").mkdir()
    (tmp_path / "arm64/Image").write_bytes(IMAGE)
    with pytest.raises(ScenarioError) as caught:
        chosen(one)
    assert str(caught.value).startswith(
        "x.yaml:4:53: kernel: no kernel image at ${SECRET}/{arch}/Image; a path or one of debian-12"
    )
    (tmp_path / "x86_64").symlink_to("arm64")
    with pytest.raises(ScenarioError, match="this Image is for aarch64; an image for x86_64"):
        chosen(one)
    one = scenario("{arch: [aarch64]}", hosts.replace(", x86_64", ""), tmp_path)
    assert names(one) == ["virtual-aarch64-Image"]


def test_a_scenario_may_bring_a_kvmtool(tmp_path: Path) -> None:
    hosts = "[{virtual: {arch: aarch64, kvmtool: '${SECRET}/{arch}/lkvm'}}]"
    one = scenario("{arch: [aarch64]}", hosts, tmp_path)
    with pytest.raises(ScenarioError, match=r"no kvmtool \(lkvm\) at \${SECRET}/{arch}/lkvm"):
        chosen(one)
    (tmp_path / "arm64").mkdir()
    (tmp_path / "arm64/lkvm").touch()
    (place,) = places(one)
    assert place is not None
    assert place.kvmtool


def test_two_kernels_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Image").write_bytes(IMAGE)
    one, two = (
        scenario("{arch: [aarch64]}", f"[{{virtual: {{arch: aarch64, kernel: {name}/Image}}}}]", at)
        for name, at in (("a", tmp_path), ("b", tmp_path))
    )
    first, second = (chosen_hosts([], [each], INVENTORY) for each in (one, two))
    (case,) = cases(one)
    assert first.place_of(case) is not None
    first.scenarios = second.scenarios
    why = "are named Image: aarch64=.*/a/Image,name=Image and aarch64=.*/b/Image,name=Image; give"
    with pytest.raises(UsageError, match=why):
        first.place_of(case)


def test_two_hosts_that_differ_in_their_kvmtool_are_two(tmp_path: Path) -> None:
    (tmp_path / "lkvm").touch()
    plain = scenario("{arch: [aarch64]}", "[{virtual: {arch: aarch64}}]", tmp_path)
    other = scenario("{arch: [aarch64]}", "[{virtual: {arch: aarch64, kvmtool: lkvm}}]", tmp_path)
    hosts, with_kvmtool = (chosen_hosts([], [each], INVENTORY) for each in (plain, other))
    (case,) = cases(plain)
    first = hosts.place_of(case)
    hosts.scenarios = with_kvmtool.scenarios
    second = hosts.place_of(case)
    assert first is not None
    assert second is not None
    assert (first.kvmtool, second.kvmtool) == (False, True)
    assert first.name == "virtual-aarch64-debian-13" != second.name


def test_as_many_hosts_run_at_a_time_as_there_is_memory_for() -> None:
    """Each of them has 2 GiB, and is there twice while it is migrated."""
    one = scenario("{arch: [aarch64]}", "[{virtual: {arch: aarch64, memory: 2GiB}}]")
    (case,) = cases(one)

    def most(gib: int, migration: Migration | None = None) -> int:
        host = replace(INVENTORY.host, cpus=8, memory=gib << 30)
        hosts = chosen_hosts([], [one], replace(INVENTORY, host=host))
        place = hosts.place_of(case)
        assert place is not None
        moved = replace(case, migration=migration)
        run = Run(moved, Accelerator.KVM, "", 1, 1 << 28, host=place.name)
        (found,) = hosts.hosts(lambda _: None, [run])
        return found.capacity.most_hosts

    assert (most(1), most(7), most(64)) == (1, 3, 8)
    assert (most(7, Migration()), most(64, Migration())) == (1, 8)


def test_many_cases_of_one_kind_may_run_on_copies_of_their_host() -> None:
    one = scenario("{arch: [aarch64]}", "[{virtual: {arch: aarch64}}]")
    (case,) = cases(one)

    def spread(count: int, cpus: int = 4, **changes: Any) -> tuple[set[str], list[str]]:
        inventory = replace(INVENTORY, host=replace(INVENTORY.host, cpus=cpus, memory=64 << 30))
        hosts = chosen_hosts([], [one], inventory)
        place = hosts.place_of(case)
        assert place is not None
        run = Run(replace(case, **changes), Accelerator.KVM, "why", 1, 1 << 28, host=place.name)
        decisions = hosts.spread([run] * count)
        others = {each.elsewhere for each in decisions if isinstance(each, Run)}
        found = hosts.hosts(lambda _: None, decisions)
        assert len({id(each.starter) for each in found}) == 1
        return {name for each in others for name, _ in each}, [each.name for each in found]

    name = "virtual-aarch64-debian-13"
    assert spread(15) == (set(), [name])
    assert spread(16) == ({f"{name}~2"}, [name, f"{name}~2"])
    assert spread(30)[1] == [name, f"{name}~2", f"{name}~3"]
    assert spread(99, cpus=2)[1] == [name, f"{name}~2"]
    assert spread(99, migration=Migration())[1] == [name]
    assert spread(99, settings=RunSettings(alone=True))[1] == [name]
