"""Leases over a link that delays and loses, between clocks that are not equally fast."""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix.hosts.fleet.fleet_file import MAX_TTL, MIN_TTL
from matrix.hosts.fleet.lease import MARGIN, Fence, Grant, Lease, beat_of

TTL = 6.0
KILL = MARGIN / 3
"""Seconds that an agent may take to kill its QEMUs when its lease is over."""


def test_a_late_renewal_extends_nothing() -> None:
    lease = Lease(10.0)
    assert lease.over(0.0)
    lease.renew(5.0)
    lease.renew(3.0)
    assert not lease.over(14.9)
    assert lease.over(15.0)


def test_a_grant_lasts_from_the_last_beat_that_was_heard() -> None:
    grant = Grant(10.0, heard=100.0, margin=2.0)
    grant.hear(105.0)
    grant.hear(104.0)
    assert grant.free_at == 117.0


def test_only_the_latest_execution_counts_and_once() -> None:
    fence = Fence()
    first, second = fence.issue("a"), fence.issue("a")
    assert not fence.take("a", first)
    assert fence.take("a", second)
    assert not fence.take("a", second)
    assert not fence.take("b", first)


@dataclass
class Host:
    """An agent that runs the one attempt, and the orchestrator's view of it."""

    speed: float
    offset: float
    lease: Lease = field(default_factory=lambda: Lease(TTL))
    grant: Grant | None = None
    running: int = 0
    """The execution's number; 0: none."""

    def clock(self, now: float) -> float:
        return self.offset + self.speed * now


@dataclass
class World:
    """One attempt, hosts that take turns with it, and a link that does what the data say."""

    hosts: list[Host]
    duration: float
    link: Random
    now: float = 0.0
    events: list[tuple[float, int, str, int, float]] = field(default_factory=list)
    fence: Fence = field(default_factory=Fence)
    counter: "count[int]" = field(default_factory=count)
    current: int = 0
    recorded: int = 0
    starts: int = 0

    def later(self, delay: float, what: str, host: int, value: float = 0.0) -> None:
        heappush(self.events, (self.now + delay, next(self.counter), what, host, value))

    def send(self, what: str, host: int, value: float = 0.0) -> None:
        """Over the link, which is good in the end."""
        if self.now > 60.0:
            self.later(0.01, what, host, value)
            return
        fate = self.link.choice((0.0, 0.01, 0.3, 2.0, 8.0, None))
        if fate is not None:
            self.later(fate, what, host, value)

    def give(self, host: int) -> None:
        """The orchestrator starts the attempt on a host, of which it has just heard."""
        self.current, self.starts = host, self.starts + 1
        self.hosts[host].grant = Grant(TTL, heard=self.now)
        number = self.fence.issue("attempt")
        self.send("renewal", host, self.hosts[host].clock(self.now))
        self.send("execute", host, number)
        self.later(TTL + MARGIN, "look", host)

    def step(self) -> None:
        self.now, _, what, index, value = heappop(self.events)
        host = self.hosts[index]
        for each in self.hosts:
            if each.lease.over(each.clock(self.now - KILL)):
                each.running = 0
        if what == "beat":
            self.send("heard", index, host.clock(self.now))
            self.later(1.0, "beat", index)
        elif what == "heard" and host.grant is not None:
            host.grant.hear(self.now)
            self.send("renewal", index, value)
        elif what == "renewal":
            host.lease.renew(value)
        elif what == "execute" and not host.lease.over(host.clock(self.now)):
            host.running = int(value)
            self.later(self.duration, "done", index, value)
        elif what == "done" and host.running == value:
            host.running = 0
            self.send("ended", index, value)
        elif what == "ended" and self.fence.take("attempt", int(value)):
            self.recorded += 1
        elif what == "look" and not self.recorded and index == self.current:
            assert host.grant is not None
            if host.running and host.grant.free_at > self.now:
                self.later(host.grant.free_at - self.now + 0.01, "look", index)
            else:  # it has ended it without being heard, or was never told: it renews no more
                self.later(max(0.0, host.grant.free_at - self.now), "move", index)
                host.grant = None
        elif what == "move" and not self.recorded:
            self.give((index + 1) % len(self.hosts))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.floats(0.99, 1.01), st.floats(-1e6, 1e6)), min_size=2, max_size=3),
    st.sampled_from((0.5, 3.0, 9.0)),
)
def test_never_two_at_once_none_twice_none_lost(
    seed: int, clocks: list[tuple[float, float]], duration: float
) -> None:
    world = World([Host(*clock) for clock in clocks], duration, Random(seed))
    for index in range(len(clocks)):
        world.later(0.0, "beat", index)
    world.give(0)
    while world.now < 120.0 and not world.recorded:
        world.step()
        assert sum(host.running > 0 for host in world.hosts) <= 1
    late = world.now + 10.0
    while world.now < late:
        world.step()
    assert world.recorded == 1


@pytest.mark.parametrize("lease", [MIN_TTL, 5.0, 10.0, MAX_TTL])
def test_three_beats_may_be_late_before_a_link_is_given_up(lease: float) -> None:
    assert 4 * beat_of(lease) <= lease / 2
    assert beat_of(lease) <= 1.0
