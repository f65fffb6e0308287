"""A pipeline of GitLab CI/CD (docs.gitlab.com, "CI/CD YAML syntax reference")."""

import shlex
from typing import Any

from matrix.ci.jobs import RUN, Job, Wishes, run_script
from matrix.ci.yaml_text import Flow, yaml_text
from matrix.model import Architecture

IMAGE = "python:3.13-slim-trixie"
"""Debian 13, which has QEMU 10.0."""
STAGE = "test"
HOST = {Architecture.I386: Architecture.X86_64, Architecture.ARM: Architecture.AARCH64}
"""Whose runners run guests of these architectures natively."""

HEAD = """\
Made by `matrix ci gitlab`; change it as you like, or make it again.
Every job keeps its run directory as an artifact: report.html, junit.xml, results.json, consoles.\
"""

_INSTALL_QEMU = """\
if [ "$(id -u)" -eq 0 ]; then
  apt-get update -qq
  apt-get install -qq --no-install-recommends $PACKAGES
fi
"""
"""A container's user is root; a runner without containers is taken to have what it needs."""
_ENVIRONMENT = ".venv-matrix"


def gitlab_pipeline(jobs: list[Job], wishes: Wishes) -> str:
    """The pipeline as YAML.

    Args:
        jobs: what it runs.
        wishes: what they were made from.
    """
    document: dict[str, Any] = {"stages": [STAGE], ".matrix": _template(wishes)}
    document.update((job.name, _job(job, wishes)) for job in jobs)
    return yaml_text(document, HEAD)


def _template(wishes: Wishes) -> dict[str, Any]:
    """What all jobs have in common."""
    return {
        "stage": STAGE,
        "image": IMAGE,
        "before_script": [
            _INSTALL_QEMU,
            f"python3 -m venv {_ENVIRONMENT}",
            f"{_ENVIRONMENT}/bin/pip install --quiet {shlex.quote(wishes.install)}",
            f'export PATH="$PWD/{_ENVIRONMENT}/bin:$PATH"',
        ],
        "artifacts": {
            "when": "always",
            "paths": [f"{RUN}/"],
            "reports": {"junit": f"{RUN}/junit.xml"},
            "expire_in": "4 weeks",
        },
    }


def _job(job: Job, wishes: Wishes) -> dict[str, Any]:
    made: dict[str, Any] = {"extends": ".matrix"}
    if job.native is not None:
        host = HOST.get(job.native, job.native)
        made["tags"] = Flow(("kvm", host.value))
    made["variables"] = {"PACKAGES": " ".join(job.packages)}
    made["script"] = list(run_script(job, wishes))
    return made
