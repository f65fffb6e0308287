from typing import Any

import pytest

from matrix.errors import UsageError
from matrix.model import Accelerator
from matrix.results.compare.matching import Pairing, pair_runs, pair_runs_apart, pair_variants
from matrix.results.run_record import RunRecord
from tests import make
from tests.results.conftest import RunMaker


def ids(pairing: Pairing) -> list[tuple[str | None, str | None]]:
    return [(a and a.id, b and b.id) for a, b in pairing.pairs]


def test_cases_of_two_runs_are_matched_by_id(recorded: RunMaker) -> None:
    a, b = (
        recorded([(make.run(make.case(name)), []) for name in names]).record
        for names in (("x", "y", "z"), ("new", "z", "x"))
    )
    pairing = pair_runs(a, b)
    names = [tuple(each and each.split(".")[1] for each in pair) for pair in ids(pairing)]
    assert names == [("x", "x"), ("y", None), ("z", "z"), (None, "new")]
    assert pairing.common == 2
    assert pairing.axis == ""


def test_runs_of_two_scenarios_are_matched_by_what_follows_their_names(recorded: RunMaker) -> None:
    def run(*cases: tuple[str, str]) -> RunRecord:
        made: list[Any] = [
            (make.run(make.case(test, scenario=scenario)), []) for scenario, test in cases
        ]
        record: RunRecord = recorded(made).record
        return record

    still = run(("still", "x"), ("still", "y"))
    moved = run(("moved", "y"), ("moved", "new"))
    assert ids(pair_runs(still, moved)) == [
        ("still.x.x86_64.auto", None),
        ("still.y.x86_64.auto", "moved.y.x86_64.auto"),
        (None, "moved.new.x86_64.auto"),
    ]
    several = run(("moved", "y"), ("other", "x"))
    assert pair_runs(still, several).common == 0
    both = run(("still", "x"), ("moved", "y"))
    assert pair_runs(still, both).common == 1  # by id, as they have ids in common


def variants(recorded: Any, *axes: dict[str, Any]) -> RunRecord:
    record: RunRecord = recorded(
        [(make.run(make.case(**{"test": "boot", **each})), []) for each in axes]
    ).record
    return record


def pairs(record: RunRecord, axis: str, base: str = "") -> dict[tuple[str, str], list[Any]]:
    return {
        pairing.values: [
            tuple(each and each.removeprefix("smoke.") for each in pair) for pair in ids(pairing)
        ]
        for pairing in pair_variants(record, axis, base)
    }


def test_two_runs_are_matched_by_all_but_the_axis(recorded: RunMaker) -> None:
    a = variants(recorded, {"qemu": "10.0", "cpu": "max"}, {"qemu": "10.0"})
    b = variants(recorded, {"qemu": "11.1"}, {"qemu": "11.1", "test": "smp"})
    assert ids(pair_runs_apart(a, b, "qemu")) == [
        ("smoke.boot.x86_64.auto.qemu=10.0.cpu=max", None),
        ("smoke.boot.x86_64.auto.qemu=10.0", "smoke.boot.x86_64.auto.qemu=11.1"),
        (None, "smoke.smp.x86_64.auto.qemu=11.1"),
    ]
    with pytest.raises(UsageError, match="has several values of cpu, as in"):
        pair_runs_apart(a, b, "cpu")
    with pytest.raises(UsageError, match="no such axis"):
        pair_runs_apart(a, b, "arch")


def test_variants_are_matched_by_all_but_the_axis(recorded: RunMaker) -> None:
    record = variants(
        recorded,
        {"qemu": "10.0", "cpu": "max"},
        {"qemu": "10.0"},
        {"qemu": "11.1"},
        {"qemu": "11.1", "test": "smp"},
        {"cpu": "max"},
    )
    assert pairs(record, "qemu") == {
        ("10.0", "11.1"): [
            ("boot.x86_64.auto.qemu=10.0.cpu=max", None),
            ("boot.x86_64.auto.qemu=10.0", "boot.x86_64.auto.qemu=11.1"),
            (None, "smp.x86_64.auto.qemu=11.1"),
        ],
        ("10.0", "system"): [
            ("boot.x86_64.auto.qemu=10.0.cpu=max", "boot.x86_64.auto.cpu=max"),
            ("boot.x86_64.auto.qemu=10.0", None),
        ],
    }


@pytest.mark.parametrize(
    ("axis", "values", "base", "written"),
    [
        ("qemu", ["system", "10.0"], "10.0", ("10.0", "system")),
        ("accel", [Accelerator.TCG, Accelerator.KVM], "kvm", ("kvm", "tcg")),
        ("smp", [1, 4], "4", ("4", "1")),
        ("smp", [None, 4], "default", ("default", "4")),
        ("memory", [2**28, 2**30], "1024MiB", ("1GiB", "256MiB")),
        ("machine", ["virt", "virt,gic-version=3"], "", ("virt", "virt,gic-version=3")),
        ("cpu", ["max", None], "", ("max", "default")),
    ],
)
def test_any_axis_and_any_base(
    recorded: RunMaker,
    axis: str,
    values: list[Any],
    base: str,
    written: tuple[str, str],
) -> None:
    record = variants(recorded, *({axis: value} for value in values))
    ((found, matched),) = pairs(record, axis, base).items()
    assert found == written
    assert len(matched) == 1


@pytest.mark.parametrize(
    ("axis", "base", "message"),
    [
        ("qemo", "", r"--by 'qemo': no such axis; did you mean 'qemu'\? allowed: accel, qemu, "),
        ("arch", "", "--by 'arch': no such axis; allowed: "),
        ("smp", "", "has only smp default: nothing to compare --by smp"),
        ("qemu", "9", "--base '9': the run has no such qemu; allowed: system, 10.0"),
        ("qemu", "\x1b", r"--base '\\x1b'"),
    ],
)
def test_what_cannot_be_compared(recorded: RunMaker, axis: str, base: str, message: str) -> None:
    record = variants(recorded, {}, {"qemu": "10.0"})
    with pytest.raises(UsageError, match=message):
        pair_variants(record, axis, base)


def test_an_empty_run_has_no_variants(recorded: RunMaker) -> None:
    with pytest.raises(UsageError, match="no cases"):
        pair_variants(recorded([]).record, "qemu")


def test_tests_of_two_scenarios_are_not_mixed(recorded: RunMaker) -> None:
    record = variants(recorded, {"scenario": "one"}, {"scenario": "two", "qemu": "10.0"})
    (pairing,) = pair_variants(record, "qemu")
    assert pairing.common == 0
    assert len(pairing.pairs) == 2
