"""A matrix → its variants in order, by the rules of a GitHub Actions matrix.

The combinations of all axes come first, the last axis changing fastest. An ``exclude`` entry
removes those that have all its values. Then each ``include`` entry in turn is added to every
combination left whose original values it agrees with, overwriting only what an earlier include
added; where there is none it becomes a variant of its own, to which no later entry is added.
(https://docs.github.com/actions/using-jobs/using-a-matrix-for-your-jobs)

Beyond those rules, an ``exclude`` with a reason leaves a trace: an :class:`Exclusion`. Overrides
from the command line set an axis of every variant; ``exclude`` is then judged by the new values,
so that what was left out for its accelerator is not left out under another one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

from matrix.model import Variant
from matrix.scenario.model import Entry, Exclusion, Matrix
from matrix.scenario.values import AxisValue

MAX_VARIANTS = 50_000

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
    """How many combinations the axes alone have; to be asked before :func:`resolve`."""
    overridden = dict(matrix.overrides)
    axes = {**dict(matrix.axes), **overridden}
    return prod(len(values) for values in axes.values())


def resolve(matrix: Matrix) -> Resolution:
    """The variants of ``matrix`` in order, each once, and those excluded with a reason."""
    collector = _Collector(merge=bool(matrix.overrides))
    combinations = _combinations(matrix)
    alone = _include(matrix, combinations)
    for combination in combinations:
        for override in _override_points(matrix):
            if override:
                excluded_by = _first_match(matrix.exclude, combination.original | override)
            else:
                excluded_by = combination.excluded_by
            values = combination.original | combination.added | override
            collector.add_combination(values, excluded_by)
    for index in alone:
        for override in _override_points(matrix):
            collector.add_include(dict(matrix.include[index].values) | override, index)
    return collector.resolution(matrix)


@dataclass(slots=True)
class _Combination:
    original: _Values
    excluded_by: Entry | None
    added: _Values = field(default_factory=dict)


def _combinations(matrix: Matrix) -> list[_Combination]:
    names = [name for name, _ in matrix.axes]
    combinations = []
    for point in product(*(values for _, values in matrix.axes)):
        original = dict(zip(names, point, strict=True))
        combinations.append(_Combination(original, _first_match(matrix.exclude, original)))
    return combinations


def _first_match(entries: tuple[Entry, ...], values: _Values) -> Entry | None:
    for entry in entries:
        if all(values.get(name) == value for name, value in entry.values):
            return entry
    return None


def _include(matrix: Matrix, combinations: list[_Combination]) -> list[int]:
    """Add the includes to the combinations; the indexes of those that fit none are returned.

    An excluded combination is given the values too, for it is shown as what it would have been,
    but it does not count as one that the entry fits.
    """
    axes = {name for name, _ in matrix.axes}
    alone = []
    for index, entry in enumerate(matrix.include):
        condition = [(name, value) for name, value in entry.values if name in axes]
        addition = {name: value for name, value in entry.values if name not in axes}
        fitting = [
            combination
            for combination in combinations
            if all(combination.original[name] == value for name, value in condition)
        ]
        if all(combination.excluded_by is not None for combination in fitting):
            alone.append(index)
            continue
        for combination in fitting:
            combination.added.update(addition)
    return alone


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
    return Variant(**values)
