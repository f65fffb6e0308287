"""The commits of KVM in a kernel's history, from one ``git log``, and which release has each.

``git log`` gives what is changed, ``git rev-list`` the graph, at the same time: a commit is of the
oldest release from which it can be reached, and came by the oldest merge of the main line (first
parents from the end) from which it can be. Neither needs the contents of files.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from matrix.errors import UsageError
from matrix.results.files import shown
from matrix.results.printable import printable
from matrix.status.git import GitStream, git_lines
from matrix.status.kernel_paths import PATHSPECS, part_of, selftest_of

UNRELEASED = "unreleased"
_RELEASE = re.compile(r"v(?:2\.6\.\d+|\d+\.\d+)")
"""A tag of a release: no candidate, and no stable one."""
_BEGIN = "\x01"
_FORMAT = f"--format=tformat:{_BEGIN}%H%x00%ae%x00%aN%x00%ct"


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit that changes KVM, and no merge."""

    id: str
    address: str
    """Of the author, as in the commit: who paid for it then."""
    name: str
    """The author's, by ``.mailmap``: who it is, as to ``git shortlog``."""
    time: int
    """Unix time at which it was committed."""
    parts: frozenset[str]
    selftests: tuple[tuple[str, str], ...]
    """(part, name) of those that it adds."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release, or what is not released yet."""

    name: str
    time: int
    """Unix time; of what is not released, that of the last commit."""

    @property
    def date(self) -> str:
        """The day, UTC."""
        return datetime.fromtimestamp(self.time, UTC).date().isoformat()


@dataclass(slots=True)
class History:
    """What a kernel's history has of KVM."""

    releases: list[Release]
    """The oldest first."""
    commits: list[list[Commit]]
    """Of each release."""
    merges: list[int]
    """Of each release: merges of the main line that brought some of its commits."""
    notes: list[str] = field(default_factory=list)
    """What makes the numbers smaller than they are, in words."""


def read_history(repository: Path, end: str, since: str = "") -> History:
    """Read it all.

    Args:
        repository: a clone, also a bare or a partial one.
        end: the id of the last commit.
        since: the id of a commit whose history is left out.

    Raises:
        UsageError: git fails, or there is no such commit.
    """
    ranges = (end, f"^{since}") if since else (end,)
    graph = GitStream(repository, "rev-list", "--topo-order", "--parents", *ranges, "--")
    try:
        log = GitStream(
            *(repository, "log", "--no-merges", "--full-history", "--no-show-signature"),
            *("-M100%", "--name-status", _FORMAT, *ranges, "--", *PATHSPECS),
        )
        found = {commit.id: commit for commit in parse_log(log) if commit.parts}
        tags = read_tags(repository, since)
        return _folded(found, tags, graph, end, _notes(repository))
    finally:
        graph.close()


def _notes(repository: Path) -> list[str]:
    if git_lines(repository, "rev-parse", "--is-shallow-repository") == ["true"]:
        return [f"{shown(repository)} is a shallow clone: older commits are missing"]
    return []


def parse_log(lines: Iterable[str]) -> Iterator[Commit]:
    """The commits of what ``git log`` prints."""
    head: list[str] = []
    changes: list[tuple[str, str]] = []
    for line in lines:
        if line.startswith(_BEGIN):
            if head:
                yield _commit(head, changes)
            head, changes = line[1:].split("\0"), []
        elif "\t" in line:
            status, *paths = line.split("\t")
            changes.append((status[:1], paths[-1]))
    if head:
        yield _commit(head, changes)


def _commit(head: Sequence[str], changes: Sequence[tuple[str, str]]) -> Commit:
    number, address, name, time = head
    added = (selftest_of(path) for status, path in changes if status == "A")
    return Commit(
        *(number, printable(address).lower(), printable(name)),
        time=int(time),
        parts=frozenset(part for _, path in changes if (part := part_of(path))),
        selftests=tuple(each for each in added if each is not None),
    )


def read_tags(repository: Path, since: str = "") -> dict[str, Release]:
    """The releases by their commits' ids. Raises as ``git_lines``."""
    words = ("for-each-ref", "refs/tags", "--format=%(refname:strip=2)%00%(objectname)%00")
    words = (*words[:-1], f"{words[-1]}%(*objectname)%00%(creatordate:unix)")
    found = {}
    for line in git_lines(repository, *words):
        name, tag, commit, time = line.split("\0")
        if _RELEASE.fullmatch(name) and (commit or tag) != since:
            found[commit or tag] = Release(name, int(time or 0))
    return found


def _version(release: Release) -> list[int]:
    return [int(part) for part in release.name[1:].split(".")]


def _folded(
    found: dict[str, Commit],
    tags: dict[str, Release],
    graph: Iterable[str],
    end: str,
    notes: list[str],
) -> History:
    """Put each commit to its release, going from the youngest commit to the oldest."""
    releases = sorted(tags.values(), key=_version)
    places = {commit: releases.index(release) for commit, release in tags.items()}
    last = len(releases)
    commits: list[list[Commit]] = [[] for _ in range(last + 1)]
    merged: list[set[int]] = [set() for _ in range(last + 1)]
    known: dict[str, tuple[int, int]] = {}
    """Of commits whose children have all been read: release, and place in the main line."""
    main, position, joins = end, 0, set[int]()
    for line in graph:
        number, *parents = line.split(" ")
        release, way = known.pop(number, (last, 0))
        release = min(release, places.get(number, last))
        if number == main:
            position += 1
            way, main = position, parents[0] if parents else ""
            if len(parents) > 1:
                joins.add(position)
        if number in found:
            commits[release].append(found[number])
            merged[release].add(way)
        for parent in parents:
            one, other = known.get(parent, (last, 0))
            known[parent] = min(one, release), max(other, way)
    merges = [len(each & joins) for each in merged]
    time = max((commit.time for commit in commits[last]), default=0)
    releases = [*releases, Release(UNRELEASED, time)]
    kept = [place for place, each in enumerate(commits) if each]
    if not kept:
        raise UsageError(
            "no commit changes KVM there: name a clone of a kernel, or an older --since"
        )
    return History(
        [releases[place] for place in kept],
        [commits[place] for place in kept],
        [merges[place] for place in kept],
        notes,
    )
