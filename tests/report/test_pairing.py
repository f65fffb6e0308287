"""Which cases are put side by side."""

from pathlib import Path
from typing import Any

from matrix.model import Accelerator
from matrix.report.gather import gather
from matrix.report.pairing import comparable
from tests import make
from tests.report.conftest import RowsOf, RunMaker

KVM, TCG = Accelerator.KVM, Accelerator.TCG


def test_cases_that_differ_in_one_axis_only(rows_of: RowsOf) -> None:
    rows = rows_of(
        ("boot", "x86_64", "pass", "", {"qemu": "system", "smp": 1}),
        ("boot", "x86_64", "fail", "", {"qemu": "10.0", "smp": 1}),
        ("boot", "x86_64", "pass", "", {"qemu": "10.0", "smp": 4}),
        ("timer", "x86_64", "pass", "", {"qemu": "10.0", "smp": 1}),
    )
    assert comparable(rows) == {"qemu": [0, 0, -1, -1], "smp": [-1, 0, 0, -1]}


def test_one_that_was_skipped_is_compared_with_one_that_ran(rows_of: RowsOf) -> None:
    """``auto`` is TCG in the row of the one that ran."""
    rows = rows_of(
        ("boot", "x86_64", "skip", "no such QEMU", {"qemu": "system"}),
        ("boot", "x86_64", "pass", "", {"qemu": "10.0"}),
    )
    assert rows[0].axes != rows[1].axes
    assert comparable(rows) == {"qemu": [0, 0]}


def test_accelerators_by_what_the_cases_ran_under(rows_of: RowsOf) -> None:
    rows = rows_of(
        ("boot", "x86_64", "pass", "", {"accel": KVM}),
        ("boot", "x86_64", "pass", "", {"accel": TCG}),
        ("boot", "s390x", "pass", "", {"accel": TCG}),
    )
    assert comparable(rows) == {"arch": [-1, 0, 0], "accel": [0, 0, -1]}


def test_runs_are_matched_by_ids(recorded: RunMaker, tmp_path: Path) -> None:
    """Also where "system" is another QEMU in each."""
    records = []
    for name, binaries in (("monday", {}), ("tuesday", {"binaries": ()})):
        cases: Any = [(make.run(make.case("boot")), make.attempt(), {})]
        records.append(recorded(cases, name, **binaries))
    rows = gather(records, tmp_path / "index.html").rows
    assert rows[0].axes != rows[1].axes
    assert comparable(rows)["run"] == [0, 0]
