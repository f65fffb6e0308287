"""The scenarios that come with the project are valid, say what they are for, and are named so."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from matrix.inventory import Binary
from matrix.model import Accelerator, Architecture, Build
from matrix.plan.applicable import applicable
from matrix.scenario.expectations import read_expectations
from matrix.scenario.known import KnownFailures
from matrix.scenario.load import load_scenario

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


def test_there_are_some() -> None:
    assert {"smoke", "verdicts", "kvm-unit-tests"} <= {path.stem for path in SCENARIOS}


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_shipped_scenario(path: Path) -> None:
    scenario = load_scenario(path, {})
    assert scenario.name == path.stem
    assert scenario.description
    assert scenario.variants
    assert path.read_text().startswith("# "), "it begins by saying what it is for"


EXPECTATIONS = sorted((Path(__file__).parents[2] / "scenarios/expectations").glob("*.yaml"))


@pytest.mark.parametrize("path", EXPECTATIONS, ids=lambda path: path.stem)
def test_shipped_known_failures(path: Path) -> None:
    known, problems = read_expectations(path.read_bytes(), path.name)
    assert not problems
    assert known
    of_one_scenario = path.stem in {scenario.stem for scenario in SCENARIOS}
    for each in known:
        expectation = each.expectation
        # The embedded guests come along with it; of other suites users have any revision.
        assert each.revision or of_one_scenario
        assert expectation.arch
        assert expectation.accel
        assert expectation.qemu
        is_id = ["." in pattern for pattern in expectation.cases]
        assert of_one_scenario or not any(is_id), "ids are of one scenario"
        assert "/" not in expectation.reason.split(":")[0], "no path of the host where it was seen"


@pytest.mark.parametrize("version", [(7, 2, 22), (10, 0, 2), (11, 1, 3)])
@pytest.mark.parametrize("efi", [False, True])
def test_efi_builds_have_known_failures_of_their_own(
    version: tuple[int, int, int], *, efi: bool
) -> None:
    """As in runs of both: smap, pku and pks fail as EFI guests, which have one vCPU each."""
    path = next(path for path in EXPECTATIONS if path.stem == "kvm-unit-tests-tcg")
    failures = KnownFailures("k", read_expectations(path.read_bytes(), path.name)[0])
    build = Build(Architecture.X86_64, "/kut", "/kut/x86", efi=efi)
    binary = Binary("system", Architecture.X86_64, "/qemu", version, "")

    def known(test: str) -> bool:
        expected = failures.of(f"k.{test}.x86_64.tcg", test, Architecture.X86_64)
        host: Any = SimpleNamespace(cpu_vendor="", kernel="6.1")
        return bool(applicable(expected, Accelerator.TCG, binary, host, build))

    assert [known(test) for test in ("smap", "pku", "pks")] == [efi] * 3
    assert known("ioapic") is (version[0] == 7 and not efi)
    assert known("vmexit_vmcall")


QEMU_ITSELF = re.compile(r"^(seen once: )?QEMU itself (aborts|hangs) \([^()]*\(?[^()]*\)?[^()]*\)$")


@pytest.mark.parametrize("path", EXPECTATIONS, ids=lambda path: path.stem)
def test_no_reason_says_how_to_provoke_a_crash_of_qemu(path: Path) -> None:
    """What crashed or hung, in QEMU's words or by what was seen of it, and nothing else."""
    known, _ = read_expectations(path.read_bytes(), path.name)
    for reason in (each.expectation.reason for each in known):
        if re.search(r"QEMU\b[^(]*\b(abort|crash|hang|die)", reason):
            assert QEMU_ITSELF.search(reason)
            assert not re.search(r"\b(if|when|while|after|before|by)\b", reason)
