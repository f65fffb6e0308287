"""Refusals that are kept, and the cases that a plan skips for them."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.hosts.cache import Cache
from matrix.hosts.cached_records import KnownBinary, encode_binary
from matrix.hosts.fingerprint import Stamp
from matrix.hosts.host_facts import HostState
from matrix.hosts.kvm import KvmDevice
from matrix.inventory import Binary
from matrix.migratable.prediction import Answer, Guest, Prediction
from matrix.migratable.refusals import (
    Pair,
    first_hop,
    keep,
    known_refusal,
    refusals_of,
    without_refused,
)
from matrix.migrating import Fault, Migration, MigrationMode, Strategy
from matrix.model import Accelerator, Expectation
from matrix.plan.decisions import Run, Skip
from matrix.suites.build import builtin_build
from matrix.suites.unittests import read_tests
from matrix.verdicts import SkipCause
from tests import make

OLD = replace(make.binary(qemu="old"), path="/old/qemu-system-x86_64")
NEW = replace(make.binary(qemu="new"), path="/new/qemu-system-x86_64")
GUEST = Guest(make.X86, "pc-q35-7.2", "")
PAIR = Pair(OLD, NEW, GUEST)
INVENTORY = make.inventory(OLD, NEW)
WHY = "section 'cpu': version 12, 5 there"
ONCE = Migration(destinations=("new",), machine="pc-q35-7.2")


@pytest.fixture
def host() -> HostState:
    return HostState(make.HOST, KvmDevice("", ""), "this boot")


def install(cache: Cache, host: HostState, binary: Binary, size: int = 1) -> None:
    """Have the cache know a binary, whose file has that size."""
    known = KnownBinary(binary, (Stamp(binary.path, size, 0, 0),))
    cache.write(f"binary {binary.path}", host.key, encode_binary(known))


@pytest.fixture
def cache(tmp_path: Path, host: HostState) -> Cache:
    made = Cache(tmp_path / "cache")
    for binary in (OLD, NEW):
        install(made, host, binary)
    return made


def answer(kind: Answer, pair: Pair = PAIR) -> Prediction:
    return Prediction(pair.source.qemu, pair.destination.qemu, pair.guest, "qemu64", kind, WHY)


def planned(
    migration: Migration = ONCE,
    *,
    params: tuple[str, ...] = (),
    cpu: str = "",
    name: str = "ram-integrity",
) -> Run:
    build = builtin_build(make.X86)
    test = next(each for each in read_tests(build, max_smp=1) if each.name == name)
    test = replace(test, qemu_params=(*test.qemu_params, *params))
    made = make.case(test, build=build, migration=migration, qemu="old")
    variant = replace(made.variant, accel=Accelerator.TCG, cpu=cpu or None)
    return make.run(replace(made, variant=variant))


def test_a_no_is_kept_for_one_direction_and_one_guest(cache: Cache, host: HostState) -> None:
    keep(PAIR, answer(Answer.NO), host, cache)
    assert known_refusal(PAIR, host, cache) == WHY
    for other in (
        replace(PAIR, source=NEW, destination=OLD),
        replace(PAIR, guest=replace(GUEST, machine="pc-q35-7.1")),
        replace(PAIR, guest=replace(GUEST, cpu="max")),
    ):
        assert known_refusal(other, host, cache) == ""


@pytest.mark.parametrize("kind", [Answer.YES, Answer.PERHAPS])
def test_what_is_no_no_is_no_refusal_and_ends_one(
    cache: Cache, host: HostState, kind: Answer
) -> None:
    keep(PAIR, answer(Answer.NO), host, cache)
    keep(PAIR, answer(kind), host, cache)
    assert known_refusal(PAIR, host, cache) == ""


def test_a_crash_is_no_refusal(cache: Cache, host: HostState) -> None:
    """A skip would hide it."""
    died = replace(answer(Answer.NO), reason="QEMU ended with signal 6: cpu: no such register")
    keep(PAIR, died, host, cache)
    assert known_refusal(PAIR, host, cache) == ""


def test_another_qemu_in_the_same_place_is_not_known(cache: Cache, host: HostState) -> None:
    keep(PAIR, answer(Answer.NO), host, cache)
    install(cache, host, NEW, size=2)
    assert known_refusal(PAIR, host, cache) == ""


def test_a_binary_that_the_cache_does_not_know_is_kept_nothing_of(
    tmp_path: Path, host: HostState
) -> None:
    empty = Cache(tmp_path / "empty")
    keep(PAIR, answer(Answer.NO), host, empty)
    assert known_refusal(PAIR, host, empty) == ""


def test_between_which_of_several_a_guest_does_not_go(cache: Cache, host: HostState) -> None:
    """Each direction on its own; nothing is asked that is known."""
    back = replace(PAIR, source=NEW, destination=OLD)
    keep(PAIR, answer(Answer.NO), host, cache)
    keep(back, answer(Answer.YES, back), host, cache)
    run = planned(replace(ONCE, destinations=("old", "new"), faults=(Fault.CANCEL_IN_ACTIVE,)))
    names = ("old", "new", "not-there")
    found = asyncio.run(refusals_of(run, names, INVENTORY, host, cache))
    assert found == {("old", "new"): WHY}


def test_a_case_whose_first_hop_fails_is_skipped_with_the_reason(
    cache: Cache, host: HostState
) -> None:
    keep(PAIR, answer(Answer.NO), host, cache)
    refused, other = planned(), planned(replace(ONCE, destinations=()))
    skip = make.skip(make.case())
    found = without_refused([refused, other, skip], INVENTORY, host, cache)
    assert found == [
        Skip(
            refused.case,
            f"no hop from QEMU old to new, as matrix migratable found: {WHY}",
            SkipCause.UNSUPPORTED,
        ),
        other,
        skip,
    ]


def test_the_first_hop_is_that_of_the_idle_guest() -> None:
    assert first_hop(planned(), INVENTORY) == PAIR
    assert first_hop(planned(cpu="max"), INVENTORY) == replace(
        PAIR, guest=replace(GUEST, cpu="max")
    )


EXPECTED = Expectation("known.yaml:1", "known", ("*",))


def others() -> Iterator[tuple[str, Run]]:
    """Cases of which an idle guest says nothing, or of which a failure is wanted."""
    yield "no migration", replace(planned(), case=replace(planned().case, migration=None))
    yield "its own QEMU", planned(replace(ONCE, destinations=("old",)))
    yield "one of several", planned(replace(ONCE, destinations=("new", "newer")))
    yield "a QEMU that is not there", planned(replace(ONCE, destinations=("newer",)))
    yield "a fault", planned(replace(ONCE, faults=(Fault.CANCEL_IN_ACTIVE,)))
    yield "the guest decides", planned(replace(ONCE, mode=MigrationMode.COOPERATIVE))
    yield "a file", planned(replace(ONCE, strategies=(Strategy.PRECOPY, Strategy.FILE)))
    yield "cpr", planned(replace(ONCE, strategies=(Strategy.CPR_TRANSFER,)))
    yield "a guest that may end before its hop", planned(name="smp")
    yield "KVM", replace(planned(), accelerator=Accelerator.KVM)
    yield "elsewhere", replace(planned(), host="virtual-x86_64")
    yield "a known failure", replace(planned(), expected=(EXPECTED,))
    yield "a property of the machine", planned(params=("-machine", "smm=off"))
    yield "a property of a device", planned(params=("-global", "hpet.msi=on"))


@pytest.mark.parametrize(("what", "run"), list(others()))
def test_other_cases_are_run(what: str, run: Run) -> None:
    assert first_hop(run, INVENTORY) is None, what
