"""``matrix migratable``: its table, its JSON, its exit codes, and hops that prove it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path

import pytest

from matrix.cli.doctor import doctor_json
from matrix.cli.migratable_command import _named, exit_code, summary, table
from matrix.cli.migratable_page import page
from matrix.cli.proving import Proof, scenario
from matrix.errors import ExitCode
from matrix.hosts.kvm_features import CpuidLeaf, KvmFeatures
from matrix.inventory import Machine
from matrix.migratable.prediction import Answer, Guest, Prediction
from matrix.model import Accelerator, Architecture
from matrix.run.options import Selection
from tests import make
from tests.installed import lend_answers
from tests.warm import WarmProgram

GUEST = Guest(Architecture.RISCV64, "virt", "rv64")
OTHER = Guest(Architecture.S390X, "s390-ccw-virtio-7.2", "")
WHY = (
    "load of migration failed: Invalid argument: cpu: incoming version_id 5 is too old for local"
    " minimum version_id 12"
)
PREDICTIONS = [
    Prediction("system", "11.1", GUEST, "rv64", Answer.NO, WHY),
    Prediction("11.1", "system", GUEST, "rv64", Answer.YES),
    Prediction("system", "11.1", OTHER, "qemu", Answer.PERHAPS, "if the guest does without: vx"),
    Prediction("11.1", "system", OTHER, "qemu", Answer.YES),
]
PROOFS = [
    Proof(gone=False, reason="hop 1 failed"),
    Proof(gone=False, reason="hop 1 failed: cpu"),
    Proof(gone=True),
    Proof(gone=None, reason="no KVM"),
]


def test_table() -> None:
    assert "\n".join([*table(PREDICTIONS, []), *summary(PREDICTIONS, [])]) == (
        """\
riscv64  virt  rv64
  system → 11.1  no: load of migration failed: Invalid argument: cpu: incoming
                   version_id 5 is too old for local minimum version_id 12
  11.1 → system  yes
s390x  s390-ccw-virtio-7.2  qemu
  system → 11.1  perhaps: if the guest does without: vx
  11.1 → system  yes
2 yes, 1 no, 1 perhaps"""
    )


def test_table_under_kvm() -> None:
    guest = Guest(Architecture.X86_64, "pc-q35-7.2", "host")
    found = Prediction("a", "b", guest, "host", Answer.YES, accelerator=Accelerator.KVM)
    assert list(table([found], [])) == ["x86_64  pc-q35-7.2  host  KVM", "  a → b  yes"]


def test_table_of_what_was_proved() -> None:
    lines = [*table(PREDICTIONS, PROOFS), *summary(PREDICTIONS, PROOFS)]
    assert lines[3:5] == [
        "  11.1 → system  yes",
        "                 BUT it did not go: hop 1 failed: cpu",
    ]
    assert "                 not proved: no KVM" in lines
    assert lines[-1] == "3 hops made, 1 of them contradict the prediction"


def test_hops_that_were_not_made_prove_nothing() -> None:
    """The answers are shown, but whoever asked for the hops must not take them for proved."""
    answers, untried = PREDICTIONS[:2], [Proof(None, "it was not tried")] * 2
    assert exit_code(answers, [], ExitCode.OK) == 0
    assert exit_code(answers, untried, ExitCode.OK) == 5
    assert exit_code(answers, untried, ExitCode.ERROR) == 3
    assert exit_code(answers, PROOFS[:2], ExitCode.INTERRUPTED) == 130
    assert exit_code(answers, PROOFS[:2], ExitCode.NOT_PASSED) == 1
    assert exit_code(answers, [PROOFS[0], Proof(None)], ExitCode.NOT_PASSED) == 0


def test_the_page_holds_all_answers_and_escapes_what_qemu_says() -> None:
    hostile = replace(PREDICTIONS[0], reason="<script>alert(1)</script>\x1b[2J", evidence=("a<b",))
    text = page([hostile, *PREDICTIONS[1:]], PROOFS, "2 yes, 1 no, 1 perhaps")
    plain = unescape(re.sub(r"<[^>]+>", " ", text.partition("</style>")[2])).split()
    for told in (
        "riscv64 virt rv64",
        "system → 11.1 no <script>alert(1)</script>",
        "evidence a<b",
        "11.1 → system yes a hop did not go: hop 1 failed: cpu",
        "no hop was made: no KVM",
        "2 yes, 1 no, 1 perhaps",
    ):
        assert told in " ".join(plain)
    assert "<script" not in text
    assert "\x1b" not in text
    assert text.count('class="wrong"') == 1
    assert text.count("<th scope") == 2
    assert len(text) < 4096


def test_a_hop_is_a_scenario_of_its_own() -> None:
    assert scenario(7, PREDICTIONS[0])["matrix"] == {
        "arch": ["riscv64"],
        "accel": ["tcg"],
        "qemu": ["system"],
        "destination": ["11.1"],
        "machine": ["virt"],
        "cpu": ["rv64"],
    }
    assert "cpu" not in scenario(8, PREDICTIONS[2])["matrix"]


Q35 = ("--arch", "x86_64", "--machine", "q35")


@dataclass(frozen=True)
class Place:
    """A folder of a user's, with a cache of its own."""

    folder: Path
    warm: WarmProgram

    def matrix(self, *words: str) -> subprocess.CompletedProcess[str]:
        places = {name: str(self.folder) for name in ("HOME", "MATRIX_CACHE")}
        environment = {**os.environ, "PATH": "/usr/bin:/bin", **places}
        return self.warm.run(words, self.folder, environment, seconds=300)

    def migratable(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.matrix("migratable", *words)


@pytest.fixture
def place(tmp_path: Path, warm: WarmProgram) -> Place:
    lend_answers(tmp_path, Architecture.X86_64)
    return Place(tmp_path, warm)


def test_two_hosts_with_kvm(place: Place) -> None:
    """Neither is this one: nothing is started."""
    binary = replace(
        make.binary(),
        machines=(Machine("pc-q35-7.2", alias="q35", cpu_max=288),),
        accelerators=("kvm", "tcg"),
        cpus=("host", "qemu64"),
    )
    for name, word in (("a", 0b11), ("b", 0b01)):
        features = KvmFeatures("", "6.12", (CpuidLeaf(7, 0, 0, word, 0, 0),))
        document = doctor_json(make.inventory(binary), features)
        (place.folder / f"{name}.json").write_text(json.dumps(document))
    ended = place.migratable("a.json", "b.json", "--machine=q35", "--cpu=host", "--json")
    assert ended.returncode == 0, ended.stderr
    there, back = json.loads(ended.stdout)
    assert (there["cpu"], there["accelerator"], there["answer"]) == ("host", "kvm", "no")
    assert there["reason"] == "CPUID 0x7.ebx[1] is not offered there"
    assert (back["accelerator"], back["answer"]) == ("kvm", "yes")


@pytest.mark.qemu
def test_real_qemu_and_a_hop_that_proves_it(place: Place, tmp_path: Path) -> None:
    html = tmp_path / "page.html"
    html.symlink_to(tmp_path / "elsewhere.html")
    words = ("system", "system", *Q35, "--json", "--prove", f"--html={html}")
    ended = place.migratable(*words)
    assert ended.returncode == 0, ended.stderr
    [found] = json.loads(ended.stdout)
    assert '<td class="yes">yes' in (tmp_path / "elsewhere.html").read_text()
    assert html.is_symlink()
    assert found["evidence"][0] == "the destination's QEMU has loaded the source's idle guest"
    del found["evidence"]
    machine = found.pop("machine")
    assert machine.startswith("pc-q35-")
    assert found == {
        "source": "system",
        "destination": "system",
        "arch": "x86_64",
        "cpu": "qemu64",
        "answer": "yes",
        "reason": "",
        "accelerator": "tcg",
        "hop": {"gone": True, "reason": ""},
        "contradicted": False,
    }


@pytest.fixture
def more(tmp_path: Path) -> Callable[[str], str]:
    """Makes a folder with the system's QEMU for x86_64, which has a device more unless its command
    line has certain words."""

    def make(words: str) -> str:
        wrapper = tmp_path / "more" / "qemu-system-x86_64"
        wrapper.parent.mkdir()
        real = shutil.which(wrapper.name)
        wrapper.write_text(
            f"""#!/bin/sh
case "$*" in
*"-machine none"* | *"{words}"*) exec {real} "$@" ;;
*) exec {real} "$@" -device virtio-rng-pci ;;
esac
"""
        )
        wrapper.chmod(0o755)
        return str(wrapper.parent)

    return make


@pytest.mark.qemu
def test_a_qemu_whose_machine_has_a_device_more(more: Callable[[str], str], place: Place) -> None:
    """It takes the other one's guest, and its own is not taken there: hops say so, too."""
    folder = more("-machine none")
    ended = place.migratable("system", folder, *Q35, "--prove")
    assert ended.returncode == 0, ended.stdout
    lines = ended.stdout.splitlines()
    assert lines[1] == "  system → more  yes"
    assert lines[2].startswith("  more → system  no: ")
    assert "/virtio-rng'" in ended.stdout
    assert lines[-1] == "2 hops made, 0 of them contradict the prediction"


@pytest.mark.qemu
def test_a_hop_that_contradicts_the_prediction(more: Callable[[str], str], place: Place) -> None:
    """A QEMU that has the device only in runs: idle guests have ``-display none`` twice."""
    folder = more('-display none"*"-display none')
    ended = place.migratable("system", folder, *Q35, "--prove")
    assert ended.returncode == 1, ended.stdout
    assert "  more → system  yes\n" in ended.stdout
    assert "BUT it did not go: hop 1: the hop failed: Unknown savevm" in ended.stdout
    assert ended.stdout.endswith("2 hops made, 1 of them contradict the prediction\n")


def test_a_side_may_be_the_folder_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine/bin").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine/bin")
    for side in (".", "..", "../bin", f"{tmp_path}/mine"):
        assert _named((side, "system"), Selection()) == ((f"mine={side}",), ["mine", "system"])


@pytest.mark.qemu
def test_wrong_usage(place: Place) -> None:
    for words, why in (
        (("system", "12.0"), "no such QEMU: '12.0'; there are system, NAME=DIR or a folder"),
        (("system", "x=/nowhere"), "x=/nowhere"),
        (("system", "system", "-j", "2"), "-o and -j are for the hops that --prove makes"),
        (("system", "system", "--arch", "vax"), "--arch: "),
        (
            ("system", "system", "--arch", "s390x", "--machine", "q35"),
            "--machine q35: neither QEMU has it",
        ),
    ):
        ended = place.migratable(*words)
        assert ended.returncode == 2, ended
        assert why in ended.stderr
        assert ended.stdout == ""


PAIR = """\
name: pair
suite: {kind: kvm-unit-tests, build: builtin, tests: [ram-integrity]}
matrix: {arch: [x86_64], accel: [tcg], machine: [q35], qemu: [more], destination: [system]}
migration: {mode: once, destination: {machine: newest-common}}
"""


@pytest.mark.qemu
def test_a_run_skips_what_was_found_to_fail(more: Callable[[str], str], place: Place) -> None:
    """Nothing before anyone has asked; the reason names the section; and it can be run all the
    same."""
    folder = more("-machine none")
    (place.folder / "pair.yaml").write_text(PAIR)

    def planned(*words: str) -> tuple[str, str]:
        ended = place.matrix("list", "pair.yaml", f"--qemu=more={folder}", "--json", *words)
        assert ended.returncode == 0, ended.stderr
        [case] = json.loads(ended.stdout)["cases"]
        return case["action"], case["reason"]

    assert planned()[0] == "run"
    assert place.migratable("system", folder, *Q35).returncode == 0
    decision, reason = planned()
    assert decision == "skip"
    assert reason.startswith("no hop from QEMU more to system, as matrix migratable found: ")
    assert "virtio-rng" in reason
    assert planned("--no-predict")[0] == "run"
    turned = planned("--set", "qemu=system", "--set", "destination=more")
    assert turned[0] == "run", turned
