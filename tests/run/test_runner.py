"""A run keeps what became of its hosts."""

import json
from collections.abc import Callable
from dataclasses import replace

from matrix.plan.schedule import Capacity
from matrix.results.recorder import Recorder
from matrix.run.progress import NullProgress
from matrix.run.runner import execute
from tests.run.conftest import FakeExecutor, FakeHost, planned

ONE = Capacity(vcpus=1, memory=2**30)


def test_lost_hosts_and_what_was_made_again_are_in_the_journal(
    start: Callable[..., Recorder],
) -> None:
    recorder = start(replace(planned("one"), host="a", elsewhere=(("b", ""),)))
    hosts = [FakeHost(FakeExecutor(lost=frozenset({"one"})), ONE, "a")]
    hosts.append(FakeHost(FakeExecutor(), ONE, "b"))
    assert execute(recorder, hosts, NullProgress()) == 0
    lines = map(json.loads, recorder.run.journal_path.read_text().splitlines())
    told = [{**each, "time": ""} for each in lines if "host" in each]
    why = "its kernel panicked"
    lost = {"event": "host-lost", "time": "", "host": "a", "reason": why}
    moved = {"event": "attempt-moved", "time": "", "case": "scenario.one", "attempt": 1}
    moved |= {"host": "a", "reason": f"host a is lost: {why}"}
    assert sorted(told, key=lambda each: each["event"]) == [moved, lost]
