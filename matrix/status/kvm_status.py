"""The numbers of the talk, as plain data: what ``status.json`` holds and the page shows."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from matrix import __version__
from matrix.results.files import shown
from matrix.results.run_record import RunRecord
from matrix.status.commits import UNRELEASED, Commit, History, Release, read_history
from matrix.status.exercised import Exercised, exercised
from matrix.status.git import commit_named, git_lines
from matrix.status.kernel_paths import COMMON, DOCUMENTATION, SELFTESTS, home_of
from matrix.status.organizations import UNKNOWN, Organizations
from matrix.status.unit_tests import NewTest, read_unit_tests

LAST_PARTS = (COMMON, SELFTESTS, DOCUMENTATION)
Counted = dict[str, int]
"""The largest first."""


@dataclass(frozen=True, slots=True)
class ReleaseNumbers:
    """What a release has of KVM."""

    name: str
    date: str
    commits: int
    merges: int
    authors: int
    parts: Counted
    """Each commit once, for the one part that it is of; they add up to ``commits``."""
    touched: Counted
    """Commits that change anything of a part; one may be of several."""
    organizations: Counted
    selftests: tuple[tuple[str, str], ...]
    """(part, name) of the new ones."""
    unit_tests: tuple[tuple[str, str], ...]
    """Of kvm-unit-tests, added while the release was made."""


@dataclass(frozen=True, slots=True)
class Person:
    """An author."""

    name: str
    organizations: tuple[str, ...]
    commits: int


@dataclass(frozen=True, slots=True)
class Organization:
    """Whom authors worked for."""

    name: str
    commits: int
    authors: int


@dataclass(frozen=True, slots=True)
class Status:
    """All of it."""

    kernel: str
    end: str
    since: str
    releases: tuple[ReleaseNumbers, ...]
    people: tuple[Person, ...]
    organizations: tuple[Organization, ...]
    unknown: Counted
    """Domains that no line of the mapping is of, with their commits."""
    authors: int
    exercised: Exercised
    notes: tuple[str, ...]
    has_unit_tests: bool

    @property
    def commits(self) -> int:
        """All of them."""
        return sum(each.commits for each in self.releases)

    @property
    def merges(self) -> int:
        """All of them."""
        return sum(each.merges for each in self.releases)

    def total(self, field: str) -> Counted:
        """The sum of ``parts``, ``touched`` or ``organizations`` over the releases."""
        found = Counter[str]()
        for release in self.releases:
            found.update(getattr(release, field))
        return dict(found.most_common())

    def new_tests(self, field: str) -> Counted:
        """How many ``selftests`` or ``unit_tests`` are new, by their parts."""
        parts = (part for release in self.releases for part, _ in getattr(release, field))
        return dict(Counter(parts).most_common())

    def architectures(self) -> list[str]:
        """Those with commits, tests or cases, the busiest first."""
        busy = [each for each in self.total("parts") if each not in LAST_PARTS]
        tested = [each for field in ("selftests", "unit_tests") for each in self.new_tests(field)]
        ran = sorted({cell.architecture for cell in self.exercised.latest})
        return [each for each in dict.fromkeys((*busy, *tested, *ran)) if each not in LAST_PARTS]

    def document(self) -> dict[str, Any]:
        """``status.json``."""
        plain: dict[str, Any] = {"format": 1, "tool_version": __version__}
        plain |= {each.name: getattr(self, each.name) for each in fields(self)}
        plain["exercised"] = {
            "runs": self.exercised.runs,
            "cells": [
                {
                    "architecture": cell.architecture,
                    "feature": cell.feature,
                    "way": cell.way.value,
                    **counts.document(),
                    "trend": [each.document() for each in self.exercised.trend[cell]],
                }
                for cell, counts in self.exercised.ordered()
            ],
        }
        return plain


def kvm_status(
    kernel: Path,
    records: Sequence[RunRecord],
    organizations: Organizations,
    *,
    since: str = "",
    unit_tests: Path | None = None,
) -> Status:
    """Read everything and count it.

    Args:
        kernel: a clone; its ``HEAD`` is the end.
        records: runs that show what was exercised.
        organizations: of addresses.
        since: a tag or a commit; empty for the whole history.
        unit_tests: a clone of kvm-unit-tests.

    Raises:
        UsageError: no clone, no such commit, or no commit of KVM.
        HostError: a journal cannot be read.
    """
    end = commit_named(kernel, "HEAD")
    begin = commit_named(kernel, since) if since else ""
    history = read_history(kernel, end, begin)
    tests = read_unit_tests(unit_tests) if unit_tests is not None else []
    if begin:
        first = int(git_lines(kernel, "show", "-s", "--format=%ct", begin)[0])
        tests = [each for each in tests if each.time > first]
    every = [commit for commits in history.commits for commit in commits]
    whose = {commit.id: organizations.of(commit.address, commit.time) for commit in every}
    return Status(
        kernel=shown(kernel),
        end=end,
        since=since,
        releases=tuple(_releases(history, whose, tests)),
        people=_people(every, whose),
        organizations=_organizations(every, whose),
        unknown=_counted(
            commit.address.rpartition("@")[2] for commit in every if whose[commit.id] == UNKNOWN
        ),
        authors=len({commit.name for commit in every}),
        exercised=exercised(records),
        notes=tuple(history.notes),
        has_unit_tests=unit_tests is not None,
    )


def _releases(
    history: History, whose: dict[str, str], tests: Sequence[NewTest]
) -> Iterable[ReleaseNumbers]:
    releases, commits, merges = list(history.releases), history.commits, history.merges
    periods: dict[str, list[NewTest]] = {}
    for test in tests:
        after = (each.name for each in releases if each.name != UNRELEASED)
        times = {each.name: each.time for each in releases}
        name = next((each for each in after if test.time <= times[each]), UNRELEASED)
        periods.setdefault(name, []).append(test)
    if UNRELEASED in periods and releases[-1].name != UNRELEASED:
        releases.append(Release(UNRELEASED, max(each.time for each in periods[UNRELEASED])))
        commits, merges = [*commits, []], [*merges, 0]
    for release, made, merged in zip(releases, commits, merges, strict=True):
        yield ReleaseNumbers(
            name=release.name,
            date=release.date,
            commits=len(made),
            merges=merged,
            authors=len({commit.name for commit in made}),
            parts=_counted(home_of(commit.parts) for commit in made),
            touched=_counted(part for commit in made for part in commit.parts),
            organizations=_counted(whose[commit.id] for commit in made),
            selftests=tuple(sorted({each for commit in made for each in commit.selftests})),
            unit_tests=tuple(
                sorted({(each.part, each.name) for each in periods.get(release.name, ())})
            ),
        )


def _counted(words: Iterable[str]) -> Counted:
    return dict(Counter(words).most_common())


def _people(every: Sequence[Commit], whose: dict[str, str]) -> tuple[Person, ...]:
    counts = Counter(commit.name for commit in every)
    of: dict[str, dict[str, None]] = {}
    for commit in every:
        of.setdefault(commit.name, {})[whose[commit.id]] = None
    return tuple(Person(person, tuple(of[person]), count) for person, count in counts.most_common())


def _organizations(every: Sequence[Commit], whose: dict[str, str]) -> tuple[Organization, ...]:
    people: dict[str, set[str]] = {}
    for commit in every:
        people.setdefault(whose[commit.id], set()).add(commit.name)
    counts = Counter(whose[commit.id] for commit in every)
    return tuple(
        Organization(name, count, len(people[name])) for name, count in counts.most_common()
    )
