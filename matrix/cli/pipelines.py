"""``matrix ci``: a pipeline for a CI system, from scenarios."""

import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import assert_never

from matrix.ci.github import github_workflow
from matrix.ci.gitlab import gitlab_pipeline
from matrix.ci.jobs import Wishes, plan_jobs
from matrix.cli.arguments import FAIL_ON_SKIP
from matrix.cli.requiring import required_of
from matrix.errors import UsageError
from matrix.hosts.project import load_settings
from matrix.run.option_values import architecture_named
from matrix.run.options import Selection, with_defaults
from matrix.run.prepare import chosen
from matrix.verdicts import SkipCause

FORBIDDEN_SKIPS = (SkipCause.NO_QEMU.value, SkipCause.NO_BUILD.value)
"""What fails a job unless the user says how much has to run: it installs QEMU and was given builds,
so what lacks them is set up wrongly."""


class System(StrEnum):
    """CI systems that pipelines are made for."""

    GITLAB = "gitlab"
    GITHUB = "github"


@dataclass(frozen=True, slots=True)
class PipelineRequest:
    """What was asked for, as typed."""

    system: System
    selection: Selection
    shards: int
    native: tuple[str, ...]
    baseline: str
    install: str


def system_named(name: str) -> System:
    """The CI system of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return System(name.lower())
    except ValueError:
        raise UsageError(f"no pipelines for {name!r}; known: {', '.join(System)}") from None


def run_ci(request: PipelineRequest) -> None:
    """Print the pipeline; nothing is run, and of this host only suite builds are looked at.

    Raises:
        ScenarioError, SuiteError, UsageError: what the user gave is wrong.
        NothingSelected: the scenarios have no case.
    """
    settings = load_settings(request.selection.host)
    selection = with_defaults(request.selection, settings.defaults)
    for path in (*selection.scenarios, *filter(None, [selection.host])):
        _check_relative(str(path), "the repository has it at a relative path")
    if request.baseline:
        _check_relative(request.baseline, "keep the baseline in the repository")
    required_of(selection)
    if selection.require and not selection.require.endswith("%"):
        raise UsageError(
            f"--require {selection.require}: every job runs a part of the cases; give a share, as"
            " in 80%"
        )
    scenarios, cases = chosen(selection, settings)
    wishes = Wishes(
        scenarios=tuple(str(path) for path in selection.scenarios),
        options=_options(selection),
        shards=request.shards,
        native=tuple(
            dict.fromkeys(architecture_named("--native", name) for name in request.native)
        ),
        baseline=request.baseline,
        install=request.install,
    )
    jobs = plan_jobs(cases, wishes)
    match request.system:
        case System.GITHUB:
            text = github_workflow(jobs, wishes, "+".join(each.name for each in scenarios))
        case System.GITLAB:
            text = gitlab_pipeline(jobs, wishes)
        case _:
            assert_never(request.system)
    sys.stdout.buffer.write(text.encode())
    sys.stdout.flush()


def _options(selection: Selection) -> tuple[str, ...]:
    """The options that the jobs are given too."""
    words = [f"--arch={each}" for each in selection.arch]
    words += [f"--qemu={each}" for each in selection.qemu]
    words += [f"--build={each}" for each in selection.build]
    if selection.host is not None:
        words.append(f"--host={selection.host}")
    if selection.require:
        words.append(f"--require={selection.require}")
    patterns = selection.fail_on_skip or (() if selection.require else FORBIDDEN_SKIPS)
    words += [f"{FAIL_ON_SKIP}={each}" for each in patterns]
    return tuple(words)


def _check_relative(path: str, why: str) -> None:
    """A path that stands in a pipeline is one of the repository, on another machine.

    Raises:
        UsageError: it is not.
    """
    if os.path.isabs(path):  # noqa: PTH117 - a name, not a file
        raise UsageError(f"{path}: an absolute path means nothing to a CI job; {why}")
    if Path(path).parts[:1] == ("..",):
        raise UsageError(f"{path} is outside of this directory; run this in the repository's root")
