"""A side of which only results were kept."""

from typing import Any

import pytest

from matrix.results.compare.matching import pair_variants
from matrix.results.compare.sides import StoredRun, load_results
from matrix.results.summary import write_reports
from tests import make
from tests.results.compare.conftest import Compared
from tests.results.conftest import RunMaker


@pytest.fixture
def stored(recorded: RunMaker) -> StoredRun:
    case = make.case("one")
    record = recorded([(make.run(case), [make.attempt()]), (make.run(make.case("two")), [])]).record
    write_reports(record)
    return load_results(record.run.path / "results.json")


def test_it_answers_as_a_run_does(stored: StoredRun) -> None:
    (case,) = stored.planned()
    assert stored.is_finished(case.id)
    assert not stored.is_finished("smoke.two.x86_64.auto")
    assert stored.unfinished() == ("smoke.two.x86_64.auto",)
    assert [result.id for result in stored.results()] == [case.id]


def test_its_variants_can_be_compared(recorded: RunMaker, compared: Compared) -> None:
    variants: list[dict[str, Any]] = [{}, {"qemu": "10.0"}]
    cases = [make.case("one", **axes) for axes in variants]
    record = recorded([(make.run(case), [make.attempt()]) for case in cases]).record
    write_reports(record)
    (pairing,) = pair_variants(load_results(record.run.path / "results.json"), "qemu")
    assert pairing.values == ("system", "10.0")
    assert pairing.common == 1
