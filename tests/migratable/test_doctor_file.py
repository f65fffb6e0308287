"""Sides that are files of matrix doctor --json."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.cli.doctor import doctor_json
from matrix.errors import UsageError
from matrix.hosts.cache import Cache
from matrix.hosts.host_facts import read_host
from matrix.inventory import Inventory, Machine
from matrix.migratable.doctor_file import UNSTARTED, is_recorded, recorded
from matrix.migratable.grid import Question, answer
from matrix.migratable.prediction import Answer
from tests import make

OURS = replace(
    make.binary(),
    machines=(Machine("pc-q35-7.2", alias="q35", cpu_max=288), Machine("pc-q35-6.0")),
    cpus=("qemu64", "max"),
    migration_capabilities=("events", "mapped-ram"),
)
THEIRS = replace(OURS, machines=OURS.machines[:1], cpus=("qemu64",), migration_capabilities=())


def saved(folder: Path, inventory: Inventory) -> str:
    path = folder / "other.json"
    path.write_text(json.dumps(doctor_json(inventory)))
    return str(path)


@pytest.mark.parametrize(
    ("side", "is_one"),
    [("other.json", True), ("a/b.json:mine", True), ("system", False), ("mine=/opt/q", False)],
)
def test_what_a_file_is(side: str, is_one: bool) -> None:
    assert is_recorded(side) is is_one


def test_a_file_is_read_back(tmp_path: Path) -> None:
    side = saved(tmp_path, make.inventory(OURS, replace(OURS, qemu="mine")))
    assert recorded(side) == (replace(OURS, qemu=side, path=UNSTARTED),)
    named = f"{side}:mine"
    assert recorded(named) == (replace(OURS, qemu=named, path=UNSTARTED),)


def test_what_is_no_such_file(tmp_path: Path) -> None:
    def refused(side: str, why: str) -> None:
        with pytest.raises(UsageError, match=why):
            recorded(side)

    refused(str(tmp_path / "none.json"), "no such file")
    text = tmp_path / "text.json"
    for content in ("{", "[]", '{"binaries": [1]}', '{"binaries": [{}]}', '{"binaries": 7}'):
        text.write_text(content)
        refused(str(text), "text.json: not what matrix doctor --json prints")
    text.write_text("{}")
    refused(str(text), "it has no QEMU")
    side = saved(tmp_path, make.inventory(replace(OURS, qemu="a"), replace(OURS, qemu="b")))
    refused(side, "several QEMUs; FILE.json:NAME takes a, b")
    refused(f"{side}:c", "no QEMU 'c'; FILE.json:NAME takes a, b")


def test_answers(tmp_path: Path) -> None:
    """Nobody is asked: neither QEMU is on this host."""
    side = saved(tmp_path, make.inventory(THEIRS))
    here = replace(OURS, qemu="here", path=UNSTARTED)
    inventory = make.inventory(here, *recorded(side))

    def answers(*machines: str, cpus: tuple[str, ...] = ()) -> list[tuple[Answer, str]]:
        question = Question("here", side, (make.X86,), machines, cpus)
        asked = answer(question, inventory, read_host(), Cache(tmp_path / "cache"), print)
        return [(each.answer, each.reason) for each in asyncio.run(asked)]

    (there, reason), (back, _) = answers("q35")
    assert (there, back) == (Answer.PERHAPS, Answer.PERHAPS)
    assert "no QEMU was asked" in reason
    assert [found for found, _ in answers("pc-q35-6.0")] == [Answer.NO, Answer.NO]
    (there, reason), _ = answers("q35", cpus=("max",))
    assert (there, reason) == (Answer.NO, f"QEMU {side} has no CPU model max")
