"""Files of known failures: what is read, and every message about what cannot be."""

import os
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from matrix.errors import Place
from matrix.model import AcceleratorLabel, Architecture, BootFirmware, Endian, Expectation
from matrix.scenario.expectations import read_expectations
from matrix.verdicts import Verdict
from matrix.versions import parse_range
from tests.conftest import Golden

GOLDEN = Path(__file__).parent / "golden/expectations"


def read(text: str) -> list[Expectation]:
    known, problems = read_expectations(dedent(text).encode(), "known.yaml")
    assert not problems
    return [each.expectation for each in known]


def test_every_key() -> None:
    (entry,) = read(
        """
        expect:
          - cases: [debug, "pmu-*"]
            arch: [arm64, x86_64]
            accel: [tcg]
            qemu: ">=7.2,<10.1"
            host_kernel: ["<6.2", "==6.12"]
            cpu_vendor: [GenuineIntel]
            firmware: [uefi]
            endian: [little, big]
            verdicts: [fail, timeout]
            subtests: ["pmu: *"]
            reason: |
              not implemented
              in TCG
        """
    )
    assert entry == Expectation(
        place="known.yaml:3",
        reason="not implemented in TCG",
        cases=("debug", "pmu-*"),
        arch=(Architecture.AARCH64, Architecture.X86_64),
        accel=(AcceleratorLabel.TCG,),
        qemu=(parse_range(">=7.2,<10.1"),),
        host_kernel=(parse_range("<6.2"), parse_range("==6.12")),
        cpu_vendor=("GenuineIntel",),
        firmware=(BootFirmware.UEFI,),
        endian=(Endian.LITTLE, Endian.BIG),
        verdicts=(Verdict.FAIL, Verdict.TIMEOUT),
        subtests=("pmu: *",),
    )


def test_a_known_timeout_may_have_a_limit() -> None:
    (entry,) = read("expect: [{cases: [a], verdicts: [timeout], known_limit: 1min, reason: r}]")
    assert entry.known_limit == 60.0


def test_a_file_may_be_made_for_a_revision() -> None:
    text = (
        b"suite_revision: kvm-unit-tests 1da1819e\nexpect: [{cases: [debug], reason: it fails}]\n"
    )
    (entry,), problems = read_expectations(text, "known.yaml")
    assert not problems
    assert entry.revision == "kvm-unit-tests 1da1819e"


def test_only_what_is_mandatory() -> None:
    (entry,) = read("expect: [{cases: [debug], reason: it fails}]")
    assert entry == Expectation("known.yaml:1", "it fails", ("debug",))
    assert entry.verdicts == (Verdict.FAIL,)


@pytest.mark.parametrize(
    ("version", "written", "meant"),
    [
        ("", "kvm", ("kvm", "kvm (virtual)")),
        ("format: 1", "kvm, tcg", ("kvm", "tcg", "kvm (virtual)")),
        ("", "tcg", ("tcg",)),
        ("format: 2", "kvm", ("kvm",)),
        ("format: 2", "kvm (virtual)", ("kvm (virtual)",)),
    ],
)
def test_kvm_of_virtual_hosts_was_kvm_in_older_files(
    version: str, written: str, meant: tuple[str, ...]
) -> None:
    (entry,) = read(f"{version}\nexpect: [{{cases: [a], accel: [{written}], reason: r}}]")
    assert entry.accel == meant


def test_a_file_may_have_no_entry() -> None:
    assert read("expect: []") == []


def test_every_pattern_has_its_place() -> None:
    text = "expect:\n  - reason: r\n    cases:\n      - a\n      - b*\n"
    ((known,), problems) = read_expectations(text.encode(), "known.yaml")
    assert not problems
    assert known.expectation.place == "known.yaml:2"
    assert known.places == (Place("known.yaml", 4, 9), Place("known.yaml", 5, 9))


def test_a_file_name_that_is_not_utf8_does_not_spoil_the_plan() -> None:
    name = os.fsdecode(b"\xff.yaml")
    ((known,), _) = read_expectations(b"expect: [{cases: [a], reason: r}]", name)
    assert known.expectation.place.encode() == b"\\udcff.yaml:1"


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.yaml")), ids=lambda file: file.stem)
def test_messages(golden: Golden, file: Path) -> None:
    if file.stem.startswith("syntax-") and not yaml.__with_libyaml__:
        pytest.skip("the wording of syntax errors is libyaml's")
    known, problems = read_expectations(file.read_bytes(), file.name)
    assert not known
    messages = "".join(f"{problem}\n" for problem in problems)
    assert messages
    golden(f"expectations/{file.stem}.err", messages)


def test_every_golden_message_has_its_file() -> None:
    assert {file.stem for file in GOLDEN.glob("*.err")} == {
        file.stem for file in GOLDEN.glob("*.yaml")
    }
    assert len(list(GOLDEN.glob("*.yaml"))) > 30
