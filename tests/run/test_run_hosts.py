"""Which hosts take part in a run."""

import time
from pathlib import Path

import pytest

from matrix.errors import HostError, UsageError
from matrix.hosts.fleet.fleet_state import Away, AwayKind, set_away
from matrix.plan.schedule import Capacity
from matrix.run.options import Selection
from matrix.run.run_hosts import inventories, taking_part
from tests.run.conftest import INVENTORY, FakeExecutor, FakeHost

FLEET = """
scheduler: {address: s.lab}
hosts:
  p1: {address: p1.lab, arch: ppc64le, tags: [lab, power]}
  z1: {address: z1.lab, tags: lab}
"""


def host(name: str) -> FakeHost:
    return FakeHost(FakeExecutor(), Capacity(vcpus=1, memory=2**30), name)


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET)
    return path


def test_this_machine_takes_part_where_there_is_no_fleet() -> None:
    assert taking_part([], Selection()) == {"local": ("local",)}
    assert [*taking_part([host("b")], Selection())] == ["local", "b"]
    assert [*taking_part([host("b")], Selection(on=("b",)))] == ["b"]


def test_attempts_take_turns_on_several_hosts_only() -> None:
    with pytest.raises(UsageError, match="--spread takes turns on the hosts of a fleet: give --fl"):
        taking_part([], Selection(spread=True))
    assert [*taking_part([host("b")], Selection(spread=True))] == ["local", "b"]


def test_the_hosts_of_a_fleet_take_its_place(fleet: Path) -> None:
    assert taking_part([], Selection(fleet=fleet)) == {
        "p1": ("p1", "lab", "power", "ppc64"),
        "z1": ("z1", "lab"),
    }
    for on, names in {"ppc64": ["p1"], "lab": ["p1", "z1"], "z1": ["z1"]}.items():
        assert [*taking_part([], Selection(fleet=fleet, on=(on,)))] == names
    with pytest.raises(UsageError, match="--on local: no host is called 'local'"):
        taking_part([], Selection(fleet=fleet, on=("local",)))


def test_names_of_hosts_are_their_own() -> None:
    with pytest.raises(UsageError, match="two hosts of the run have the same name: local, b, b"):
        taking_part([host("b"), host("b")], Selection())


def test_a_host_that_is_not_there_has_no_inventory() -> None:
    assert [*inventories(["local", "b", "gone"], INVENTORY, [host("b"), host("c")])] == [
        "local",
        "b",
    ]


def test_hosts_that_are_away_take_no_part(fleet: Path) -> None:
    until = time.time() + 3600
    set_away(fleet, "p1", Away(AwayKind.DRAINED, "ann", 0.0, until, "a new kernel"))
    told: list[str] = []
    assert [*taking_part([], Selection(fleet=fleet), told.append)] == ["z1"]
    assert len(told) == 1
    assert told[0].startswith("p1: drained by ann since 1970-01-01 00:00 UTC until ")
    assert told[0].endswith(" UTC: a new kernel")
    with pytest.raises(HostError, match=r"no host of .* is left for this run"):
        taking_part([], Selection(fleet=fleet, on=("p1",)))
    set_away(fleet, "p1", Away(AwayKind.RESERVED, "ann", 0.0))
    assert [*taking_part([], Selection(fleet=fleet))] == ["z1"]
    assert [*taking_part([], Selection(fleet=fleet, on=("power", "z1")))] == ["z1"]
    assert [*taking_part([], Selection(fleet=fleet, on=("p1",)))] == ["p1"]
    set_away(fleet, "p1", None)
    assert [*taking_part([], Selection(fleet=fleet))] == ["p1", "z1"]
