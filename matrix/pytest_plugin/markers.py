"""The markers that a case bears, for ``-m``: a word for each axis of few values, and each group."""

import re
from enum import StrEnum

import pytest

from matrix.model import Case
from matrix.plan.decisions import Decision, Run
from matrix.scenario.axes import axis_title

MEANT_FOR_PYTEST = frozenset(
    {"skip", "skipif", "xfail", "parametrize", "usefixtures", "filterwarnings"}
    | {"tryfirst", "trylast", "no_cover", "timeout", "flaky", "xdist_group"}
)
"""Marker names that make pytest or common plugins act. A suite's group of that name becomes
``group_NAME``, or the suite could switch its own tests off."""


def marks_of(decision: Decision) -> dict[str, str]:
    """Marker name → what it means, of one case: the values of its axes that have a closed set of
    them, its QEMU and its groups.

    The accelerator is there as the scenario wants it and as it will be on this host, so that
    ``-m kvm`` finds the cases of ``accel: auto`` that run under KVM.
    """
    case = decision.case
    variant = case.variant
    marks = {
        _word(value.value): _meaning(axis)
        for axis, value in variant.axes().items()
        if isinstance(value, StrEnum)
    }
    name = qemu_marker(variant.qemu)
    marks[name] = f"a case that runs on the QEMU installation {variant.qemu!r}"
    if isinstance(decision, Run):
        marks.setdefault(decision.accelerator.value, _meaning("accel"))
    if case.migration is not None:
        marks["migration"] = "a case whose guest is migrated"
        if variant.strategy is None:
            marks |= dict.fromkeys(case.migration.strategies, _meaning("strategy"))
    for group in case.test.groups:
        marks.setdefault(group_marker(group), f"a test of the suite's group {group!r}")
    return marks


def _meaning(axis: str) -> str:
    return f"a case of that {axis_title(axis)}"


def qemu_marker(name: str) -> str:
    """``qemu_10_0`` for an installation named ``10.0``."""
    return f"qemu_{_word(name)}"


def group_marker(group: str) -> str:
    """A suite's group as a marker."""
    name = _word(group)
    reserved = name in MEANT_FOR_PYTEST or name.startswith("_") or not name
    return f"group_{name}" if reserved else name


def add_marks(item: pytest.Item, decision: Decision) -> None:
    """Register the markers, so that --strict-markers knows them, and put them on the item."""
    config = item.config
    known = config.stash.setdefault(KNOWN, set())
    for name, meaning in marks_of(decision).items():
        if name not in known:
            known.add(name)
            if name not in _registered(config):
                config.addinivalue_line("markers", f"{name}: {meaning}")
        item.add_marker(name)
    item.add_marker(pytest.mark.matrix(**_axes(decision.case)))


KNOWN = pytest.StashKey[set[str]]()
"""Markers that were looked at in this session."""


def _registered(config: pytest.Config) -> set[str]:
    lines = config.getini("markers")
    return {line.split(":")[0].split("(")[0].strip() for line in lines}


def _axes(case: Case) -> dict[str, str | int]:
    """The axes as plain values, which is what ``-m 'matrix(smp=4)'`` compares with."""
    axes = case.variant.axes()
    return {key: str(value) if isinstance(value, str) else value for key, value in axes.items()}


def _word(text: str) -> str:
    """``text`` with what a marker expression cannot hold replaced."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)
