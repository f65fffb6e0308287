"""A pipeline of GitLab CI/CD (docs.gitlab.com, "CI/CD YAML syntax reference")."""

import shlex
from typing import Any

from matrix.ci.jobs import REPORT, RUN, Job, Wishes, run_script
from matrix.ci.yaml_text import Flow, yaml_text
from matrix.model import Architecture

IMAGE = "python:3.13-slim-trixie"
"""Debian 13, which has QEMU 10.0."""
STAGE = "test"
LAST_STAGE = "report"
LAST_JOB = "matrix-report"
HOST = {Architecture.I386: Architecture.X86_64, Architecture.ARM: Architecture.AARCH64}
"""Whose runners run guests of these architectures natively."""

HEAD = """\
Made by `matrix ci gitlab`; change it as you like, or make it again.
Every job keeps its run directory as an artifact: report.html, junit.xml, results.json, consoles.
The last one puts all of them together: one report, and one comment, which it writes to the merge
request if MATRIX_COMMENT_TOKEN (a masked variable) holds an access token with the scope api.\
"""

WORKFLOW = {
    "rules": [
        {"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'},
        {"if": "$CI_COMMIT_BRANCH && $CI_OPEN_MERGE_REQUESTS", "when": "never"},
        {"if": "$CI_COMMIT_BRANCH"},
    ],
    "auto_cancel": {"on_new_commit": "interruptible"},
}
"""One pipeline for a commit: of the merge request, or else of its branch; a newer one ends it."""

_INSTALL_QEMU = """\
if [ "$(id -u)" -eq 0 ]; then
  apt-get update -qq
  apt-get install -qq --no-install-recommends $PACKAGES
fi
"""
"""A container's user is root; a runner without containers is taken to have what it needs."""
_ENVIRONMENT = ".venv-matrix"
_CACHE = ".matrix-cache"
_RESTORE = f"""\
export MATRIX_CACHE="$HOME/.matrix-ci"
if [ -d {_CACHE} ]; then mkdir -p -m 700 "$MATRIX_CACHE" && cp -R {_CACHE}/. "$MATRIX_CACHE"; fi
"""
"""Not used where it lies: GitLab makes the project's folder writable by everyone."""
_SAVE = f"""\
if [ -d "$HOME/.matrix-ci/inventory" ]; then
  rm -rf {_CACHE} && mkdir {_CACHE} && cp -R "$HOME/.matrix-ci/inventory" {_CACHE}
fi
"""
_COMMENT = f"""\
[ -n "$MATRIX_COMMENT_TOKEN" ] && [ -n "$CI_MERGE_REQUEST_IID" ] && python3 - <<'END' || true
import json, os, urllib.request

url = "{{CI_API_V4_URL}}/projects/{{CI_PROJECT_ID}}/merge_requests/{{CI_MERGE_REQUEST_IID}}/notes"
url = url.format_map(os.environ)
head = {{"PRIVATE-TOKEN": os.environ["MATRIX_COMMENT_TOKEN"], "Content-Type": "application/json"}}
body = "<!-- qemu-matrix -->\\n" + open("{REPORT}/comment.md").read()


def ask(url, method="GET", data=None):
    request = urllib.request.Request(url, data, head, method=method)
    return json.load(urllib.request.urlopen(request))


mine = [n["id"] for n in ask(url + "?per_page=100") if n["body"].startswith(body[:20])]
data = json.dumps({{"body": body}}).encode()
ask(f"{{url}}/{{mine[0]}}" if mine else url, "PUT" if mine else "POST", data)
END
"""


def gitlab_pipeline(jobs: list[Job], wishes: Wishes) -> str:
    """The pipeline as YAML.

    Args:
        jobs: what it runs.
        wishes: what they were made from.
    """
    document: dict[str, Any] = {
        "workflow": WORKFLOW,
        "stages": [STAGE, LAST_STAGE],
        ".matrix": _template(wishes),
    }
    document.update((job.name, _job(job, wishes)) for job in jobs)
    document[LAST_JOB] = _last(wishes)
    return yaml_text(document, HEAD)


def _template(wishes: Wishes) -> dict[str, Any]:
    """What all jobs have in common."""
    return {
        "stage": STAGE,
        "image": IMAGE,
        "interruptible": True,
        "before_script": [_INSTALL_QEMU, *_install(wishes), _RESTORE],
        "after_script": [_SAVE],
        "cache": {
            "key": "matrix-$CI_JOB_NAME_SLUG",
            "paths": [f"{_CACHE}/"],
            "when": "always",
        },
        "artifacts": {"when": "always", "expire_in": "4 weeks"},
    }


def _install(wishes: Wishes) -> list[str]:
    return [
        f"python3 -m venv {_ENVIRONMENT}",
        f"{_ENVIRONMENT}/bin/pip install --quiet {shlex.quote(wishes.install)}",
        f'export PATH="$PWD/{_ENVIRONMENT}/bin:$PATH"',
    ]


def _last(wishes: Wishes) -> dict[str, Any]:
    """The job that puts all runs together, also where some failed."""
    return {
        "stage": LAST_STAGE,
        "image": IMAGE,
        "interruptible": True,
        "when": "always",
        "before_script": _install(wishes),
        "script": [
            f"matrix report {RUN}s/* -o {REPORT}",
            f"matrix report {RUN}s/* --format markdown -o {REPORT}/comment.md",
            _COMMENT,
        ],
        "artifacts": {"when": "always", "paths": [f"{REPORT}/"], "expire_in": "4 weeks"},
    }


def _job(job: Job, wishes: Wishes) -> dict[str, Any]:
    made: dict[str, Any] = {"extends": ".matrix"}
    if job.native is not None:
        host = HOST.get(job.native, job.native)
        made["tags"] = Flow(("kvm", host.value))
    made["variables"] = {"PACKAGES": " ".join(job.packages)}
    run = f"{RUN}s/{job.name}"
    made["script"] = [f"mkdir -p {RUN}s", *run_script(job, wishes, run)]
    made["artifacts"] = {"paths": [f"{run}/"], "reports": {"junit": f"{run}/junit.xml"}}
    return made
