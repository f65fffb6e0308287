"""Two runs to compare, in which everything happens that can."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.inventory import KvmProof, KvmState
from matrix.model import Architecture
from matrix.results.compare.case_comparison import compare_cases
from matrix.results.compare.changes import CaseComparison
from matrix.results.compare.matching import Pairing, pair_runs
from matrix.results.compare.measured import Thresholds
from matrix.results.run_info import QemuFingerprint, RunInfo
from matrix.results.run_record import RunRecord
from tests import make
from tests.results.conftest import Results, RunMaker

Paired = Callable[[Results, Results], Pairing]
Compared = Callable[..., list[CaseComparison]]


@pytest.fixture
def pairing(recorded: RunMaker) -> Paired:
    """Two runs with these results, side by side."""

    def pair(a: Results, b: Results) -> Pairing:
        return pair_runs(recorded(a).record, recorded(b).record)

    return pair


@pytest.fixture
def compared(pairing: Paired) -> Compared:
    """The comparison of two runs with these results."""

    def compare(
        a: Results, b: Results, thresholds: Thresholds | None = None
    ) -> list[CaseComparison]:
        return list(compare_cases(pairing(a, b), thresholds or Thresholds()))

    return compare


@pytest.fixture
def compared_attempts(compared: Compared) -> Callable[..., CaseComparison]:
    """The comparison of one case whose attempts were these on each side."""

    def compare(a: Sequence[Any], b: Sequence[Any], **more: Any) -> CaseComparison:
        runs = []
        for attempts in (a, b):
            case = make.case(repeat=max(1, len(attempts)))
            numbered = [replace(each, number=n) for n, each in enumerate(attempts, start=1)]
            runs.append([(make.run(case), numbered)])
        (comparison,) = compared(*runs, **more)
        return comparison

    return compare


class Story:
    """Two nights of one scenario: everything changes that can."""

    def __init__(self) -> None:
        self.make = make
        self.a: list[Any] = []
        self.b: list[Any] = []
        self._fill()

    def add(self, test: str, a: Any, b: Any) -> None:
        """A case with its attempts, the reason of a skip, or None where it is not planned."""
        for results, outcome in ((self.a, a), (self.b, b)):
            if outcome is None:
                continue
            attempts = outcome if isinstance(outcome, list) else [outcome]
            repeat = 1 if isinstance(outcome, str) else len(attempts)
            case = self.make.case(test, "aarch64", scenario="kut", repeat=repeat)
            if isinstance(outcome, str):
                results.append((self.make.skip(case, outcome), []))
                continue
            numbered = [
                replace(each, number=n, artifacts=f"cases/{case.id}{f'/{n}' if repeat > 1 else ''}")
                for n, each in enumerate(attempts, start=1)
            ]
            results.append((self.make.run(case), numbered))

    def _fill(self) -> None:
        attempt = self.make.attempt
        self.add(
            "timer",
            attempt(subtests=["PASS: latency", "PASS: wraps", "PASS: irq 27 fires"]),
            attempt(
                "fail",
                "1 of 3 subtests failed",
                subtests=["FAIL: latency: 12 ms", "SKIP: wraps: too slow", "PASS: irq 28 fires"],
            ),
        )
        self.add(
            "psci",
            attempt(subtests=[f"PASS: cpu-on {n}" for n in range(3)]),
            attempt("crash", "QEMU died of SIGABRT: qemu: target/arm/psci.c: Assertion failed"),
        )
        self.add(
            "gic",
            attempt("fail", "1 of 2", subtests=["FAIL: mmio", "PASS: ipi", "PASS: old"]),
            attempt("fail", "2 of 2", subtests=["FAIL: mmio", "FAIL: ipi: got 0", "FAIL: new"]),
        )
        self.add("names", attempt(subtests=["PASS: x"]), attempt(subtests=["PASS: y"]))
        self.add("its", attempt("fail", "1 of 9"), attempt("timeout", "not finished after 90 s"))
        self.add(
            "cache",
            [attempt(seconds=each) for each in (2.0, 2.1, 2.2)],
            [attempt(seconds=each) for each in (6.0, 6.1, 9.0)],
        )
        self.add("boot", attempt(seconds=30.0), attempt(seconds=3.0))
        self.add(
            "vmexit",
            attempt(metrics=(("cpuid", 1000.0, "cycles"), ("ipi", 50.0, "ns"))),
            attempt(metrics=(("cpuid", 1500.0, "cycles"), ("ipi", 51.0, "ns"))),
        )
        self.add("pmu", "this QEMU has no PMU for max", attempt())
        self.add("mte-sync", attempt(), "no such CPU property: mte")
        self.add("mte-async", attempt(), "no such CPU property: mte")
        self.add("debug-bp", attempt("stall", "no output for 20 s"), attempt())
        self.add("lpa", attempt("fail", "1 of 1"), attempt("xfail", "known: LPA2 under TCG"))
        self.add(
            "sve", attempt("xfail", "known: SVE length"), attempt("xpass", "known: SVE length")
        )
        self.add("race", [attempt(), attempt()], [attempt(), attempt("fail", "lost an interrupt")])
        self.add("gone", attempt("fail", "1 of 1"), None)
        self.add("new-good", None, attempt())
        self.add("new-bad", None, attempt("fail", "1 of 1"))
        for number in range(5):
            self.add(f"same-{number}", attempt(subtests=["PASS: x"]), attempt(subtests=["PASS: x"]))

    def infos(self) -> tuple[RunInfo, RunInfo]:
        """The fingerprints of both nights."""
        old, new = self.make.info(options={"jobs": 2}), self.make.info(options={"jobs": 4})
        old = replace(
            old,
            binaries=(_qemu("7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)"),),
            tool_version="9.8",
        )
        new = replace(
            new,
            binaries=(_qemu("10.0.2"),),
            host=replace(new.host, kernel="6.12.0"),
            started="2026-11-22T09:30:00.000Z",
            tool_version="9.9",
        )
        return old, new


def _qemu(version: str) -> QemuFingerprint:
    return QemuFingerprint("system", Architecture.AARCH64, "/usr/bin/qemu", version, ("tcg",))


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def told(story: Story, recorded: RunMaker) -> Pairing:
    """The story as two runs, with paths that are the same on every machine."""
    records = [recorded(results).record for results in (story.a, story.b)]
    for name, record, info in zip(("first", "second"), records, story.infos(), strict=True):
        named(record, f"runs/{name}", info)
    return pair_runs(*records)


def named(record: RunRecord, path: str, info: RunInfo | None = None) -> RunRecord:
    record.run.given = Path(path)
    if info is not None:
        record.info = info
    return record


@pytest.fixture
def several_qemus(recorded: RunMaker) -> RunRecord:
    """One run over three QEMUs."""
    outcomes = {
        "boot": ("pass", "pass", "pass"),
        "psci": ("pass", "fail", "fail"),
        "gic": ("fail", "pass", "crash"),
        "mte": ("skip", "pass", "pass"),
        "slow": ("pass", "pass", "pass"),
    }
    results = []
    for arch in ("aarch64", "riscv64"):
        for index, qemu in enumerate(("system", "10.0", "11.1")):
            for test, verdicts in outcomes.items():
                if (arch, test) == ("riscv64", "mte"):
                    continue
                axes: dict[str, Any] = {} if qemu == "system" else {"qemu": qemu}
                case = make.case(test, arch, scenario="kut", **axes)
                seconds = 5.0 * (index + 1) if test == "slow" else 0.5
                verdict = verdicts[index]
                results.append(
                    (
                        make.run(case),
                        [
                            make.attempt(
                                verdict,
                                "" if verdict == "pass" else f"it did {verdict}",
                                seconds=seconds,
                                artifacts=f"cases/{case.id}",
                            )
                        ],
                    )
                )
    binaries = tuple(
        QemuFingerprint(qemu, Architecture(arch), f"/{qemu}", version)
        for qemu, version in (("system", "7.2.22"), ("10.0", "10.0.2"), ("11.1", "11.1.3"))
        for arch in ("aarch64", "riscv64")
    )
    record: RunRecord = recorded(results).record
    return named(record, "runs/three", replace(make.info(), binaries=binaries))


@pytest.fixture
def proof() -> Callable[[KvmState], KvmProof]:
    def make_proof(state: KvmState) -> KvmProof:
        return KvmProof("system", Architecture.X86_64, "qemu64", state, "")

    return make_proof
