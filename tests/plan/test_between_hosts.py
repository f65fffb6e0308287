"""Cases whose guests go from one host to another: on which two they are planned, or why on none."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from matrix.inventory import Inventory, KvmState, Machine
from matrix.migrating import Fault, Migration, Strategy, Transport
from matrix.model import Accelerator, Architecture, Case
from matrix.plan.decisions import Decision, Run, Skip
from matrix.plan.placing import hosts_of_attempt
from matrix.plan.planner import plan
from matrix.verdicts import SkipCause
from tests import make

X86 = Architecture.X86_64
OTHER = Migration(host="other", transports=(Transport.TCP,))


def host(
    *versions: str, state: KvmState | None = None, qemu: str = "system", **facts: Any
) -> Inventory:
    """One whose QEMU has these versions of ``pc-q35``, the newest last."""
    *older, newest = versions or ("7.2",)
    machines = [Machine(f"pc-q35-{each}", cpu_max=8) for each in older]
    machines.append(Machine(f"pc-q35-{newest}", "q35", 8, is_default=True))
    version = (int(newest.split(".")[0]), int(newest.split(".")[1]), 0)
    binary = make.binary(X86, machines=tuple(machines), qemu=qemu, version=version)
    proofs = () if state is None else (make.proof(state),)
    found: Inventory = make.inventory(binary, proofs=proofs)
    return replace(found, host=replace(found.host, **facts))


def case(migration: Migration = OTHER, **variant: Any) -> Case:
    found: Case = make.case(migration=migration)
    return replace(found, variant=replace(found.variant, **variant))


def decided(
    one: Case, called: Mapping[str, Iterable[str]] | None = None, **hosts: Inventory
) -> Decision:
    names = None if called is None else {name: tuple(each) for name, each in called.items()}
    (decision,) = plan([one], hosts, None, names)
    return decision


def ran(decision: Decision) -> Run:
    assert isinstance(decision, Run), decision
    return decision


def skipped(decision: Decision) -> str:
    assert isinstance(decision, Skip), decision
    return decision.reason


def test_a_case_takes_both_hosts() -> None:
    run = ran(decided(case(), a=host(), b=host()))
    assert (run.host, run.gang, run.hosts) == ("a", ("b",), ("a", "b"))
    assert run.case.migration is not None
    assert run.case.migration.destinations == ("system",)


def test_a_disk_stays_on_its_host() -> None:
    test = make.test(qemu_params=("-drive", "file={disk:1M}"))
    with_disk = replace(case(), test=test, build=make.build(X86, builtin=True))
    assert skipped(decided(with_disk, a=host(), b=host())) == (
        "not to another host: its disk is a file of the host that it was started on"
    )


def test_several_are_spread_over_the_pairs() -> None:
    hosts = {name: host() for name in "abcd"}
    runs = [ran(each) for each in plan([case()] * 4, hosts)]
    assert sorted(name for each in runs for name in each.hosts) == sorted("abcd" * 2)


def test_attempts_take_turns_and_retries_go_where_nothing_has_failed() -> None:
    run = ran(decided(case(), None, **{name: host() for name in "abcd"}))
    assert hosts_of_attempt(run, 1) == (("a", "b"), ())
    assert hosts_of_attempt(run, 2, [("a", "b")]) == (("c", "d"), ())
    settings = replace(run.case.settings, spread=True)
    spread = replace(run, case=replace(run.case, settings=settings))
    ways = [hosts_of_attempt(spread, number)[0] for number in range(1, 13)]
    assert sorted(set(ways)) == sorted(ways)
    assert len(ways) == len(spread.other_gangs) + 1


def test_the_machine_is_the_newest_that_both_have() -> None:
    run = ran(decided(case(machine="q35"), a=host("7.2", "10.0"), b=host("6.2", "7.2")))
    assert run.case.migration is not None
    assert run.case.migration.machine == "pc-q35-7.2"


def test_without_a_common_machine_it_is_a_skip() -> None:
    reason = skipped(decided(case(machine="q35"), a=host("10.0"), b=host("7.2")))
    assert reason == (
        "a → b: QEMU 10.0.0 on a and QEMU 7.2.0 on b have no machine pc-q35-VERSION in common; "
        "b → a: QEMU 7.2.0 on b and QEMU 10.0.0 on a have no machine pc-q35-VERSION in common"
    )


def test_it_goes_to_another_qemu_on_the_other_host() -> None:
    """The other way round it cannot: each host has one of the two."""
    one = case(replace(OTHER, destinations=("new",)), qemu="old", machine="q35")
    hosts = {"a": host("7.2", "10.0", qemu="new"), "b": host("7.2", qemu="old")}
    run = ran(decided(one, None, **hosts))
    assert run.hosts == ("b", "a")
    assert run.case.migration is not None
    assert run.case.migration.machine == "pc-q35-7.2"
    assert run.case.migration.destinations == ("new",)


def test_a_qemu_that_no_other_host_has_is_a_skip_with_the_reason_of_each() -> None:
    one = case(replace(OTHER, destinations=("new",)))
    reason = skipped(decided(one, a=host(), b=host()))
    missing = "no QEMU installation named 'new' (see --qemu NAME=DIR)"
    assert reason == (
        f"a → b: not to QEMU new on b: {missing}; b → a: not to QEMU new on a: {missing}"
    )


def test_of_several_qemus_those_that_are_not_there_are_told() -> None:
    one = case(replace(OTHER, destinations=("new", "system")))
    run = ran(decided(one, a=host(), b=host()))
    assert run.case.migration is not None
    assert run.case.migration.destinations == ("system",)
    missing = "no QEMU installation named 'new' (see --qemu NAME=DIR)"
    assert run.notes == (f"not to QEMU new on b: {missing}",)


def test_a_qemu_that_is_another_version_there_is_told() -> None:
    new = host("7.2", "10.0")
    (binary,) = new.binaries
    new = replace(new, binaries=(replace(binary, version_text="10.0.2"),))
    run = ran(decided(case(machine="q35"), a=host(), b=new))
    assert run.notes == ("QEMU 'system' is 7.2.22 on a and 10.0.2 on b",)
    (strictly,) = plan([case(machine="q35")], {"a": host(), "b": new}, strict_qemu=True)
    assert skipped(strictly) == f"{run.notes[0]}, and --strict-qemu wants one"


def test_a_strategy_that_one_qemu_lacks_is_told_with_its_host() -> None:
    new = host()
    (binary,) = new.binaries
    new = replace(new, binaries=(replace(binary, migration_capabilities=("events",)),))
    one = case(replace(OTHER, strategies=(Strategy.XBZRLE,)))
    reason = "on b: QEMU 7.2.0 has no migration capability 'xbzrle'"
    assert skipped(decided(one, a=host(), b=new)) == reason


@pytest.mark.parametrize(
    ("cpu", "state", "different"),
    [
        ("host", KvmState.WORKS, True),
        ("max", KvmState.WORKS, True),
        ("max", None, False),
        ("qemu64", KvmState.WORKS, False),
    ],
)
def test_another_cpu_under_kvm_is_another_one_to_the_guest(
    cpu: str, state: KvmState | None, *, different: bool
) -> None:
    one = case(accel=Accelerator.AUTO, cpu=cpu)
    hosts = {name: host(state=state, cpu_model=f"CPU of {name}") for name in "ab"}
    hosts = {
        name: replace(each, proofs=tuple(replace(p, cpu=cpu) for p in each.proofs))
        for name, each in hosts.items()
    }
    decision = decided(one, None, **hosts)
    if different:
        told = f"CPU model {cpu!r} is that of the host: "
        assert f"{told}CPU of a on a and CPU of b on b" in skipped(decision)
    else:
        ran(decision)
    same = {name: replace(each, host=hosts["a"].host) for name, each in hosts.items()}
    ran(decided(one, None, **same))


def test_it_goes_round_as_many_hosts_as_asked_for() -> None:
    one = case(replace(OTHER, hosts=3))
    run = ran(decided(one, None, **{name: host() for name in "abcd"}))
    assert run.hosts == ("a", "b", "c")
    assert ("d", "a", "b") in run.other_gangs
    assert ("a", "c", "d") in run.other_gangs
    reason = skipped(decided(one, a=host(), b=host()))
    assert reason == "its guest migrates to another one, between 3 hosts, and the run has a, b"


def test_a_qemu_that_one_of_three_hosts_lacks_is_none_of_the_others() -> None:
    one = case(replace(OTHER, hosts=3, destinations=("system", "new")))
    both = host()
    both = replace(both, binaries=(*both.binaries, *host(qemu="new").binaries))
    run = ran(decided(one, a=both, b=both, c=host()))
    assert run.hosts == ("a", "b", "c")
    assert run.case.migration is not None
    assert run.case.migration.destinations == ("system",)
    run = ran(decided(one, a=host(), b=both, c=both))
    assert run.case.migration is not None
    assert run.case.migration.destinations == ("system", "new")


@pytest.mark.parametrize(
    ("states", "accelerator", "why"),
    [
        ((KvmState.WORKS, KvmState.WORKS), Accelerator.KVM, "the kernel says so"),
        ((KvmState.WORKS, KvmState.UNAVAILABLE), Accelerator.TCG, "no KVM on b: "),
        ((None, KvmState.WORKS), Accelerator.TCG, "no KVM on a: "),
    ],
)
def test_it_runs_under_kvm_only_where_both_have_it(
    states: tuple[KvmState | None, KvmState | None], accelerator: Accelerator, why: str
) -> None:
    one = case(accel=Accelerator.AUTO)
    run = ran(decided(one, a=host(state=states[0]), b=host(state=states[1])))
    assert run.accelerator is accelerator
    assert why in run.why or accelerator is Accelerator.KVM
    assert run.case.variant.accel is Accelerator.AUTO


def test_kvm_that_one_lacks_is_a_skip_with_its_reason() -> None:
    one = case(accel=Accelerator.KVM)
    reason = skipped(decided(one, a=host(state=KvmState.WORKS), b=host(state=KvmState.UNAVAILABLE)))
    assert reason == "not on b: no KVM for x86_64: because"


def test_a_qemu_that_one_lacks_is_a_skip_with_its_name() -> None:
    reason = skipped(decided(case(), a=host(), b=host(qemu="other")))
    assert reason == "not on b: no QEMU installation named 'system' (see --qemu NAME=DIR)"


def test_one_host_is_none_too_many() -> None:
    decision = decided(case(), local=host())
    assert isinstance(decision, Skip)
    assert (decision.reason, decision.cause) == (
        "its guest migrates to another host, and there is this machine alone: see --fleet",
        SkipCause.HOST,
    )
    assert (
        skipped(decided(case(), a=host())) == "its guest migrates to another one, and the run has a"
    )


def test_a_host_is_named_or_called_by_a_tag() -> None:
    hosts = {name: host() for name in "abc"}
    called = {"a": "a", "b": ("b", "big"), "c": "c"}
    run = ran(decided(case(Migration(host="big", transports=OTHER.transports)), called, **hosts))
    assert run.gang == ("b",)
    run = ran(decided(case(host="c"), called, **hosts))
    assert run.host == "c"
    reason = skipped(decided(case(replace(OTHER, host="d")), called, **hosts))
    assert reason == "its guest migrates to d, and the run has a, b, c"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"transports": (Transport.UNIX,)}, "transport 'unix' is within one host only"),
        ({"transports": (Transport.FD,)}, "transport 'fd' is within one host only"),
        ({"transports": (Transport.EXEC,)}, "transport 'exec' is within one host only"),
        ({"transports": (Transport.TLS_PSK,)}, "transport 'tcp+tls-psk' is within one host only"),
        ({"strategies": (Strategy.FILE,)}, "strategy 'file' is within one host only"),
        ({"strategies": (Strategy.MAPPED_RAM,)}, "strategy 'mapped-ram' is within one host only"),
        (
            {"strategies": (Strategy.CPR_TRANSFER,)},
            "strategy 'cpr-transfer' is within one host only",
        ),
        ({"faults": (Fault.NO_LISTENER,)}, "fault 'no-listener' is within one host only"),
    ],
)
def test_what_stays_on_one_host_is_a_skip(change: dict[str, Any], reason: str) -> None:
    one = case(replace(OTHER, **change))
    assert skipped(decided(one, a=host(), b=host())) == reason


def test_a_worker_is_killed_where_nothing_else_runs() -> None:
    fault = Fault.KILL_SOURCE_WORKER_IN_PRECOPY
    one = case(replace(OTHER, faults=(fault,)))
    reason = skipped(decided(one, a=host(), b=host()))
    assert reason == (
        "fault 'kill-source-worker-in-precopy' ends what else runs on its hosts: "
        "it needs run: {alone: true}"
    )
    alone = replace(one, settings=replace(one.settings, alone=True))
    run = ran(decided(alone, a=host(), b=host()))
    assert run.case.migration is not None
    assert run.case.migration.faults == (fault,)
    assert skipped(decided(alone, a=host())).startswith("its guest migrates to another one")


def test_what_a_pool_loses_is_told() -> None:
    both = replace(
        OTHER,
        transports=(Transport.UNIX, Transport.TCP),
        strategies=(Strategy.PRECOPY, Strategy.FILE),
    )
    run = ran(decided(case(both), a=host(), b=host()))
    assert run.case.migration is not None
    assert run.case.migration.transports == (Transport.TCP,)
    assert run.case.migration.strategies == (Strategy.PRECOPY,)
    assert run.notes == (
        "strategy 'file' is within one host only",
        "transport 'unix' is within one host only",
    )


def test_what_the_other_host_s_kernel_lacks_counts() -> None:
    one = case(replace(OTHER, strategies=(Strategy.POSTCOPY,)))
    reason = skipped(decided(one, a=host(), b=host(userfaultfd="not permitted")))
    assert "strategy 'postcopy': not permitted" in reason
