"""Scenario and suite → cases."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from matrix.errors import ScenarioError
from matrix.model import Architecture, Build, Case, Endian, Test
from matrix.scenario import expand as expand_module
from matrix.scenario.expand import SuiteTests, expand
from matrix.scenario.narrow import narrow
from matrix.scenario.scenario import Scenario

Load = Callable[..., Scenario]
Suite = Callable[[Architecture], SuiteTests]


def scenario_of(load: Load, *filters: str, matrix: str = "{arch: [arm, i386]}") -> Scenario:
    lines = "".join(f"\n  {line}" for line in filters)
    return load(
        f"name: s\nsuite:\n  kind: kvm-unit-tests\n  build: builtin{lines}\nmatrix: {matrix}\n"
    )


def names(cases: list[Case]) -> list[str]:
    return list(dict.fromkeys(case.test.name for case in cases if not case.excluded))


def test_every_test_in_every_variant_in_order(load: Load, suite: Suite) -> None:
    cases = expand(scenario_of(load, matrix="{arch: [arm, i386], smp: [1, 2]}"), suite)
    assert [case.id for case in cases][:6] == [
        "s.boot.arm.auto.smp=1",
        "s.smp.arm.auto.smp=1",
        "s.memory.arm.auto.smp=1",
        "s.spin.arm.auto.smp=1",
        "s.hang.arm.auto.smp=1",
        "s.boot.arm.auto.smp=2",
    ]
    assert len(cases) == 2 * 2 * 5
    case = cases[-1]
    assert (case.scenario, case.suite, case.variant.smp) == ("s", "kvm-unit-tests", 2)
    assert case.build.directory == "/build/i386"


def test_group_nodefault_is_skipped_with_a_reason(load: Load, suite: Suite) -> None:
    cases = expand(scenario_of(load), suite)
    skipped = [case for case in cases if case.excluded]
    assert [case.test.name for case in skipped] == ["spin", "hang"] * 2
    assert all(case.excluded.startswith("in group nodefault") for case in skipped)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["tests: [boot]"], ["boot"]),
        (["tests: ['s*']"], ["smp", "spin"]),
        (["tests: [hang, boot]"], ["boot", "hang"]),
        (["groups: [cpu]"], ["smp", "spin"]),
        (["groups: [cpu, quick]"], ["boot", "smp", "spin"]),
        (["groups: [nodefault]"], ["spin", "hang"]),
        (["tests: ['s*']", "groups: [quick]"], ["smp"]),
        (["exclude: ['*o*']"], ["smp"]),
        (["tests: ['*']", "exclude: [spin, never]"], ["boot", "smp", "memory", "hang"]),
        (["tests: ['[bm]*']"], ["boot", "memory"]),
    ],
)
def test_filters(load: Load, suite: Suite, filters: list[str], expected: list[str]) -> None:
    assert names(expand(scenario_of(load, *filters), suite)) == expected


def test_patterns_heed_case(load: Load, suite: Suite) -> None:
    with pytest.raises(ScenarioError, match="did you mean 'boot'"):
        expand(scenario_of(load, "tests: [BOOT]"), suite)


def test_all_tests(load: Load, suite: Suite) -> None:
    cases = expand(scenario_of(load), suite, include_nodefault=True)
    assert names(cases) == ["boot", "smp", "memory", "spin", "hang"]


def test_filters_that_match_nothing_are_refused(load: Load, suite: Suite) -> None:
    scenario = scenario_of(load, "tests: [boot, smpp]", "groups: [quik]")
    with pytest.raises(ScenarioError) as caught:
        expand(scenario, suite)
    assert str(caught.value).splitlines() == [
        (
            "x.yaml:5:17: tests: 'smpp' matches no test; did you mean 'smp'? "
            "allowed: boot, smp, memory, spin, hang"
        ),
        (
            "x.yaml:6:12: groups: no test is in group 'quik'; did you mean 'quick'? "
            "allowed: quick, cpu, nodefault"
        ),
    ]


def test_a_test_of_one_architecture_is_enough(load: Load) -> None:
    def suite(arch: Architecture) -> SuiteTests:
        return SuiteTests(Build(arch, "/b", "/b"), (Test(f"only-{arch}", "/i"),))

    scenario = scenario_of(load, "tests: [only-arm, only-i386]")
    assert len(expand(scenario, suite)) == 2
    narrowed = narrow(scenario, arch=["arm"])
    assert [case.id for case in expand(narrowed, suite)] == ["s.only-arm.arm.auto"]
    with pytest.raises(ScenarioError, match="only-ppc64"):
        expand(narrow(scenario_of(load, "tests: [only-ppc64]"), arch=["arm"]), suite)


def test_a_suite_without_a_build_shows_once_for_each_variant(load: Load, suite: Suite) -> None:
    def partly(arch: Architecture) -> SuiteTests:
        if arch is Architecture.ARM:
            return SuiteTests(Build(arch, "/none", ""), unavailable="no build in /none")
        return suite(arch)

    cases = expand(scenario_of(load, matrix="{arch: [arm, i386], smp: [1, 2]}"), partly)
    stand_ins = [case for case in cases if case.variant.arch is Architecture.ARM]
    assert [case.id for case in stand_ins] == [
        "s.suite.arm.auto.smp=1",
        "s.suite.arm.auto.smp=2",
    ]
    assert {case.excluded for case in stand_ins} == {"no build in /none"}
    assert len(cases) == 2 + 2 * 5

    doubtful = expand(scenario_of(load, "tests: [boot, bot]"), partly)
    assert [(case.id, case.excluded) for case in doubtful] == [
        ("s.suite.arm.auto", "no build in /none; no test known matches 'bot'"),
        ("s.boot.i386.auto", ""),
    ]


def test_an_excluded_variant_with_a_reason_is_skipped_visibly(load: Load, suite: Suite) -> None:
    matrix = "{arch: [arm, i386], exclude: [{arch: arm, reason: too slow}]}"
    cases = expand(scenario_of(load, "groups: [quick]", matrix=matrix), suite)
    assert [(case.id, case.excluded) for case in cases] == [
        ("s.boot.i386.auto", ""),
        ("s.smp.i386.auto", ""),
        ("s.boot.arm.auto", "too slow"),
        ("s.smp.arm.auto", "too slow"),
    ]


def test_duplicate_ids_are_refused(load: Load, suite: Suite) -> None:
    def twice(arch: Architecture) -> SuiteTests:
        tests = suite(arch)
        return replace(tests, tests=(*tests.tests, tests.tests[0]))

    message = (
        "^x.yaml:1:1: two cases have the id 's.boot.arm.auto'; .*second test 'boot' in /build/arm"
    )
    with pytest.raises(ScenarioError, match=message):
        expand(scenario_of(load), twice)


def test_too_many_cases_are_refused_before_they_are_made(
    load: Load, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expand_module, "MAX_CASES", 9)
    with pytest.raises(ScenarioError, match="comes to 10 cases; at most 9"):
        expand(scenario_of(load), suite)


def test_the_suite_is_asked_once_for_each_architecture(load: Load, suite: Suite) -> None:
    asked: Counter[Architecture] = Counter()

    def counting(arch: Architecture) -> SuiteTests:
        asked[arch] += 1
        return suite(arch)

    expand(scenario_of(load, matrix="{arch: [arm, i386], smp: [1, 2, 3]}"), counting)
    assert asked == {Architecture.ARM: 1, Architecture.I386: 1}


def test_strange_names_are_encoded(load: Load) -> None:
    def suite(arch: Architecture) -> SuiteTests:
        return SuiteTests(Build(arch, "/b", "/b"), (Test("a/b c", "/i"), Test("a%2Fb c", "/i")))

    cases = expand(scenario_of(load, matrix="{arch: [arm]}"), suite)
    assert [case.id for case in cases] == ["s.a%2Fb%20c.arm.auto", "s.a%252Fb%20c.arm.auto"]


def test_cases_survive_json(load: Load, suite: Suite) -> None:
    matrix = (
        "{arch: [arm], qemu: ['10.0'], smp: [2], memory: [1GiB], exclude: [{smp: 2, reason: r}]}"
    )
    cases = expand(scenario_of(load, matrix=matrix), suite)
    adapter = TypeAdapter(list[Case])
    assert adapter.validate_json(adapter.dump_json(cases)) == cases


def test_adding_the_default_qemu_renames_no_case(load: Load, suite: Suite) -> None:
    before = {case.id for case in expand(scenario_of(load), suite)}
    matrix = "{arch: [arm, i386], qemu: [system, '10.0']}"
    assert before < {case.id for case in expand(scenario_of(load, matrix=matrix), suite)}


def test_each_byte_order_has_its_build(load: Load, suite: Suite) -> None:
    asked: list[tuple[Architecture, Endian]] = []

    def other(tests: SuiteTests, endian: Endian) -> SuiteTests:
        asked.append((tests.build.architecture, endian))
        if tests.build.architecture is Architecture.ARM:
            return SuiteTests(tests.build, unavailable="little-endian only")
        build = replace(tests.build, directory="/build/big", endian=endian)
        return SuiteTests(build, tests.tests[:1])

    matrix = "{arch: [ppc64, arm], endian: [little, big], smp: [1, 2]}"
    cases = expand(scenario_of(load, matrix=matrix), suite, in_byte_order=other)
    big = [case for case in cases if case.variant.endian is Endian.BIG]
    assert asked == [(Architecture.PPC64, Endian.BIG), (Architecture.ARM, Endian.BIG)]
    assert [(case.id, case.build.directory, case.excluded) for case in big][1:3] == [
        ("s.boot.ppc64.auto.smp=2.endian=big", "/build/big", ""),
        ("s.suite.arm.auto.smp=1.endian=big", "/build/arm", "little-endian only"),
    ]
    little = {case.build.directory for case in cases if case not in big}
    assert little == {"/build/ppc64", "/build/arm"}
