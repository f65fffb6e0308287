"""Which cases stand beside each other: those of two runs, or of two variants of one."""

from dataclasses import dataclass

from matrix.errors import UsageError
from matrix.model import Case, SkipCause
from matrix.plan.decisions import Decision, Skip
from matrix.results.compare.changes import Difference
from matrix.results.compare.environment import qemu_differences, run_differences
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
_Pairs = tuple[tuple[str | None, str | None], ...]


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two sides, and which of their cases are compared."""

    a: ComparedRun
    b: ComparedRun
    pairs: _Pairs
    """Ids in A and B; None where a side does not have the case."""
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
    ids_a, ids_b = (
        {decision.case.id: decision.case.id for decision in run.decisions} for run in (a, b)
    )
    if not ids_a.keys() & ids_b.keys() and all(len(_scenarios(run)) == 1 for run in (a, b)):
        ids_a, ids_b = (
            {each.removeprefix(f"{_scenarios(run)[0]}."): each for each in ids}
            for run, ids in ((a, ids_a), (b, ids_b))
        )
    keys = dict.fromkeys((*ids_a, *ids_b))
    pairs = tuple((ids_a.get(key), ids_b.get(key)) for key in keys)
    return Pairing(a, b, _with_stand_ins(a, b, pairs), run_differences(a, b))


def stands_in(decision: Decision) -> bool:
    """Whether a case stands for all those of a suite that has no build for its architecture."""
    return isinstance(decision, Skip) and decision.cause is SkipCause.NO_BUILD


def _with_stand_ins(a: ComparedRun, b: ComparedRun, pairs: _Pairs) -> _Pairs:
    """The pairs, with what stands in B for the cases that it has no build for beside those of A."""
    if not any(map(stands_in, b.decisions)):
        return pairs
    stand_ins = {
        (decision.case.scenario, decision.case.variant): decision.case.id
        for decision in b.decisions
        if stands_in(decision)
    }
    found: list[tuple[str | None, str | None]] = []
    for id_a, id_b in pairs:
        if id_a is None or id_b is not None:
            found.append((id_a, id_b))
        else:
            case = a.decision(id_a).case
            found.append((id_a, stand_ins.get((case.scenario, case.variant))))
    taken = {id_b for id_a, id_b in found if id_a is not None}
    return tuple(pair for pair in found if pair[0] is not None or pair[1] not in taken)


def _scenarios(run: ComparedRun) -> tuple[str, ...]:
    return tuple({decision.case.scenario for decision in run.decisions})


def pair_runs_apart(a: ComparedRun, b: ComparedRun, axis: str) -> Pairing:
    """Two runs that were made with another value of ``axis`` each, as by ``--set qemu=NAME``:
    cases equal but for it.

    Raises:
        UsageError: no such axis, or a run has several of its values.
    """
    _check_axis(axis)
    sides: list[dict[object, str]] = []
    for record in (a, b):
        ids: dict[object, str] = {}
        for decision in record.decisions:
            other = ids.setdefault(_rest(decision.case, axis), decision.case.id)
            if other != decision.case.id:
                raise UsageError(
                    f"{shown(record.run.given)} has several values of {axis}, as in "
                    f"{printable(other)} and {printable(decision.case.id)}: compare the variants "
                    f"of one run, or two runs of one value each"
                )
        sides.append(ids)
    keys = dict.fromkeys((*sides[0], *sides[1]))
    pairs = tuple((sides[0].get(key), sides[1].get(key)) for key in keys)
    return Pairing(a, b, pairs, run_differences(a, b))


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
    groups: dict[object, dict[_Value, str]] = {}
    values: dict[_Value, None] = {}
    for decision in record.decisions:
        value = _value(decision.case, axis)
        values.setdefault(value)
        groups.setdefault(_rest(decision.case, axis), {}).setdefault(value, decision.case.id)
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
    groups: dict[object, dict[_Value, str]],
) -> Pairing:
    pairs = tuple(
        (cases.get(base), cases.get(value))
        for cases in groups.values()
        if base in cases or value in cases
    )
    names = (written(axis, base), written(axis, value))
    environment = qemu_differences(record.info, *names) if axis == "qemu" else ()
    return Pairing(record, record, pairs, environment, axis, names)


def _value(case: Case, axis: str) -> _Value:
    value: _Value = getattr(case.variant, axis)
    return value


def _rest(case: Case, axis: str) -> tuple[object, ...]:
    """What is the same in cases that are equal but for the axis."""
    others = (getattr(case.variant, name) for name in AXES if name != axis)
    return (case.scenario, case.suite, case.test.name, *others)


def _base(axis: str, base: str, values: tuple[_Value, ...], record: ComparedRun) -> _Value:
    names = [written(axis, value) for value in values]
    if len(values) < 2:
        only = f"only {axis} {names[0]}" if names else "no cases"
        raise UsageError(f"{shown(record.run.given)} has {only}: nothing to compare --by {axis}")
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
