"""Imports inside functions: all of them, each with what it saves.

An import belongs at the top of its module, unless it costs time that most runs need not spend. The
times here are what ``matrix list`` or ``matrix run`` of ``scenarios/smoke.yaml``, with warm caches,
would take longer with the import at the top (``python -X importtime``, the least of five, on two
busy cores; an idle machine takes half as long).
"""

import ast
from pathlib import Path

import matrix

ROOT = Path(matrix.__file__).parent

COMMANDS = "each command loads what it needs: 250 ms of --version and --help, 70 ms of list"
PYDANTIC = "pydantic, where records are checked or decoded: list 5 ms"
GUEST_RUNS = "loaded while a guest starts: matrix.run.runner.LATER"
PLUGIN = "400 ms of every pytest session that does not use the installed plugin"
RARE = "needed by few"

LATE = {
    "__main__.py": "an interrupt while the program loads is caught",
    "cli/completing.py": "asked for by the shell alone: list 9 ms",
    "cli/fleet.py": f"{RARE}: keys, and an extra that may not be installed: 90 ms of matrix fleet",
    "cli/guests.py": COMMANDS,
    "cli/hints.py": "for usage errors alone: --help 25 ms",
    "cli/history.py": "the text and JSON of the history, which a run only writes to: run 20 ms",
    "cli/listing.py": f"{RARE}: --reuse, list 20 ms",
    "cli/main.py": "for --failed with a word behind it alone",
    "cli/plain_progress.py": GUEST_RUNS,
    "cli/report_command.py": GUEST_RUNS,
    "cli/results.py": COMMANDS,
    "cli/run_command.py": "virtual hosts 110 ms, fleets, metrics 25 ms, workers and rich 20 ms",
    "cli/standard_output.py": "rich, where standard output is a terminal: run 15 ms",
    "hosts/hostfile.py": "YAML and pydantic, where there is a host file: list 27 ms",
    "hosts/local/executor.py": "what migrates a guest, run 30 ms; the verdict: " + GUEST_RUNS,
    "hosts/local/launch.py": f"{RARE}: the disks of EFI guests, list 5 ms",
    "hosts/local/migrated_case.py": f"{RARE}: faults, 20 ms of a run that migrates",
    "hosts/project.py": "YAML, TOML and pydantic, where there is a project file: list 27 ms",
    "hosts/surveyors.py": "what asks QEMU and KVM, where the cache has no answer: list 45 ms",
    "migration/credentials.py": f"{RARE}: trustme, 35 ms of a run that migrates",
    "plan/planner.py": f"{RARE}: migrated cases, list 8 ms",
    "pytest_plugin/plugin.py": PLUGIN,
    "pytest_plugin/stash.py": PLUGIN,
    "report/write.py": f"{RARE}: --history, 20 ms of a report",
    "results/case_record.py": PYDANTIC,
    "results/history/database.py": "SQLAlchemy, for PostgreSQL alone: run 150 ms",
    "results/hops.py": f"{RARE}: runs that migrate, run 14 ms",
    "results/journal.py": PYDANTIC,
    "results/kcidb.py": f"{RARE}: an extra that may not be installed",
    "results/plan_file.py": PYDANTIC,
    "results/recorder.py": GUEST_RUNS,
    "results/run_info.py": PYDANTIC,
    "results/run_record.py": PYDANTIC,
    "results/summary_text.py": f"{RARE}: runs of several QEMUs, run 19 ms",
    "run/dispatch.py": f"{RARE}: cases on several hosts",
    "run/predicting.py": f"{RARE}: cases migrated to another QEMU",
    "run/prepare.py": f"{RARE}: fleets, virtual hosts 160 ms, --expect 84 ms, --shard 6 ms",
    "run/run_hosts.py": f"{RARE}: fleets, YAML and pydantic: list 70 ms",
    "run/scenarios.py": "YAML and pydantic, for scenarios that are not in the cache: list 84 ms",
    "scenario/expand.py": f"{RARE}: migrated cases, list 5 ms",
    "scenario/load.py": f"{RARE}: known failures, 3 ms",
    "suites/kvm_unit_tests.py": f"{RARE}: standalone tests and errata, list 4 ms; {GUEST_RUNS}",
    "suites/unittests.py": f"{RARE}: standalone tests, list 4 ms",
    "verdict/deciding.py": f"{RARE}: pyelftools, where a guest failed: run 14 ms",
    "vm/machine.py": f"{GUEST_RUNS}; the diagnosis of a guest that hangs",
    "vm/process.py": f"{RARE}: ctypes, without setpriv: run 2 ms",
}
"""Module → what its late imports save."""


def imports_late(path: Path) -> bool:
    functions = (
        node
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    inner = (node for function in functions for node in ast.walk(function))
    return any(isinstance(node, ast.Import | ast.ImportFrom) for node in inner)


def test_every_late_import_says_what_it_saves() -> None:
    """Import at the top, or measure what is saved and add it to the table."""
    late = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if imports_late(path)}
    assert late == LATE.keys()
