"""Decides cases that no decision can tell apart once: of a suite's thousands of tests most are.

``benchmarks/first_result.py`` measures what that is worth. Pure.
"""

from collections.abc import Callable, Hashable
from dataclasses import fields
from operator import attrgetter

from matrix.inventory import Inventory
from matrix.model import Case, Target, Test
from matrix.plan.decisions import Broken, Decision, Run, Skip

Decide = Callable[[Case, Inventory], Decision]

IDENTITY = ("name", "image", "arguments")
"""Of a test: no decision depends on them, where its guest is QEMU's and is not migrated."""

_traits = attrgetter(*(each.name for each in fields(Test) if each.name not in IDENTITY))
_of_run = attrgetter(*(each.name for each in fields(Run) if each.name != "case"))
_of_skip = attrgetter(*(each.name for each in fields(Skip) if each.name != "case"))


class Alike:
    """Decides as a function does, which it asks once for all cases that are alike."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self._known: dict[Hashable, tuple[Decision, Inventory]] = {}

    def decide(self, case: Case, inventory: Inventory) -> Decision:
        """What is decided of a case."""
        if case.migration is not None or case.build.target is not Target.QEMU:
            return self._decide(case, inventory)
        # What is known keeps these objects, so that no other one can have the same id.
        shared = (id(inventory), id(case.variant), id(case.build), id(case.settings))
        key = (*shared, case.excluded, case.excluded_as, case.expected, _traits(case.test))
        known = self._known.get(key)
        if known is None:
            decision = self._decide(case, inventory)
            self._known[key] = decision, inventory
            return decision
        return _of(case, known[0])


def _of(case: Case, decision: Decision) -> Decision:
    """The same decision of another case."""
    match decision:
        case Run():
            return Run(case, *_of_run(decision))
        case Skip():
            return Skip(case, *_of_skip(decision))
        case Broken():
            return Broken(case, decision.reason)
