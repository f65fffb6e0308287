"""What a host gives a run."""

from dataclasses import replace

import pytest

from matrix.inventory import Host
from matrix.migrating import Fault, Migration, MigrationMode
from matrix.model import Accelerator, Architecture, Build, Case, Test, Variant
from matrix.plan.decisions import Run, Skip
from matrix.run.capacity import capacity_of, too_few_files

HOST = Host("x86_64", "6.1", 4, 2**33)
CASE = Case(
    *("s.t", "s", "suite", Test("t", "/t.flat")),
    Variant(Architecture.X86_64, Accelerator.TCG),
    Build(Architecture.X86_64, "/b", "/b"),
)
ONCE = Migration(mode=MigrationMode.ONCE)


def run(case: Case) -> Run:
    return Run(case, Accelerator.TCG, "asked for", 1, 2**28)


@pytest.mark.parametrize(
    ("migration", "files", "most"),
    [
        (None, 80, None),
        (None, 79, 3),
        (None, 10, 1),
        (ONCE, 200, None),
        (ONCE, 199, 3),
        (replace(ONCE, faults=(Fault.NO_LISTENER,)), 440, None),
        (replace(ONCE, faults=(Fault.NO_LISTENER,)), 300, 2),
    ],
)
def test_open_files_limit_the_jobs(
    migration: Migration | None, files: int, most: int | None
) -> None:
    decisions = [run(replace(CASE, migration=migration)), run(CASE)] * 2
    few = too_few_files(decisions, HOST, None, files)
    assert capacity_of(HOST, None, few).most == most
    assert few is None or f"{files} open files are allowed" in str(few)


def test_what_does_not_run_together_needs_no_files() -> None:
    assert too_few_files([run(CASE)], HOST, 8, 40) is None
    assert too_few_files([run(CASE)] * 8, HOST, 1, 40) is None
    assert too_few_files([Skip(CASE, "why")], HOST, 8, 40) is None
