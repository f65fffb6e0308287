"""Which known failures a case may have, by its test's name, its id and its architecture.

There may be 100,000 cases and thousands of entries: patterns of names are gone through once for
each test of an architecture, and only the patterns of ids that can fit it for each case.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import translate

from matrix.errors import Place, Problem
from matrix.model import Architecture, Expectation
from matrix.scenario.case_id import MAX_LENGTH, encode
from matrix.scenario.scenario import KnownFailure, SuiteTests
from matrix.scenario.wording import one_of, quoted

Matcher = Callable[[str], object]

# Of "[" without an end, which matches itself, too much is taken for a wildcard, which does no harm.
_WILDCARD = re.compile(r"[*?]|\[!?\]?[^\]]*\]?")
_UNCUT = MAX_LENGTH // 2
"""Characters of an id that are never cut off."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One of the ``cases`` of an entry."""

    text: str
    place: Place
    matches: Matcher
    literals: tuple[str, ...]
    """What stands before, between and after the wildcards."""

    @property
    def may_be_id(self) -> bool:
        """Every id has a dot; a test's name may."""
        return "." in self.text

    def may_fit_ids_from(self, prefix: str) -> bool:
        """Whether an id that begins with ``prefix`` may match."""
        start = self.literals[0]
        return start.startswith(prefix) or prefix.startswith(start)


@dataclass(frozen=True, slots=True)
class _Entry:
    expectation: Expectation
    patterns: tuple[_Pattern, ...]
    revision: str

    def is_for(self, architecture: Architecture) -> bool:
        return not self.expectation.arch or architecture in self.expectation.arch


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The entries that cases of one test may have."""

    certain: tuple[Expectation, ...]
    """They all have these, and where there are no ``rows`` no others."""
    rows: tuple[tuple[Expectation, str, Matcher], ...] = ()
    """In order: an entry that is a case's if its id has that literal and is matched. The literal
    costs a tenth of the match, and most ids do not have it."""


class KnownFailures:
    """The known failures of one scenario."""

    def __init__(self, scenario: str, known: Iterable[KnownFailure]) -> None:
        """``scenario`` is its name, with which its cases' ids begin."""
        self._scenario = scenario
        self._entries = [
            _Entry(each.expectation, tuple(_patterns(each)), each.revision) for each in known
        ]
        self._candidates: dict[tuple[Architecture, str], _Candidates] = {}
        self._shared: dict[tuple[int, ...], tuple[Expectation, ...]] = {}

    def of(self, case_id: str, test: str, architecture: Architecture) -> tuple[Expectation, ...]:
        """Those of a case, in the order written; equal answers are one object."""
        if not self._entries:
            return ()
        candidates = self._candidates.get((architecture, test))
        if candidates is None:
            candidates = self._candidates_of(test, architecture)
            self._candidates[architecture, test] = candidates
        if not candidates.rows:
            return candidates.certain
        found = [
            expectation
            for expectation, literal, matches in candidates.rows
            if literal in case_id and matches(case_id)
        ]
        return self._share(found) if found else ()

    def unmatched(
        self, suites: Mapping[Architecture, SuiteTests], architectures: Iterable[Architecture]
    ) -> list[Problem]:
        """The patterns that match no test, which are typos, each as a problem.

        A pattern is judged only where all tests are known that it may be about: those of its
        entry's architectures, or else of all ``architectures`` of the scenario. Patterns with a
        dot may be ids, and are not judged: other scenarios may read the same file. Nor is a file
        that was made for a revision of the suite, which need not be the user's.
        """
        available = {arch: suite for arch, suite in suites.items() if not suite.unavailable}
        of_all = tuple(architectures)
        problems = []
        for entry in self._entries:
            concerned = entry.expectation.arch or of_all
            if entry.revision or not set(concerned) <= available.keys():
                continue
            names = dict.fromkeys(test.name for arch in concerned for test in available[arch].tests)
            problems += [
                _no_such_test(pattern, names, any_architecture=not entry.expectation.arch)
                for pattern in entry.patterns
                if not pattern.may_be_id
                and pattern.text not in names
                and not any(pattern.matches(name) for name in names)
            ]
        return problems

    def _candidates_of(self, test: str, architecture: Architecture) -> _Candidates:
        prefix = f"{self._scenario}.{encode(test)}."[:_UNCUT]
        certain: list[Expectation] = []
        rows: list[tuple[Expectation, str, Matcher]] = []
        for entry in self._entries:
            if not entry.is_for(architecture):
                continue
            if any(pattern.matches(test) for pattern in entry.patterns):
                certain.append(entry.expectation)
                rows.append((entry.expectation, "", bool))
                continue
            rows += [
                (entry.expectation, max(pattern.literals, key=len), pattern.matches)
                for pattern in entry.patterns
                if pattern.may_be_id and pattern.may_fit_ids_from(prefix)
            ]
        depends_on_id = len(rows) > len(certain)
        return _Candidates(self._share(certain), tuple(rows) if depends_on_id else ())

    def _share(self, found: Iterable[Expectation]) -> tuple[Expectation, ...]:
        """Each of them once, as a tuple of which there is only one with these."""
        once = {id(each): each for each in found}
        return self._shared.setdefault(tuple(once), tuple(once.values()))


def _patterns(known: KnownFailure) -> Iterator[_Pattern]:
    for text, place in zip(known.expectation.cases, known.places, strict=True):
        matches = re.compile(translate(text)).match
        yield _Pattern(text, place, matches, tuple(_WILDCARD.split(text)))


def _no_such_test(
    pattern: _Pattern, names: Mapping[str, None], *, any_architecture: bool
) -> Problem:
    allowed = one_of(pattern.text, names) if names else "the suite has none"
    if any_architecture:
        allowed += "; for one of an architecture that this scenario does not have, add 'arch'"
    return Problem(pattern.place, f"cases: {quoted(pattern.text)} matches no test", allowed)
