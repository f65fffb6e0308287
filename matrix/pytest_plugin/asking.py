"""From what a test asks of the ``vm`` fixture to a plan: by a scenario of one case.

So a guest of a test is found, checked, planned and started like any other, and the file that stands
for it is one that ``matrix run`` takes too.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from matrix.inventory import Inventory
from matrix.model import Architecture
from matrix.plan.decisions import Decision
from matrix.results.files import host_errors
from matrix.run.builds import BUILTIN
from matrix.run.option_values import architecture_named
from matrix.run.options import Selection
from matrix.run.prepare import prepare

NAME = "vm"
"""Of the scenario that stands for a guest of a test."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a test wants of a guest; None: the suite's or QEMU's default holds."""

    arch: Architecture
    test: str
    accel: str = "auto"
    qemu: str = "system"
    build: str = ""
    """Folder of a kvm-unit-tests build; empty for that of ``--matrix-build``, else our guests."""
    axes: tuple[tuple[str, str | int], ...] = ()
    """Further axes, as in a scenario."""
    timeout: float | None = None
    """Seconds; None for the test's own."""
    stall: float = 20.0

    def scenario(self) -> str:
        """The scenario of this one case."""
        axes = {name: [value] for name, value in self.axes}
        document = {
            "name": NAME,
            "suite": {"kind": "kvm-unit-tests", "build": BUILTIN, "tests": [self.test]},
            "matrix": {
                "arch": [self.arch.value],
                "accel": [self.accel],
                "qemu": [self.qemu],
                **axes,
            },
            "run": {"stall": f"{self.stall:g}s"},
        }
        return json.dumps(document, indent=2) + "\n"

    def selection(self, options: Selection, path: Path) -> Selection:
        """The session's options, with what the test says itself before them."""
        build = options.build
        if self.build:
            others = (each for each in build if _architecture(each) is not self.arch)
            build = (*others, f"{self.arch.value}={self.build}")
        timeout = None if self.timeout is None else f"{self.timeout:g}s"
        return replace(options, scenarios=(path,), build=build, timeout=timeout)


def plan_guest(wish: Wish, options: Selection, path: Path) -> tuple[Decision, Inventory]:
    """Plan a guest; its scenario is written to ``path``.

    Returns:
        Whether it can be run, or why not; and what the host has for it.

    Raises:
        UsageError, SuiteError: what the test wants is wrong: no such test, axis value or build.
        HostError: the scenario cannot be written.
    """
    with host_errors("write", path):
        path.write_text(wish.scenario(), encoding="utf-8")
    prepared = prepare(wish.selection(options, path))
    return prepared.decisions[0], prepared.inventory


def _architecture(option: str) -> Architecture:
    return architecture_named("--matrix-build", option.partition("=")[0])
