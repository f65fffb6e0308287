"""Sides that are files of matrix doctor --json."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.cli.doctor import doctor_json
from matrix.errors import UsageError
from matrix.hosts.cache import Cache
from matrix.hosts.host_facts import read_host
from matrix.hosts.kvm_features import CpuidLeaf, KvmFeatures
from matrix.inventory import Binary, Inventory, Machine
from matrix.migratable.doctor_file import UNSTARTED, is_recorded, recorded, recorded_features
from matrix.migratable.grid import Question, answer
from matrix.migratable.prediction import Answer, Prediction
from matrix.model import Accelerator
from tests import make

OURS = replace(
    make.binary(),
    machines=(Machine("pc-q35-7.2", alias="q35", cpu_max=288), Machine("pc-q35-6.0")),
    cpus=("qemu64", "max"),
    migration_capabilities=("events", "mapped-ram"),
)
NO_KVM = KvmFeatures("no /dev/kvm: load its module")
FULL = KvmFeatures("", "6.12", (CpuidLeaf(7, 0, 0, 0b11, 0, 0),), ((0x10A, 1),))
LESS = replace(FULL, cpuid=(CpuidLeaf(7, 0, 0, 0b01, 0, 0),))
THEIRS = replace(OURS, machines=OURS.machines[:1], cpus=("qemu64",), migration_capabilities=())


def saved(
    folder: Path, inventory: Inventory, features: KvmFeatures = NO_KVM, name: str = "other.json"
) -> str:
    path = folder / name
    path.write_text(json.dumps(doctor_json(inventory, features)))
    return str(path)


@pytest.mark.parametrize(
    ("side", "is_one"),
    [("other.json", True), ("a/b.json:mine", True), ("system", False), ("mine=/opt/q", False)],
)
def test_what_a_file_is(side: str, is_one: bool) -> None:
    assert is_recorded(side) is is_one


def test_a_file_is_read_back(tmp_path: Path) -> None:
    side = saved(tmp_path, make.inventory(OURS, replace(OURS, qemu="mine")))
    assert recorded(side) == (replace(OURS, qemu=side, path=UNSTARTED),)
    named = f"{side}:mine"
    assert recorded(named) == (replace(OURS, qemu=named, path=UNSTARTED),)


def test_what_is_no_such_file(tmp_path: Path) -> None:
    def refused(side: str, why: str) -> None:
        with pytest.raises(UsageError, match=why):
            recorded(side)

    refused(str(tmp_path / "none.json"), "no such file")
    text = tmp_path / "text.json"
    for content in ("{", "[]", '{"binaries": [1]}', '{"binaries": [{}]}', '{"binaries": 7}'):
        text.write_text(content)
        refused(str(text), "text.json: not what matrix doctor --json prints")
    text.write_text("{}")
    refused(str(text), "it has no QEMU")
    side = saved(tmp_path, make.inventory(replace(OURS, qemu="a"), replace(OURS, qemu="b")))
    refused(side, "several QEMUs; FILE.json:NAME takes a, b")
    refused(f"{side}:c", "no QEMU 'c'; FILE.json:NAME takes a, b")


def test_answers(tmp_path: Path) -> None:
    """Nobody is asked: neither QEMU is on this host."""
    side = saved(tmp_path, make.inventory(THEIRS))
    here = replace(OURS, qemu="here", path=UNSTARTED)
    inventory = make.inventory(here, *recorded(side))

    def answers(*machines: str, cpus: tuple[str, ...] = ()) -> list[tuple[Answer, str]]:
        question = Question("here", side, (make.X86,), machines, cpus)
        asked = answer(question, inventory, read_host(), Cache(tmp_path / "cache"), print)
        return [(each.answer, each.reason) for each in asyncio.run(asked)]

    (there, reason), (back, _) = answers("q35")
    assert (there, back) == (Answer.PERHAPS, Answer.PERHAPS)
    assert "no QEMU was asked" in reason
    assert [found for found, _ in answers("pc-q35-6.0")] == [Answer.NO, Answer.NO]
    (there, reason), _ = answers("q35", cpus=("max",))
    assert (there, reason) == (Answer.NO, f"QEMU {side} has no CPU model max")


def test_features_are_read_back(tmp_path: Path) -> None:
    assert recorded_features(saved(tmp_path, make.inventory(OURS), FULL)) == FULL
    side = saved(tmp_path, make.inventory(OURS))
    assert recorded_features(f"{side}:system") == NO_KVM
    path = Path(side)
    document = json.loads(path.read_text())
    leaf = document["kvm_features"] | {"cpuid": [{"function": 1}]}
    refused: list[object] = [{}, {"problem": ""}, [], leaf]
    for wrong in refused:
        path.write_text(json.dumps(document | {"kvm_features": wrong}))
        with pytest.raises(UsageError, match=r"other.json: not what matrix doctor --json prints"):
            recorded_features(side)
    del document["kvm_features"]
    path.write_text(json.dumps(document))
    assert recorded_features(side).problem == (
        "an older matrix doctor wrote it, which did not ask KVM"
    )


HOST = replace(OURS, accelerators=("kvm", "tcg"), cpus=("host", "qemu64"))


def under_kvm(
    folder: Path,
    features: tuple[KvmFeatures, KvmFeatures],
    binaries: tuple[Binary, Binary] = (HOST, HOST),
    cpu: str = "",
) -> list[Prediction]:
    """The answers under KVM between two hosts, there and back, after those under TCG."""
    names = ("a.json", "b.json")
    pairs = zip(binaries, features, names, strict=True)
    sides = [saved(folder, make.inventory(each), kvm, name) for each, kvm, name in pairs]
    inventory = make.inventory(*(binary for side in sides for binary in recorded(side)))
    known = {side: recorded_features(side) for side in sides}
    source, destination = sides
    question = Question(source, destination, (make.X86,), ("q35",), (cpu,) if cpu else ())
    asked = answer(question, inventory, read_host(), Cache(folder / "cache"), print, known)
    found = asyncio.run(asked)
    kvm = [each for each in found if each.accelerator is Accelerator.KVM]
    assert all(each.cpu == each.guest.cpu == "host" for each in kvm)
    assert list(found) == [*(each for each in found if each not in kvm), *kvm]
    assert len(found) - len(kvm) == (0 if cpu == "host" else 2)
    return kvm


@pytest.mark.parametrize("cpu", ["", "host"])
def test_a_host_that_lacks_a_bit(tmp_path: Path, cpu: str) -> None:
    there, back = under_kvm(tmp_path, (FULL, LESS), cpu=cpu)
    reason = "CPUID 0x7.ebx[1] is not offered there"
    assert (there.answer, there.reason) == (Answer.NO, reason)
    assert there.evidence[0] == f"against: {reason}"
    assert (back.answer, back.reason) == (Answer.YES, "")
    assert back.evidence[0] == f"both are the same QEMU: {HOST.version_text}"
    compared = "compared: 1 CPUID leaves and 1 feature MSRs that the source's KVM has"
    assert compared in there.evidence
    assert compared in back.evidence
    assert not any("the accelerator is tcg" in each for each in back.evidence)


def test_what_stays_open_under_kvm(tmp_path: Path) -> None:
    there, _ = under_kvm(tmp_path, (replace(FULL, kernel="6.1"), FULL))
    assert (there.answer, there.reason) == (
        Answer.PERHAPS,
        "if this does not matter: the kernel is 6.1, 6.12 there: their KVMs may have other state",
    )
    newer = replace(HOST, version=(8, 0, 0), version_text="8.0.0")
    there, _ = under_kvm(tmp_path, (FULL, FULL), (HOST, newer))
    assert there.answer is Answer.PERHAPS
    assert there.reason.startswith("if it takes what the devices save")


def test_one_side_without_kvm(tmp_path: Path) -> None:
    """It is no row, unless that is asked for."""
    assert under_kvm(tmp_path, (FULL, NO_KVM)) == []
    assert under_kvm(tmp_path, (FULL, NO_KVM), cpu="qemu64") == []
    there, back = under_kvm(tmp_path, (FULL, NO_KVM), cpu="host")
    assert there.answer is back.answer is Answer.PERHAPS
    assert there.reason == f"KVM's features for {tmp_path}/b.json: {NO_KVM.problem}"
    built = replace(HOST, accelerators=("tcg",))
    assert under_kvm(tmp_path, (FULL, FULL), (HOST, built)) == []
    there, _ = under_kvm(tmp_path, (FULL, FULL), (HOST, built), cpu="host")
    assert (there.answer, there.reason) == (
        Answer.NO,
        f"QEMU {tmp_path}/b.json was built without KVM",
    )
