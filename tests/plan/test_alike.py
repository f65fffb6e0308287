"""Cases that are alike are decided once, and no decision can tell them apart."""

from dataclasses import fields, replace

import pytest

from matrix.inventory import Inventory, KvmState
from matrix.migrating import Migration
from matrix.model import Accelerator, Case, Target, Test
from matrix.plan.alike import IDENTITY, Alike
from matrix.plan.decisions import Broken, Decision, Run, Skip
from matrix.plan.planner import decide
from tests import make

HERE = make.inventory(make.binary(), proofs=(make.proof(KvmState.UNAVAILABLE),))
BROKEN = make.inventory(broken=(("system", make.X86, "no libslirp"),))
TESTS = (
    make.test(),
    make.test(unsupported="i386 only"),
    make.test(accelerator="kvm"),
    make.test(checks=(("/a", "b"),)),
    make.test(machine="q35"),
    make.test(smp=4, qemu_params=("-cpu", "max", "-device", "edu")),
)
read: set[str] = set()


class Watched(Test):
    """A test that notes what is read of it."""

    def __getattribute__(self, name: str) -> object:
        read.add(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize("efi", [False, True])
@pytest.mark.parametrize("inventory", [HERE, BROKEN, make.inventory()])
@pytest.mark.parametrize("accelerator", Accelerator)
@pytest.mark.parametrize("test", TESTS)
def test_no_decision_depends_on_what_tells_alike_cases_apart(
    test: Test, accelerator: Accelerator, inventory: Inventory, efi: bool
) -> None:
    watched = Watched(*(getattr(test, each.name) for each in fields(Test)))
    build = make.build(efi=efi)
    case = make.case(test, accel=accelerator, build=build)
    read.clear()
    decision = decide(replace(case, test=watched), inventory)
    assert read
    assert read.isdisjoint(IDENTITY)
    assert replace(decision, case=case) == decide(case, inventory)


class Counting:
    """Decides, and counts how often."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, case: Case, inventory: Inventory) -> Decision:
        self.asked += 1
        return decide(case, inventory)


def renamed(case: Case) -> Case:
    test = replace(case.test, name="other", image="/build/other.flat", arguments="1 2")
    return replace(case, id="smoke.other", test=test)


@pytest.mark.parametrize(
    ("case", "inventory", "kind"),
    [
        (make.case(), HERE, Run),
        (make.case(excluded="no need"), HERE, Skip),
        (make.case(), BROKEN, Broken),
    ],
)
def test_alike_cases_are_decided_once_and_keep_what_is_their_own(
    case: Case, inventory: Inventory, kind: type[Decision]
) -> None:
    counting = Counting()
    alike = Alike(counting)
    for each in (case, renamed(case)):
        decision = alike.decide(each, inventory)
        assert decision == decide(each, inventory)
        assert isinstance(decision, kind)
        assert decision.case is each
    assert counting.asked == 1


@pytest.mark.parametrize(
    "other",
    [
        make.case(make.test(smp=2)),
        make.case(excluded="no need"),
        make.case(accel=Accelerator.KVM),
        make.case(build=make.build(efi=True)),
        make.case(repeat=2),
    ],
)
def test_cases_that_differ_are_decided_each(other: Case) -> None:
    counting = Counting()
    alike = Alike(counting)
    alike.decide(make.case(make.test()), HERE)
    assert alike.decide(other, HERE) == decide(other, HERE)
    assert counting.asked == 2


@pytest.mark.parametrize(
    "case",
    [
        make.case(migration=Migration()),
        make.case(build=make.build(target=Target.KVMTOOL)),
        make.case(build=make.build(target=Target.PROGRAM)),
    ],
)
def test_what_may_depend_on_more_is_decided_each_time(case: Case) -> None:
    counting = Counting()
    alike = Alike(counting)
    alike.decide(case, HERE)
    alike.decide(case, HERE)
    assert counting.asked == 2


def test_each_host_decides_for_itself() -> None:
    alike, case = Alike(decide), make.case()
    assert isinstance(alike.decide(case, HERE), Run)
    assert isinstance(alike.decide(case, BROKEN), Broken)
