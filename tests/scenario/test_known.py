"""Known failures of a scenario: which cases may have them, and which entries are typos."""

from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix.errors import Place, ScenarioError
from matrix.model import Architecture, Build, Case, Expectation, Test
from matrix.scenario.expand import SuiteTests, expand
from matrix.scenario.known import KnownFailures
from matrix.scenario.narrow import narrow
from matrix.scenario.scenario import KnownFailure, Scenario
from tests.scenario.conftest import load_file

Suite = Callable[[Architecture], SuiteTests]
Make = Callable[..., Scenario]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A scenario with a file of known failures."""
    monkeypatch.chdir(tmp_path)

    def make(expect: str, matrix: str = "{arch: [arm, i386], smp: [1, 2]}") -> Scenario:
        Path("lists").mkdir(exist_ok=True)
        Path("lists/known.yaml").write_text("expect:\n" + dedent(expect))
        path = Path("lists/s.yaml")
        path.write_text(
            "name: s\nsuite: {kind: kvm-unit-tests, build: builtin}\n"
            f"matrix: {matrix}\nexpect: [known.yaml]\n"
        )
        return load_file(path)

    return make


def reasons(cases: list[Case]) -> dict[str, list[str]]:
    """The known failures of each case that has any."""
    return {case.id: [e.reason for e in case.expected] for case in cases if case.expected}


def test_by_the_names_of_tests(make: Make, suite: Suite) -> None:
    scenario = make(
        """
        - {cases: [boot], reason: one}
        - {cases: ["s*", boot], arch: [i386], reason: two}
        - {cases: [memory], arch: [ppc64], reason: elsewhere}
        """
    )
    cases = expand(scenario, suite)
    assert reasons(cases) == {
        "s.boot.arm.auto.smp=1": ["one"],
        "s.boot.arm.auto.smp=2": ["one"],
        **{f"s.boot.i386.auto.smp={n}": ["one", "two"] for n in (1, 2)},
        **{f"s.{test}.i386.auto.smp={n}": ["two"] for test in ("smp", "spin") for n in (1, 2)},
    }
    assert scenario.expect == ("known.yaml",)
    (place,) = {e.place for case in cases for e in case.expected if e.reason == "one"}
    assert place == "lists/known.yaml:3"


def test_by_ids(make: Make, suite: Suite) -> None:
    scenario = make(
        """
        - {cases: [s.boot.arm.auto.smp=2, "*.smp.*.smp=1"], reason: one}
        - {cases: ["s.*.i386.*", other.boot.arm.auto], reason: two}
        - {cases: ["s.memory.arm.kvm"], reason: none}
        - {cases: [boot], reason: by name}
        """
    )
    found = reasons(expand(scenario, suite))
    assert found["s.boot.arm.auto.smp=2"] == ["one", "by name"]
    assert found["s.boot.arm.auto.smp=1"] == ["by name"]
    assert found["s.smp.arm.auto.smp=1"] == ["one"]
    assert found["s.smp.i386.auto.smp=1"] == ["one", "two"]
    assert found["s.memory.i386.auto.smp=2"] == ["two"]
    assert "s.memory.arm.auto.smp=1" not in found


def test_a_name_with_a_dot(make: Make) -> None:
    def suite(arch: Architecture) -> SuiteTests:
        return SuiteTests(Build(arch, "/b", "/b"), (Test("v1.0", "/i"), Test("v1.1", "/i")))

    found = reasons(expand(make("- {cases: [v1.0], reason: r}"), suite))
    assert list(found) == [f"s.v1.0.{a}.auto.smp={n}" for a in ("arm", "i386") for n in (1, 2)]


def test_an_id_that_was_cut(make: Make) -> None:
    long = "t" * 160

    def suite(arch: Architecture) -> SuiteTests:
        return SuiteTests(Build(arch, "/b", "/b"), (Test(long, "/i"),))

    scenario = make("- {cases: [boot.x], reason: r}", matrix="{arch: [arm]}")
    (case,) = expand(scenario, suite)
    assert "~" in case.id
    (known,) = scenario.known
    by_id = replace(known, expectation=replace(known.expectation, cases=(case.id,)))
    assert reasons(expand(replace(scenario, known=(by_id,)), suite)) == {case.id: ["r"]}


def test_what_is_the_same_is_shared(make: Make, suite: Suite) -> None:
    scenario = make('- {cases: ["*"], reason: a}\n- {cases: ["*.arm.*"], reason: b}')
    cases = expand(scenario, suite)
    for arch in Architecture.ARM, Architecture.I386:
        (only,) = {id(case.expected) for case in cases if case.variant.arch is arch}
        assert only


_names = st.text("ab.-", min_size=1, max_size=5)
_wildcards = st.sampled_from(["?", "*", "[]a.]", "[!]z]", "[ab.-]", "[", "]", "[x", "[!"])


@st.composite
def patterns_of(draw: st.DrawFn, text: str) -> str:
    """``text`` with some characters given to wildcards, so that it often matches."""
    return "".join(draw(_wildcards) if draw(st.integers(0, 3)) == 0 else c for c in text)


@settings(max_examples=300)
@given(_names, _names, st.data())
def test_the_short_cuts_change_nothing(test: str, suffix: str, data: st.DataObject) -> None:
    case_id = f"s.{test}.{suffix}"
    patterns = st.one_of(patterns_of(test), patterns_of(case_id), st.text("ab.[]!*?-", max_size=8))
    entries = data.draw(st.lists(st.lists(patterns, min_size=1, max_size=3), max_size=4))
    place = Place("known.yaml", 1)
    known = [
        KnownFailure(Expectation(str(number), "r", tuple(cases)), (place,) * len(cases))
        for number, cases in enumerate(entries)
    ]
    expected = [
        each.expectation
        for each in known
        if any(
            fnmatchcase(test, pattern) or ("." in pattern and fnmatchcase(case_id, pattern))
            for pattern in each.expectation.cases
        )
    ]
    assert list(KnownFailures("s", known).of(case_id, test, Architecture.ARM)) == expected


class TestTypos:
    def test_a_name_that_no_test_has(self, make: Make, suite: Suite) -> None:
        scenario = make(
            """
            - {cases: [boot, bot], reason: r}
            - {cases: ["smpp*"], arch: [arm], reason: r}
            - {cases: ["b??t"], reason: r}
            """
        )
        with pytest.raises(ScenarioError) as caught:
            expand(scenario, suite)
        assert str(caught.value).splitlines() == [
            (
                "lists/known.yaml:3:18: cases: 'bot' matches no test; did you mean 'boot'? "
                "allowed: boot, smp, memory, spin, hang; "
                "for one of an architecture that this scenario does not have, add 'arch'"
            ),
            (
                "lists/known.yaml:4:12: cases: 'smpp*' matches no test; did you mean 'smp'? "
                "allowed: boot, smp, memory, spin, hang"
            ),
        ]

    def test_all_at_once_with_the_filters(self, make: Make, suite: Suite) -> None:
        scenario = make("- {cases: [bot], reason: r}")
        scenario = replace(scenario, suite=replace(scenario.suite, tests=("smpp",)))
        with pytest.raises(ScenarioError) as caught:
            expand(scenario, suite)
        assert len(caught.value.problems) == 2

    def test_tests_that_are_not_chosen_are_tests(self, make: Make, suite: Suite) -> None:
        scenario = make("- {cases: [boot], reason: r}")
        scenario = replace(scenario, suite=replace(scenario.suite, tests=("smp",)))
        assert len(expand(scenario, suite)) == 4

    def test_ids_may_be_another_scenarios(self, make: Make, suite: Suite) -> None:
        assert expand(make("- {cases: [other.bot.arm.auto], reason: r}"), suite)

    def test_other_architectures_may_have_other_tests(self, make: Make, suite: Suite) -> None:
        assert expand(make("- {cases: [vmx], arch: [x86_64], reason: r}"), suite)
        assert expand(make("- {cases: [vmx], arch: [x86_64, arm], reason: r}"), suite)

    def test_other_revisions_of_the_suite_may_have_other_tests(
        self, make: Make, suite: Suite
    ) -> None:
        """A file that was made for one of them says so."""
        scenario = make("- {cases: [bot], reason: r}")
        known = tuple(replace(each, revision="v1") for each in scenario.known)
        assert expand(replace(scenario, known=known), suite)

    def test_nobody_can_tell_where_a_suite_is_unavailable(self, make: Make, suite: Suite) -> None:
        def partly(arch: Architecture) -> SuiteTests:
            if arch is Architecture.ARM:
                return SuiteTests(Build(arch, "/none", ""), unavailable="no build in /none")
            return suite(arch)

        assert expand(make("- {cases: [bot], reason: r}"), partly)
        with pytest.raises(ScenarioError, match="'bot' matches no test"):
            expand(make("- {cases: [bot], arch: [i386], reason: r}"), partly)

    def test_what_the_command_line_leaves_out_is_asked_too(self, make: Make) -> None:
        asked: list[Architecture] = []

        def suite(arch: Architecture) -> SuiteTests:
            asked.append(arch)
            return SuiteTests(Build(arch, "/b", "/b"), (Test(f"on-{arch}", "/i"),))

        narrowed = narrow(make("- {cases: [on-arm], reason: r}"), arch=["i386"])
        assert reasons(expand(narrowed, suite)) == {}
        assert asked == [Architecture.I386, Architecture.ARM]
        narrowed = narrow(make("- {cases: [on-i386], reason: r}"), arch=["i386"])
        asked.clear()
        assert len(reasons(expand(narrowed, suite))) == 2
        assert asked == [Architecture.I386]
        with pytest.raises(ScenarioError, match="on-mips"):
            expand(narrow(make("- {cases: [on-mips], reason: r}"), arch=["arm"]), suite)

    def test_a_suite_without_tests(self, make: Make) -> None:
        def suite(arch: Architecture) -> SuiteTests:
            return SuiteTests(Build(arch, "/b", "/b"))

        with pytest.raises(ScenarioError, match="matches no test; the suite has none"):
            expand(make("- {cases: [boot], reason: r}"), suite)


class TestFiles:
    def test_problems_of_all_files_are_reported(self, make: Make) -> None:
        with pytest.raises(ScenarioError) as caught:
            make("- {cases: [boot]}", matrix="{arch: [amr]}")
        assert str(caught.value).splitlines() == [
            "lists/known.yaml:2:3: expect: key 'reason' is missing; needed: cases, reason",
            (
                "lists/s.yaml:3:17: arch: 'amr' is not an architecture; did you mean 'arm'? "
                "allowed: x86_64, i386, aarch64, arm, ppc64, s390x, riscv64, riscv32, mips64el, "
                "loongarch64"
            ),
        ]

    def test_several_files_in_order(self, make: Make, suite: Suite) -> None:
        make("- {cases: [boot], reason: first}")
        Path("lists/more").mkdir()
        Path("lists/more/known.yaml").write_text("expect: [{cases: [boot], reason: second}]")
        path = Path("lists/s.yaml")
        path.write_text(
            path.read_text().replace("[known.yaml]", "[more/known.yaml, more/../known.yaml]")
        )
        cases = expand(load_file(path), suite)
        assert reasons(cases)["s.boot.arm.auto.smp=1"] == ["second", "first"]
        assert cases[0].expected[1].place == "lists/more/../known.yaml:2"
