"""The jobs of a pipeline: which cases each of them runs, and on which kind of host. Pure."""

import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from matrix.errors import UsageError
from matrix.hosts.packages import DEBIAN
from matrix.model import Accelerator, Architecture, Case
from matrix.verdicts import SkipCause

RUN = "run"
"""The run directory of a job, and its artifact."""
REPORT = "report"
"""The folder with what is made of all runs, and its artifact."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user wants of a pipeline."""

    scenarios: tuple[str, ...]
    """As they are to stand in the jobs: relative to the repository."""
    options: tuple[str, ...] = ()
    """Further words of ``matrix run``."""
    shards: int = 0
    """Into how many jobs what has no native runner is divided; 0: a job for each variant."""
    native: tuple[Architecture, ...] = ()
    """Architectures that have runners of their own."""
    baseline: str = ""
    """A run that the results are compared with; empty for none."""
    install: str = "qemu-matrix"
    """What pip installs."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job: a host runs ``matrix run`` with these words."""

    name: str
    words: tuple[str, ...]
    """Which cases, as words of ``matrix run``."""
    architectures: tuple[Architecture, ...]
    """Whose emulators it needs."""
    native: Architecture | None = None
    """The architecture of its runner; None for the CI system's own runners."""
    kvm: bool = False
    """Whether it has cases that ask for KVM, or take it where there is some."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages of its emulators, as Debian 13 and Ubuntu 24.04 name them."""
        return tuple(dict.fromkeys(DEBIAN[each] for each in self.architectures))


def plan_jobs(cases: Sequence[Case], wishes: Wishes) -> list[Job]:
    """The jobs that run every case once.

    Native architectures get a job for each of their variants, on their runners; so do the others
    on the CI system's, unless they are divided into shards. There is no job for variants of which
    the scenario runs nothing: it would have tested nothing, and fail.

    Raises:
        UsageError: there is no build for an architecture, nothing to run, more shards than cases,
            or a native architecture that no case has.
    """
    _check_builds(cases)
    cases = [case for case in cases if not case.excluded]
    if not cases:
        raise UsageError("the scenarios exclude every case: there is nothing to run")
    missing = set(wishes.native) - {case.variant.arch for case in cases}
    if missing:
        names = ", ".join(sorted(each.value for each in missing))
        raise UsageError(f"--native {names}: no case is of that architecture")
    native = [case for case in cases if case.variant.arch in wishes.native]
    others = [case for case in cases if case.variant.arch not in wishes.native]
    jobs = _variants(native, wishes.native)
    if not wishes.shards:
        return [*_variants(others, ()), *jobs]
    if wishes.shards > len(others):
        raise UsageError(
            f"--shards {wishes.shards}: there are only {len(others)} cases to be divided"
        )
    return [*_shards(others, wishes), *jobs]


def _check_builds(cases: Iterable[Case]) -> None:
    """Nobody knows the cases of a suite without a build, and its jobs would all skip and pass."""
    missing = {
        case.variant.arch.value: case.excluded
        for case in cases
        if case.excluded and case.excluded_as is SkipCause.NO_BUILD
    }
    if missing:
        raise UsageError(
            f"jobs of {', '.join(missing)} would skip everything: {next(iter(missing.values()))}; "
            "or leave architectures out by naming the others with --arch"
        )


def run_command(job: Job, wishes: Wishes, run: str = RUN) -> str:
    """The shell command that runs a job's cases."""
    words = ("matrix", "run", *wishes.scenarios, *wishes.options, *job.words, "-o", run)
    return shlex.join(words)


def compare_command(wishes: Wishes, run: str = RUN) -> str:
    """The shell command that fails on regressions."""
    return shlex.join(("matrix", "compare", wishes.baseline, run, "--fail-on-regression"))


def run_script(job: Job, wishes: Wishes, run: str = RUN) -> tuple[str, ...]:
    """The shell commands of a job, in order; the first that fails fails it.

    With a baseline a failure is one only if it is new: exit code 1, cases that did not pass, is
    left for the comparison to judge. Every other failure stays one.
    """
    command = run_command(job, wishes, run)
    if not wishes.baseline:
        return (command,)
    return (f"{command} || test $? -eq 1", compare_command(wishes, run))


def _variants(cases: Iterable[Case], native: Collection[Architecture]) -> list[Job]:
    variants = dict.fromkeys((case.variant.arch, case.variant.accel) for case in cases)
    return [
        Job(
            name=f"{arch.value}-{accel.value}",
            words=("-k", f"arch={arch.value} and accel={accel.value}"),
            architectures=(arch,),
            native=arch if arch in native else None,
            kvm=accel is not Accelerator.TCG,
        )
        for arch, accel in variants
    ]


def _shards(cases: Sequence[Case], wishes: Wishes) -> list[Job]:
    if not cases:
        return []
    words: tuple[str, ...] = ()
    if wishes.native:
        words = ("-k", " and ".join(f"not arch={arch.value}" for arch in wishes.native))
    return [
        Job(
            name=f"shard-{index}-of-{wishes.shards}",
            words=(*words, "--shard", f"{index}/{wishes.shards}", *_durations(wishes)),
            architectures=tuple(dict.fromkeys(case.variant.arch for case in cases)),
            kvm=any(case.variant.accel is not Accelerator.TCG for case in cases),
        )
        for index in range(1, wishes.shards + 1)
    ]


def _durations(wishes: Wishes) -> tuple[str, ...]:
    """All shards have the baseline, so that is what they are balanced by."""
    return ("--durations", wishes.baseline) if wishes.baseline else ()
