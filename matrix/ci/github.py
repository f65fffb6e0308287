"""A workflow of GitHub Actions (docs.github.com, "Workflow syntax for GitHub Actions")."""

import shlex
from typing import Any

from matrix.ci.jobs import RUN, Job, Wishes, run_script
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
    Architecture.MIPS64EL: "mips64el",
}
"""Labels of self-hosted runners: GitHub's where it gives some, else ``uname -m``."""

HEAD = """\
Made by `matrix ci github`; change it as you like, or make it again.
Every job keeps its run directory as an artifact: report.html, junit.xml, results.json, consoles.\
"""

_INSTALL_QEMU = """\
sudo apt-get update
sudo apt-get install --yes --no-install-recommends ${{ matrix.packages }}
if [ -e /dev/kvm ]; then sudo chmod a+rw /dev/kvm; fi
"""
_SUMMARY = f"""\
{{ echo '```'; matrix show {RUN}; echo '```'; }} >> "$GITHUB_STEP_SUMMARY"
"""


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
        "jobs": {
            "matrix": {
                "name": "${{ matrix.name }}",
                "runs-on": "${{ matrix.runner }}",
                "timeout-minutes": MINUTES,
                "strategy": {"fail-fast": False, "matrix": {"include": entries}},
                "steps": list(_steps(wishes, hosted=any(job.native is None for job in jobs))),
            }
        },
    }
    return yaml_text(document, HEAD)


def _entry(job: Job, script: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": job.name}
    if job.native is None:
        entry |= {"runner": RUNNER, "packages": " ".join(job.packages)}
    else:
        entry["runner"] = Flow(("self-hosted", "linux", LABELS[job.native]))
    return {**entry, "script": script}


def _steps(wishes: Wishes, *, hosted: bool) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [{"uses": "actions/checkout@v4"}]
    if hosted:
        steps.append(
            {
                "name": "Install QEMU",
                "if": "${{ matrix.packages }}",
                "run": _INSTALL_QEMU,
            }
        )
    environment = '"$RUNNER_TEMP/matrix"'
    steps += [
        {
            "name": "Install qemu-matrix",
            "run": f"python3 -m venv {environment}\n"
            f"{environment}/bin/pip install {shlex.quote(wishes.install)}\n"
            'echo "$RUNNER_TEMP/matrix/bin" >> "$GITHUB_PATH"\n',
        },
        {"name": "Run", "run": "${{ matrix.script }}"},
        {"name": "Summary", "if": "${{ always() }}", "run": _SUMMARY},
        {
            "name": "Keep the run",
            "if": "${{ always() }}",
            "uses": "actions/upload-artifact@v4",
            "with": {
                "name": f"{RUN}-${{{{ matrix.name }}}}",
                "path": RUN,
                "if-no-files-found": "warn",
            },
        },
    ]
    return steps
