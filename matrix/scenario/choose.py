"""Which tests of a suite a scenario chooses, by name, group and the group nodefault."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fnmatch import translate

from matrix.errors import Problem
from matrix.model import Build, Test
from matrix.scenario.case_id import encode
from matrix.scenario.scenario import Scenario, SuiteSelection, SuiteTests
from matrix.scenario.wording import one_of, quoted
from matrix.verdicts import SkipCause

UNAVAILABLE_TEST = "suite"
"""Name of the test that stands for a suite which has no build for an architecture."""

_NODEFAULT = "nodefault"
_NODEFAULT_REASON = (
    "in group nodefault: run with --all, or name the test or its group in the scenario"
)


@dataclass(frozen=True, slots=True)
class ChosenTest:
    """A test, its name as it stands in ids, and why the scenario skips it (or empty)."""

    test: Test
    encoded_name: str
    skip_reason: str
    skip_cause: SkipCause = SkipCause.NODEFAULT


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chosen tests of one architecture."""

    build: Build
    tests: tuple[ChosenTest, ...]
    is_stand_in: bool = False
    """The only test stands for a suite that is unavailable."""

    def with_doubt(self, doubt: str) -> "Chosen":
        """The same, with ``doubt`` added to the reason of a stand-in."""
        if not self.is_stand_in or not doubt:
            return self
        (one,) = self.tests
        return replace(self, tests=(replace(one, skip_reason=f"{one.skip_reason}; {doubt}"),))


@dataclass(frozen=True, slots=True)
class _Filter:
    """One entry of ``tests`` or ``groups``; ``place`` is its name in ``Scenario.places``."""

    text: str
    place: str
    applies: Callable[[Test], bool]


@dataclass(slots=True)
class Chooser:
    """Applies the filters of a suite, and remembers which of them never matched."""

    selection: SuiteSelection
    include_nodefault: bool = False
    unmatched: dict[str, str] = field(init=False)
    """Place (``tests[0]``) → text of the filters without a match so far."""
    _tests: tuple[_Filter, ...] = field(init=False)
    _groups: tuple[_Filter, ...] = field(init=False)
    _excluded: tuple[Callable[[Test], bool], ...] = field(init=False)

    def __post_init__(self) -> None:
        self._tests = tuple(
            _Filter(text, f"tests[{index}]", _name_matches(text))
            for index, text in enumerate(self.selection.tests)
        )
        self._groups = tuple(
            _Filter(text, f"groups[{index}]", _is_in_group(text))
            for index, text in enumerate(self.selection.groups)
        )
        self._excluded = tuple(_name_matches(text) for text in self.selection.exclude)
        self.unmatched = {entry.place: entry.text for entry in (*self._tests, *self._groups)}

    def choose(self, suite: SuiteTests) -> Chosen:
        """The tests that the filters leave, in the suite's order; one that is skipped with the
        reason where the suite is unavailable."""
        if suite.unavailable:
            test = Test(UNAVAILABLE_TEST, image="")
            stand_in = ChosenTest(test, UNAVAILABLE_TEST, suite.unavailable, SkipCause.NO_BUILD)
            return Chosen(suite.build, (stand_in,), is_stand_in=True)
        return Chosen(
            suite.build,
            tuple(
                ChosenTest(test, encode(test.name), self._skip_reason(test))
                for test in suite.tests
                if self._is_chosen(test)
            ),
        )

    def doubt(self) -> str:
        """Which filters matched nothing so far, in words; empty where all did."""
        listed = ", ".join(quoted(text) for text in self.unmatched.values())
        return f"no test known matches {listed}" if listed else ""

    def _is_chosen(self, test: Test) -> bool:
        # Both lists are gone through to their ends, to learn of every filter that matches.
        by_name = [entry.place for entry in self._tests if entry.applies(test)]
        by_group = [entry.place for entry in self._groups if entry.applies(test)]
        for place in (*by_name, *by_group):
            self.unmatched.pop(place, None)
        if (self._tests and not by_name) or (self._groups and not by_group):
            return False
        return not any(excludes(test) for excludes in self._excluded)

    def _skip_reason(self, test: Test) -> str:
        asked_for = self.include_nodefault or bool(self._tests or self._groups)
        return "" if asked_for or _NODEFAULT not in test.groups else _NODEFAULT_REASON


def unmatched_filters(
    scenario: Scenario, chooser: Chooser, suites: Iterable[SuiteTests]
) -> list[Problem]:
    """The filters that match nothing in ``suites``, which are typos, each as a problem."""
    tests = [test for suite in suites for test in suite.tests]
    names = dict.fromkeys(test.name for test in tests)
    groups = dict.fromkeys(group for test in tests for group in test.groups)
    problems = []
    for place, text in chooser.unmatched.items():
        if place.startswith("tests"):
            message, known = f"tests: {quoted(text)} matches no test", names
        else:
            message, known = f"groups: no test is in group {quoted(text)}", groups
        allowed = one_of(text, known) if known else "the suite has none"
        problems.append(Problem(scenario.place(place), message, allowed))
    return problems


def _name_matches(pattern: str) -> Callable[[Test], bool]:
    match = re.compile(translate(pattern)).match
    return lambda test: match(test.name) is not None


def _is_in_group(group: str) -> Callable[[Test], bool]:
    return lambda test: group in test.groups
