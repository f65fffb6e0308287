"""Taking the inventory: what is asked, what is proven, and what the cache saves."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from matrix.errors import HostError, MonitorError, Place, Problem, SpawnError, SuiteError
from matrix.hosts.cache import Cache
from matrix.hosts.cached_records import Probed
from matrix.hosts.host_facts import HostState
from matrix.hosts.installations import Installation
from matrix.hosts.kvm import KvmDevice
from matrix.hosts.survey import take_inventory
from matrix.hosts.surveyors import Surveyors, guest_files
from matrix.hosts.wanted import Wanted
from matrix.inventory import (
    Binary,
    Firmware,
    Inventory,
    KvmProof,
    KvmState,
    Machine,
)
from matrix.model import Architecture

X86 = Architecture.X86_64
S390X = Architecture.S390X
PLAIN = Wanted("mine", X86, ("",))


@dataclass
class Fakes:
    """Surveyors that answer at once and remember what they were asked."""

    library: Path
    guest: Path
    probed: list[str] = field(default_factory=list)
    proven: list[tuple[Architecture, Architecture, str]] = field(default_factory=list)
    state: KvmState = KvmState.WORKS
    accelerators: tuple[str, ...] = ("kvm", "tcg")
    cpus: tuple[str, ...] = ("host", "max", "qemu64")
    booted: list[tuple[Architecture, str, str, str]] = field(default_factory=list)
    comes_up: KvmState = KvmState.WORKS
    failure: Exception | None = None
    busy: int = 0
    busiest: int = 0

    def surveyors(self) -> Surveyors:
        files = [str(self.guest)]
        return Surveyors(self.probe, self.prove, lambda architecture: files, self.prove_firmware)

    async def probe(self, qemu: str, architecture: Architecture, path: Path) -> Probed:
        await self.work()
        self.probed.append(f"{qemu} {architecture.value}")
        if self.failure:
            raise self.failure
        binary = Binary(
            qemu,
            architecture,
            str(path),
            (9, 2, 0),
            "9.2.0 (fake)",
            accelerators=self.accelerators,
            machines=(Machine("pc", "alias", 255, is_default=True, default_cpu="qemu64"),),
            cpus=self.cpus,
            cpu_properties=("x2apic=bool vendor=string legacy-memory=str",) * len(self.cpus),
            devices=("edu",),
            migration_capabilities=("events",),
            sandbox=True,
            exit_with_parent=True,
            note="a note",
        )
        return Probed(binary, (str(path), str(self.library)))

    async def prove(self, binary: Binary, architecture: Architecture, cpu: str) -> KvmProof:
        await self.work()
        self.proven.append((binary.architecture, architecture, cpu))
        if self.failure:
            raise self.failure
        guests = (("boot", "pass"), ("smp", "fail"))
        return KvmProof(binary.qemu, architecture, cpu, self.state, "because", guests)

    async def prove_firmware(
        self,
        binary: Binary,
        architecture: Architecture,
        cpu: str,
        machine: str,
        firmware: Firmware,
    ) -> KvmProof:
        await self.work()
        self.booted.append((architecture, cpu, machine, Path(firmware.executable).name))
        if self.failure:
            raise self.failure
        return KvmProof(binary.qemu, architecture, cpu, self.comes_up, "as it is")

    async def work(self) -> None:
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        for _ in range(5):
            await asyncio.sleep(0)
        self.busy -= 1

    def forget(self) -> None:
        self.probed.clear()
        self.proven.clear()
        self.booted.clear()


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    for name in ("library", "guest"):
        (tmp_path / name).write_text(name)
    return Fakes(tmp_path / "library", tmp_path / "guest")


@pytest.fixture
def directory(emulators: Callable[..., Path]) -> Path:
    return emulators("mine", *(architecture.value for architecture in Architecture))


Take = Callable[..., Inventory]


@pytest.fixture
def take(fakes: Fakes, directory: Path, host: HostState, tmp_path: Path) -> Take:
    """Takes the inventory of one installation, ``mine``, with a cache of its own."""

    def run(*wanted: Wanted, **changes: Any) -> Inventory:
        arguments: dict[str, Any] = {
            "host": host,
            "cache": Cache(tmp_path / "cache"),
            "surveyors": fakes.surveyors(),
        }
        installations = changes.pop("installations", [Installation("mine", directory)])
        return asyncio.run(take_inventory(installations, wanted, **(arguments | changes)))

    return run


def test_a_second_look_asks_nothing_and_finds_the_same(take: Take, fakes: Fakes) -> None:
    first = take(PLAIN, Wanted("mine", S390X, ("",)))
    assert (sorted(fakes.probed), fakes.proven) == (["mine s390x", "mine x86_64"], [(X86, X86, "")])
    fakes.forget()
    second = take(PLAIN, Wanted("mine", S390X, ("",)))
    assert (fakes.probed, fakes.proven) == ([], [])
    assert second == first


def test_only_what_is_wanted(take: Take, fakes: Fakes) -> None:
    inventory = take(Wanted("mine", X86), Wanted("another", S390X))
    assert [binary.architecture for binary in inventory.binaries] == [X86]
    assert (inventory.proofs, fakes.proven) == ((), [])


def test_fresh_asks_again_and_keeps_the_answer(take: Take, fakes: Fakes) -> None:
    take(PLAIN)
    fakes.forget()
    fakes.state = KvmState.BROKEN
    assert take(PLAIN, fresh=True).proofs[0].state is KvmState.BROKEN
    assert (fakes.probed, fakes.proven) == (["mine x86_64"], [(X86, X86, "")])
    fakes.forget()
    assert take(PLAIN).proofs[0].state is KvmState.BROKEN
    assert fakes.proven == []


def replace_binary(directory: Path, fakes: Fakes) -> None:
    (directory / "new").write_text("another program")
    (directory / "new").replace(directory / "qemu-system-x86_64")


def touch_binary(directory: Path, fakes: Fakes) -> None:
    os.utime(directory / "qemu-system-x86_64", ns=(1, 1))


def replace_library(directory: Path, fakes: Fakes) -> None:
    fakes.library.write_text("of another build")


def remove_library(directory: Path, fakes: Fakes) -> None:
    fakes.library.unlink()


@pytest.mark.parametrize("change", [replace_binary, touch_binary, replace_library, remove_library])
def test_a_changed_binary_is_asked_and_proven_again(
    take: Take, fakes: Fakes, directory: Path, change: Callable[[Path, Fakes], None]
) -> None:
    take(PLAIN)
    fakes.forget()
    change(directory, fakes)
    take(PLAIN)
    assert (fakes.probed, fakes.proven) == (["mine x86_64"], [(X86, X86, "")])


def test_a_changed_host_is_asked_and_proven_again(
    take: Take, fakes: Fakes, host: HostState
) -> None:
    take(PLAIN)
    fakes.forget()
    take(PLAIN, host=replace(host, key="another kernel, or KVM's state"))
    assert (fakes.probed, fakes.proven) == (["mine x86_64"], [(X86, X86, "")])


def test_changed_guests_are_run_again(take: Take, fakes: Fakes) -> None:
    take(PLAIN)
    fakes.forget()
    fakes.guest.write_text("a new guest")
    take(PLAIN)
    assert (fakes.probed, fakes.proven) == ([], [(X86, X86, "")])


def test_a_damaged_cache_is_filled_anew(take: Take, fakes: Fakes, tmp_path: Path) -> None:
    first = take(PLAIN)
    fakes.forget()
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    assert take(PLAIN) == first
    assert (fakes.probed, fakes.proven) == (["mine x86_64"], [(X86, X86, "")])


def test_each_cpu_model_is_proven(take: Take, fakes: Fakes) -> None:
    inventory = take(Wanted("mine", X86, ("host", "max,+x2apic")))
    assert sorted(cpu for _, _, cpu in fakes.proven) == ["host", "max,+x2apic"]
    assert inventory.proof("mine", X86, "max,+x2apic") is not None
    assert inventory.proof("mine", X86, "") is None


def test_the_default_model_by_its_name_is_proven_once(take: Take, fakes: Fakes) -> None:
    inventory = take(Wanted("mine", X86, ("", "qemu64")))
    assert fakes.proven == [(X86, X86, "")]
    for cpu in ("", "qemu64"):
        proof = inventory.proof("mine", X86, cpu)
        assert proof is not None
        assert proof.cpu == cpu


@pytest.mark.parametrize("failure", [None, HostError("it does not start")])
def test_the_same_binary_of_two_installations_is_asked_and_proven_once(
    take: Take, fakes: Fakes, directory: Path, failure: HostError | None
) -> None:
    fakes.failure = failure
    both = [Installation("mine", directory), Installation("yours", directory)]
    inventory = take(PLAIN, replace(PLAIN, qemu="yours"), installations=both)
    assert fakes.probed == ["mine x86_64"]
    if failure is not None:
        assert [name for name, _, _ in inventory.broken] == ["mine", "yours"]
        return
    assert fakes.proven == [(X86, X86, "")]
    assert [binary.qemu for binary in inventory.binaries] == ["mine", "yours"]
    assert [proof.qemu for proof in inventory.proofs] == ["mine", "yours"]


def test_a_model_that_the_binary_does_not_know_is_not_tried(take: Take, fakes: Fakes) -> None:
    (proof,) = take(Wanted("mine", X86, ("power10,vsx=off",))).proofs
    assert proof.state is KvmState.UNAVAILABLE
    assert proof.reason == "QEMU 9.2.0 has no CPU model 'power10'"
    assert fakes.proven == []
    (proof,) = take(Wanted("mine", X86, ("max,legacy-memory=x",))).proofs
    assert "property 'legacy-memory' of CPU model 'max'" in proof.reason
    assert fakes.proven == []
    fakes.cpus = ()  # nothing is known of its models
    (proof,) = take(Wanted("mine", X86, ("power10",)), fresh=True).proofs
    assert proof.state is KvmState.WORKS


def test_one_emulator_under_two_names_is_known_under_both(
    take: Take, fakes: Fakes, directory: Path
) -> None:
    both = [Installation("mine", directory), Installation("same", directory)]
    take(PLAIN, installations=both)
    fakes.forget()
    inventory = take(Wanted("same", X86, ("",)), installations=both)
    assert (fakes.probed, fakes.proven) == ([], [])
    binary, proof = inventory.binary("same", X86), inventory.proof("same", X86, "")
    assert binary is not None
    assert proof is not None
    assert (binary.qemu, proof.qemu) == ("same", "same")


@pytest.mark.parametrize(
    ("architecture", "device", "accelerators", "why"),
    [
        (S390X, "", ("tcg",), "this x86_64 host's KVM runs x86_64 and i386 guests only"),
        (X86, "no /dev/kvm: …", ("kvm", "tcg"), "no /dev/kvm: …"),
        (X86, "", ("tcg",), "this QEMU was built without KVM"),
    ],
)
def test_no_kvm_needs_no_proof(
    take: Take,
    fakes: Fakes,
    host: HostState,
    architecture: Architecture,
    device: str,
    accelerators: tuple[str, ...],
    why: str,
) -> None:
    fakes.accelerators = accelerators
    state = replace(host, device=KvmDevice(problem=device, state=""))
    inventory = take(Wanted("mine", architecture, ("",)), host=state)
    (proof,) = inventory.proofs
    assert (proof.state, proof.reason) == (KvmState.UNAVAILABLE, why)
    assert fakes.proven == []


def test_32_bit_arm_under_kvm_takes_the_hosts_emulator(
    take: Take, fakes: Fakes, host: HostState
) -> None:
    arm = replace(host, host=replace(host.host, architecture="aarch64"))
    inventory = take(Wanted("mine", Architecture.ARM, ("",)), host=arm)
    assert sorted(fakes.probed) == ["mine aarch64", "mine arm"]
    assert fakes.proven == [(Architecture.AARCH64, Architecture.ARM, "")]
    assert inventory.proof("mine", Architecture.ARM, "") is not None


def test_a_missing_emulator(take: Take, directory: Path) -> None:
    (directory / "qemu-system-x86_64").unlink()
    inventory = take(PLAIN)
    why = f"no qemu-system-x86_64 in {directory}"
    assert inventory.missing == (("mine", X86, why),)
    (proof,) = inventory.proofs
    assert (proof.state, proof.reason) == (KvmState.UNAVAILABLE, why)


def test_an_emulator_missing_in_path_says_what_to_install(
    take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    inventory = take(Wanted("system", S390X), installations=[Installation("system")])
    ((_, _, why),) = inventory.missing
    assert why.startswith("no qemu-system-s390x in PATH (")
    assert "install qemu-system-" in why


def test_a_host_without_processes_says_nothing_of_qemu(take: Take, fakes: Fakes) -> None:
    fakes.failure = SpawnError(("qemu",), "Resource temporarily unavailable")
    with pytest.raises(HostError, match="this host cannot be examined: cannot start qemu"):
        take(PLAIN)


def test_an_emulator_that_cannot_be_asked(take: Take, fakes: Fakes, directory: Path) -> None:
    fakes.failure = MonitorError("connect", "libglib.so: cannot open shared object file")
    ((_, _, why),) = take(PLAIN).broken
    assert why == (
        f"{directory}/qemu-system-x86_64 cannot be asked: "
        "QMP connect: libglib.so: cannot open shared object file"
    )
    fakes.failure = None
    assert take(PLAIN).broken == ()  # it was not kept


def test_a_proof_that_the_host_prevents_is_not_kept(take: Take, fakes: Fakes) -> None:
    take(Wanted("mine", X86))
    fakes.failure = HostError("no temporary folder: Permission denied")
    (proof,) = take(PLAIN).proofs
    assert proof.state is KvmState.UNAVAILABLE
    assert proof.reason == f"KVM could not be tried: {fakes.failure}"
    fakes.failure = None
    (proof,) = take(PLAIN).proofs
    assert proof.state is KvmState.WORKS


def test_guests_that_are_not_built_are_no_verdict_on_kvm(take: Take, fakes: Fakes) -> None:
    def missing(architecture: Architecture) -> list[str]:
        raise SuiteError([Problem(Place("/images"), "they are missing")])

    for fresh in (False, True):
        surveyors = replace(fakes.surveyors(), guest_files=missing)
        (proof,) = take(PLAIN, surveyors=surveyors, fresh=fresh).proofs
        assert proof.state is KvmState.UNAVAILABLE
        assert proof.reason == "KVM could not be tried: /images: they are missing"
    assert fakes.proven == []


def test_as_many_at_once_as_there_are_cpus(take: Take, fakes: Fakes) -> None:
    take(*(Wanted("mine", architecture, ("", "host")) for architecture in Architecture))
    assert len(fakes.probed) == len(Architecture)
    assert fakes.busiest == 2


def test_of_several_at_once_one_asks_and_proves(
    fakes: Fakes, directory: Path, host: HostState, tmp_path: Path
) -> None:
    steps: list[str] = []

    async def take_three() -> list[Inventory]:
        return await asyncio.gather(
            *(
                take_inventory(
                    [Installation("mine", directory)],
                    [PLAIN],
                    host=host,
                    cache=Cache(tmp_path / "cache"),
                    surveyors=fakes.surveyors(),
                    on_step=steps.append,
                )
                for _ in range(3)
            )
        )

    first, *others = asyncio.run(take_three())
    assert others == [first, first]
    assert (fakes.probed, fakes.proven) == (["mine x86_64"], [(X86, X86, "")])
    asking = f"asking {directory}/qemu-system-x86_64 what it can do"
    assert steps[:3] == [asking, *[f"waiting for another run: {asking}"] * 2]


def test_steps_are_told(take: Take, directory: Path) -> None:
    steps: list[str] = []
    take(Wanted("mine", X86, ("", "host")), on_step=steps.append)
    assert steps == [
        f"asking {directory}/qemu-system-x86_64 what it can do",
        "trying x86_64 guests under KVM (mine)",
        "trying x86_64 guests under KVM with -cpu host (mine)",
    ]
    steps.clear()
    take(Wanted("mine", X86, ("", "host")), on_step=steps.append)
    assert steps == []


FIRMWARE = replace(PLAIN, firmware_machine="")


@pytest.fixture
def firmware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Firmware that comes before what is installed here."""
    image = tmp_path / "firmware.fd"
    image.write_text("1")
    folder = tmp_path / "configuration/qemu/firmware"
    folder.mkdir(parents=True)
    descriptor = {
        "interface-types": ["uefi"],
        "mapping": {"device": "memory", "filename": str(image)},
        "targets": [{"architecture": "x86_64", "machines": ["pc"]}],
    }
    (folder / "00-mine.json").write_text(json.dumps(descriptor))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    return image


def test_firmware_is_proven_once_where_it_is_wanted(
    take: Take, fakes: Fakes, firmware: Path
) -> None:
    assert (take(PLAIN).firmware_proofs, fakes.booted) == ((), [])
    both = Wanted("mine", X86, ("", "max"), "")
    first = take(both)
    assert fakes.booted == [(X86, "", "", "firmware.fd")]
    assert first.firmware_proof("mine", X86) == KvmProof(
        "mine", X86, "", KvmState.WORKS, "as it is"
    )
    assert first.firmware_proof("mine", S390X) is None
    fakes.forget()
    assert take(both) == first
    assert fakes.booted == []
    firmware.write_text("another")
    fakes.comes_up = KvmState.BROKEN
    again = take(both).firmware_proof("mine", X86)
    assert again is not None
    assert again.state is KvmState.BROKEN
    fakes.forget()
    take(both, fresh=True)
    assert len(fakes.booted) == 1


def test_firmware_is_not_tried_where_guests_fail(take: Take, fakes: Fakes, firmware: Path) -> None:
    assert firmware.exists()
    fakes.state = KvmState.BROKEN
    assert (take(FIRMWARE).firmware_proofs, fakes.booted) == ((), [])


def test_no_firmware_for_the_machine_is_no_proof(take: Take, fakes: Fakes, firmware: Path) -> None:
    firmware.unlink()
    other = replace(FIRMWARE, firmware_machine="microvm-that-nobody-has-firmware-for")
    assert (take(other).firmware_proofs, fakes.booted) == ((), [])


def test_firmware_that_the_host_keeps_from_being_tried_is_tried_again(
    take: Take, fakes: Fakes, firmware: Path
) -> None:
    assert firmware.exists()
    take(PLAIN)
    fakes.failure = HostError("no space left")
    (proof,) = take(FIRMWARE).firmware_proofs
    assert (proof.state, "no space left" in proof.reason) == (KvmState.UNAVAILABLE, True)
    fakes.failure = None
    (proof,) = take(FIRMWARE).firmware_proofs
    assert proof.state is KvmState.WORKS


def test_order_is_that_of_the_installations_and_architectures(take: Take, directory: Path) -> None:
    named = [Installation("z", directory), Installation("a", directory)]
    wanted = [Wanted(name, architecture) for name in "az" for architecture in (S390X, X86)]
    inventory = take(*wanted, installations=named)
    found = [(binary.qemu, binary.architecture) for binary in inventory.binaries]
    assert found == [("z", X86), ("z", S390X), ("a", X86), ("a", S390X)]


def test_host_files(take: Take, tmp_path: Path) -> None:
    (tmp_path / "flag").write_text(" Y \nmore\n")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    names = ("flag", "empty", "pipe", "absent", "nul\0")
    inventory = take(files=[str(tmp_path / name) for name in names])
    assert inventory.files == ((str(tmp_path / "flag"), "Y"), (str(tmp_path / "empty"), ""))


def test_guest_files_are_the_built_images() -> None:
    try:
        files = guest_files(X86)
    except SuiteError as error:
        pytest.skip(f"the embedded guests are not built: {error}")
    assert any(file.endswith("unittests.cfg") for file in files)
    assert len(files) > 1
