"""Migrations that a host can run, wholly or in part, and the reasons why not."""

from dataclasses import replace
from typing import Any

import pytest

from matrix.inventory import Binary, Host, Inventory, KvmProof, KvmState, Machine
from matrix.migrating import Fault, Migration, Strategy, Transport
from matrix.model import Accelerator, Architecture, Case, MemoryBackend, Target
from matrix.plan.command import launch_for
from matrix.plan.decisions import Decision, Run, Skip
from matrix.plan.migration_plan import lacking, lacking_on_host
from matrix.plan.planner import decide
from matrix.plan.strategy_settings import RECIPES
from tests import make

X86 = Architecture.X86_64
KVM, TCG = Accelerator.KVM, Accelerator.TCG
HOST = Host("x86_64", "6.1.0", 2, 2**33, kvm_dirty_ring=True)

CAPABILITIES = (
    *("auto-converge", "background-snapshot", "events", "multifd", "postcopy-preempt"),
    *("postcopy-ram", "return-path", "xbzrle"),
)
PARAMETERS = ("downtime-limit", "max-bandwidth", "multifd-channels", "xbzrle-cache-size")


@pytest.fixture
def old() -> Binary:
    """7.2, as it describes itself."""
    found: Binary = make.binary(
        X86,
        machines=(Machine("pc-i440fx-7.2", "pc", 255, is_default=True), Machine("pc-q35-7.2")),
        migration_capabilities=CAPABILITIES,
        migration_parameters=PARAMETERS,
    )
    return found


@pytest.fixture
def new() -> Binary:
    """11.1, as it describes itself."""
    found: Binary = make.binary(
        X86,
        qemu="11.1",
        version=(11, 1, 0),
        machines=(
            Machine("pc-i440fx-11.1", "pc", 255, is_default=True),
            Machine("pc-i440fx-7.2", cpu_max=255, deprecated=True),
        ),
        migration_capabilities=(*CAPABILITIES, "dirty-limit", "mapped-ram"),
        migration_parameters=(*PARAMETERS, "avail-switchover-bandwidth", "direct-io", "mode"),
        migration_modes=("normal", "cpr-reboot", "cpr-transfer"),
        migration_addresses=("file", "socket"),
    )
    return found


def inventory(*binaries: Binary, host: Host = HOST, **changes: Any) -> Inventory:
    found: Inventory = make.inventory(*binaries, host=host, **changes)
    return found


def case(migration: Migration, **axes: Any) -> Case:
    found: Case = make.case(arch=X86, migration=migration, **{"accel": TCG, **axes})
    return found


def ran(decision: Decision) -> Migration:
    assert isinstance(decision, Run), decision.reason
    assert decision.case.migration is not None
    return decision.case.migration


def skipped(decision: Decision) -> str:
    assert isinstance(decision, Skip)
    return decision.reason


def only(strategy: Strategy, **changes: Any) -> Migration:
    return Migration(strategies=(strategy,), **changes)


def test_every_strategy_is_made_of_something_known() -> None:
    assert set(RECIPES) == set(Strategy)


class TestOneBinary:
    def test_what_it_has_is_run_as_asked(self, old: Binary) -> None:
        asked = Migration(
            strategies=(Strategy.PRECOPY, Strategy.MULTIFD),
            transports=(Transport.UNIX, Transport.TCP),
            faults=(Fault.NO_LISTENER,),
            parameters=(("multifd-channels", 4),),
        )
        decision = decide(case(asked), inventory(old))
        assert ran(decision) == asked
        assert isinstance(decision, Run)
        assert decision.notes == ()

    @pytest.mark.parametrize(
        ("strategy", "reason"),
        [
            (Strategy.MAPPED_RAM, "QEMU 7.2.22 has no migration capability 'mapped-ram'"),
            (Strategy.CPR_REBOOT, "QEMU 7.2.22 has no migration mode 'cpr-reboot'"),
            (
                Strategy.DIRTY_LIMIT,
                "strategy 'dirty-limit' needs KVM, but the accelerator is tcg",
            ),
        ],
    )
    def test_what_it_lacks_is_a_skip(self, old: Binary, strategy: Strategy, reason: str) -> None:
        transports = () if strategy.through_file else (Transport.UNIX,)
        asked = only(strategy, transports=transports)
        decision = decide(case(asked, strategy=strategy), inventory(old))
        assert skipped(decision) == reason

    def test_what_a_pool_loses_is_told(self, old: Binary) -> None:
        asked = Migration(
            strategies=(Strategy.PRECOPY, Strategy.MAPPED_RAM),
            faults=(Fault.DISK_FULL, Fault.NO_LISTENER),
            parameters=(("direct-io", True),),
        )
        decision = decide(case(asked), inventory(old))
        migration = ran(decision)
        assert migration.strategies == (Strategy.PRECOPY,)
        assert migration.faults == (Fault.NO_LISTENER,)
        assert migration.parameters == ()
        assert isinstance(decision, Run)
        assert decision.notes == (
            "QEMU 7.2.22 has no migration capability 'mapped-ram'",
            "fault 'disk-full' fits none of the strategies that are left",
        )

    def test_one_vcpu_has_no_mismatch_where_more_are_taken(self, old: Binary) -> None:
        asked = only(Strategy.PRECOPY, faults=(Fault.VCPU_MISMATCH,))
        why = (
            "fault 'vcpu-mismatch' needs a guest of at least 2 vCPUs on x86_64: "
            "QEMU migrates one of 1 vCPU to a destination of 2"
        )
        assert skipped(decide(case(asked), inventory(old))) == why
        of_two = decide(case(asked, smp=2), inventory(old))
        assert ran(of_two).faults == (Fault.VCPU_MISMATCH,)
        pool = only(Strategy.PRECOPY, faults=(Fault.VCPU_MISMATCH, Fault.NO_LISTENER))
        decision = decide(case(pool), inventory(old))
        assert ran(decision).faults == (Fault.NO_LISTENER,)
        assert isinstance(decision, Run)
        assert decision.notes == (why,)

    @pytest.mark.parametrize("arch", [Architecture.MIPS64EL, Architecture.LOONGARCH64])
    def test_one_machine_type_has_no_mismatch(self, new: Binary, arch: Architecture) -> None:
        asked = only(Strategy.PRECOPY, faults=(Fault.MACHINE_MISMATCH,))
        binary = replace(new, architecture=arch)
        asking = make.case(arch=arch, migration=asked, accel=TCG, qemu="11.1")
        assert skipped(decide(asking, inventory(binary))) == (
            "fault 'machine-mismatch' needs another machine type that takes the guest, "
            f"and {arch.value} has none"
        )

    def test_a_pool_that_loses_everything_is_a_skip(self, old: Binary) -> None:
        asked = Migration(strategies=(Strategy.MAPPED_RAM, Strategy.CPR_REBOOT), transports=())
        assert skipped(decide(case(asked), inventory(old))) == (
            "QEMU 7.2.22 has no migration capability 'mapped-ram'; "
            "QEMU 7.2.22 has no migration mode 'cpr-reboot'"
        )

    def test_parameters_are_asked_for_too(self, old: Binary, new: Binary) -> None:
        asked = Migration(parameters=(("avail-switchover-bandwidth", 1),))
        reason = skipped(decide(case(asked), inventory(old)))
        assert reason == "QEMU 7.2.22 has no migration parameter 'avail-switchover-bandwidth'"
        ran(decide(case(asked, qemu="11.1"), inventory(new)))

    def test_one_that_did_not_describe_itself_is_tried(self) -> None:
        asked = Migration(strategies=tuple(Strategy)[:4], parameters=(("max-bandwidth", 1),))
        assert ran(decide(case(asked), inventory(make.binary(X86)))) == asked

    def test_memory_counts_twice_and_vcpus_once(self, old: Binary) -> None:
        still = decide(case(Migration()), inventory(old))
        alone = decide(make.case(arch=X86, accel=TCG), inventory(old))
        assert isinstance(still, Run)
        assert isinstance(alone, Run)
        assert (still.vcpus, still.memory) == (alone.vcpus, 2 * alone.memory)


class TestHost:
    def test_postcopy_needs_userfaultfd(self, old: Binary) -> None:
        host = replace(HOST, userfaultfd="no permission for userfaultfd: be root")
        decision = decide(case(only(Strategy.POSTCOPY)), inventory(old, host=host))
        assert skipped(decision) == "strategy 'postcopy': no permission for userfaultfd: be root"
        assert not lacking_on_host(Strategy.PRECOPY, host)

    def test_dirty_limit_needs_dirty_rings(self, new: Binary) -> None:
        proofs = (KvmProof("11.1", X86, "", KvmState.WORKS, "all pass"),)
        asked = case(only(Strategy.DIRTY_LIMIT), accel=KVM, qemu="11.1")
        decision = decide(asked, inventory(new, proofs=proofs))
        ran(decision)
        argv = launch_for(asked, new, KVM).argv
        assert argv[argv.index("-accel") + 1] == "kvm,dirty-ring-size=4096"
        assert not any("accel=" in word for word in argv)
        host = replace(HOST, kvm_dirty_ring=False)
        decision = decide(asked, inventory(new, proofs=proofs, host=host))
        assert "dirty rings" in skipped(decision)

    def test_handing_memory_on_needs_memory_that_can_be(self, new: Binary) -> None:
        for backend, runs in (
            (None, True),
            (MemoryBackend.MEMFD, True),
            (MemoryBackend.RAM, False),
        ):
            asked = case(only(Strategy.CPR_TRANSFER), qemu="11.1", backend=backend)
            decision = decide(asked, inventory(new))
            assert isinstance(decision, Run) is runs
            if isinstance(decision, Skip):
                assert "needs shared memory" in decision.reason


def test_a_qemu_that_dies_of_any_migration_is_not_told_to(old: Binary) -> None:
    loongarch = replace(old, architecture=Architecture.LOONGARCH64)
    assert lacking(Strategy.PRECOPY, Transport.TCP, loongarch, TCG) == (
        "QEMU 7.2.22 dies of SIGFPE when a loongarch64 guest begins to migrate"
    )
    newer = replace(loongarch, version=(10, 0, 13))
    assert lacking(Strategy.PRECOPY, Transport.TCP, newer, TCG) == ""


def test_lacking_says_what_makes_no_sense_too(old: Binary) -> None:
    assert "several connections" in lacking(Strategy.MULTIFD, Transport.FD, old, TCG)
    assert lacking(Strategy.MULTIFD, Transport.TCP, old, TCG) == ""
    assert lacking(Strategy.MAPPED_RAM, None, old, TCG).startswith("QEMU 7.2.22 has no")


class TestTwoBinaries:
    def test_they_get_the_newest_machine_in_common(self, old: Binary, new: Binary) -> None:
        asked = case(Migration(destinations=("11.1",)), destination="11.1")
        decision = decide(asked, inventory(old, new))
        migration = ran(decision)
        assert (migration.machine, migration.destinations) == ("pc-i440fx-7.2", ("11.1",))
        assert isinstance(decision, Run)
        for binary in (old, new):
            argv = launch_for(decision.case, binary, TCG).argv
            assert "pc-i440fx-7.2,accel=tcg" in argv

    def test_a_family_that_one_of_them_lacks(self, old: Binary, new: Binary) -> None:
        asked = case(Migration(destinations=("11.1",)), machine="pc-q35-7.2")
        decision = decide(asked, inventory(old, new))
        assert skipped(decision) == "not to QEMU 11.1: QEMU 11.1.0 has no machine 'pc-q35-7.2'"

    def test_a_test_for_one_machine_gets_its_versioned_type(self, old: Binary, new: Binary) -> None:
        test = make.test(machine="pc")
        asked = case(Migration(destinations=("11.1",)), test=test)
        assert ran(decide(asked, inventory(old, new))).machine == "pc-i440fx-7.2"

    def test_what_only_one_of_them_has_cannot_be_done(self, old: Binary, new: Binary) -> None:
        asked = only(Strategy.MAPPED_RAM, transports=(), destinations=("11.1",))
        decision = decide(case(asked), inventory(old, new))
        assert skipped(decision) == "QEMU 7.2.22 has no migration capability 'mapped-ram'"

    def test_what_two_of_three_have_can_be_drawn_between_them(
        self, old: Binary, new: Binary
    ) -> None:
        other = replace(new, qemu="10.0", version=(10, 0, 0))
        pools = Migration(
            strategies=(Strategy.PRECOPY, Strategy.MAPPED_RAM), destinations=("11.1", "10.0")
        )
        found = ran(decide(case(pools), inventory(old, new, other)))
        assert found.strategies == (Strategy.PRECOPY, Strategy.MAPPED_RAM)
        pools = replace(pools, strategies=(Strategy.MAPPED_RAM,), transports=())
        reason = skipped(decide(case(pools), inventory(old, new, other)))
        assert reason.startswith("no strategy from QEMU system to 11.1: QEMU 7.2.22 has no")

    def test_a_destination_that_is_not_there(self, old: Binary, new: Binary) -> None:
        missing = (("9.9", X86, "no QEMU 9.9"),)
        decision = decide(case(Migration(destinations=("9.9",))), inventory(old, missing=missing))
        assert skipped(decision) == "not to QEMU 9.9: no QEMU 9.9"
        decision = decide(
            case(Migration(destinations=("9.9", "11.1"))),
            inventory(old, new, missing=missing),
        )
        assert ran(decision).destinations == ("11.1",)
        assert isinstance(decision, Run)
        assert decision.notes == ("not to QEMU 9.9: no QEMU 9.9",)

    def test_back_to_itself_is_no_other_binary(self, old: Binary) -> None:
        found = ran(decide(case(Migration(destinations=("system",))), inventory(old)))
        assert (found.machine, found.destinations) == ("", ("system",))

    @pytest.mark.parametrize("state", [KvmState.BROKEN, KvmState.UNAVAILABLE])
    def test_auto_is_kvm_only_where_it_works_under_both(
        self, old: Binary, new: Binary, state: KvmState
    ) -> None:
        here = KvmProof("system", X86, "", KvmState.WORKS, "all pass")
        there = KvmProof("11.1", X86, "", state, "they hang")
        asked = case(Migration(destinations=("11.1",)), accel=Accelerator.AUTO)
        decision = decide(asked, inventory(old, new, proofs=(here, there)))
        assert isinstance(decision, Run)
        assert decision.accelerator is TCG
        assert decision.why == "KVM under QEMU 11.1, where the guest is migrated to: they hang"
        works = replace(there, state=KvmState.WORKS)
        decision = decide(asked, inventory(old, new, proofs=(here, works)))
        assert isinstance(decision, Run)
        assert decision.accelerator is KVM


def test_the_machine_of_one_binary_is_settled_if_asked(old: Binary) -> None:
    found = ran(decide(case(Migration(machine="newest-common")), inventory(old)))
    assert found.machine == "pc-i440fx-7.2"
    found = ran(decide(case(Migration(machine="pc-q35-7.2")), inventory(old)))
    assert found.machine == "pc-q35-7.2"


def test_kvmtool_migrates_nothing() -> None:
    asked = make.case(
        arch=make.ARM64,
        migration=Migration(),
        build=make.build(make.ARM64, target=Target.KVMTOOL),
        accel=Accelerator.AUTO,
    )
    assert skipped(decide(asked, make.inventory())) == (
        "the build is for kvmtool, which cannot migrate guests"
    )
