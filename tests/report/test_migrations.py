"""What the page says of hops that their file has folded."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.migrating import Limits
from matrix.migration.hop_records import Records
from matrix.model import Architecture, Variant
from matrix.report.hop_table import read_hops
from matrix.report.migrations import Migrations, _median
from matrix.results.case_record import AttemptRecord, CaseRecord
from matrix.verdicts import Verdict
from tests.report.conftest import hops_of

HOPS = 2500


def taken(folder: Path, versions: int) -> Migrations:
    """The hops of a soak between so many versions of one QEMU."""
    records = Records(folder, 7, Limits())
    for hop in hops_of(HOPS, bad=[3]):
        label = f"system {hop.number % versions}"
        bare = replace(hop, source=label, destination=label, samples=(), events=())
        records.add(bare)
    attempt = AttemptRecord(number=1, verdict=Verdict.FAIL, hops=records.close())
    case = CaseRecord(
        id="s.t",
        scenario="s",
        suite="builtin",
        test="t",
        axes=Variant(Architecture.X86_64),
        verdict=Verdict.FAIL,
        attempts=(attempt,),
    )
    migrations = Migrations(10**7)
    migrations.add(0, case, attempt, folder)
    return migrations


def test_a_folded_soak_has_all_its_hops(tmp_path: Path) -> None:
    migrations = taken(tmp_path, 1)
    kept = read_hops(tmp_path / "hops.jsonl")
    assert kept is not None
    assert kept.folded is not None
    assert len(kept) < HOPS
    assert [each["hops"] for each in migrations.entries] == [HOPS]
    (cell,) = migrations.grid()
    assert (cell["hops"], cell["good"]) == (HOPS, HOPS - 1)
    downtimes = sorted(each.downtime or 0.0 for each in hops_of(HOPS))
    assert cell["median"] == pytest.approx(downtimes[HOPS // 2], rel=0.02)
    assert cell["max"] == pytest.approx(downtimes[-1], rel=0.02)


def test_of_several_versions_those_count_that_the_file_has(tmp_path: Path) -> None:
    """Nothing says which of those that were folded were between which."""
    migrations = taken(tmp_path, 2)
    kept = read_hops(tmp_path / "hops.jsonl")
    assert kept is not None
    cells = migrations.grid()
    assert len(cells) == 2
    assert sum(int(str(cell["hops"])) for cell in cells) == len(kept)


@pytest.mark.parametrize(
    ("values", "median"), [([], None), ([3.0], 3.0), ([1.0, 2.0], 1.5), ([5.0, 1.0, 1.0, 1.0], 1.0)]
)
def test_a_median(values: list[float], median: float | None) -> None:
    assert _median(Counter(values)) == median
