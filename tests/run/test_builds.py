"""Where the builds of scenarios are found, and which byte orders they have."""

from pathlib import Path

import pytest

from matrix.hosts.host_settings import HostFile
from matrix.model import Case
from matrix.run.options import Selection
from matrix.run.prepare import chosen


def cases_of(folder: Path, suite: str, matrix: str) -> list[Case]:
    path = folder / "s.yaml"
    path.write_text(f"name: s\nsuite: {{kind: kvm-unit-tests, {suite}}}\nmatrix: {matrix}\n")
    return chosen(Selection(scenarios=(path,)), HostFile())[1]


def test_the_embedded_guests_have_both_byte_orders_on_ppc64(tmp_path: Path) -> None:
    matrix = "{arch: [ppc64, x86_64], endian: [little, big]}"
    cases = cases_of(tmp_path, "build: builtin, tests: [boot]", matrix)
    assert [(case.id, case.build.endian, case.excluded) for case in cases] == [
        ("s.boot.ppc64.auto.endian=little", "little", ""),
        ("s.boot.ppc64.auto.endian=big", "big", ""),
        ("s.boot.x86_64.auto.endian=little", "little", ""),
        (
            "s.suite.x86_64.auto.endian=big",
            "little",
            "the embedded guests for x86_64 are little-endian only",
        ),
    ]
    little, big, *_ = cases
    assert little.test.image != big.test.image
    assert big.build.max_smp == little.build.max_smp


@pytest.mark.parametrize(("built", "left"), [("big", "big"), ("little", "little")])
def test_a_build_has_the_byte_order_that_it_was_configured_for(
    tmp_path: Path, built: str, left: str
) -> None:
    build = tmp_path / "build"
    (build / "powerpc").mkdir(parents=True)
    (build / "config.mak").write_text(f"ARCH=ppc64\nTEST_DIR=powerpc\nENDIAN={built}\n")
    (build / "powerpc/unittests.cfg").write_text("[selftest]\nfile = selftest.elf\n")
    (build / "powerpc/selftest.elf").touch()
    cases = cases_of(tmp_path, "build: build", "{arch: [ppc64], endian: [little, big]}")
    told = {case.variant.endian: case.excluded for case in cases}
    assert [endian for endian, why in told.items() if not why] == [left]
    assert f"the guests of this build are {built}-endian" in told.values()
