"""Tests that ask to be migrated are, whatever the scenario says."""

from collections.abc import Callable

import pytest

from matrix.migrating import Migration, MigrationMode, Strategy
from matrix.model import Architecture, Build, Test
from matrix.scenario.expand import expand
from matrix.scenario.scenario import Scenario, SuiteTests

HEAD = "name: s\nsuite: {kind: kvm-unit-tests, build: builtin}\nmatrix: {arch: [arm]}\n"


def suite(architecture: Architecture) -> SuiteTests:
    build = Build(architecture, "/build", "/build")
    return SuiteTests(
        build,
        (
            Test("plain", "/build/plain.elf", groups=("gic",)),
            Test("asks", "/build/asks.elf", groups=("gic", "migration")),
        ),
    )


@pytest.mark.parametrize(
    ("block", "plain", "asks"),
    [
        ("", None, Migration(mode=MigrationMode.COOPERATIVE)),
        (
            "migration: {hops: 3, duration: 1h, strategy: postcopy}",
            Migration(
                mode=MigrationMode.CONTINUOUS,
                hops=3,
                duration=3600.0,
                strategies=(Strategy.POSTCOPY,),
            ),
            Migration(mode=MigrationMode.COOPERATIVE, strategies=(Strategy.POSTCOPY,)),
        ),
    ],
)
def test_how_each_is_migrated(
    load: Callable[..., Scenario], block: str, plain: Migration | None, asks: Migration
) -> None:
    found = {case.test.name: case for case in expand(load(HEAD + block), suite)}
    assert found["plain"].migration == plain
    assert found["asks"].migration == asks
    assert not found["plain"].excluded
    assert not found["asks"].excluded


def test_one_that_never_asks_is_no_part_of_a_cooperative_scenario(
    load: Callable[..., Scenario],
) -> None:
    found = expand(load(HEAD + "migration: {mode: cooperative}"), suite)
    assert [case.excluded for case in found] == [
        "not in group migration: it never asks to be migrated",
        "",
    ]


def test_one_that_asks_is_no_part_of_a_scenario_with_faults(load: Callable[..., Scenario]) -> None:
    found = expand(load(HEAD + "migration: {mode: continuous, faults: no-listener}"), suite)
    assert not found[0].excluded
    assert "no faults" in found[1].excluded
