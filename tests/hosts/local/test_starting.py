"""Emulators that start no guest at all; tests/cli/test_green.py has them in whole runs."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.hosts.local.starting import Starting
from matrix.inventory import Binary, Host, Inventory, Machine
from matrix.migrating import Migration
from matrix.model import Accelerator, Architecture, Case
from matrix.plan.decisions import Run
from tests import make

X86 = Architecture.X86_64
CASE = make.case()


@pytest.fixture
def mine(tmp_path: Path) -> Binary:
    """An emulator that counts its starts, and ends at each."""
    program = tmp_path / "qemu-system-x86_64"
    program.write_text(f"#!/bin/sh\necho >> {tmp_path}/starts; echo 'qemu: no luck' >&2; exit 1\n")
    program.chmod(0o755)
    return Binary("mine", X86, str(program), (10, 0, 0), "10.0.0")


def why_never(binary: Binary, *cases: Case) -> list[str]:
    host = Host("x86_64", "6.1", 2, 2**32)
    starting = Starting(Inventory(host, binaries=(binary,)))

    async def ask() -> list[str]:
        runs = [Run(case, Accelerator.TCG, "", 1, 0) for case in cases]
        return list(await asyncio.gather(*map(starting.why_never, runs)))

    return asyncio.run(ask())


def test_also_one_that_the_guest_is_migrated_to_and_tried_once(mine: Binary) -> None:
    words = f"QEMU mine starts no guest at all: {mine.path} ended with status 1: no luck"
    source = replace(CASE, variant=replace(CASE.variant, qemu="mine"))
    migrated = replace(CASE, migration=Migration(destinations=("mine",)))
    assert why_never(mine, source, migrated, CASE) == [words, words, ""]
    assert Path(mine.path).with_name("starts").read_text() == "\n"


def test_nobody_can_tell_of_one_without_the_usual_machine(mine: Binary) -> None:
    small = replace(mine, machines=(Machine("microvm"),))
    case = replace(CASE, variant=replace(CASE.variant, qemu="mine"))
    assert why_never(small, case) == [""]
