"""Recordings of real kvm-unit-tests runs: our command lines equal those of its own runner.

Shell quoting is lost in the recordings, so both sides are compared as words.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.inventory import Binary
from matrix.model import Accelerator, Case, Test, Variant
from matrix.plan.command import launch_for
from matrix.suites.build import read_build
from matrix.suites.unittests import read_tests

RECORDINGS = Path(__file__).parents[2] / ".." / "shared" / "kvm-unit-tests"

MAX_SMP = 2
"""The recordings were made on two CPUs."""

DIFFERENCES = {
    # Its runner gets the quoted, continued lines wrong: QEMU sees a backslash and an "n".
    ("s390x", "topology-3"): "qemu_params over several lines",
}
"""Tests whose recorded command line is wrong, and what is wrong with it."""


def recorded(build: str) -> Iterator[tuple[str, list[str]]]:
    for path in sorted((RECORDINGS / build / "logs").glob("*.log")):
        text = path.read_text(errors="replace")
        match = re.search(
            r"--foreground \w+ (qemu-system-\w+ .*?) # -initrd ENVIRON", text, re.DOTALL
        )
        if match is not None:
            yield path.stem, match[1].split()


def ours(build_name: str, test: Test) -> list[str]:
    directory = RECORDINGS / build_name
    build = read_build(directory)
    binary = Binary(
        "system", build.architecture, f"qemu-system-{build.architecture}", (7, 2, 22), ""
    )
    variant = Variant(build.architecture, Accelerator.TCG)
    case = Case("id", "scenario", "suite", test, variant, build)
    launch = launch_for(case, binary, Accelerator.TCG)
    return " ".join(launch.argv).replace(f"{directory}/", "").split()


def normalised(words: list[str]) -> list[str]:
    """Without what is meant to differ: the time of day, and the image of a run that was dry."""
    text = " ".join(words)
    text = re.sub(r"\b1\d{9}\b", "NOW", text)
    return re.sub(r"-kernel \S+", "-kernel IMAGE", text).split()


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not part of the project")
@pytest.mark.parametrize("build", ["x86_64", "arm64", "ppc64le", "s390x", "riscv64"])
def test_command_lines_equal_those_of_the_runner(build: str) -> None:
    tests = {
        test.name: test for test in read_tests(read_build(RECORDINGS / build), max_smp=MAX_SMP)
    }
    compared = 0
    different = []
    for name, words in recorded(build):
        if (build, name) in DIFFERENCES:
            continue
        found = normalised(ours(build, replace(tests[name], unsupported="")))
        if found != normalised(words):
            different.append(f"{name}:\n  theirs {' '.join(words)}\n  ours   {' '.join(found)}")
        compared += 1
    assert not different, "\n".join(different)
    assert compared > 2


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not part of the project")
def test_several_lines_of_parameters_are_whole() -> None:
    (test,) = [
        test
        for test in read_tests(read_build(RECORDINGS / "s390x"), max_smp=MAX_SMP)
        if test.name == "topology-3"
    ]
    words = ours("s390x", test)
    assert words.count("-device") > 5
    assert not any("\\" in word for word in words)
