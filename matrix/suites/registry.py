"""The kinds of suites: what a scenario may have under ``suite.kind``.

A kind's own module is loaded once a case of it is there: the scenarios' format, which is pure, only
has to know what there is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matrix.suites.suite import Suite


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of suite, as scenarios see it."""

    name: str
    """What ``suite.kind`` of a scenario calls it, and ``suite`` of a case and its record."""
    module: str
    """Where its ``SUITE`` is, a :class:`matrix.suites.suite.Suite`."""
    description: str
    """What it is, for the scenario's JSON Schema."""
    variable: str
    """Environment variable that names a folder with a build per architecture."""
    embedded: bool = False
    """Whether ``build: builtin`` means something: a build of it comes with the package."""
    host_builds: bool = False
    """Whether the host file's ``builds`` are of this kind."""


_KINDS = (
    Kind(
        "kvm-unit-tests",
        "matrix.suites.kvm_unit_tests",
        "build directories of kvm-unit-tests, and the embedded guests",
        "KVM_UNIT_TESTS",
        embedded=True,
        host_builds=True,
    ),
    Kind(
        "kvm-selftests",
        "matrix.suites.kvm_selftests",
        "folders of KVM selftests, as Linux's tools/testing/selftests/kvm after make",
        "KVM_SELFTESTS",
    ),
)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _KINDS}
"""By their names."""


@cache
def suite_of(kind: str) -> "Suite":
    """The suite of a kind that :data:`KINDS` has."""
    suite: Suite = import_module(KINDS[kind].module).SUITE
    return suite
