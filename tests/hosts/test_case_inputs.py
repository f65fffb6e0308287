"""What cases follow from, found out by another process than the one that has looked at the host."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from matrix import __version__
from matrix.hosts.cache import Cache
from matrix.hosts.case_inputs import CaseInputs, Common, KnownQemu
from matrix.hosts.digests import Digests
from matrix.hosts.workers.wire import Begin, Kind, decode, encode
from matrix.inventory import Inventory
from matrix.plan.decisions import Run
from tests import make


class Place:
    """A QEMU and an image."""

    def __init__(self, folder: Path, name: str = "qemu") -> None:
        self.cache = Cache(folder / "cache")
        self.qemu, self.image = folder / name, folder / "guest.flat"
        self.qemu.write_text("a QEMU")
        self.image.write_text("a guest")
        digests = Digests(self.cache)
        digest = digests.of(str(self.qemu))
        known = KnownQemu(make.binary().path, digest, "", "", digests.states([str(self.qemu)]))
        self.common = Common("environment", "program", "tcg", "kvm", (known,))
        self.inventory: Inventory = make.inventory(make.binary())
        case = make.case(make.test(image=str(self.image)))
        self.run: Run = make.run(replace(case, suite="kvm-unit-tests"))

    def inputs(self, common: Common | None = None) -> CaseInputs:
        common = common or self.common
        return CaseInputs(self.inventory, cache=self.cache, common=common)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def heard(common: Common, inventory: Inventory) -> Common:
    """As a worker hears of it."""
    begin = Begin(__version__, "/run", 0o22, inventory, common=common)
    told = decode(encode(Kind.BEGIN, body=begin)).body
    assert isinstance(told, Begin)
    assert told.common is not None
    return told.common


def test_a_worker_finds_out_the_same(place: Place) -> None:
    ours = place.inputs()
    theirs = place.inputs(heard(ours.common, place.inventory))
    noted, expected = theirs.of(place.run), ours.of(place.run)
    assert noted is not None
    assert expected is not None
    assert noted.inputs == expected.inputs
    assert noted.hold()


@pytest.mark.parametrize("changed", ["qemu", "image"])
def test_what_has_changed_meanwhile_does_not_hold(place: Place, changed: str) -> None:
    noted = place.inputs(heard(place.common, place.inventory)).of(place.run)
    assert noted is not None
    getattr(place, changed).write_text("something else")
    assert not noted.hold()


def test_nothing_is_known_of_an_emulator_that_nobody_was_told_of(place: Place) -> None:
    nothing = Common("environment", "program", "tcg", "kvm")
    assert place.inputs(nothing).of(place.run) is None


def test_a_name_that_json_cannot_hold_is_not_told(tmp_path: Path) -> None:
    place = Place(tmp_path, os.fsdecode(b"qemu-\xff"))
    ours = place.inputs()
    assert ours.of(place.run) is not None
    assert heard(ours.common, place.inventory).qemus == ()
