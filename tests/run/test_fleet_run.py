"""Runs over a fleet, as far as no host of it is asked."""

import ssl
from dataclasses import replace

import pytest

from matrix.errors import UsageError
from matrix.hosts.fleet.fleet_host import FleetHost, Terms
from matrix.hosts.fleet.gate import Gate
from matrix.hosts.fleet.messages import Accept, Look
from matrix.inventory import Inventory
from matrix.plan.schedule import Capacity
from matrix.run.fleet_run import MOST_NOTES, plan_notes, with_jobs
from tests.run.conftest import FakeExecutor, FakeHost, planned

TEN = Capacity(10, 2**33)


def host(inventory: Inventory) -> FleetHost:
    gate = Gate("127.0.0.1", 0, ssl.create_default_context(), {})
    terms = Terms(Accept("run", "orchestrator", 10.0), 2.0, 5.0)
    return FleetHost("z1", inventory, TEN, gate, terms, Look(()))


def test_jobs_are_of_each_host_of_the_fleet(inventory: Inventory) -> None:
    other = FakeHost(FakeExecutor(), TEN, "virtual-1")
    hosts = with_jobs([host(inventory), other], 3, None)
    assert [each.capacity.jobs for each in hosts] == [3, None]
    assert [each.capacity for each in with_jobs([host(inventory)], None, None)] == [TEN]


def test_local_workers_are_of_this_machine(inventory: Inventory) -> None:
    with pytest.raises(UsageError, match="leave it or --fleet out"):
        with_jobs([host(inventory)], None, 2)


def test_notes_on_the_plan_are_told_once_and_not_without_end() -> None:
    runs = [replace(planned(f"{i}"), notes=("for all", f"note {i}")) for i in range(MOST_NOTES + 1)]
    assert list(plan_notes(runs[:2])) == ["for all", "note 0", "note 1"]
    *told, last = plan_notes(runs)
    assert len(told) == MOST_NOTES
    assert last == "… and more: 2 notes, in the run's plan.jsonl"
