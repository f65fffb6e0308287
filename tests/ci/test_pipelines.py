"""What is generated is YAML that GitLab and GitHub take, with scripts that a shell takes."""

import json
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
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
    scripts += [step["run"] for step in workflow["jobs"]["report"]["steps"] if "run" in step]
    for value in pipeline.values():
        if isinstance(value, dict):
            parts = (value.get(name, ()) for name in ("before_script", "script", "after_script"))
            scripts += [script for part in parts for script in part]
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
    assert upload["name"] == "Keep the run"
    assert upload["if"] == "${{ always() }}"
    assert upload["with"]["path"] == "run"
    assert text.startswith("# Made by `matrix ci github`")


def test_a_pipeline_has_tags_junit_and_the_run(cases: list[Case]) -> None:
    _, pipeline = rendered("gitlab", cases, ALL_WISHES[2])
    assert pipeline["aarch64-auto"]["tags"] == ["kvm", "aarch64"]
    assert "tags" not in pipeline["shard-1-of-3"]
    artifacts = pipeline[".matrix"]["artifacts"]
    assert artifacts["when"] == "always"
    own = pipeline["shard-1-of-3"]
    assert own["artifacts"] == {
        "paths": ["runs/shard-1-of-3/"],
        "reports": {"junit": "runs/shard-1-of-3/junit.xml"},
    }
    assert own["script"][-1].endswith(" -o runs/shard-1-of-3")


def test_actions_are_pinned_and_say_which_version_that_is(cases: list[Case]) -> None:
    text, _ = rendered("github", cases, ALL_WISHES[0])
    used = re.findall(r"uses: (.*)", text)
    assert len(used) == 6
    assert all(
        re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in used
    )


def test_nothing_runs_twice_and_what_is_superseded_ends(cases: list[Case]) -> None:
    _, workflow = rendered("github", cases, ALL_WISHES[0])
    _, pipeline = rendered("gitlab", cases, ALL_WISHES[0])
    assert "github.event_name != 'push'" in workflow["jobs"]["matrix"]["if"]
    assert "pull_request.number || github.ref" in workflow["concurrency"]["group"]
    assert "pull_request" in workflow["concurrency"]["cancel-in-progress"]
    rules = pipeline["workflow"]["rules"]
    assert {"if": "$CI_COMMIT_BRANCH && $CI_OPEN_MERGE_REQUESTS", "when": "never"} in rules
    assert pipeline["workflow"]["auto_cancel"] == {"on_new_commit": "interruptible"}
    assert pipeline[".matrix"]["interruptible"] is True


def test_the_last_job_waits_for_all_and_runs_also_where_some_failed(cases: list[Case]) -> None:
    _, workflow = rendered("github", cases, ALL_WISHES[2])
    _, pipeline = rendered("gitlab", cases, ALL_WISHES[2])
    last = workflow["jobs"]["report"]
    assert last["needs"] == "matrix"
    assert "!cancelled()" in last["if"]
    assert last["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert pipeline["matrix-report"]["stage"] == pipeline["stages"][-1]
    assert pipeline["matrix-report"]["when"] == "always"


OLD = "<!-- qemu-matrix smoke -->"


@pytest.mark.parametrize(("known", "wanted"), [("", "POST"), ("77", "PATCH 77")])
def test_github_has_one_comment(cases: list[Case], tmp_path: Path, known: str, wanted: str) -> None:
    """``gh`` is one that gives the comment that is known, and says what it is asked to do."""
    _, workflow = rendered("github", cases, ALL_WISHES[0])
    script = workflow["jobs"]["report"]["steps"][-1]["run"]
    (tmp_path / "report").mkdir()
    (tmp_path / "report/comment.md").write_text(f"{OLD}\n### fine\n")
    gh = tmp_path / "gh"
    gh.write_text(
        '#!/bin/sh\ncase "$*" in\n'
        f"*--paginate*) [ \"$MARK\" = '{OLD}' ] && echo '{known}';;\n"
        "*PATCH*issues/comments/77*body=@report/comment.md) echo PATCH 77;;\n"
        "*issues/5/comments*body=@report/comment.md) echo POST;;\nesac\n"
    )
    gh.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "NUMBER": "5", "GITHUB_REPOSITORY": "a/b"}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (f"{wanted}\n", "")


@pytest.mark.parametrize("known", [False, True])
def test_gitlab_has_one_comment(cases: list[Case], tmp_path: Path, known: bool) -> None:
    _, pipeline = rendered("gitlab", cases, ALL_WISHES[0])
    (tmp_path / "report").mkdir()
    (tmp_path / "report/comment.md").write_text("### fine\n")
    notes = [{"id": 8, "body": "hello"}, {"id": 9, "body": "<!-- qemu-matrix -->\nold"}]
    asked: list[tuple[str, str, str]] = []

    class Api(BaseHTTPRequestHandler):
        def answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            asked.append((self.command, self.path, self.rfile.read(size).decode()))
            assert self.headers["PRIVATE-TOKEN"] == "secret"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(notes if known else []).encode())

        do_GET = do_PUT = do_POST = answer  # noqa: N815 - as the library calls them

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "CI_API_V4_URL": f"http://127.0.0.1:{server.server_address[1]}/api/v4",
            "CI_PROJECT_ID": "3",
            "CI_MERGE_REQUEST_IID": "5",
            "MATRIX_COMMENT_TOKEN": "secret",
        }
        script = pipeline["matrix-report"]["script"][-1]
        done = subprocess.run(
            ["bash", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True
        )
        server.shutdown()
    assert done.stderr == b""
    place = "/api/v4/projects/3/merge_requests/5/notes"
    body = json.dumps({"body": "<!-- qemu-matrix -->\n### fine\n"})
    wanted = ("PUT", f"{place}/9", body) if known else ("POST", place, body)
    assert asked == [("GET", f"{place}?per_page=100", ""), wanted]


def test_without_a_token_gitlab_gets_none(cases: list[Case], tmp_path: Path) -> None:
    _, pipeline = rendered("gitlab", cases, ALL_WISHES[0])
    script = pipeline["matrix-report"]["script"][-1]
    environment = {"PATH": "/usr/bin:/bin", "MATRIX_COMMENT_TOKEN": "", "CI_MERGE_REQUEST_IID": "5"}
    words = ["bash", "-e", "-c", script]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


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
    assert pipeline["x86_64-kvm"]["script"][-1] in text
    assert json.dumps(pipeline)
