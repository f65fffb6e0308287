"""What must follow: every fault has its rule and its injector."""

import re

import pytest

from matrix.migrating import Fault, HopOutcome
from matrix.migration.faults.injectors import INJECTORS, injector_for
from matrix.migration.faults.table import RULES


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_a_rule_and_an_injector(fault: Fault) -> None:
    assert RULES[fault].outcomes
    re.compile(RULES[fault].error)
    assert injector_for(fault).fault is fault


@pytest.mark.parametrize(
    "said",
    [
        "Unknown savevm section or instance 'cpu_common' 1.",  # x86_64, s390x
        "error while loading state for instance 0x0 of device 'cpu'",  # aarch64
        "Missing section footer for spapr-xive",  # ppc64
        "Missing section footer for riscv_mtimer",
    ],
)
def test_a_vcpu_mismatch_is_said_in_many_ways(said: str) -> None:
    assert re.search(RULES[Fault.VCPU_MISMATCH].error, f"qemu-system-ARCH: {said}")


def test_another_uuid_is_seen_by_the_main_stream_or_by_a_channel_of_multifd() -> None:
    channel = (
        "failed to receive packet via multifd channel 0: multifd: received uuid '0f3c1a52' and "
        "expected uuid '6f1a6c1e' for channel 0"
    )
    rule = RULES[Fault.UUID_MISMATCH].error
    assert re.search(rule, f"qemu-system-x86_64: {channel}")
    assert re.search(rule, "UUID received is 0f3c1a52 and local is 6f1a6c1e")


def test_nothing_else_has() -> None:
    assert set(RULES) == set(INJECTORS) == set(Fault)


def test_guests_are_lost_with_their_source_or_in_postcopy_alone() -> None:
    lost = {fault for fault in Fault if HopOutcome.LOST in RULES[fault].outcomes}
    assert lost == {
        Fault.KILL_SOURCE_IN_ACTIVE,
        Fault.KILL_SOURCE_IN_POSTCOPY,
        Fault.LOSE_SOURCE_HOST_IN_PRECOPY,
        Fault.LOSE_SOURCE_HOST_IN_POSTCOPY,
        Fault.LOSE_DESTINATION_HOST_IN_POSTCOPY,
        Fault.CUT_LINK_IN_POSTCOPY,
        Fault.KILL_SOURCE_WORKER_IN_PRECOPY,
        Fault.KILL_SOURCE_WORKER_IN_POSTCOPY,
        Fault.KILL_DESTINATION_WORKER_IN_POSTCOPY,
    }


def test_what_is_cancelled_is_cancelled_unless_it_is_too_late() -> None:
    for fault in Fault:
        if "cancel" in fault and fault is not Fault.CANCEL_IN_COMPLETED:
            assert RULES[fault].outcomes[0] is HopOutcome.CANCELLED
            assert HopOutcome.COMPLETED not in RULES[fault].outcomes
    assert RULES[Fault.CANCEL_IN_COMPLETED].outcomes == (HopOutcome.COMPLETED,)


def test_no_guest_goes_to_postcopy_before_its_destination_was_found_unfit() -> None:
    for fault in Fault:
        if fault.value.endswith("-mismatch"):
            assert not injector_for(fault).starts_postcopy


def test_an_injector_is_for_one_hop() -> None:
    first, second = (injector_for(Fault.PAUSE_IN_POSTCOPY) for _ in range(2))
    first.findings.append("seen")
    assert second.findings == []
