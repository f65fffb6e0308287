"""Command lines: golden files, and what each setting does to them."""

import shlex
from typing import Any

import pytest

from matrix.model import Accelerator, Architecture, ExitChannel
from matrix.plan.command import (
    SANDBOX,
    cpu_of,
    last_option,
    launch_for,
    machine_of,
    needs_of,
)
from matrix.plan.machines import FAMILIES, MIB
from tests import make
from tests.conftest import Golden

DEFAULT_CPU = {
    Architecture.AARCH64: "max",
    Architecture.ARM: "cortex-a15",
    Architecture.RISCV64: "max",
    Architecture.RISCV32: "max",
    Architecture.MIPS64EL: "I6400",
}


def argv(case: Any, accelerator: Accelerator = Accelerator.TCG, **binary: Any) -> list[str]:
    return list(launch_for(case, make.binary(case.variant.arch, **binary), accelerator).argv)


def pairs(arguments: list[str], name: str) -> list[str]:
    return [arguments[i + 1] for i, argument in enumerate(arguments) if argument == name]


@pytest.mark.parametrize("accelerator", [Accelerator.TCG, Accelerator.KVM])
@pytest.mark.parametrize("architecture", list(Architecture))
def test_golden(golden: Golden, architecture: Architecture, accelerator: Accelerator) -> None:
    """One argument a line."""
    firmware = "/build/powerpc/boot_rom.bin" if architecture is Architecture.PPC64 else ""
    build = make.build(
        architecture, default_cpu=DEFAULT_CPU.get(architecture, ""), firmware=firmware
    )
    test = make.test(
        image="/build/guest", arguments="setup smp=2", smp=2, qemu_params=("-m", "256")
    )
    case = make.case(arch=architecture, test=test, build=build)
    found = "\n".join(argv(case, accelerator)) + "\n"
    golden(f"{architecture.value}-{accelerator.value}.txt", found)


def test_every_architecture_has_a_family() -> None:
    assert set(FAMILIES) == set(Architecture)


def test_matrix_wins_over_the_tests_own_parameters() -> None:
    test = make.test(smp=2, qemu_params=tuple(shlex.split("-cpu cortex-a57 -m 1g -smp 3")))
    case = make.case(arch=make.ARM64, test=test, cpu="max", smp=4, memory=512 * MIB)
    arguments = argv(case)
    assert pairs(arguments, "-cpu")[-1] == "max"
    assert pairs(arguments, "-smp") == ["4"]  # QEMU merges two, with the topology of both
    assert pairs(arguments, "-m")[-1] == "512M"
    assert needs_of(case).vcpus == 4
    assert needs_of(case).guest_memory == 512 * MIB
    assert cpu_of(case) == "max"


@pytest.mark.parametrize(
    ("parameters", "vcpus", "mebibytes"),
    [
        ("", 2, 128),
        ("-m 2200", 2, 2200),
        ("-m 1g", 2, 1024),
        ("-m 1.5G", 2, 1536),
        ("-m size=4g,slots=2,maxmem=8g", 2, 4096),
        ("-smp 1,maxcpus=3", 1, 128),
        ("-smp cpus=8,drawers=2", 8, 128),
        ("-smp sockets=31,cores=8,maxcpus=248", 2, 128),
        ("-smp 4 -m 256 -smp 6 -m 64", 6, 64),
        ("-m nonsense", 2, 128),
    ],
)
def test_needs(parameters: str, vcpus: int, mebibytes: int) -> None:
    case = make.case(
        arch=make.ARM64, test=make.test(smp=2, qemu_params=tuple(shlex.split(parameters)))
    )
    needs = needs_of(case)
    assert (needs.vcpus, needs.guest_memory) == (vcpus, mebibytes * MIB)
    assert needs.memory > needs.guest_memory


def test_embedded_guests_are_told_what_they_got() -> None:
    test = make.test(arguments="boot {memory} {smp}", smp=3, qemu_params=("-m", "256"))
    case = make.case(
        arch=make.ARM64, test=test, build=make.build(make.ARM64, builtin=True), memory=1024 * MIB
    )
    assert pairs(argv(case), "-append") == ["boot 1024 3"]


def test_braces_of_other_builds_are_theirs() -> None:
    case = make.case(arch=make.ARM64, test=make.test(arguments="a {memory} b"))
    assert pairs(argv(case), "-append") == ["a {memory} b"]


def test_no_append_without_arguments() -> None:
    assert "-append" not in argv(make.case(arch=make.ARM64))


def test_topology_goes_with_the_count() -> None:
    case = make.case(arch=make.ARM64, test=make.test(smp=8, topology="threads=4"))
    assert pairs(argv(case), "-smp") == ["8,threads=4"]


def test_accelerator_properties() -> None:
    case = make.case(
        arch=make.ARM64, test=make.test(accelerator="tcg", accelerator_properties="thread=single")
    )
    assert pairs(argv(case), "-accel") == ["tcg,thread=single"]


@pytest.mark.parametrize(
    ("architecture", "machine", "said"),
    [
        (Architecture.S390X, None, ["s390-ccw-virtio"]),
        (Architecture.X86_64, None, []),
        (Architecture.X86_64, "q35", ["q35"]),
    ],
)
def test_properties_of_the_accelerator_are_not_the_machines(
    architecture: Architecture, machine: str | None, said: list[str]
) -> None:
    """QEMU refuses ``-machine accel=tcg,thread=single``: a machine has no such property."""
    test = make.test(accelerator="tcg", accelerator_properties="thread=single")
    arguments = argv(make.case(arch=architecture, test=test, machine=machine))
    assert pairs(arguments, "-accel") == ["tcg,thread=single"]
    assert pairs(arguments, "-machine") == said


@pytest.mark.parametrize(
    ("architecture", "efi", "value"),
    [
        (Architecture.X86_64, False, "/run/machine=pc,,smm=on/environment"),
        (Architecture.I386, False, "/run/machine=pc,,smm=on/environment"),
        (Architecture.AARCH64, False, "/run/machine=pc,smm=on/environment"),
        (Architecture.AARCH64, True, "/run/machine=pc,smm=on/environment"),
    ],
)
def test_commas_in_the_path_of_an_initrd(architecture: Architecture, efi: bool, value: str) -> None:
    """On x86 it is a list of modules; elsewhere the name of a file, whatever is in it."""
    case = make.case(arch=architecture, build=make.build(architecture, efi=efi, efi_direct=efi))
    path = "/run/machine=pc,smm=on/environment"
    launch = launch_for(case, make.binary(architecture), Accelerator.TCG, initrd=path)
    assert pairs(list(launch.argv), "-initrd") == [value]


def test_initrd_and_sandbox() -> None:
    launch = launch_for(
        make.case(arch=make.ARM64),
        make.binary(make.ARM64),
        Accelerator.TCG,
        initrd="/run/environment",
    )
    assert launch.argv[-4:] == ("-initrd", "/run/environment", "-sandbox", SANDBOX)
    assert "-sandbox" not in argv(make.case(arch=make.ARM64), sandbox=False)


def test_devices_that_the_binary_lacks_are_left_out() -> None:
    assert "pci-testdev" not in argv(make.case(arch=make.ARM64), devices=("virtconsole",))
    assert "pci-testdev" in argv(make.case(arch=make.ARM64), devices=("virtconsole", "pci-testdev"))


@pytest.mark.parametrize("machine", ["virt,gic-version=2", "virt-7.2,highmem=on"])
def test_machine_options_of_the_matrix_are_not_contradicted(machine: str) -> None:
    case = make.case(arch=Architecture.ARM, machine=machine)
    value = pairs(argv(case, Accelerator.KVM), "-machine")[0]
    assert value.count("gic-version") == 1
    assert value.count("highmem") == 1
    assert machine_of(case) == machine


def test_arm_guest_under_an_aarch64_hosts_kvm() -> None:
    binary = make.binary(Architecture.AARCH64)
    launch = launch_for(make.case(arch=Architecture.ARM), binary, Accelerator.KVM)
    assert pairs(list(launch.argv), "-cpu") == ["host,aarch64=off"]


def test_powernv() -> None:
    build = make.build(Architecture.PPC64, firmware="/build/rom")
    arguments = argv(make.case(arch=Architecture.PPC64, build=build, machine="powernv9"))
    assert pairs(arguments, "-machine") == ["powernv9"]
    assert "-bios" not in arguments
    assert "ipmi-bmc-sim,id=bmc0" in arguments


def test_protected_guests_of_s390x() -> None:
    case = make.case(arch=Architecture.S390X, test=make.test(image="/build/s390x/selftest.pv.bin"))
    arguments = argv(case, Accelerator.KVM)
    assert pairs(arguments, "-object") == ["s390-pv-guest,id=pv0"]
    (machine,) = pairs(arguments, "-machine")
    assert "confidential-guest-support=pv0" in machine.split(",")


def test_where_the_verdict_comes_from() -> None:
    channel = {
        architecture: launch_for(
            make.case(arch=architecture), make.binary(architecture), Accelerator.TCG
        ).channel
        for architecture in Architecture
    }
    by_exit = {a for a, c in channel.items() if c is ExitChannel.QEMU_EXIT}
    assert {a.value for a in by_exit} == {"x86_64", "i386", "aarch64", "arm"}


def test_last_option_takes_one_dash_or_two() -> None:
    assert last_option(("-smp", "1", "--smp", "2"), "-smp") == "2"
    assert last_option(("-smp",), "-smp") == ""


def test_microvm_has_no_pci_and_a_firmware_that_boots_it() -> None:
    for machine in ("microvm", "microvm,acpi=off"):
        arguments = argv(make.case(arch=Architecture.X86_64, machine=machine))
        assert "pci-testdev" not in pairs(arguments, "-device")
        assert pairs(arguments, "-bios") == ["qboot.rom"]
    arguments = argv(make.case(arch=Architecture.X86_64, machine="q35"))
    assert "pci-testdev" in pairs(arguments, "-device")
    assert pairs(arguments, "-bios") == []
