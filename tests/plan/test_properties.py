"""What a scenario may set: by the types that a binary gives, and on every property of real ones."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from matrix.inventory import Binary, Machine, typed
from matrix.model import Accelerator, Architecture
from matrix.plan.planner import decide
from matrix.plan.properties import PARTS, TEXTS, VALUES, cpu_flaw, machine_flaw
from tests import make
from tests.installed import installed_binary

X86 = Architecture.X86_64
ARM64 = Architecture.AARCH64

VIRT = (
    "acpi=OnOffAuto boot=BootConfiguration dtb=string dumpdtb=string gic-version=string"
    " highmem=bool memory-backend=link new=FutureKind phandle-start=int signature=string"
    " smp=SMPConfiguration smp-cache=SmpCachePropertiesWrapper"
)


@pytest.fixture(scope="module")
def arm() -> Binary:
    binary: Binary = make.binary(
        make.ARM64,
        machines=(Machine("virt-7.2", "virt", 512, properties=VIRT), Machine("sbsa-ref")),
        cpus=("max", "odd"),
        cpu_properties=("has_el3=bool mp-affinity=uint64 legacy-memory=str", ""),
    )
    return binary


@pytest.fixture(scope="module")
def x86() -> Binary:
    properties = "kvm-pv-eoi=bool x2apic=bool vendor=string tsc-frequency=int memory=link"
    binary: Binary = make.binary(X86, cpus=("max",), cpu_properties=(properties,))
    return binary


@pytest.mark.parametrize(
    "text",
    [
        "virt",
        "virt-7.2,acpi=off,highmem=on,phandle-start=1",
        "virt,gic-version=3",
        "virt,kernel_irqchip=split,kernel-irqchip=on",
        "virt,boot.order=c,boot.splash-time=3",
        "virt,smp-cache.0.cache=l1d,smp-cache.0.topology=core",
        "sbsa-ref",
    ],
)
def test_machines_that_may_be_asked_for(arm: Binary, text: str) -> None:
    assert machine_flaw(text, arm) is None


@pytest.mark.parametrize(
    "properties",
    [
        "dumpdtb=x",
        "gic-version=3,dtb=x",
        "signature=x",
        "boot.splash=x",
        "boot=x",
        "boot.=x",
        "acpi.x=y",
        "memory-backend=x",
        "new=x",
        "smp.cpus=4096",
        "accel=kvm",
        "highmem",
        "acpi=off,,dumpdtb=x",
        "=x",
    ],
)
def test_machines_that_no_scenario_may_have(arm: Binary, properties: str) -> None:
    flaw = machine_flaw(f"virt,{properties}", arm)
    assert flaw is not None
    assert flaw.refused
    assert not flaw.unasked


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("vrit", "machine 'vrit'"),
        ("type=virt", "machine 'type=virt'"),
        ("virt,gic=3", "property 'gic' of machine 'virt'"),
        ("virt, dumpdtb=x", "property ' dumpdtb' of machine 'virt'"),
    ],
)
def test_machines_that_are_not_known(arm: Binary, text: str, what: str) -> None:
    flaw = machine_flaw(text, arm)
    assert flaw is not None
    assert (flaw.what, flaw.refused) == (what, "")
    assert flaw.described_for(arm) == f"QEMU 7.2.22 has no {what}"


def test_nothing_is_given_to_what_was_not_asked(arm: Binary) -> None:
    for text, binary in (("sbsa-ref,acpi=off", arm), ("virt,acpi=off", make.binary(make.ARM64))):
        flaw = machine_flaw(text, binary)
        assert flaw is not None
        assert flaw.unasked
    flaw = cpu_flaw("odd,has_el3=on", arm)
    assert flaw is not None
    assert flaw.unasked


@pytest.mark.parametrize(
    "text",
    ["max", "max,x2apic", "max,+x2apic,-x2apic,x2apic=off", "max,kvm_pv_eoi=on,tsc-freq=1G"],
)
def test_x86_cpus_that_may_be_asked_for(x86: Binary, text: str) -> None:
    assert cpu_flaw(text, x86) is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("max,+x2apicc", "property 'x2apicc' of CPU model 'max'"),
        ("maxx", "CPU model 'maxx'"),
        ("max,", "property '' of CPU model 'max'"),
    ],
)
def test_x86_cpus_that_are_not_known(x86: Binary, text: str, what: str) -> None:
    flaw = cpu_flaw(text, x86)
    assert flaw is not None
    assert (flaw.what, flaw.refused) == (what, "")


def test_cpus_elsewhere(arm: Binary) -> None:
    assert cpu_flaw("max,has_el3=on,kvm-steal-time=on", arm) is None
    for text in ("max,has_el3", "max,legacy-memory=x"):
        flaw = cpu_flaw(text, arm)
        assert flaw is not None
        assert flaw.refused
    power = make.binary(Architecture.PPC64, cpus=("power9_v2.0",), cpu_properties=("a=bool",))
    assert cpu_flaw("POWER9_v2.0,a=on", power) is None


def test_it_is_a_skip_with_the_reason(arm: Binary) -> None:
    case = make.case(arch=make.ARM64, machine="virt,dumpdtb=/tmp/x", accel=Accelerator.TCG)
    decision = decide(case, make.inventory(arm))
    assert "property 'dumpdtb' of machine 'virt'" in getattr(decision, "reason", "")


def test_a_build_may_ask_its_machines_for_more(arm: Binary) -> None:
    """Builds are trusted: their tests' own parameters are theirs."""
    case = make.case(
        arch=make.ARM64, test=make.test(machine="virt,dumpdtb=/tmp/x"), accel=Accelerator.TCG
    )
    assert not hasattr(decide(case, make.inventory(arm)), "reason")


def _installed() -> list[str]:
    """The binaries of the system's QEMU, and of those that $MATRIX_TEST_QEMUS names."""
    others = os.environ.get("MATRIX_TEST_QEMUS", "").split()
    folders = [None, *(other.partition("=")[2] for other in others)]
    names = [f"qemu-system-{each.value}" for each in Architecture]
    found = (shutil.which(name, path=folder) for folder in folders for name in names)
    return list(filter(None, found))


def probed(program: str) -> Binary:
    path = Path(program)
    architecture = Architecture(path.name.removeprefix("qemu-system-"))
    return asyncio.run(installed_binary(architecture, path.parent))


FILES = {"dtb", "dumpdtb", "firmware", "initrd", "kernel", "shim", "signature", "boot.splash"}
"""Those that are known to name files, in one version of QEMU or another."""


@pytest.mark.qemu
@pytest.mark.parametrize("program", _installed())
def test_no_property_of_a_real_machine_names_a_file(program: str, tmp_path: Path) -> None:
    """Whatever is no typed value and may still be set is given the name of a FIFO: a QEMU that
    opens it waits for the other side, and does not end."""
    binary = probed(program)
    allowed: dict[str, str] = {}
    seen: set[str] = set()
    for machine in binary.machines:
        for name, kind in typed(machine.properties).items():
            parts = (*PARTS.get(kind, ()), "splash") if kind == "BootConfiguration" else ()
            for key in (name, *(f"{name}.{part}" for part in parts)):
                seen.add(key)
                if kind not in VALUES and machine_flaw(f"{machine.name},{key}=x", binary) is None:
                    allowed.setdefault(key, machine.name)
    assert seen >= FILES - {"shim", "signature"}
    assert not FILES & set(allowed)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for key, name in allowed.items():
        argv = [program, "-machine", f"{name},{key}={fifo}", "-display", "none", "-nodefaults"]
        subprocess.run(
            [*argv, "-S", "-qmp", "stdio"],
            input=b'{"execute": "qmp_capabilities"}{"execute": "quit"}',
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert list(tmp_path.iterdir()) == [fifo]


@pytest.mark.qemu
@pytest.mark.parametrize("program", _installed())
def test_every_property_of_a_real_cpu_that_is_a_text_is_known(program: str) -> None:
    binary = probed(program)
    refused = {
        f"{name}={kind}"
        for text in set(binary.cpu_properties)
        for name, kind in typed(text).items()
        if kind not in VALUES and name not in TEXTS
    }
    assert {each.split("=")[1] for each in refused} <= {
        *("string", "str", "link", "strList", "GuestPanicInformation", "X86CPUFeatureWordInfo"),
    }
