"""The live view at the widths of terminals: names are whole, and what guests do is beside them."""

import io
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from matrix.cli.live_names import live_names
from matrix.cli.style import ColourOutput
from matrix.cli.terminal import LiveProgress
from matrix.migrating import Hop, HopOutcome, Strategy, Transport
from matrix.model import Accelerator, Case
from matrix.run.progress import ConsoleTail, Running
from tests import make

LINE = "INTEGRITY: BEAT n=14 clock=1302200240 gap=5147776 verified=10638 passes=5"


def case(arch: str, **axes: Any) -> Case:
    return make.case("ram-integrity", arch, scenario="mig", accel=Accelerator.TCG, **axes)


def view(cases: list[Case], width: int, hops: int = 0) -> list[str]:
    """What is shown of these cases while all of them run."""
    console = Console(file=io.StringIO(), width=width, height=40)
    progress = LiveProgress(ColourOutput(console), Path("runs/x"), set())
    decisions = [make.run(each) for each in cases]
    progress.planned(list(decisions), len(decisions))
    for decision in decisions:
        said = ConsoleTail()
        said.write(f"{LINE}\n")
        progress.started(Running(decision, 1, time.monotonic(), said))
        for number in range(1, hops + 1):
            done = (HopOutcome.COMPLETED, True)
            hop = Hop(number, 0.0, Strategy.PRECOPY, "unix", "", "", *done, seconds=0.25)
            progress.hopped(decision.case.id, hop)
    with console.capture() as shown:
        console.print(progress.render())
    return [line.rstrip() for line in shown.get().splitlines()]


def test_what_all_cases_share_is_in_no_name() -> None:
    cases = [case("x86_64"), case("aarch64", qemu="11.1")]
    assert list(live_names(cases).values()) == [
        "ram-integrity x86_64",
        "ram-integrity aarch64 qemu=11.1",
    ]
    assert list(live_names(cases[:1]).values()) == ["ram-integrity"]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_names_are_whole_at_any_width(width: int) -> None:
    axes: Any = {"strategy": Strategy.PRECOPY, "transport": Transport.UNIX, "cpu": "cortex-a57"}
    cases = [case("aarch64", qemu="11.1", destination=each, **axes) for each in ("10.0", "system")]
    cases.append(case("x86_64"))
    shown = view(cases, width)
    for name in live_names(cases).values():
        assert name in " ".join("\n".join(shown).split())
    assert max(map(len, shown)) <= width
    assert sum("INTEGRITY: BEAT" in line for line in shown) == 3


def test_hops_and_the_last_line_and_jobs_are_beside_a_name() -> None:
    first, *_, status = view([case("x86_64"), case("aarch64")], 80, hops=3)
    assert first.startswith("    0s ram-integrity x86_64   3 hops  INTEGRITY: BEAT n=14")
    assert first.endswith("…")
    assert "  2 running  0s elapsed" in status
    wide = view([case("x86_64"), case("aarch64")], 120, hops=1)[0]
    assert "1 hop, last precopy over unix in 0.2" in wide
    assert "INTEGRITY" in wide
