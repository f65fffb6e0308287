"""Which cases stand beside each other: those of two runs, or of two variants of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matrix.errors import UsageError
from matrix.results.case_record import PlannedCase
from matrix.results.compare.changes import Difference
from matrix.results.compare.run_differences import qemu_differences, run_differences
from matrix.results.compare.sides import ComparedRun
from matrix.results.files import shown
from matrix.results.printable import printable
from matrix.scenario.axes import AXES
from matrix.scenario.wording import Refused, one_of, quoted

COMPARABLE_AXES = tuple(name for name in AXES if name != "arch")
"""Tests of different architectures are different programs, even where their names are the same."""

DEFAULT = "default"
"""What an axis' value is called where a variant does not give it."""

_Value = str | int | None
_Pairs = tuple[tuple[PlannedCase | None, PlannedCase | None], ...]


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two sides, and which of their cases are compared."""

    a: ComparedRun
    b: ComparedRun
    pairs: _Pairs
    """The cases in A and B; None where a side does not have it."""
    environment: tuple[Difference, ...] = ()
    axis: str = ""
    """The axis whose values are compared; empty where runs are."""
    values: tuple[str, str] = ("", "")
    """Its values on both sides, as they are written."""

    @property
    def common(self) -> int:
        """How many cases both sides have."""
        return sum(1 for a, b in self.pairs if a is not None and b is not None)


def pair_runs(a: ComparedRun, b: ComparedRun) -> Pairing:
    """Two runs: cases of the same id, in A's order, then those that only B has.

    Ids begin with the scenario's name. Runs of one scenario each that have no id in common are
    matched by the rest: the same tests in place and migrated, for one.
    """
    sides = [{each.id: each for each in run.planned()} for run in (a, b)]
    scenarios = [{each.scenario for each in side.values()} for side in sides]
    if not sides[0].keys() & sides[1].keys() and all(len(each) == 1 for each in scenarios):
        sides = [
            {each.id.removeprefix(f"{each.scenario}."): each for each in side.values()}
            for side in sides
        ]
    return Pairing(a, b, _with_stand_ins(_paired(*sides)), run_differences(a, b))


def _paired(a: Mapping[Any, PlannedCase], b: Mapping[Any, PlannedCase]) -> _Pairs:
    return tuple((a.get(key), b.get(key)) for key in dict.fromkeys((*a, *b)))


def _with_stand_ins(pairs: _Pairs) -> _Pairs:
    """The pairs, with what stands in B for the cases that it has no build for beside those of A."""
    stand_ins = {(b.scenario, b.axes): b for _, b in pairs if b is not None and b.without_build}
    if not stand_ins:
        return pairs
    found = [
        (a, stand_ins.get((a.scenario, a.axes)) if a is not None and b is None else b)
        for a, b in pairs
    ]
    taken = {b.id for a, b in found if a is not None and b is not None}
    return tuple((a, b) for a, b in found if a is not None or (b and b.id not in taken))


def pair_runs_apart(a: ComparedRun, b: ComparedRun, axis: str) -> Pairing:
    """Two runs that were made with another value of ``axis`` each, as by ``--set qemu=NAME``:
    cases equal but for it.

    Raises:
        UsageError: no such axis, or a run has several of its values.
    """
    _check_axis(axis)
    sides: list[dict[object, PlannedCase]] = []
    for record in (a, b):
        cases: dict[object, PlannedCase] = {}
        for case in record.planned():
            other = cases.setdefault(_rest(case, axis), case)
            if other.id != case.id:
                raise UsageError(
                    f"{shown(record.given)} has several values of {axis}, as in "
                    f"{printable(other.id)} and {printable(case.id)}: compare the variants "
                    f"of one run, or two runs of one value each"
                )
        sides.append(cases)
    return Pairing(a, b, _paired(*sides), run_differences(a, b))


def pair_variants(record: ComparedRun, axis: str, base: str = "") -> tuple[Pairing, ...]:
    """Variants of one run: cases equal but for ``axis``, each value beside the base.

    Args:
        record: the run.
        axis: a name of :data:`COMPARABLE_AXES`.
        base: the value to compare with, as it is written in a scenario, or ``default`` for
            variants that do not give it; empty for the first in the plan.

    Returns:
        One pairing for each further value, in the plan's order.

    Raises:
        UsageError: no such axis, or the run has no such value, or no other.
    """
    _check_axis(axis)
    groups: dict[object, dict[_Value, PlannedCase]] = {}
    values: dict[_Value, None] = {}
    for case in record.planned():
        value: _Value = getattr(case.axes, axis)
        values.setdefault(value)
        groups.setdefault(_rest(case, axis), {}).setdefault(value, case)
    chosen = _base(axis, base, tuple(values), record)
    return tuple(
        _variant_pairing(record, axis, chosen, value, groups) for value in values if value != chosen
    )


def _check_axis(axis: str) -> None:
    if axis not in COMPARABLE_AXES:
        raise UsageError(f"--by {quoted(axis)}: no such axis; {one_of(axis, COMPARABLE_AXES)}")


def written(axis: str, value: _Value) -> str:
    """An axis' value as it is written in a scenario."""
    return DEFAULT if value is None else printable(AXES[axis].show(value))


def _variant_pairing(
    record: ComparedRun,
    axis: str,
    base: _Value,
    value: _Value,
    groups: dict[object, dict[_Value, PlannedCase]],
) -> Pairing:
    pairs = tuple(
        (cases.get(base), cases.get(value))
        for cases in groups.values()
        if base in cases or value in cases
    )
    names = (written(axis, base), written(axis, value))
    environment = qemu_differences(record.info, *names) if axis == "qemu" else ()
    return Pairing(record, record, pairs, environment, axis, names)


def _rest(case: PlannedCase, axis: str) -> tuple[object, ...]:
    """What is the same in cases that are equal but for the axis."""
    others = (getattr(case.axes, name) for name in AXES if name != axis)
    return (case.scenario, case.suite, case.test, *others)


def _base(axis: str, base: str, values: tuple[_Value, ...], record: ComparedRun) -> _Value:
    names = [written(axis, value) for value in values]
    if len(values) < 2:
        only = f"only {axis} {names[0]}" if names else "no cases"
        raise UsageError(f"{shown(record.given)} has {only}: nothing to compare --by {axis}")
    if not base:
        return values[0]
    for value, name in zip(values, names, strict=True):
        if base == name or (value is not None and _parsed(axis, base) == value):
            return value
    raise UsageError(f"--base {quoted(base)}: the run has no such {axis}; {one_of(base, names)}")


def _parsed(axis: str, text: str) -> _Value:
    """The value that a text means, as ``1GiB`` and ``1024MiB`` mean the same."""
    try:
        return AXES[axis].parse(text)
    except Refused:
        return None
