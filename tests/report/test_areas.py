"""Which area a test is of."""

from typing import Any

import pytest

from matrix.migrating import Migration
from matrix.report.areas import AREA_NAMES, AREAS, areas_of
from tests import make


@pytest.mark.parametrize(
    ("test", "groups", "areas"),
    [
        ("vmx_apicv_test", ("vmx",), {"Nested virtualization", "Interrupt controllers"}),
        ("pmu-chained-counters", ("pmu",), {"PMU"}),
        ("its-migration", ("its", "migration"), {"Interrupt controllers", "Live migration"}),
        ("timer-smp", (), {"Timers and clocks", "SMP and IPIs"}),
        ("vmexit_ipi", ("vmexit",), {"Exit costs", "SMP and IPIs"}),
        ("mte-async", ("mte",), {"Memory and MMU"}),
        ("spec_ex-sie", (), {"Speculation and confidential guests", "Nested virtualization"}),
        ("hyperv_synic", ("hyperv",), {"Paravirtual interfaces"}),
        ("exception", (), {"Exceptions and debugging"}),
        ("ept", (), {"Nested virtualization"}),
        ("boot", (), {"Start-up and self tests"}),
        ("something-new", ("unheard-of",), {"Other"}),
    ],
)
def test_names_and_groups(test: Any, groups: Any, areas: Any) -> None:
    found = areas_of(make.case(make.test(test, groups=tuple(groups))))
    assert {AREA_NAMES[number] for number in found} == areas


def test_a_guest_that_we_migrate_is_of_the_migration() -> None:
    case = make.case("something-new", migration=Migration())
    assert [AREA_NAMES[number] for number in areas_of(case)] == ["Live migration"]


def test_the_table_names_every_area_once() -> None:
    names = [area.name for area in AREAS]
    assert len(set(names)) == len(names)
    assert all(area.groups or area.tests for area in AREAS)
