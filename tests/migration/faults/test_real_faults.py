"""Every fault in a hop of a real guest, which then has to prove its memory and migrate again."""

import pytest

from matrix.attempt import Ending
from matrix.migrating import Fault, HopOutcome, Strategy, Transport
from matrix.migration.faults.table import RULES
from matrix.scenario.compatibility import NEED_TWO_HOSTS

from .conftest import Ran, RunFault

pytestmark = pytest.mark.qemu

POSTCOPY = {
    Fault.KILL_SOURCE_IN_POSTCOPY,
    Fault.STALL_IN_POSTCOPY,
    Fault.DROP_IN_POSTCOPY,
    Fault.PAUSE_IN_POSTCOPY,
    Fault.NO_CONVERGENCE_POSTCOPY,
}
OTHER_WAYS = {
    Fault.TLS_WRONG_CERTIFICATE: (Strategy.PRECOPY, Transport.TLS_X509),
    Fault.TLS_WRONG_HOST: (Strategy.PRECOPY, Transport.TLS_X509),
    Fault.TLS_NO_CLIENT_CERTIFICATE: (Strategy.PRECOPY, Transport.TLS_X509),
    Fault.TLS_WRONG_PSK: (Strategy.PRECOPY, Transport.TLS_PSK),
    Fault.DISK_FULL: (Strategy.FILE, Transport.TCP),
    Fault.NO_CONVERGENCE_THROTTLED: (Strategy.AUTO_CONVERGE, Transport.TCP),
    **dict.fromkeys(POSTCOPY, (Strategy.POSTCOPY, Transport.TCP)),
}
"""Those that are not injected into precopy over TCP."""
ELSEWHERE = {Fault.NO_CONVERGENCE_DIRTY_LIMITED, *NEED_TWO_HOSTS}
"""Needs KVM with dirty rings, and a QEMU from 8.1 on; or two hosts (tests/cli)."""


def check(ran: Ran, fault: Fault) -> None:
    rule, first = RULES[fault], ran.hops[0]
    assert (first.fault, first.good) == (fault, True), first
    assert first.outcome in rule.outcomes
    assert any(event.side == "matrix" for event in first.events)
    if HopOutcome.LOST in rule.outcomes:
        assert ran.result.lost_as_expected
        assert [hop.outcome for hop in ran.hops] == [HopOutcome.LOST]
        return
    second = ran.hops[1]
    assert (second.fault, second.outcome) == (None, HopOutcome.COMPLETED), second
    assert ran.result.outcome.ending is Ending.EXITED
    assert b"INTEGRITY: END" in ran.console
    assert ran.result.bad == ()
    assert b"FAIL" not in ran.console


# QEMU looks once a second at what is written, and throttles what was too much twice.
SLOW = {Fault.NO_CONVERGENCE_THROTTLED: [pytest.mark.slow]}


@pytest.mark.parametrize(
    "fault", [pytest.param(f, marks=SLOW.get(f, [])) for f in Fault if f not in ELSEWHERE]
)
def test_fault(run_fault: RunFault, fault: Fault) -> None:
    ran = run_fault(fault, *OTHER_WAYS.get(fault, ()))
    check(ran, fault)


@pytest.mark.parametrize(
    ("fault", "strategy", "transport"),
    [
        (Fault.NO_LISTENER, Strategy.PRECOPY, Transport.UNIX),
        (Fault.CANCEL_IN_SETUP, Strategy.MULTIFD, Transport.UNIX),
        (Fault.CANCEL_IN_ACTIVE, Strategy.POSTCOPY, Transport.FD),
        (Fault.KILL_DESTINATION_IN_ACTIVE, Strategy.MULTIFD, Transport.UNIX),
        (Fault.DROP_IN_PRECOPY, Strategy.MULTIFD, Transport.TCP),
        (Fault.DROP_IN_PRECOPY, Strategy.MULTIFD, Transport.TLS_X509),
        (Fault.PAUSE_IN_POSTCOPY, Strategy.POSTCOPY_PREEMPT, Transport.UNIX),
        (Fault.CANCEL_IN_PRE_SWITCHOVER, Strategy.FILE, Transport.TCP),
        (Fault.PAUSE_SOURCE, Strategy.FILE, Transport.TCP),
    ],
)
def test_fault_on_another_way(
    run_fault: RunFault, fault: Fault, strategy: Strategy, transport: Transport
) -> None:
    check(run_fault(fault, strategy, transport), fault)


def test_a_guest_that_converges_is_no_case_of_no_convergence(run_fault: RunFault) -> None:
    from .conftest import guest

    # Two pages are written again and again: one that writes a MiB may well not converge where the
    # host is so busy that QEMU sends less than a MiB in a second.
    ran = run_fault(Fault.NO_CONVERGENCE_CANCELLED, launch=guest("region=1 set=0"))
    assert not ran.hops[0].good
    # The cancellation comes too late: before it is sent (or, on a busy host, before QEMU reads it)
    # the hop has completed, or (QEMU 7.2) so late that both sides run for a moment.
    told = (
        "could not be injected: the hop completed before",
        "must end as cancelled or failed, and is completed",
        "both run the guest",
    )
    assert any(words in ran.hops[0].reason for words in told), ran.hops[0].reason
