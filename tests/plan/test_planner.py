"""Every way in which a case is run or skipped, and the reason that is given."""

from dataclasses import replace

import pytest

from matrix.inventory import Firmware, FirmwareDevice, Host, Inventory, KvmState, Machine
from matrix.model import Accelerator, Architecture, Target
from matrix.plan.decisions import Broken, Decision, Run, Skip
from matrix.plan.emulators import emulator_architecture
from matrix.plan.planner import decide
from matrix.verdicts import SkipCause
from tests import make

X86 = Architecture.X86_64
ARM64 = Architecture.AARCH64


def skipped(decision: Decision) -> str:
    assert isinstance(decision, Skip)
    return decision.reason


def ran(decision: Decision) -> Run:
    assert isinstance(decision, Run)
    return decision


def test_what_the_scenario_excludes() -> None:
    case = make.case(arch=make.ARM64, excluded="in the group nodefault")
    assert skipped(decide(case, make.inventory())) == "in the group nodefault"


def test_what_the_suite_does_not_support() -> None:
    case = make.case(arch=make.ARM64, test=make.test(unsupported="i386 only"))
    assert skipped(decide(case, make.inventory(make.binary(make.ARM64)))) == "i386 only"


def test_a_missing_binary_is_a_skip_with_its_reason() -> None:
    case = make.case(arch=make.ARM64, accel=Accelerator.TCG)
    inventory = make.inventory(missing=(("system", ARM64, "qemu-system-aarch64 is not there"),))
    assert skipped(decide(case, inventory)) == "qemu-system-aarch64 is not there"


def test_an_unknown_installation_names_the_option() -> None:
    case = make.case(arch=make.ARM64, accel=Accelerator.TCG, qemu="11.1")
    assert "--qemu NAME=DIR" in skipped(decide(case, make.inventory(make.binary(make.ARM64))))


FIRMWARE = Firmware("/fw.json", FirmwareDevice.MEMORY, "/fw.fd", (("x86_64", ("*",)),))


class TestAuto:
    def test_is_kvm_where_it_is_proven(self) -> None:
        inventory = make.inventory(make.binary(X86), proofs=(make.proof(KvmState.WORKS),))
        assert ran(decide(make.case(arch=X86), inventory)).accelerator is Accelerator.KVM

    @pytest.mark.parametrize(
        ("plain", "with_firmware", "accelerator"),
        [
            (KvmState.WORKS, KvmState.WORKS, Accelerator.KVM),
            (KvmState.WORKS, KvmState.BROKEN, Accelerator.TCG),
            (KvmState.WORKS, KvmState.UNAVAILABLE, Accelerator.TCG),
            (KvmState.BROKEN, KvmState.WORKS, Accelerator.TCG),
        ],
    )
    def test_firmware_must_be_proven_too_where_it_is_needed(
        self, plain: KvmState, with_firmware: KvmState, accelerator: Accelerator
    ) -> None:
        inventory = make.inventory(
            make.binary(X86),
            proofs=(make.proof(plain, reason="guests"),),
            firmware_proofs=(make.proof(with_firmware, cpu="max", reason="firmware"),),
            firmware=(FIRMWARE,),
        )
        decision = ran(decide(make.case(arch=X86, build=make.build(X86, efi=True)), inventory))
        assert decision.accelerator is accelerator
        assert decision.why == ("firmware" if plain is KvmState.WORKS else "guests")
        without = ran(decide(make.case(arch=X86), inventory))
        assert (without.accelerator is Accelerator.KVM) is (plain is KvmState.WORKS)
        assert without.why == "guests"

    def test_broken_firmware_is_a_doubt_where_kvm_is_asked_for(self) -> None:
        inventory = make.inventory(
            make.binary(X86),
            proofs=(make.proof(KvmState.WORKS),),
            firmware_proofs=(make.proof(KvmState.BROKEN, reason="no firmware comes up"),),
            firmware=(FIRMWARE,),
        )
        case = make.case(arch=X86, build=make.build(X86, efi=True), accel=Accelerator.KVM)
        decision = ran(decide(case, inventory))
        assert decision.kvm_doubt == "no firmware comes up"

    def test_without_firmware_that_is_the_reason(self) -> None:
        inventory = make.inventory(make.binary(X86), proofs=(make.proof(KvmState.WORKS),))
        for accelerator in (Accelerator.AUTO, Accelerator.KVM):
            case = make.case(arch=X86, build=make.build(X86, efi=True), accel=accelerator)
            assert skipped(decide(case, inventory)).startswith("no UEFI firmware")

    @pytest.mark.parametrize("state", [KvmState.BROKEN, KvmState.UNAVAILABLE])
    def test_is_tcg_with_the_reason_where_it_is_not(self, state: KvmState) -> None:
        proofs = (make.proof(state, reason="no /dev/kvm"),)
        decision = ran(decide(make.case(arch=X86), make.inventory(make.binary(X86), proofs=proofs)))
        assert (decision.accelerator, decision.why) == (Accelerator.TCG, "no /dev/kvm")
        assert decision.kvm_doubt == ""

    def test_asks_for_the_very_cpu_model(self) -> None:
        proofs = (make.proof(KvmState.WORKS), make.proof(KvmState.BROKEN, cpu="host"))
        inventory = make.inventory(make.binary(X86), proofs=proofs)
        case = make.case(arch=X86, cpu="host")
        # -cpu host needs KVM: where KVM fails its proof there is nothing to fall back on.
        assert "needs KVM" in skipped(decide(case, inventory))
        case = make.case(arch=X86, test=make.test(qemu_params=("-cpu", "max")))
        assert ran(decide(case, inventory)).accelerator is Accelerator.TCG

    def test_is_tcg_for_a_test_that_is_for_tcg_only(self) -> None:
        inventory = make.inventory(make.binary(X86), proofs=(make.proof(KvmState.WORKS),))
        case = make.case(arch=X86, test=make.test(accelerator="tcg"))
        assert ran(decide(case, inventory)).accelerator is Accelerator.TCG

    def test_never_falls_back_for_a_test_that_is_for_kvm_only(self) -> None:
        proofs = (make.proof(KvmState.UNAVAILABLE, reason="no /dev/kvm"),)
        case = make.case(arch=X86, test=make.test(accelerator="kvm"))
        reason = skipped(decide(case, make.inventory(make.binary(X86), proofs=proofs)))
        assert reason == "no KVM for x86_64: no /dev/kvm"


class TestKvm:
    def test_is_a_skip_where_there_is_none(self) -> None:
        proofs = (make.proof(KvmState.UNAVAILABLE, ARM64, reason="the host is x86_64"),)
        case = make.case(arch=make.ARM64, accel=Accelerator.KVM)
        reason = skipped(decide(case, make.inventory(make.binary(make.ARM64), proofs=proofs)))
        assert reason == "no KVM for aarch64: the host is x86_64"

    def test_runs_with_a_doubt_where_it_is_broken(self) -> None:
        proofs = (make.proof(KvmState.BROKEN, reason="boot: triple fault"),)
        case = make.case(arch=X86, accel=Accelerator.KVM)
        decision = ran(decide(case, make.inventory(make.binary(X86), proofs=proofs)))
        assert (decision.accelerator, decision.kvm_doubt) == (Accelerator.KVM, "boot: triple fault")

    def test_is_a_skip_where_it_was_not_tried(self) -> None:
        case = make.case(arch=X86, accel=Accelerator.KVM)
        assert "not tried" in skipped(decide(case, make.inventory(make.binary(X86))))

    def test_is_a_skip_for_a_test_that_is_for_tcg_only(self) -> None:
        case = make.case(arch=X86, accel=Accelerator.KVM, test=make.test(accelerator="tcg"))
        reason = skipped(decide(case, make.inventory(make.binary(X86))))
        assert reason == "tcg only, but the accelerator is kvm"


def test_parameters_that_ask_for_kvm_never_run_as_tcg() -> None:
    """QEMU would take KVM whatever -machine says, and the case would be told as tcg."""
    test = make.test(qemu_params=("-enable-kvm", "-cpu", "max"))
    case = make.case(arch=X86, accel=Accelerator.TCG, test=test)
    inventory = make.inventory(make.binary(X86))
    assert skipped(decide(case, inventory)) == "kvm only, but the accelerator is tcg"
    proofs = (make.proof(KvmState.WORKS, cpu="max"),)
    case = make.case(arch=X86, test=test)
    decision = ran(decide(case, make.inventory(make.binary(X86), proofs=proofs)))
    assert decision.accelerator is Accelerator.KVM


class TestRefusedByTheInventory:
    def test_machine(self) -> None:
        binary = make.binary(make.ARM64, machines=(make.machine("virt"),))
        case = make.case(arch=make.ARM64, machine="vrit,gic-version=3", accel=Accelerator.TCG)
        assert skipped(decide(case, make.inventory(binary))) == "QEMU 7.2.22 has no machine 'vrit'"

    def test_too_many_vcpus(self) -> None:
        binary = make.binary(make.ARM64, machines=(make.machine("virt", cpu_max=8),))
        case = make.case(arch=make.ARM64, machine="virt", smp=9, accel=Accelerator.TCG)
        assert "at most 8" in skipped(decide(case, make.inventory(binary)))

    def test_too_many_vcpus_for_the_machine_that_nobody_names(self) -> None:
        default = Machine("pc-i440fx-7.2", "pc", cpu_max=255, is_default=True)
        x86 = make.binary(X86, machines=(Machine("q35", cpu_max=288), default))
        arm = make.binary(make.ARM64, machines=(make.machine("virt", cpu_max=8),))
        case = make.case(arch=X86, smp=256, accel=Accelerator.TCG)
        reason = skipped(decide(case, make.inventory(x86)))
        assert reason == "256 vCPUs, but QEMU 7.2.22's machine pc-i440fx-7.2 takes at most 255"
        ran(decide(make.case(arch=X86, smp=255, accel=Accelerator.TCG), make.inventory(x86)))
        case = make.case(arch=make.ARM64, smp=9, accel=Accelerator.TCG)
        assert "machine virt takes at most 8" in skipped(decide(case, make.inventory(arm)))

    def test_cpu_model(self) -> None:
        binary = make.binary(make.ARM64, cpus=("max", "cortex-a57"))
        case = make.case(arch=make.ARM64, cpu="cortex-a7777,pmu=on", accel=Accelerator.TCG)
        assert "no CPU model 'cortex-a7777'" in skipped(decide(case, make.inventory(binary)))

    @pytest.mark.parametrize(
        ("device", "missing"),
        [
            ("pci-testdev", False),
            ("driver=pci-testdev,id=a", False),
            ("virtio-net", False),  # an alias, of which QMP does not tell
            ("ES1370", False),
            ('{"driver": "nosuch"}', False),  # QEMU will tell
            ("nosuch,id=a", True),
            ("driver=nosuch", True),
            ("pci-testdev2", True),
        ],
    )
    def test_device(self, device: str, missing: bool) -> None:
        binary = make.binary(make.ARM64, devices=("es1370", "pci-testdev", "virtio-net-pci"))
        test = make.test(qemu_params=("-device", "pci-testdev", "--device", device))
        decision = decide(
            make.case(arch=make.ARM64, accel=Accelerator.TCG, test=test), make.inventory(binary)
        )
        if missing:
            assert skipped(decision).startswith("QEMU 7.2.22 has no device '")
        else:
            ran(decision)

    def test_devices_that_were_not_asked_for_are_left_to_qemu(self) -> None:
        test = make.test(qemu_params=("-device", "nosuch"))
        case = make.case(arch=make.ARM64, accel=Accelerator.TCG, test=test)
        ran(decide(case, make.inventory(make.binary(make.ARM64))))

    def test_a_test_for_another_machine(self) -> None:
        case = make.case(
            arch=Architecture.PPC64,
            test=make.test(machine="pseries"),
            machine="powernv9",
            accel=Accelerator.TCG,
        )
        reason = skipped(decide(case, make.inventory(make.binary(Architecture.PPC64))))
        assert reason == "for machine pseries only, but the machine is powernv9"


@pytest.mark.parametrize(("content", "runs"), [("Y", True), ("N", False), (None, False)])
def test_host_files_must_hold_what_a_test_needs(content: str | None, runs: bool) -> None:
    path = "/sys/module/kvm/parameters/enable"
    files = () if content is None else ((path, content),)
    case = make.case(arch=make.ARM64, accel=Accelerator.TCG, test=make.test(checks=((path, "Y"),)))
    decision = decide(case, make.inventory(make.binary(make.ARM64), files=files))
    assert isinstance(decision, Run) is runs
    if isinstance(decision, Skip):
        assert path in decision.reason


def test_arm_under_an_aarch64_hosts_kvm_uses_that_hosts_emulator() -> None:
    host = Host(architecture="aarch64", kernel="6.1", cpus=2, memory=2**30)
    inventory = Inventory(host)
    arm = Architecture.ARM
    assert emulator_architecture(arm, Accelerator.KVM, inventory) is ARM64
    assert emulator_architecture(arm, Accelerator.TCG, inventory) is arm


TCG, KVM = Accelerator.TCG, Accelerator.KVM


def test_every_skip_has_its_cause() -> None:
    machines, there = (make.machine("virt"),), make.inventory(make.binary(make.ARM64))
    no_kvm = make.inventory(
        make.binary(make.ARM64), proofs=(make.proof(KvmState.UNAVAILABLE, ARM64),)
    )
    without = make.inventory(missing=(("system", ARM64, "none"),), proofs=no_kvm.proofs)
    one_machine = make.inventory(make.binary(make.ARM64, machines=machines))
    no_build = replace(make.case(arch=make.ARM64, excluded="why"), excluded_as=SkipCause.NO_BUILD)
    kvmtool = make.case(arch=make.ARM64, build=make.build(make.ARM64, target=Target.KVMTOOL))
    expected = [
        (make.case(arch=make.ARM64, excluded="why"), there, SkipCause.SCENARIO),
        (no_build, there, SkipCause.NO_BUILD),
        (make.case(arch=make.ARM64, test=make.test(unsupported="why")), there, SkipCause.TEST),
        (make.case(arch=make.ARM64, accel=TCG), without, SkipCause.NO_QEMU),
        (make.case(arch=make.ARM64, accel=KVM), without, SkipCause.NO_QEMU),
        (make.case(arch=make.ARM64, accel=KVM), no_kvm, SkipCause.NO_ACCELERATOR),
        (make.case(arch=make.ARM64, accel=KVM), there, SkipCause.NO_ACCELERATOR),
        (
            make.case(arch=make.ARM64, accel=TCG, test=make.test(accelerator="kvm")),
            there,
            SkipCause.TEST,
        ),
        (make.case(arch=make.ARM64, accel=TCG, cpu="host"), there, SkipCause.TEST),
        (
            make.case(arch=make.ARM64, accel=TCG, machine="raspi"),
            one_machine,
            SkipCause.UNSUPPORTED,
        ),
        (
            make.case(arch=make.ARM64, accel=TCG, test=make.test(checks=(("/a", "b"),))),
            there,
            SkipCause.HOST,
        ),
        (
            make.case(arch=make.ARM64, accel=TCG, build=make.build(make.ARM64, efi=True)),
            there,
            SkipCause.HOST,
        ),
        (kvmtool, there, SkipCause.NO_ACCELERATOR),
        (make.case(arch=make.ARM64, accel=TCG, build=kvmtool.build), there, SkipCause.TEST),
    ]
    for case, inventory, cause in expected:
        decision = decide(case, inventory)
        assert isinstance(decision, Skip)
        assert decision.cause is cause, decision.reason


@pytest.mark.parametrize("accelerator", Accelerator)
def test_an_emulator_that_cannot_be_asked_is_an_error(accelerator: Accelerator) -> None:
    """Also where its KVM would have been the reason to skip."""
    inventory = make.inventory(
        broken=(("system", ARM64, "no libslirp"),),
        proofs=(make.proof(KvmState.UNAVAILABLE, ARM64, reason="no libslirp"),),
    )
    case = make.case(arch=make.ARM64, accel=accelerator)
    assert decide(case, inventory) == Broken(case, "no libslirp")
    assert isinstance(
        decide(make.case(arch=make.ARM64, accel=accelerator, excluded="why"), inventory), Skip
    )
