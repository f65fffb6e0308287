"""Cases, decisions and runs to test the results with."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from matrix.attempt import Attempt
from matrix.inventory import Host
from matrix.model import (
    Accelerator,
    Architecture,
    Build,
    Case,
    RunSettings,
    Subtest,
    SubtestVerdict,
    Test,
    Variant,
    Verdict,
)
from matrix.plan.decisions import Decision, Run, Skip
from matrix.results.recorder import Recorder
from matrix.results.run_info import RunInfo, ScenarioSource

HOST = Host(architecture="x86_64", kernel="6.1.0", cpus=2, memory=4 * 2**30)


class Make:
    """Builds test data; every argument has a usual value."""

    def case(
        self,
        test: str = "boot",
        arch: str = "x86_64",
        *,
        scenario: str = "smoke",
        repeat: int = 1,
        settings: RunSettings | None = None,
        case_id: str = "",
        **axes: Any,
    ) -> Case:
        variant = Variant(Architecture(arch), **axes)
        given = [name for name in axes if name != "accel"]
        label = ".".join([arch, variant.accel.value, *(f"{n}={axes[n]}" for n in given)])
        return Case(
            id=case_id or f"{scenario}.{test}.{label}",
            scenario=scenario,
            suite="builtin",
            test=Test(test, f"/images/{arch}/{test}.elf"),
            variant=variant,
            build=Build(variant.arch, "/build", f"/images/{arch}", builtin=True),
            settings=settings or RunSettings(repeat=repeat),
        )

    def run(self, case: Case | None = None, accelerator: str = "tcg", why: str = "no KVM") -> Run:
        case = case or self.case()
        return Run(case, Accelerator(accelerator), why, vcpus=1, memory=192 * 2**20)

    def skip(self, case: Case, reason: str = "no such QEMU") -> Skip:
        return Skip(case, reason)

    def attempt(
        self,
        verdict: str = "pass",
        reason: str = "",
        *,
        number: int = 1,
        seconds: float = 0.5,
        subtests: Iterable[str] = (),
        accelerator: str = "tcg",
        **more: Any,
    ) -> Attempt:
        """``subtests`` as the guest prints them: ``PASS: name: message``."""
        parsed = tuple(self.subtest(text) for text in subtests)
        counts = tuple(
            (each, sum(subtest.verdict is each for subtest in parsed)) for each in SubtestVerdict
        )
        return Attempt(
            number=number,
            verdict=Verdict(verdict),
            reason=reason,
            seconds=seconds,
            accelerator=accelerator,
            accelerator_reason=more.pop("accelerator_reason", "no KVM"),
            subtests=parsed,
            subtest_counts=tuple(each for each in counts if each[1]),
            **more,
        )

    def subtest(self, text: str) -> Subtest:
        verdict, name, *message = text.split(": ", 2)
        return Subtest(name, SubtestVerdict(verdict.lower()), message[0] if message else "")

    def info(self, **more: Any) -> RunInfo:
        source = ScenarioSource.of("smoke", "scenarios/smoke.yaml", "name: smoke\n")
        return RunInfo(
            started="2026-11-21T09:30:00.000Z",
            host=HOST,
            hostname="builder",
            scenarios=(source,),
            **more,
        )


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()


@pytest.fixture
def info(make: Make) -> RunInfo:
    return make.info()


Results = Sequence[tuple[Decision, Sequence[Attempt]]]
RunMaker = Callable[..., Recorder]


@pytest.fixture
def recorded(tmp_path: Path, make: Make) -> Iterable[RunMaker]:
    """Makes a run directory in which each case came to the attempts given, and keeps it open."""
    opened: list[Recorder] = []

    def record(results: Results, path: Path | None = None, **options: Any) -> Recorder:
        path = path or tmp_path / f"run-{len(opened)}"
        decisions = [decision for decision, _ in results]
        recorder = Recorder.start(path, make.info(options=options), decisions)
        opened.append(recorder)
        for decision, attempts in results:
            for attempt in attempts:
                recorder.begin(decision.case, attempt.number)
                recorder.finish(decision.case, attempt)
        return recorder

    yield record
    for recorder in opened:
        recorder.__exit__()
