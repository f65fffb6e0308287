"""``matrix ci``: what it prints runs, and fails when it should."""

import json
import subprocess
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Scripts, World

RUN = "runs/x86_64-tcg"
"""Of the job of that name at GitLab."""


@pytest.fixture
def repository(world: World, scripts: Scripts) -> World:
    """A world with ``matrix`` in its PATH and a baseline in which ``bad`` fails."""
    world.suite(good=scripts.passing(), bad=scripts.failing("x"))
    assert world.matrix_run("--no-history").returncode == 1
    (world.root / "baseline").mkdir()
    (world.root / "out/results.json").rename(world.root / "baseline/results.json")
    return world


def pipeline(world: Any, *more: str) -> dict[str, Any]:
    done = world.run("ci", "gitlab", "scenario.yaml", "--qemu", "fake=qemu", *more)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = yaml.safe_load(done.stdout)
    return document


def job(world: Any, name: str, *more: str) -> int:
    """Run a job as a runner does; gives its exit code."""
    script = pipeline(world, *more)[name]["script"]
    environment = world.environment()
    environment["PATH"] = f"{world.warm.bin}:{environment['PATH']}"
    command = "set -e\n" + "\n".join(script)
    done = subprocess.run(
        ["bash", "-c", command], cwd=world.root, env=environment, capture_output=True, text=True
    )
    return done.returncode


BASELINE = ("--baseline", "baseline/results.json")


def test_a_job_runs_and_fails_with_its_cases(repository: World) -> None:
    assert job(repository, "x86_64-tcg") == 1
    assert repository.verdicts(RUN) == {"good": "pass", "bad": "fail"}
    assert (repository.root / RUN / "junit.xml").exists()


def test_the_last_job_puts_the_runs_together(repository: World) -> None:
    for name in ("shard-1-of-2", "shard-2-of-2"):
        job(repository, name, "--shards", "2")
    assert job(repository, "matrix-report", "--shards", "2") == 0
    page = (repository.root / "report/index.html").read_text()
    comment = (repository.root / "report/comment.md").read_text()
    assert "1 of 2 cases did not pass" in page
    assert comment.startswith("### 1 of 2 cases did not pass\n")
    assert "**fail 1** `bad`" in comment


def test_with_a_baseline_known_failures_do_not_fail_it(repository: World) -> None:
    assert job(repository, "x86_64-tcg", *BASELINE) == 0


def test_with_a_baseline_a_regression_fails_it(repository: World, scripts: Scripts) -> None:
    repository.suite(good=scripts.failing("y"), bad=scripts.failing("x"))
    assert job(repository, "x86_64-tcg", *BASELINE) == 1


def test_with_a_baseline_other_failures_still_fail_it(repository: World) -> None:
    (repository.root / RUN).mkdir(
        parents=True
    )  # matrix run refuses to overwrite it, with exit code 2
    assert job(repository, "x86_64-tcg", *BASELINE) == 1


def test_shards_balanced_by_the_baseline_run_all_cases(repository: World) -> None:
    names: list[str] = []
    for number in (1, 2):
        assert job(repository, f"shard-{number}-of-2", "--shards", "2", *BASELINE) == 0
        names += repository.verdicts(f"runs/shard-{number}-of-2")
    assert sorted(names) == ["bad", "good"]


def test_github_has_the_same_jobs(repository: World) -> None:
    done = repository.run("ci", "github", "scenario.yaml", "--qemu", "fake=qemu")
    include = yaml.safe_load(done.stdout)["jobs"]["matrix"]["strategy"]["matrix"]["include"]
    assert [entry["name"] for entry in include] == ["x86_64-tcg"]
    assert include[0]["script"] == (
        "matrix run scenario.yaml --qemu=fake=qemu --fail-on-skip=no-qemu --fail-on-skip=no-build"
        " -k 'arch=x86_64 and accel=tcg' -o run"
    )
    assert json.dumps(include)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("jenkins", "scenario.yaml"), "no pipelines for 'jenkins'; known: gitlab, github"),
        (("gitlab",), "no scenario given"),
        (("gitlab", "/scenario.yaml"), "an absolute path means nothing to a CI job"),
        (("gitlab", "../scenario.yaml"), "outside of this directory"),
        (("gitlab", "scenario.yaml", "--native", "z80"), "--native: 'z80' is not an architecture"),
        (("gitlab", "scenario.yaml", "--native", "arm"), "no case is of that architecture"),
        (("gitlab", "scenario.yaml", "--shards", "9"), "there are only 2 cases"),
        (("gitlab", "scenario.yaml", "--require", "20"), "give a share, as in 80%"),
        (("gitlab", "scenario.yaml", "--fail-on-skip=no-qmu"), "did you mean 'no-qemu'?"),
        (("gitlab", "both.yaml"), "jobs of aarch64 would skip everything: no build at "),
        (("github", "any.yaml"), "jobs of x86_64, aarch64 would skip everything: no build for x86"),
    ],
)
def test_what_is_wrong_is_told(repository: World, arguments: Any, complaint: str) -> None:
    text = (repository.root / "scenario.yaml").read_text().replace("[x86_64]", "[x86_64, arm64]")
    (repository.root / "any.yaml").write_text(text.replace(", build: build", ""))
    text = text.replace("build: build", "build: 'build{arch}'")
    (repository.root / "both.yaml").write_text(text)
    (repository.root / "buildx86_64").symlink_to("build")
    done = repository.run("ci", *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_of_a_suite_with_some_builds_the_others_can_be_left_out(repository: World) -> None:
    scenario = repository.root / "scenario.yaml"
    scenario.write_text(scenario.read_text().replace("[x86_64]", "[x86_64, arm64]"))
    (repository.root / "builds").mkdir()
    (repository.root / "builds/x86_64").symlink_to("../build")
    scenario.write_text(scenario.read_text().replace("build: build", "build: 'builds/{arch}'"))
    jobs = pipeline(repository, "--arch", "x86_64")
    assert jobs["x86_64-tcg"]["script"][-1].startswith("matrix run scenario.yaml --arch=x86_64 ")


@pytest.mark.parametrize("baseline", [(), BASELINE])
def test_a_job_without_qemu_or_with_too_many_skips_fails(repository: World, baseline: Any) -> None:
    """Also where only what is worse than a baseline fails it, and the baseline skipped, too."""
    skipping = {"cont": [["stdout", "SKIP: no\n"], ["exit", 77]]}
    repository.suite(good=skipping, bad={"cont": [["stdout", "PASS: a\n"], ["exit", 1]]})
    if baseline:
        (repository.root / "out").rename(repository.root / "before")
        assert repository.matrix_run("--no-history").returncode == 0
        path = repository.root / "out/results.json"
        path.rename(repository.root / "baseline/results.json")
    for options, code in (((), 0), (("--require=50%",), 0), (("--fail-on-skip",), 1)):
        assert job(repository, "x86_64-tcg", *options, *baseline) == code
        (repository.root / RUN).rename(repository.root / f"run{len(options)}{code}")
