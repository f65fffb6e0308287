"""Which machine type two QEMUs have in common."""

from typing import Any

import pytest

from matrix.inventory import Binary, Machine
from matrix.plan.migration_sides import is_versioned, newest_common
from tests import make


def binary(version: tuple[int, int, int], *machines: str, **changes: Any) -> Binary:
    """The last machine is the default one; ``NAME=ALIAS`` gives one an alias."""
    entries = []
    for index, text in enumerate(machines):
        name, _, alias = text.partition("=")
        entries.append(Machine(name, alias, 8, is_default=index == len(machines) - 1))
    found: Binary = make.binary(make.ARM64, version=version, machines=tuple(entries), **changes)
    return found


@pytest.fixture
def old() -> Binary:
    return binary((7, 2, 22), "pc-q35-2.9", "pc-q35-2.10", "pc-q35-7.2=q35", "virt-7.2=virt")


@pytest.fixture
def new() -> Binary:
    return binary((11, 1, 0), "pc-q35-7.2", "pc-q35-2.10", "virt-9.2", "pc-q35-11.1=q35", "none")


def test_the_newest_by_number_and_not_by_text(old: Binary) -> None:
    older = binary((3, 0, 0), "pc-q35-2.9", "pc-q35-2.10", "none")
    assert newest_common("q35", (old, older)).machine == "pc-q35-2.10"


def test_of_the_family_that_the_first_binary_means(old: Binary, new: Binary) -> None:
    assert newest_common("q35", (old, new)).machine == "pc-q35-7.2"
    assert newest_common("q35", (new, old)).machine == "pc-q35-7.2"


def test_options_are_kept(old: Binary, new: Binary) -> None:
    assert newest_common("q35,smm=off", (old, new)).machine == "pc-q35-7.2,smm=off"


def test_of_one_binary_it_is_its_newest(old: Binary) -> None:
    assert newest_common("q35", (old,)).machine == "pc-q35-7.2"
    assert newest_common("", (old,)).machine == "virt-7.2"


def test_three_numbers_count_too() -> None:
    both = (
        binary((4, 0, 1), "pc-q35-4.0", "pc-q35-4.0.1=q35", "none"),
        binary((7, 2, 22), "pc-q35-4.0", "pc-q35-4.0.1", "pc-q35-7.2=q35"),
    )
    assert newest_common("q35", both).machine == "pc-q35-4.0.1"


def test_none_in_common(old: Binary, new: Binary) -> None:
    found = newest_common("virt", (old, new))
    assert found.machine == ""
    assert found.problem == "QEMU 7.2.22 and QEMU 11.1.0 have no machine virt-VERSION in common"


def test_a_versioned_one_is_that_or_none(old: Binary, new: Binary) -> None:
    assert newest_common("pc-q35-2.10", (old, new)).machine == "pc-q35-2.10"
    found = newest_common("pc-q35-2.9", (old, new))
    assert found.problem == "QEMU 11.1.0 has no machine 'pc-q35-2.9'"


def test_one_without_versions_comes_with_a_note() -> None:
    both = (binary((7, 2, 22), "virt"), binary((11, 1, 0), "virt"))
    found = newest_common("virt,aclint=on", both)
    assert found.machine == "virt,aclint=on"
    assert "no versions" in found.note
    assert newest_common("virt", both[:1]).note == ""


def test_unknown_ones(old: Binary) -> None:
    assert newest_common("vrit", (old,)).problem == "QEMU 7.2.22 has no machine 'vrit'"
    no_default = make.binary(make.ARM64, machines=(Machine("virt-7.2"),))
    assert newest_common("", (no_default,)).problem == "QEMU 7.2.22 has no default machine"


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("pc-q35-7.2", True),
        ("virt-10.0,gic-version=3", True),
        ("s390-ccw-virtio-2.12", True),
        ("q35", False),
        ("virt,x=-7.2", False),
        ("powernv9", False),
        ("", False),
    ],
)
def test_what_is_versioned(machine: str, expected: bool) -> None:
    assert is_versioned(machine) is expected
