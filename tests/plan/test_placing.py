"""Which of several hosts a case is planned for, and what is said where none can run it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from matrix.errors import UsageError
from matrix.inventory import Inventory, KvmState
from matrix.model import Accelerator, Architecture, Case, Expectation
from matrix.plan.decisions import Broken, Decision, Run, Skip
from matrix.plan.placing import hosts_on
from matrix.plan.planner import decide, plan
from matrix.verdicts import SkipCause, Verdict
from matrix.versions import VersionRange
from tests import make

X86 = Architecture.X86_64
With = Callable[..., Inventory]


@pytest.fixture
def with_kvm() -> With:
    """An inventory whose KVM is in that state."""

    def build(state: KvmState | None, **host: Any) -> Inventory:
        proofs = () if state is None else (make.proof(state),)
        found: Inventory = make.inventory(make.binary(X86), proofs=proofs)
        return replace(found, host=replace(found.host, **host))

    return build


def planned(cases: list[Case], **hosts: Inventory) -> list[Decision]:
    return list(plan(cases, hosts))


def places(cases: list[Case], **hosts: Inventory) -> list[tuple[str, Accelerator]]:
    decisions = planned(cases, **hosts)
    return [(each.host, each.accelerator) for each in decisions if isinstance(each, Run)]


KVM, TCG = Accelerator.KVM, Accelerator.TCG


@pytest.mark.parametrize(
    ("accel", "states", "place"),
    [
        (Accelerator.AUTO, (None, KvmState.WORKS), ("b", KVM)),
        (Accelerator.AUTO, (KvmState.WORKS, KvmState.WORKS), ("a", KVM)),
        (Accelerator.AUTO, (KvmState.BROKEN, None), ("a", TCG)),
        (Accelerator.KVM, (KvmState.BROKEN, KvmState.WORKS), ("b", KVM)),
        (Accelerator.KVM, (KvmState.BROKEN, KvmState.UNAVAILABLE), ("a", KVM)),
        (Accelerator.TCG, (KvmState.WORKS, KvmState.WORKS), ("a", TCG)),
    ],
)
def test_proven_kvm_is_preferred(
    with_kvm: With,
    accel: Accelerator,
    states: tuple[KvmState | None, KvmState | None],
    place: tuple[str, Accelerator],
) -> None:
    a, b = map(with_kvm, states)
    assert places([make.case(arch=X86, accel=accel)], a=a, b=b) == [place]


def test_one_host_decides_as_alone(with_kvm: With) -> None:
    host = with_kvm(KvmState.WORKS)
    cases = [make.case(arch=X86), make.case(arch=Architecture.ARM)]
    assert planned(cases, local=host) == [decide(case, host) for case in cases]


def test_equal_hosts_share_the_work_by_their_cpus(with_kvm: With) -> None:
    cases = [make.case(arch=X86, accel=TCG) for _ in range(8)]
    found = places(cases, a=with_kvm(None, cpus=2), b=with_kvm(None, cpus=6))
    hosts = [host for host, _ in found]
    assert (hosts[0], hosts.count("a"), hosts.count("b")) == ("a", 2, 6)


def test_a_skip_has_the_reason_of_each_host(with_kvm: With) -> None:
    bare = make.inventory(missing=(("system", X86, "no qemu-system-x86_64 in PATH"),))
    (skip,) = planned(
        [make.case(arch=X86, accel=KVM)], a=bare, b=with_kvm(KvmState.UNAVAILABLE), c=with_kvm(None)
    )
    assert isinstance(skip, Skip)
    assert skip.reason == (
        "a: KVM was not tried for x86_64; b: no KVM for x86_64: because; "
        "c: KVM was not tried for x86_64"
    )
    assert skip.cause is SkipCause.NO_ACCELERATOR


def test_a_skip_that_no_host_changes_has_its_reason_once(with_kvm: With) -> None:
    case = make.case(arch=X86, excluded="in the group nodefault")
    (skip,) = planned([case], a=with_kvm(None), b=with_kvm(None))
    assert isinstance(skip, Skip)
    assert skip.reason == "in the group nodefault"


def test_a_broken_emulator_counts_only_where_no_host_runs_the_case(with_kvm: With) -> None:
    broken = make.inventory(broken=(("system", X86, "it cannot be asked"),))
    missing = make.inventory(missing=(("system", X86, "it is not there"),))
    case = make.case(arch=X86, accel=TCG)
    assert places([case], a=broken, b=with_kvm(None)) == [("b", TCG)]
    (decision,) = planned([case], a=missing, b=broken)
    assert isinstance(decision, Broken)
    assert decision.reason == "a: it is not there; b: it cannot be asked"


def test_known_failures_are_those_of_the_hosts_kernel(with_kvm: With) -> None:
    ranges = (VersionRange((6, 12, 0, 0), None),)
    known = Expectation("x:1", "r", ("*",), host_kernel=ranges, verdicts=(Verdict.FAIL,))
    case = replace(make.case(arch=X86), expected=(known,))
    old = with_kvm(None, kernel="6.1.0")
    new = with_kvm(KvmState.WORKS, kernel="6.12.3")
    (on_new,) = planned([case], a=old, b=new)
    (on_old,) = planned([case], a=old)
    assert isinstance(on_new, Run)
    assert isinstance(on_old, Run)
    assert (on_new.host, on_new.expected, on_old.expected) == ("b", (known,), ())


def test_the_longest_case_is_placed_first(with_kvm: With) -> None:
    short = [make.case(make.test(name, timeout=10), arch=X86, accel=TCG) for name in "abc"]
    long = make.case(make.test("long", timeout=30), arch=X86, accel=TCG)
    found = places([*short, long], a=with_kvm(None), b=with_kvm(None))
    assert [host for host, _ in found] == ["b", "b", "b", "a"]


def elsewhere(*hosts: Inventory) -> tuple[tuple[str, str], ...]:
    case = make.case(arch=X86)
    (decision,) = planned([case], **dict(zip("abcd", hosts, strict=False)))
    assert isinstance(decision, Run)
    assert decision.host == "a"
    return decision.elsewhere


def test_where_a_case_would_be_the_same_it_may_go(with_kvm: With) -> None:
    works, none = with_kvm(KvmState.WORKS), with_kvm(None)
    assert elsewhere(works, works, none) == (("b", "because"),)
    assert elsewhere(none, none) == (("b", "KVM was not tried"),)


def test_where_its_known_failures_are_others_it_may_not(with_kvm: With) -> None:
    ranges = (VersionRange((6, 12, 0, 0), None),)
    known = Expectation("x:1", "r", ("*",), host_kernel=ranges, verdicts=(Verdict.FAIL,))
    case = replace(make.case(arch=X86), expected=(known,))
    (decision,) = planned([case], a=with_kvm(None, kernel="6.1"), b=with_kvm(None, kernel="6.12"))
    assert isinstance(decision, Run)
    assert decision.elsewhere == ()


def test_the_axis_names_the_host(with_kvm: With) -> None:
    hosts = {"a": with_kvm(KvmState.WORKS), "b": with_kvm(None)}
    called = {"a": ("a", "fast"), "b": ("b", "slow")}

    def on(host: str) -> Decision:
        case = make.case(arch=X86)
        case = replace(case, variant=replace(case.variant, host=host))
        (decision,) = plan([case], hosts, called=called)
        return decision

    found = [on(host) for host in ("b", "slow", "each")]
    assert [each.host for each in found if isinstance(each, Run)] == ["b", "b", "a"]
    skip = on("c")
    assert isinstance(skip, Skip)
    assert skip.reason == "the run has no host c; it has a, b"
    assert skip.cause is SkipCause.HOST


def test_this_machine_is_a_host_of_the_axis_too(with_kvm: With) -> None:
    case = make.case(arch=X86)
    case = replace(case, variant=replace(case.variant, host="local"))
    (decision,) = planned([case], local=with_kvm(None))
    assert isinstance(decision, Run)


def test_one_host_that_is_not_this_machine_has_its_name(with_kvm: With) -> None:
    assert places([make.case(arch=X86)], z1=with_kvm(None)) == [("z1", TCG)]


CALLED = {"z1": ("z1", "lpar", "s390x"), "z2": ("z2", "s390x"), "a1": ("a1", "board")}


def test_hosts_by_name_tag_and_architecture() -> None:
    assert hosts_on(["s390x"], CALLED) == ("z1", "z2")
    assert hosts_on(["board", "z1"], CALLED) == ("z1", "a1")
    with pytest.raises(UsageError, match="--on z3: no host is called 'z3'; allowed: z1, z2"):
        hosts_on(["z3"], CALLED)


def of_version(text: str) -> Inventory:
    found: Inventory = make.inventory(replace(make.binary(X86), version_text=text))
    return found


def test_one_name_for_two_versions_is_said(with_kvm: With) -> None:
    case = make.case(arch=X86, accel=TCG)
    old, new = of_version("7.2.22"), of_version("10.0.2")
    (decision,) = plan([case], {"a": old, "b": new})
    assert isinstance(decision, Run)
    assert decision.notes == ("QEMU 'system' is 7.2.22 on a and 10.0.2 on b",)
    (decision,) = plan([case], {"a": old, "b": old})
    assert isinstance(decision, Run)
    assert decision.notes == ()
    # Where one of them is preferred, the other one's does not matter.
    (decision,) = plan([make.case(arch=X86)], {"a": old, "b": with_kvm(KvmState.WORKS)})
    assert isinstance(decision, Run)
    assert (decision.host, decision.notes) == ("b", ())


def test_one_name_for_two_versions_is_a_skip_where_that_is_asked_for() -> None:
    hosts = {"a": of_version("7.2.22"), "b": of_version("10.0.2"), "c": of_version("10.0.2")}
    case = make.case(arch=X86, accel=TCG)
    (skip,) = plan([case], hosts, strict_qemu=True)
    assert isinstance(skip, Skip)
    assert skip.reason == (
        "QEMU 'system' is 7.2.22 on a and 10.0.2 on b, and --strict-qemu wants one"
    )
    assert skip.cause is SkipCause.NO_QEMU
    del hosts["a"]
    (decision,) = plan([case], hosts, strict_qemu=True)
    assert isinstance(decision, Run)
    on_b = replace(case, variant=replace(case.variant, host="b"))
    (decision,) = plan([on_b], {"a": of_version("7.2.22"), **hosts}, strict_qemu=True)
    assert isinstance(decision, Run)
