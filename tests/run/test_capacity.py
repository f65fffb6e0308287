"""What a host gives a run."""

from dataclasses import replace

import pytest

from matrix.inventory import Host
from matrix.migrating import Fault, Migration, MigrationMode
from matrix.plan.decisions import Skip
from matrix.run.capacity import capacity_of, too_few_files
from tests import make

HOST = Host("x86_64", "6.1", 4, 2**33)
CASE = make.case()
ONCE = Migration(mode=MigrationMode.ONCE)


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
    decisions = [make.run(replace(CASE, migration=migration)), make.run(CASE)] * 2
    few = too_few_files(decisions, HOST, None, files)
    assert capacity_of(HOST, None, few).most == most
    assert few is None or f"{files} open files are allowed" in str(few)


def test_what_does_not_run_together_needs_no_files() -> None:
    assert too_few_files([make.run(CASE)], HOST, 8, 40) is None
    assert too_few_files([make.run(CASE)] * 8, HOST, 1, 40) is None
    assert too_few_files([Skip(CASE, "why")], HOST, 8, 40) is None
