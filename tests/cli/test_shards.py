"""``--shard I/N`` on the command line."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Scripts, World

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture
def five(world: World, scripts: Scripts) -> World:
    world.suite(**{name: scripts.passing() for name in NAMES})
    return world


def listed(world: Any, *more: str) -> list[str]:
    done = world.run("list", "scenario.yaml", "--qemu", "fake=qemu", "--json", *more)
    assert done.returncode == 0, done.stderr
    return [case["test"] for case in json.loads(done.stdout)["cases"]]


def test_shards_are_a_partition_also_where_hosts_know_different_times(five: World) -> None:
    parts = []
    for index in (1, 2, 3):
        state = five.root / "state"  # what a host knows of earlier runs must not matter
        state.mkdir(exist_ok=True)
        known = {f"fake.{name}.x86_64.tcg.qemu=fake": float(index) for name in NAMES[:index]}
        (state / "durations.json").write_text(json.dumps(known))
        parts.append(listed(five, "--shard", f"{index}/3"))
    assert sorted(name for part in parts for name in part) == list(NAMES)
    assert max(map(len, parts)) == 2


def test_a_shard_runs_its_part_and_durations_of_a_run_balance(five: World) -> None:
    assert five.matrix_run("--no-history").returncode == 0
    document = json.loads((five.root / "out/results.json").read_text())
    for case in document["cases"]:
        case["seconds"] = 10.0 if case["test"] == "c" else 1.0
    (five.root / "times.json").write_text(json.dumps(document))
    balanced = ("--durations", "times.json")
    assert listed(five, "--shard", "1/2", *balanced) == ["c"]
    done = five.run(
        *("run", "scenario.yaml", "--qemu", "fake=qemu", "-o", "part", "--no-history"),
        *("--shard", "2/2", *balanced),
    )
    assert done.returncode == 0, done.stderr
    assert sorted(five.verdicts("part")) == ["a", "b", "d", "e"]


@pytest.mark.parametrize(
    ("options", "code", "complaint"),
    [
        (("--shard", "3/2"), 2, "shards are numbered from 1/2 to 2/2"),
        (("--shard", "6/6"), 5, "shard 6/6 is empty: there are only 5 cases"),
        (("--durations", "x.json"), 2, "--durations balances the parts of --shard"),
        (("--shard", "1/2", "--durations", "x.json"), 2, "x.json: no such file"),
    ],
)
def test_what_is_wrong_is_told(five: World, options: Any, code: int, complaint: str) -> None:
    done = five.run("list", "scenario.yaml", "--qemu", "fake=qemu", *options)
    assert done.returncode == code
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
