"""What was done to a guest so that QEMU works faster is said, and can be left out."""

import json
from typing import Any

from matrix.verdict.assists import HINT
from tests.cli.conftest import World

REGISTERS = [
    f"\nCPU#0\nEIP=0000{number:04x} EFL=00000246 HLT=0\nCS =f000 000f0000 0000ffff\n"
    for number in range(200)
]
FAILS = [["stdout", "FAIL: a\n"], ["exit", 3]]


def silent(seconds: float) -> dict[str, Any]:
    """A guest that works silently until it is assisted, or for so long, and then fails."""
    work = [["registers", *REGISTERS], ["work", seconds]]
    return {"before": {"calc-dirty-rate": FAILS}, "cont": [*work, *FAILS]}


def test_a_failure_after_an_assist_says_so(world: World) -> None:
    world.suite(silent=silent(50))
    done = world.matrix_run()
    (case,) = world.results()["cases"]
    assert (done.returncode, case["verdict"]) == (1, "fail")
    assert case["reason"] == f"1 of 1 subtest failed: a{HINT}"
    assert case["assists"] == case["attempts"][0]["assists"] == {"calc-dirty-rate": 1}
    result = json.loads((world.root / "out" / case["artifacts"] / "result.json").read_text())
    assert result["assists"] == {"calc-dirty-rate": 1}
    script = (world.root / "out" / case["artifacts"] / "command.sh").read_text()
    assert script.endswith("\n# matrix did this to its guest: calc-dirty-rate, 1 time.\n")
    assert "--no-assist" in done.stdout
    assert "assists: calc-dirty-rate, 1 time\n" in done.stdout
    assert "assists     calc-dirty-rate, 1 time\n" in world.run("show", "out", case["id"]).stdout


def test_a_guest_is_left_alone(world: World) -> None:
    world.suite(silent=silent(3))
    world.matrix_run("--no-assist")
    path = world.root / "scenario.yaml"
    path.write_text(path.read_text().replace("run: {", "run: {assist: false, "))
    world.run("run", "scenario.yaml", "--qemu", "fake=qemu", "-o", "again")
    for run in ("out", "again"):
        (case,) = world.results(run)["cases"]
        assert (case["reason"], case["assists"]) == ("1 of 1 subtest failed: a", {})
        assert (
            "calc-dirty-rate"
            not in (world.root / run / case["artifacts"] / "qmp.jsonl").read_text()
        )
        assert (
            "# matrix did" not in (world.root / run / case["artifacts"] / "command.sh").read_text()
        )
