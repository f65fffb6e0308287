"""The doctor's text at two widths (golden files) and its JSON."""

import json
from dataclasses import fields

import pytest
from rich.console import Console

from matrix.cli.doctor import doctor_json, doctor_text
from matrix.hosts.kvm_features import CpuidLeaf, KvmFeatures
from matrix.inventory import Binary, Host, Inventory, KvmProof, KvmState, Machine
from matrix.model import Architecture
from tests.conftest import Golden

X86, I386, S390X = Architecture.X86_64, Architecture.I386, Architecture.S390X

HOST = Host(
    architecture="x86_64",
    kernel="6.1.0-37-amd64",
    cpus=2,
    memory=23 * 2**30 + 2**29,
    cpu_vendor="GenuineIntel",
    cpu_model="Intel(R) Xeon(R) [Processor]",
    kvm_modules=("kvm", "kvm_intel"),
)
MACHINES = (
    Machine("none"),
    Machine("pc-i440fx-7.2", "pc", 255, is_default=True, default_cpu="qemu64"),
    Machine("pc-q35-7.2", "q35", 288, default_cpu="qemu64"),
)
WORKS = "the boot, smp and exception guests pass under KVM"
FOREIGN = "this x86_64 host's KVM runs x86_64 and i386 guests only"


def binary(architecture: Architecture, qemu: str = "system", note: str = "") -> Binary:
    native = architecture in (X86, I386)
    return Binary(
        qemu=qemu,
        architecture=architecture,
        path=f"/usr/bin/qemu-system-{architecture.value}",
        version=(7, 2, 22),
        version_text="7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)",
        accelerators=("kvm", "tcg") if native else ("tcg",),
        machines=MACHINES if native else (Machine("virt", cpu_max=512),),
        cpus=("host", "max", "qemu64"),
        devices=() if note else ("edu",),
        migration_capabilities=("events",),
        sandbox=True,
        note=note,
    )


def proof(
    architecture: Architecture, cpu: str, state: KvmState, reason: str, qemu: str = "system"
) -> KvmProof:
    return KvmProof(qemu, architecture, cpu, state, reason, (("boot", "pass"),))


INVENTORY = Inventory(
    HOST,
    binaries=(
        binary(X86),
        binary(I386),
        binary(Architecture.AARCH64),
        binary(Architecture.RISCV64),
        binary(X86, "10.0", note="its devices are not known: QEMU ended with signal 6"),
    ),
    missing=(
        ("system", S390X, "no qemu-system-s390x in PATH (apt-get install qemu-system-misc)"),
        ("10.0", S390X, "no qemu-system-s390x in /opt/qemu-10.0/bin"),
        ("10.0", I386, "no qemu-system-i386 in /opt/qemu-10.0/bin"),
    ),
    proofs=(
        proof(X86, "", KvmState.WORKS, WORKS),
        proof(X86, "qemu64", KvmState.WORKS, WORKS),
        proof(X86, "host", KvmState.BROKEN, "KVM fails the boot guest: QEMU was killed by SIGABRT"),
        proof(I386, "", KvmState.BROKEN, "KVM fails the boot guest: the guest reset"),
        proof(Architecture.AARCH64, "", KvmState.UNAVAILABLE, FOREIGN),
        proof(Architecture.RISCV64, "", KvmState.UNAVAILABLE, FOREIGN),
        proof(X86, "", KvmState.WORKS, WORKS, qemu="10.0"),
    ),
)


FEATURES = KvmFeatures("", HOST.kernel, (CpuidLeaf(7, 1, 0, 0, 0, 1 << 31),), ((0x10A, 1 << 63),))


def text(inventory: Inventory, width: int) -> str:
    console = Console(width=width, color_system=None, force_terminal=False, record=True)
    with console.capture() as capture:
        console.print(doctor_text(inventory))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


@pytest.mark.parametrize("width", [80, 120])
def test_golden(golden: Golden, width: int) -> None:
    found = text(INVENTORY, width)
    golden(f"doctor-{width}.txt", found)
    assert max(map(len, found.splitlines())) <= width


def test_no_kvm_device_says_why() -> None:
    host = Host("x86_64", "6.1.0", 1, 2**30, kvm_device="no permission to open /dev/kvm: …")
    found = text(Inventory(host), 80)
    assert "no permission to open /dev/kvm" in found
    assert "1 CPU," in found
    assert "unknown" in found


def test_nothing_installed() -> None:
    why = "no qemu-system-s390x in PATH (apt-get install qemu-system-misc)"
    found = text(Inventory(HOST, missing=(("system", S390X, why),)), 80)
    assert "Machines" not in found
    assert why in " ".join(found.split())


def test_kvm_that_was_not_tried() -> None:
    assert "not tried" in text(Inventory(HOST, binaries=(binary(X86),)), 80)


def test_json_has_every_field() -> None:
    document = json.loads(json.dumps(doctor_json(INVENTORY, FEATURES)))
    assert set(document) == {"host", "binaries", "missing", "kvm", "kvm_features"}
    assert set(document["host"]) == {field.name for field in fields(Host)}
    expected = {field.name for field in fields(Binary)} | {"default_machine"}
    assert set(document["binaries"][0]) == expected
    assert set(document["binaries"][0]["machines"][0]) == {f.name for f in fields(Machine)}
    assert set(document["kvm"][0]) == {field.name for field in fields(KvmProof)}
    features = document["kvm_features"]
    assert set(features) == {field.name for field in fields(KvmFeatures)}
    assert set(features["cpuid"][0]) == {field.name for field in fields(CpuidLeaf)}


def test_json_values() -> None:
    document = json.loads(json.dumps(doctor_json(INVENTORY, FEATURES)))
    first = document["binaries"][0]
    assert first["version"] == "7.2.22"
    assert first["default_machine"] == "pc-i440fx-7.2"
    assert document["binaries"][2]["default_machine"] == ""
    assert document["missing"][0] == {
        "qemu": "system",
        "architecture": "s390x",
        "reason": "no qemu-system-s390x in PATH (apt-get install qemu-system-misc)",
        "broken": False,
    }
    assert document["kvm"][2] == {
        "qemu": "system",
        "architecture": "x86_64",
        "cpu": "host",
        "state": "broken",
        "reason": "KVM fails the boot guest: QEMU was killed by SIGABRT",
        "guests": [{"guest": "boot", "verdict": "pass"}],
    }
    assert document["kvm_features"] == {
        "problem": "",
        "kernel": "6.1.0-37-amd64",
        "cpuid": [
            {
                "function": "0x7",
                "index": "0x1",
                "eax": "0x0",
                "ebx": "0x0",
                "ecx": "0x0",
                "edx": "0x80000000",
            }
        ],
        "msrs": [{"index": "0x10a", "value": "0x8000000000000000"}],
    }
