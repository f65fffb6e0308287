"""Which jobs there are, and that together they run every case once."""

import shlex
from dataclasses import replace
from typing import Any

import pytest

from matrix.ci.jobs import Job, Wishes, plan_jobs, run_command, run_script
from matrix.errors import UsageError
from matrix.model import Architecture, Case
from matrix.plan.shards import Shard, shard_of
from matrix.scenario.selection import select
from matrix.verdicts import SkipCause
from tests import make

AARCH64 = Architecture.AARCH64


def wishes(**more: Any) -> Wishes:
    return Wishes(scenarios=("s.yaml",), **more)


def cases_of(job: Job, cases: list[Case]) -> list[str]:
    """The ids that ``matrix run`` with a job's words runs."""
    words = dict(zip(job.words[::2], job.words[1::2], strict=True))
    chosen = select(cases, words["-k"]) if "-k" in words else cases
    if "--shard" in words:
        chosen = shard_of(chosen, Shard.parse(words["--shard"]))
    return [case.id for case in chosen]


@pytest.mark.parametrize("shards", [0, 1, 2, 3])
@pytest.mark.parametrize("native", [(), (AARCH64,), (AARCH64, Architecture.X86_64)])
def test_every_case_is_run_by_exactly_one_job(
    cases: list[Case], shards: int, native: tuple[Architecture, ...]
) -> None:
    jobs = plan_jobs(cases, wishes(shards=shards, native=native))
    ran = [name for job in jobs for name in cases_of(job, cases)]
    assert sorted(ran) == sorted(case.id for case in cases)
    assert len({job.name for job in jobs}) == len(jobs)


def test_a_job_for_each_architecture_and_accelerator(cases: list[Case]) -> None:
    jobs = plan_jobs(cases, wishes(native=(AARCH64,)))
    assert [(job.name, job.native, job.kvm) for job in jobs] == [
        ("x86_64-kvm", None, True),
        ("x86_64-tcg", None, False),
        ("s390x-tcg", None, False),
        ("aarch64-auto", AARCH64, True),
    ]
    assert jobs[0].packages == ("qemu-system-x86",)


def test_shards_leave_native_architectures_to_their_runners(cases: list[Case]) -> None:
    jobs = plan_jobs(cases, wishes(shards=2, native=(AARCH64,)))
    assert [job.name for job in jobs] == ["shard-1-of-2", "shard-2-of-2", "aarch64-auto"]
    assert jobs[0].words == ("-k", "not arch=aarch64", "--shard", "1/2")
    assert jobs[0].packages == ("qemu-system-x86", "qemu-system-s390x")


def test_all_native_needs_no_shards(cases: list[Case]) -> None:
    native = tuple(Architecture(name) for name in ("x86_64", "aarch64", "s390x"))
    assert len(plan_jobs(cases, wishes(native=native))) == 4


def test_a_native_architecture_without_cases_is_refused(cases: list[Case]) -> None:
    with pytest.raises(UsageError, match="--native riscv64: no case is of that architecture"):
        plan_jobs(cases, wishes(native=(Architecture.RISCV64,)))


def test_more_shards_than_cases_are_refused(cases: list[Case]) -> None:
    with pytest.raises(UsageError, match="--shards 13: there are only 12 cases"):
        plan_jobs(cases, wishes(shards=13))


def test_commands_survive_a_shell(cases: list[Case]) -> None:
    odd = Wishes(scenarios=("my scenarios/it's.yaml",), options=("--build=arm64=a b",))
    command = run_command(plan_jobs(cases, odd)[0], odd)
    assert shlex.split(command) == [
        *("matrix", "run", "my scenarios/it's.yaml", "--build=arm64=a b"),
        *("-k", "arch=x86_64 and accel=kvm", "-o", "run"),
    ]


def test_with_a_baseline_only_regressions_fail(cases: list[Case]) -> None:
    wanted = wishes(baseline="base/results.json", shards=2)
    run, compare = run_script(plan_jobs(cases, wanted)[0], wanted)
    assert run.endswith("--shard 1/2 --durations base/results.json -o run || test $? -eq 1")
    assert compare == "matrix compare base/results.json run --fail-on-regression"


def test_there_is_no_job_for_what_is_excluded(cases: list[Case]) -> None:
    left_out = [make.case(test, "riscv64", excluded="why") for test in ("a", "b")]
    jobs = plan_jobs([*cases, *left_out], wishes())
    assert [job.name for job in jobs] == [job.name for job in plan_jobs(cases, wishes())]
    with pytest.raises(UsageError, match="there are only 12 cases to be divided"):
        plan_jobs([*cases, *left_out], wishes(shards=13))
    with pytest.raises(UsageError, match="there is nothing to run"):
        plan_jobs(left_out, wishes())


def test_a_suite_without_builds_is_refused() -> None:
    cases = [
        replace(
            make.case("t", arch, excluded=f"no build for {arch}"), excluded_as=SkipCause.NO_BUILD
        )
        for arch in ("arm", "s390x")
    ]
    with pytest.raises(UsageError, match=r"^jobs of arm, s390x would .*: no build for arm; or "):
        plan_jobs([make.case(), *cases], wishes())
