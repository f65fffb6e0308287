"""Scenario files that are right, and files that cannot be read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.errors import Place, ScenarioError
from matrix.model import Accelerator, Architecture, Endian, RunSettings, Variant
from matrix.scenario.scenario import Exclusion, Scenario, SuiteSelection
from tests.scenario.conftest import load_file

Load = Callable[..., Scenario]
ROOT = Path(__file__).parents[2]

FULL = """\
name: full-1.0
description: |
  Two lines
  of text.
suite:
  kind: kvm-unit-tests
  build: builds/{arch}/${REVISION}
  tests: [boot, "smp*"]
  groups: [quick]
  exclude: [smp-none]
  max_smp: 8
matrix:
  arch: [arm64, s390x]
  accel: [auto, tcg]
  qemu: [system, 10.0]
  exclude:
    - {accel: tcg, qemu: system}
    - {arch: ppc64le, reason: never there}
    - {arch: s390x, accel: auto, qemu: "10.0", reason: no such build}
  include:
    - {arch: aarch64, machine: "virt,gic-version=3"}
    - {arch: riscv64, cpu: max, smp: 4, memory: 1.5GiB}
run: {timeout: 5min, stall: 300ms, repeat: 3}
"""


def test_everything(load: Load) -> None:
    scenario = load(FULL, {"REVISION": "r1"})
    assert scenario.name == "full-1.0"
    assert scenario.description == "Two lines\nof text.\n"
    assert scenario.suite == SuiteSelection(
        kind="kvm-unit-tests",
        build="/scenarios/builds/{arch}/r1",
        tests=("boot", "smp*"),
        groups=("quick",),
        exclude=("smp-none",),
        max_smp=8,
    )
    assert scenario.suite.build == "/scenarios/builds/{arch}/r1"
    arm, s390x, auto, tcg = (
        Architecture.AARCH64,
        Architecture.S390X,
        Accelerator.AUTO,
        Accelerator.TCG,
    )
    assert scenario.variants == (
        Variant(arm, auto, "system", machine="virt,gic-version=3"),
        Variant(arm, auto, "10.0", machine="virt,gic-version=3"),
        Variant(arm, tcg, "10.0", machine="virt,gic-version=3"),
        Variant(s390x, auto, "system"),
        Variant(s390x, tcg, "10.0"),
        Variant(Architecture.RISCV64, cpu="max", smp=4, memory=1536 << 20),
    )
    assert scenario.exclusions == (Exclusion(Variant(s390x, auto, "10.0"), "no such build"),)
    assert scenario.settings == RunSettings(timeout=300.0, stall=0.3, repeat=3)
    assert scenario.source == Place("x.yaml", 1, 1)
    assert scenario.place("tests[1]") == Place("x.yaml", 8, 17)
    assert scenario.place("groups[0]") == Place("x.yaml", 9, 12)
    assert scenario.place("elsewhere") == scenario.source


def test_the_least(load: Load) -> None:
    scenario = load(
        "name: 1.10\nsuite: {kind: kvm-unit-tests, build: builtin}\nmatrix: {arch: [arm]}"
    )
    assert scenario.name == "1.10"
    assert scenario.suite == SuiteSelection("kvm-unit-tests", "builtin")
    assert scenario.variants == (Variant(Architecture.ARM),)
    assert scenario.settings == RunSettings()


def test_it_is_plain_data(load: Load) -> None:
    one, again = (load(FULL, {"REVISION": "r1"}) for _ in range(2))
    assert one == again
    assert hash(one) == hash(again)


@pytest.mark.parametrize(
    ("build", "path"),
    [
        ("builtin", "builtin"),
        ("./builtin", "/scenarios/builtin"),
        ("x/../y/./z", "/scenarios/y/z"),
        ("'${DIR}'", "/from/env"),
        ("'${DIR}/x/../{arch}'", "/from/env/{arch}"),
    ],
)
def test_builds_are_made_absolute(load: Load, build: str, path: str) -> None:
    text = f"name: s\nsuite: {{kind: kvm-unit-tests, build: {build}}}\nmatrix: {{arch: [arm]}}"
    if "{arch}" in build and "'" not in build:
        text = text.replace(build, f'"{build}"')
    assert load(text, {"DIR": "/from/env"}).suite.build == path


@pytest.mark.parametrize(
    "build",
    ["../x", "/abs/x", "x/../../y", "'${DIR}/../x'", "'${DIR}/x/../../y'", "'x/${DIR}/../..'"],
)
def test_no_build_is_outside_of_the_scenario_s_tree(
    refusals: Callable[..., list[str]], build: str
) -> None:
    text = f"name: s\nsuite: {{kind: kvm-unit-tests, build: {build}}}\nmatrix: {{arch: [arm]}}\n"
    (message,) = refusals(text, {"DIR": "/from/env"})
    assert "leads outside the scenario's folder; leave it out and name it with --build" in message
    assert "/from/env" not in message


SECRET = "password = s3cret\nurl: [x, s3cret}\n"


def test_files_of_known_failures_are_regular_ones_of_the_scenario_s_tree(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tmp_path / "outside.yaml").write_text("expect: []\n" + SECRET)
    (tree / "link.yaml").symlink_to("../outside.yaml")
    (tree / "config").write_text(SECRET)
    os.mkfifo(tree / "pipe")  # which nobody will ever write to
    names = [
        "../outside.yaml",
        str(tmp_path / "outside.yaml"),
        "link.yaml",
        "pipe",
        "config",
        "/dev/zero",
        ".",
    ]
    (tree / "s.yaml").write_text(
        "name: s\nsuite: {kind: kvm-unit-tests, build: builtin}\nmatrix: {arch: [arm]}\n"
        f"expect: [{', '.join(names)}]\n"
    )
    with pytest.raises(ScenarioError) as caught:
        load_file(tree / "s.yaml")
    told = str(caught.value)
    assert "s3cret" not in told
    assert told.count("leads outside the scenario's folder") == 4
    assert told.count("is not a regular file") == 1
    assert "config: is not a file of known failures: it has no key 'expect'" in told


def test_neighbours_in_the_environment_are_not_told(refusals: Callable[..., list[str]]) -> None:
    text = "name: s\nsuite: {kind: kvm-unit-tests, build: '${TOKEM}/x'}\nmatrix: {arch: [arm]}\n"
    (message,) = refusals(text, {"TOKEN": "s3cret"})
    assert message.endswith("build: variable 'TOKEM' is not set; set it in the environment")


def test_aliases_share_values(load: Load) -> None:
    scenario = load(
        """
        name: s
        suite: {kind: kvm-unit-tests, build: builtin}
        matrix:
          arch: &all [arm, i386]
          exclude: [{arch: &arm arm}]
          include: [&one {arch: *arm, smp: 2}]
        """
    )
    assert scenario.variants == (
        Variant(Architecture.I386),
        Variant(Architecture.ARM, smp=2),
    )


def test_a_problem_behind_an_alias_is_reported_once(
    refusals: Callable[..., list[str]],
) -> None:
    text = """\
name: s
suite: {kind: kvm-unit-tests, build: builtin, tests: &x [""], groups: *x}
matrix: {arch: [arm]}
"""
    assert refusals(text) == [
        "x.yaml:2:58: tests: is empty; a text is wanted",
        "x.yaml:2:58: groups: is empty; a text is wanted",
    ]


def test_the_file_is_read_and_paths_start_at_it(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(FULL)
    scenario = load_file(file, {"REVISION": "r2"})
    assert scenario.suite.build == str(tmp_path / "builds/{arch}/r2")
    assert scenario.source.file == str(file)


@pytest.mark.parametrize("file", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda f: f.stem)
def test_shipped_scenarios(file: Path) -> None:
    scenario = load_file(file)
    assert scenario.name == file.stem
    assert scenario.description


def test_smoke_is_tcg_everywhere_and_kvm_on_x86_64() -> None:
    scenario = load_file(ROOT / "scenarios/smoke.yaml")
    assert set(scenario.variants) == {
        *(Variant(arch, Accelerator.TCG) for arch in Architecture),
        Variant(Architecture.X86_64, Accelerator.KVM),
        Variant(Architecture.PPC64, Accelerator.AUTO, endian=Endian.BIG),
    }
