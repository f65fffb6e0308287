"""Asking binaries: scripted ones that misbehave, and the real ones."""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from matrix.errors import HostError, MonitorError, SpawnError
from matrix.hosts.binary_probe import probe_binary
from matrix.hosts.cached_records import Probed
from matrix.model import Architecture

Scripted = Callable[[Mapping[str, object]], Path]
RISCV64 = Architecture.RISCV64


def probe(path: Path, architecture: Architecture = RISCV64) -> Probed:
    return asyncio.run(probe_binary("mine", architecture, path))


def test_everything(scripted: Scripted, replies: dict[str, object]) -> None:
    path = scripted(replies)
    probed = probe(path)
    binary = probed.binary
    assert (binary.qemu, binary.path, binary.note) == ("mine", str(path), "")
    assert binary.version == (7, 2, 22)
    assert binary.accelerators == ("kvm", "tcg")
    assert binary.cpus == ("host", "rv64")
    assert binary.devices == ("edu", "pvpanic-pci")
    assert probed.files[0] == str(path)
    assert any("libc" in file for file in probed.files[1:])  # of the interpreter that ran it


def test_cpu_types_where_there_are_no_definitions(
    scripted: Scripted, replies: dict[str, object]
) -> None:
    del replies["query-cpu-definitions"]
    replies["cpu"] = [{"name": "sifive-u54-riscv-cpu"}]
    assert probe(scripted(replies)).binary.cpus == ("host", "sifive-u54")


def test_a_binary_that_dies_of_its_modules_keeps_what_it_said(
    scripted: Scripted, replies: dict[str, object]
) -> None:
    probed = probe(scripted(replies | {"dies of": "qom-list-types"}))
    assert probed.binary.devices == ()
    assert probed.binary.cpus == ("host", "rv64")
    assert probed.binary.note == (
        "its devices are not known: QEMU ended with signal 9: "
        "module_load_dso: Assertion `QTAILQ_EMPTY(&list)' failed."
    )
    assert len(probed.files) > 1


def test_a_binary_that_dies_earlier_cannot_be_used(
    scripted: Scripted, replies: dict[str, object]
) -> None:
    with pytest.raises(MonitorError, match=r"ended with signal 9: module_load_dso"):
        probe(scripted(replies | {"dies of": "query-machines"}))


def test_a_build_without_tcg(scripted: Scripted, replies: dict[str, object]) -> None:
    replies["refused accelerators"] = {"tcg": "qemu: invalid accelerator tcg"}
    assert probe(scripted(replies)).binary.accelerators == ("kvm",)


def test_a_binary_that_does_not_start_says_why(
    scripted: Scripted, replies: dict[str, object]
) -> None:
    replies["refused accelerators"] = {"tcg": "libfoo.so: not found"}
    with pytest.raises(MonitorError, match=r"ended with status 1: libfoo.so: not found"):
        probe(scripted(replies))


def test_a_binary_with_no_accelerator_says_why(
    scripted: Scripted, replies: dict[str, object]
) -> None:
    replies["refused accelerators"] = {
        "tcg": "qemu: invalid accelerator tcg",
        "qtest": "qemu: invalid accelerator qtest",
    }
    with pytest.raises(MonitorError, match=r"ended with status 1: invalid accelerator tcg"):
        probe(scripted(replies))


def test_another_architectures_emulator(scripted: Scripted, replies: dict[str, object]) -> None:
    with pytest.raises(HostError, match="it emulates riscv64, not s390x"):
        probe(scripted(replies), Architecture.S390X)


def test_mips_without_its_byte_order(scripted: Scripted, replies: dict[str, object]) -> None:
    replies["query-target"] = {"arch": "mips64"}
    assert probe(scripted(replies), Architecture.MIPS64EL).binary.version == (7, 2, 22)


def test_properties(scripted: Scripted, replies: dict[str, object]) -> None:
    replies["virt-machine"] = [
        {"name": "acpi", "type": "OnOffAuto"},
        {"name": "memory-backend", "type": "link<memory-backend>"},
        {"name": "virt.flash0", "type": "child<cfi.pflash01>"},
        {"name": "time", "type": "struct tm"},
    ]
    replies["rv64-riscv-cpu"] = [
        {"name": "zba", "type": "bool"},
        {"name": "unnamed-gpio-in[0]", "type": "link<irq>"},
    ]
    binary = probe(scripted(replies)).binary
    virt = binary.machine("virt")
    assert virt is not None
    assert virt.properties == "acpi=OnOffAuto memory-backend=link time=struct-tm"
    assert binary.properties_of_cpu("rv64") == {"zba": "bool"}
    assert binary.properties_of_cpu("host") == {"zba": "bool"}  # exists only while KVM is in use
    assert binary.properties_of_cpu("rv128") == {}


def test_a_type_that_the_binary_dies_of_has_unknown_properties(
    scripted: Scripted, replies: dict[str, object]
) -> None:
    replies["rv64-riscv-cpu"] = [{"name": "zba", "type": "bool"}]
    binary = probe(scripted(replies | {"dies of": "virt-machine"})).binary
    assert [machine.properties for machine in binary.machines] == ["", "", ""]
    assert binary.properties_of_cpu("rv64") == {"zba": "bool"}
    assert binary.note == ""


@pytest.mark.parametrize("command", ["query-version", "query-machines", "query-kvm"])
def test_replies_that_make_no_sense(
    scripted: Scripted, replies: dict[str, object], command: str
) -> None:
    with pytest.raises(HostError, match="its replies make no sense"):
        probe(scripted(replies | {command: ["?"]}))


def test_not_executable(tmp_path: Path) -> None:
    path = tmp_path / "qemu-system-riscv64"
    path.touch()
    with pytest.raises(SpawnError):
        probe(path)


def test_no_qemu_at_all() -> None:
    with pytest.raises(MonitorError, match="ended with status 1"):
        probe(Path("/bin/false"))


@pytest.mark.qemu
@pytest.mark.parametrize("architecture", list(Architecture))
def test_real_emulators(architecture: Architecture) -> None:
    program = shutil.which(f"qemu-system-{architecture.value}")
    if program is None:
        pytest.skip(f"no qemu-system-{architecture.value} in PATH")
    probed = probe(Path(program), architecture)
    binary = probed.binary
    assert binary.version >= (6, 0, 0)
    assert binary.version_text.startswith(".".join(map(str, binary.version)))
    assert "tcg" in binary.accelerators
    assert {"events", "multifd", "return-path"} <= set(binary.migration_capabilities)
    machine, cpu = {
        Architecture.X86_64: ("pc", "qemu64"),
        Architecture.I386: ("q35", "qemu32"),
        Architecture.AARCH64: ("virt", "cortex-a57"),
        Architecture.ARM: ("virt", "cortex-a15"),
        Architecture.PPC64: ("pseries", "power9"),
        Architecture.S390X: ("s390-ccw-virtio", "qemu"),
        Architecture.RISCV64: ("virt", "rv64"),
        Architecture.RISCV32: ("virt", "rv32"),
        Architecture.MIPS64EL: ("malta", "I6400"),
        Architecture.LOONGARCH64: ("virt", "la464"),
    }[architecture]
    found = binary.machine(machine)
    assert found is not None
    assert found.cpu_max > 1 or architecture is Architecture.MIPS64EL
    cpu = next((each for each in binary.cpus if each.startswith("la464")), cpu)  # 7.2 calls it more
    assert cpu in binary.cpus
    # One type of machine of 7.2 cannot be made to be asked: its help tells.
    assert [each.name for each in binary.machines if "dumpdtb=string" not in each.properties] == []
    assert "start-powered-off" in binary.properties_of_cpu(cpu)
    assert binary.note or "pvpanic-pci" in binary.devices or architecture is Architecture.S390X
    assert any("qemu-system" in file for file in probed.files)
    assert any("libc" in file for file in probed.files)
