"""A workflow of GitHub Actions (docs.github.com, "Workflow syntax for GitHub Actions")."""

import shlex
from typing import Any

from matrix.ci.jobs import REPORT, RUN, Job, Wishes, run_script
from matrix.ci.yaml_text import Flow, yaml_text
from matrix.errors import UsageError
from matrix.model import Architecture

RUNNER = "ubuntu-24.04"
MOST_JOBS = 256
"""Of a matrix of one workflow, says GitHub."""
MINUTES = 360
"""After which GitHub ends a job anyway."""

LABELS = {
    Architecture.X86_64: "X64",
    Architecture.I386: "X64",
    Architecture.AARCH64: "ARM64",
    Architecture.ARM: "ARM64",
    Architecture.PPC64: "ppc64le",
    Architecture.S390X: "s390x",
    Architecture.RISCV64: "riscv64",
    Architecture.RISCV32: "riscv32",
    Architecture.MIPS64EL: "mips64el",
    Architecture.LOONGARCH64: "loongarch64",
}
"""Labels of self-hosted runners: GitHub's where it gives some, else ``uname -m``."""

HEAD = """\
Made by `matrix ci github`; change it as you like, or make it again.
Every job keeps its run directory as an artifact: report.html, junit.xml, results.json, consoles.
The last one puts all of them together: one report, one summary, one comment on the pull request.\
"""

ACTIONS = {
    "checkout": ("11bd71901bbe5b1630ceea73d27597364c9af683", "v4.2.2"),
    "cache": ("0400d5f644dc74513175e3cd8d07132dd4860809", "v4.2.4"),
    "upload-artifact": ("ea165f8d65b6e75b540449e92b4886f43607fa02", "v4.6.2"),
    "download-artifact": ("d3f86a106a0bac45b974a628896c90dbdf5c8093", "v4.3.0"),
}
"""GitHub's own actions: their commits, which nobody can move, and the tags that they had."""

ALWAYS = "${{ always() }}"
ONCE = "github.event_name != 'push' || github.ref_name == github.event.repository.default_branch"
"""A branch with a pull request is tested by that, and not by its push, too."""
CONCURRENCY = {
    "group": "${{ github.workflow }}-${{ github.event.pull_request.number || github.ref }}",
    "cancel-in-progress": "${{ github.event_name == 'pull_request' }}",
}
"""A newer push to a pull request ends the older run; of other branches it is waited for, and of
those that wait only the newest stays."""

_INSTALL_QEMU = """\
sudo apt-get update
sudo apt-get install --yes --no-install-recommends ${{ matrix.packages }}
if [ -e /dev/kvm ]; then sudo chmod a+rw /dev/kvm; fi
"""
_MERGE = f"""\
matrix report runs/* -o {REPORT}
echo "<!-- qemu-matrix $GITHUB_WORKFLOW -->" > {REPORT}/comment.md
matrix report runs/* --format markdown >> {REPORT}/comment.md
cat {REPORT}/comment.md >> "$GITHUB_STEP_SUMMARY"
"""
_COMMENT = f"""\
MARK=$(head -n 1 {REPORT}/comment.md); export MARK
issues="repos/$GITHUB_REPOSITORY/issues"
mine='.[] | select(.user.type == "Bot" and (.body | startswith(env.MARK))) | .id'
id=$(gh api --paginate "$issues/$NUMBER/comments" --jq "$mine" | head -n 1)
if [ -n "$id" ]; then
  gh api --silent -X PATCH "$issues/comments/$id" -F body=@{REPORT}/comment.md
else
  gh api --silent "$issues/$NUMBER/comments" -F body=@{REPORT}/comment.md
fi
"""
# Runners of one's own keep theirs.
_CACHE = "${{ runner.temp }}/matrix-cache/inventory"
_CACHE_KEY = "matrix-${{ runner.os }}-${{ runner.arch }}-${{ matrix.name }}-"


def github_workflow(jobs: list[Job], wishes: Wishes, name: str) -> str:
    """The workflow as YAML.

    Args:
        jobs: what it runs.
        wishes: what they were made from.
        name: of the workflow.

    Raises:
        UsageError: more jobs than a workflow can have, or a word that GitHub would evaluate.
    """
    if len(jobs) > MOST_JOBS:
        raise UsageError(
            f"{len(jobs)} jobs: GitHub takes {MOST_JOBS} at most; divide the cases with --shards"
        )
    scripts = ["\n".join(run_script(job, wishes)) for job in jobs]
    for text in (*scripts, wishes.install):
        if "${{" in text:
            raise UsageError(f"GitHub would evaluate '${{{{' in {text!r}")
    entries = [_entry(job, script) for job, script in zip(jobs, scripts, strict=True)]
    document: dict[str, Any] = {
        "name": name,
        "on": {"push": {}, "pull_request": {}, "workflow_dispatch": {}},
        "permissions": {"contents": "read"},
        "concurrency": CONCURRENCY,
        "jobs": {
            "matrix": {
                "name": "${{ matrix.name }}",
                "if": ONCE,
                "runs-on": "${{ matrix.runner }}",
                "timeout-minutes": MINUTES,
                "strategy": {"fail-fast": False, "matrix": {"include": entries}},
                "steps": list(_steps(wishes, hosted=any(job.native is None for job in jobs))),
            },
            "report": _report(wishes),
        },
    }
    text = yaml_text(document, HEAD)
    for commit, tag in ACTIONS.values():
        text = text.replace(commit, f"{commit} # {tag}")
    return text


def _entry(job: Job, script: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": job.name}
    if job.native is None:
        entry |= {"runner": RUNNER, "packages": " ".join(job.packages)}
    else:
        entry["runner"] = Flow(("self-hosted", "linux", LABELS[job.native]))
    return {**entry, "script": script}


def _steps(wishes: Wishes, *, hosted: bool) -> list[dict[str, Any]]:
    steps = [_action("checkout", {"persist-credentials": False})]
    if hosted:
        steps.append(
            {
                "name": "Install QEMU",
                "if": "${{ matrix.packages }}",
                "run": _INSTALL_QEMU,
            }
        )
    cached = {"path": _CACHE, "key": f"{_CACHE_KEY}${{{{ github.run_id }}}}"}
    kept = {"name": f"{RUN}-${{{{ matrix.name }}}}", "path": RUN, "if-no-files-found": "warn"}
    return [
        *steps,
        _install(wishes),
        {
            "name": "What is known of QEMU and KVM",
            "if": "runner.environment == 'github-hosted'",
            **_action("cache", {**cached, "restore-keys": _CACHE_KEY}),
        },
        {"name": "Run", "run": "${{ matrix.script }}"},
        {"name": "Keep the run", "if": ALWAYS, **_action("upload-artifact", kept)},
    ]


def _report(wishes: Wishes) -> dict[str, Any]:
    """The job that puts all runs together, also where some failed."""
    downloaded = {"pattern": f"{RUN}-*", "path": "runs"}
    return {
        "name": "Report",
        "needs": "matrix",
        "if": "${{ !cancelled() && needs.matrix.result != 'skipped' }}",
        "runs-on": RUNNER,
        "permissions": {"contents": "read", "pull-requests": "write"},
        "steps": [
            _action("checkout", {"persist-credentials": False}),
            _install(wishes),
            _action("download-artifact", downloaded),
            {"name": "Put the runs together", "run": _MERGE},
            {
                "name": "Keep the report",
                "if": ALWAYS,
                **_action("upload-artifact", {"name": REPORT, "path": REPORT}),
            },
            {
                "name": "Comment",
                "if": "github.event_name == 'pull_request' &&"
                " github.event.pull_request.head.repo.full_name == github.repository",
                "env": {
                    "GH_TOKEN": "${{ github.token }}",
                    "NUMBER": "${{ github.event.pull_request.number }}",
                },
                "run": _COMMENT,
            },
        ],
    }


def _install(wishes: Wishes) -> dict[str, Any]:
    environment = '"$RUNNER_TEMP/matrix"'
    return {
        "name": "Install qemu-matrix",
        "run": f"python3 -m venv {environment}\n"
        f"{environment}/bin/pip install {shlex.quote(wishes.install)}\n"
        'echo "$RUNNER_TEMP/matrix/bin" >> "$GITHUB_PATH"\n'
        'if [ "$RUNNER_ENVIRONMENT" = github-hosted ]; then\n'
        '  echo "MATRIX_CACHE=$RUNNER_TEMP/matrix-cache" >> "$GITHUB_ENV"\n'
        "fi\n",
    }


def _action(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"uses": f"actions/{name}@{ACTIONS[name][0]}", "with": settings}
