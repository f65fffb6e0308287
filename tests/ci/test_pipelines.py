"""What is generated is YAML that GitLab and GitHub take, with scripts that a shell takes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from matrix.ci.github import LABELS, github_workflow
from matrix.ci.gitlab import gitlab_pipeline
from matrix.ci.jobs import Wishes, plan_jobs
from matrix.errors import UsageError
from matrix.model import Accelerator, Architecture, Case
from tests import make

ALL_WISHES = [
    Wishes(scenarios=("s.yaml",)),
    Wishes(scenarios=("s.yaml", "t: #&*.yaml"), options=("--qemu=10.0=/opt/qemu", "--host=h.yaml")),
    Wishes(scenarios=("s.yaml",), shards=3, native=(Architecture.AARCH64,)),
    Wishes(
        scenarios=("it's $HOME.yaml",),
        shards=2,
        baseline="base line/results.json",
        install="qemu-matrix[dask] @ git+https://example.org/matrix.git",
        native=(Architecture.X86_64, Architecture.S390X),
    ),
]

Rendered = tuple[str, dict[str, Any]]


def rendered(system: str, cases: list[Case], wishes: Wishes) -> Rendered:
    jobs = plan_jobs(cases, wishes)
    if system == "github":
        text = github_workflow(jobs, wishes, "smoke")
    else:
        text = gitlab_pipeline(jobs, wishes)
    return text, yaml.safe_load(text)


@pytest.mark.parametrize("wishes", ALL_WISHES)
@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_the_published_schemas_take_it(
    tmp_path: Path, cases: list[Case], system: str, wishes: Wishes
) -> None:
    text, _ = rendered(system, cases, wishes)
    path = tmp_path / "pipeline.yml"
    path.write_text(text)
    schema = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}[system]
    assert _complaints(path, schema) == ""


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ("vendor.github-workflows", "'on': push\njobs: {a: {runs-on: x, steps: [{rune: y}]}}\n"),
        ("vendor.gitlab-ci", "a: {script: [x], tags: {kvm: aarch64}}\n"),
    ],
)
def test_the_schemas_see_what_is_wrong(tmp_path: Path, schema: str, wrong: str) -> None:
    path = tmp_path / "pipeline.yml"
    path.write_text(wrong)
    assert "Schema validation errors" in _complaints(path, schema)


def _complaints(path: Path, schema: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("wishes", ALL_WISHES)
def test_every_script_is_one_that_a_shell_takes(cases: list[Case], wishes: Wishes) -> None:
    _, workflow = rendered("github", cases, wishes)
    _, pipeline = rendered("gitlab", cases, wishes)
    job = workflow["jobs"]["matrix"]
    scripts = [step["run"] for step in job["steps"] if "run" in step]
    scripts += [entry["script"] for entry in job["strategy"]["matrix"]["include"]]
    for value in pipeline.values():
        if isinstance(value, dict):
            scripts += [*value.get("before_script", ()), *value.get("script", ())]
    for script in scripts:
        # GitHub fills its expressions in before the shell sees them.
        text = script.replace("${{ matrix.script }}", "true").replace("${{ matrix.packages }}", "a")
        done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
        assert done.returncode == 0, (script, done.stderr)


def test_a_workflow_runs_every_job_and_keeps_its_run(cases: list[Case]) -> None:
    text, workflow = rendered("github", cases, ALL_WISHES[2])
    job = workflow["jobs"]["matrix"]
    entries = {entry["name"]: entry for entry in job["strategy"]["matrix"]["include"]}
    assert list(entries) == ["shard-1-of-3", "shard-2-of-3", "shard-3-of-3", "aarch64-auto"]
    assert entries["aarch64-auto"]["runner"] == ["self-hosted", "linux", "ARM64"]
    assert "packages" not in entries["aarch64-auto"]
    assert entries["shard-1-of-3"]["runner"] == "ubuntu-24.04"
    assert job["strategy"]["fail-fast"] is False
    assert workflow["on"].keys() == {"push", "pull_request", "workflow_dispatch"}
    assert workflow["permissions"] == {"contents": "read"}
    upload = job["steps"][-1]
    assert upload["if"] == "${{ always() }}"
    assert upload["with"]["path"] == "run"
    assert text.startswith("# Made by `matrix ci github`")


def test_a_pipeline_has_tags_junit_and_the_run(cases: list[Case]) -> None:
    _, pipeline = rendered("gitlab", cases, ALL_WISHES[2])
    assert pipeline["aarch64-auto"]["tags"] == ["kvm", "aarch64"]
    assert "tags" not in pipeline["shard-1-of-3"]
    artifacts = pipeline[".matrix"]["artifacts"]
    assert artifacts["reports"] == {"junit": "run/junit.xml"}
    assert artifacts["when"] == "always"
    assert artifacts["paths"] == ["run/"]


def test_guests_of_32_bits_run_on_the_runners_of_64() -> None:
    wishes = Wishes(scenarios=("s.yaml",), native=(Architecture.I386, Architecture.ARM))
    cases = [
        make.case("t", "i386", accel=Accelerator.KVM),
        make.case("t", "arm", accel=Accelerator.KVM),
    ]
    _, pipeline = rendered("gitlab", cases, wishes)
    assert pipeline["i386-kvm"]["tags"] == ["kvm", "x86_64"]
    assert pipeline["arm-kvm"]["tags"] == ["kvm", "aarch64"]


def test_github_evaluates_nothing_of_the_users(cases: list[Case]) -> None:
    wishes = Wishes(scenarios=("${{ secrets.TOKEN }}.yaml",))
    with pytest.raises(UsageError, match="GitHub would evaluate"):
        github_workflow(plan_jobs(cases, wishes), wishes, "smoke")


def test_github_takes_only_so_many_jobs(cases: list[Case]) -> None:
    wishes = Wishes(scenarios=("s.yaml",))
    jobs = plan_jobs(cases, wishes) * 65
    with pytest.raises(UsageError, match="260 jobs: GitHub takes 256"):
        github_workflow(jobs, wishes, "smoke")


def test_every_architecture_has_a_label() -> None:
    assert LABELS.keys() == set(Architecture)


def test_commands_stay_on_one_line(cases: list[Case]) -> None:
    wishes = Wishes(scenarios=tuple(f"scenarios/number-{number}.yaml" for number in range(40)))
    text, pipeline = rendered("gitlab", cases, wishes)
    assert pipeline["x86_64-kvm"]["script"][0] in text
    assert json.dumps(pipeline)
