"""A matrix → its variants in order, by the rules of a GitHub Actions matrix.

The combinations of all axes come first, the last axis changing fastest. An ``exclude`` entry
removes those that have all its values. Then each ``include`` entry in turn is added to every
combination left whose original values it agrees with, overwriting only what an earlier include
added; where there is none it becomes a variant of its own, to which no later entry is added.
(https://docs.github.com/actions/using-jobs/using-a-matrix-for-your-jobs)

Beyond those rules, an ``exclude`` with a reason leaves a trace: an :class:`Exclusion`. Overrides
from the command line set an axis of every variant; ``exclude`` is then judged by the new values,
so that what was left out for its accelerator is not left out under another one. A migration
strategy that goes through a file takes no transport, so its combinations with all of them are one.
"""

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any

from matrix.model import Variant
from matrix.scenario.scenario import Entry, Exclusion, Matrix
from matrix.scenario.values import AxisValue

MAX_VARIANTS = 100_000

_Values = dict[str, AxisValue]


@dataclass(frozen=True, slots=True)
class Flaw:
    """An ``include`` entry (by its index) that cannot be what was meant."""

    entry: int
    message: str
    allowed: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a matrix comes to."""

    variants: tuple[Variant, ...]
    exclusions: tuple[Exclusion, ...]
    flaws: tuple[Flaw, ...] = ()


def count_combinations(matrix: Matrix) -> int:
    """How many combinations :func:`resolve` will make; to be asked before."""
    return prod(len(values) for _, values in (*matrix.axes, *matrix.overrides))


def resolve(matrix: Matrix) -> Resolution:
    """The variants of ``matrix`` in order, each once, and those excluded with a reason."""
    grid = _Grid(matrix)
    excluded = _excluded(matrix, grid)
    added, alone = _included(matrix, grid, excluded)
    collector = _Collector(merge=bool(matrix.overrides))
    for index, combination in enumerate(grid.combinations):
        for override in _override_points(matrix):
            if override:
                excluded_by = _first_match(matrix.exclude, combination | override)
            else:
                excluded_by = excluded.get(index)
            collector.add_combination(combination | added.get(index, {}) | override, excluded_by)
    for index in alone:
        for override in _override_points(matrix):
            collector.add_include(dict(matrix.include[index].values) | override, index)
    return collector.resolution(matrix)


class _Grid:
    """The combinations of all axes, in order, and which of them have which value."""

    def __init__(self, matrix: Matrix) -> None:
        self.names = [name for name, _ in matrix.axes]
        self.combinations: list[_Values] = [
            dict(zip(self.names, point, strict=True))
            for point in product(*(values for _, values in matrix.axes))
        ]
        self._having: dict[tuple[str, AxisValue], set[int]] = defaultdict(set)
        if matrix.include or matrix.exclude:
            for index, combination in enumerate(self.combinations):
                for pair in combination.items():
                    self._having[pair].add(index)

    def fitting(self, values: Iterable[tuple[str, AxisValue]]) -> Collection[int]:
        """The indexes of the combinations that have all ``values``."""
        sets = sorted((self._having.get(pair, set()) for pair in values), key=len)
        return set.intersection(*sets) if sets else range(len(self.combinations))


def _excluded(matrix: Matrix, grid: _Grid) -> dict[int, Entry]:
    """Index of a combination → the first entry that excludes it."""
    excluded: dict[int, Entry] = {}
    for entry in matrix.exclude:
        for index in grid.fitting(entry.values):
            excluded.setdefault(index, entry)
    return excluded


def _included(
    matrix: Matrix, grid: _Grid, excluded: Container[int]
) -> tuple[dict[int, _Values], list[int]]:
    """What the includes add to which combination, and the indexes of the entries that fit none.

    An excluded combination is given the values too, for it is shown as what it would have been,
    but it does not count as one that the entry fits.
    """
    added: dict[int, _Values] = {}
    alone = []
    for number, entry in enumerate(matrix.include):
        condition = [(name, value) for name, value in entry.values if name in grid.names]
        addition = {name: value for name, value in entry.values if name not in grid.names}
        fitting = grid.fitting(condition)
        if all(index in excluded for index in fitting):
            alone.append(number)
            continue
        for index in fitting:
            added[index] = added.get(index, {}) | addition
    return added, alone


def _first_match(entries: tuple[Entry, ...], values: _Values) -> Entry | None:
    for entry in entries:
        if all(values.get(name) == value for name, value in entry.values):
            return entry
    return None


def _override_points(matrix: Matrix) -> Iterator[_Values]:
    names = [name for name, _ in matrix.overrides]
    for point in product(*(values for _, values in matrix.overrides)):
        yield dict(zip(names, point, strict=True))


class _Collector:
    """Keeps variants in order and each of them once."""

    def __init__(self, *, merge: bool) -> None:
        self._merge = merge
        self._variants: dict[Variant, None] = {}
        self._reasons: dict[Variant, str] = {}
        self._flaws: dict[int, Flaw] = {}

    def add_combination(self, values: _Values, excluded_by: Entry | None) -> None:
        if excluded_by is None:
            self._variants.setdefault(_variant(values))
        elif excluded_by.reason:
            self._reasons.setdefault(_variant(values), excluded_by.reason)

    def add_include(self, values: _Values, index: int) -> None:
        if "arch" not in values:
            self._flaws[index] = Flaw(
                index,
                "this entry fits no combination, so it is a variant of its own, without 'arch'",
                "add 'arch', or values that a combination has",
            )
            return
        variant = _variant(values)
        if variant in self._variants and not self._merge:
            self._flaws[index] = Flaw(
                index,
                "this entry gives a variant that there is already",
                "every variant once",
            )
        self._variants.setdefault(variant)

    def resolution(self, matrix: Matrix) -> Resolution:
        """What was collected, of the architectures that the command line keeps."""
        keep = matrix.architectures or tuple({variant.arch for variant in self._all()})
        return Resolution(
            tuple(variant for variant in self._variants if variant.arch in keep),
            tuple(
                Exclusion(variant, reason)
                for variant, reason in self._reasons.items()
                if variant.arch in keep and variant not in self._variants
            ),
            tuple(self._flaws.values()),
        )

    def _all(self) -> Iterator[Variant]:
        yield from self._variants
        yield from self._reasons


def _variant(values: dict[str, Any]) -> Variant:
    variant = Variant(**values)
    if variant.strategy is not None and variant.strategy.through_file:
        return replace(variant, transport=None)
    return variant
