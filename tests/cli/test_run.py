"""``matrix run`` as a user meets it: verdicts, exit codes, and what is left on disk."""

import json
import os
import shlex
import shutil
import subprocess
from typing import Any
from xml.etree import ElementTree as ET

from tests.cli.conftest import Scripts, World

HANG = {"cont": [["stdout", "about to hang\n"], ["serve", None]]}


def test_all_pass(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing(), two=scripts.passing())
    done = world.matrix_run()
    assert (done.returncode, done.stderr) == (0, "")
    assert world.verdicts() == {"one": "pass", "two": "pass"}
    assert "2 cases" in done.stdout
    assert "2 of 2 passed" in done.stdout


def test_a_failure_is_printed_as_it_happens_and_exits_1(world: World, scripts: Scripts) -> None:
    world.suite(good=scripts.passing(), bad=scripts.failing("first check", "second check"))
    done = world.matrix_run()
    assert done.returncode == 1
    assert world.verdicts() == {"good": "pass", "bad": "fail"}
    before_summary = done.stdout.partition("Not passed")[0]
    assert "first check" in before_summary
    assert "out/cases/fake.bad." in done.stdout


def test_every_kind_of_ending(world: World, scripts: Scripts) -> None:
    world.suite(
        skipped={"cont": [["stdout", "SKIP: no such feature\n"], ["exit", 77]]},
        crashed={"cont": [["stderr", "qemu: assertion failed\n"], ["abort"]]},
        refused={"start": [["stderr", "qemu: no such device\n"], ["exit", 1]]},
        timed_out={"cont": [["stdout", "busy\n"], ["work", None]]},
        stalled=HANG,
        panicked={
            "cont": [
                ["event", "GUEST_PANICKED", {"action": "pause"}],
                ["event", "SHUTDOWN", {"guest": True, "reason": "guest-panic"}],
                ["exit", 0],
            ]
        },
    )
    (world.root / "scenario.yaml").write_text(
        (world.root / "scenario.yaml").read_text().replace("stall: 60s", "stall: 2s")
    )
    done = world.matrix_run("--timeout", "6s")
    assert done.returncode == 1
    assert world.verdicts() == {
        "skipped": "skip",
        "crashed": "crash",
        "refused": "skip",
        "timed_out": "timeout",
        "stalled": "stall",
        "panicked": "fail",
    }
    reasons = {case["test"]: case["reason"] for case in world.results()["cases"]}
    assert "no such feature" in reasons["skipped"]
    assert "no such device" in reasons["refused"]
    assert "SIGABRT" in reasons["crashed"]
    assert "assertion failed" in reasons["crashed"]
    assert "about to hang" in reasons["stalled"]


def test_a_vanished_qemu_is_an_error(world: World, scripts: Scripts) -> None:
    """It is probed (and cached), then replaced by something that cannot be started."""
    world.suite(one=scripts.passing(), two=scripts.passing())
    world.run(*world.run_arguments()[:-1], "first")
    wrapper = world.root / "qemu/qemu-system-x86_64"
    stamp = wrapper.stat()
    text = wrapper.read_text()
    wrapper.write_text(text.replace("#!/bin/sh", "#!/nono/s")[: len(text)])
    os.utime(wrapper, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    done = world.matrix_run()
    assert done.returncode in (0, 3)
    assert set(world.verdicts().values()) <= {"error", "skip"}
    reasons = [case["reason"] for case in world.results()["cases"]]
    assert all("qemu-system-x86_64" in reason for reason in reasons)


def test_the_run_directory(world: World, scripts: Scripts) -> None:
    world.suite(good=scripts.passing(), bad=scripts.failing("check"))
    world.matrix_run()
    out = world.root / "out"
    names = {path.name for path in out.iterdir()}
    assert names >= {
        "run.json",
        "events.jsonl",
        "results.json",
        "junit.xml",
        "results.tap",
        "cases",
    }
    info = json.loads((out / "run.json").read_text())
    assert info["host"]["kernel"]
    assert info["binaries"][0]["version"].startswith("10.0")
    suites = ET.parse(out / "junit.xml").getroot()
    assert len(suites.findall(".//testcase")) == 2
    assert len(suites.findall(".//failure")) == 1
    assert (out / "results.tap").read_text().startswith("TAP version 13\n1..2\n")
    (case,) = (path for path in (out / "cases").iterdir() if ".bad." in path.name)
    assert case.stat().st_mode & 0o777 == 0o700
    assert "FAIL: check" in (case / "console.log").read_text()
    assert json.loads((case / "result.json").read_text())["verdict"] == "fail"


def test_command_sh_runs_the_very_same_qemu(world: World, scripts: Scripts) -> None:
    world.suite(bad=scripts.failing("check"))
    world.matrix_run()
    (script,) = (world.root / "out/cases").glob("*/command.sh")
    done = subprocess.run([script], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 3
    assert done.stdout == "FAIL: check\n"


def test_nothing_is_overwritten(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing())
    assert world.matrix_run().returncode == 0
    done = world.matrix_run()
    assert done.returncode == 2
    assert "--resume out" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_o_it_goes_to_runs(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing())
    world.run("run", "scenario.yaml", "--qemu", "fake=qemu")
    (run,) = (world.root / "runs").iterdir()
    assert run.name.endswith("-fake")


def test_repeat(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing())
    world.matrix_run("--repeat", "3")
    assert len(world.events("attempt-finished")) == 3
    (case,) = world.results()["cases"]
    assert case["verdict"] == "pass"


def failing_once(world: Any, name: str) -> None:
    """From now on the test ``name`` fails at its first start, and passes at every other."""
    wrapper = world.root / "qemu/qemu-system-x86_64"
    once = f"[ $name = {name} ] && mkdir {world.root}/{name} 2>/dev/null && name=bad\nFAKE_QEMU="
    wrapper.write_text(wrapper.read_text().replace("FAKE_QEMU=", once))


def test_a_retry_that_passes_is_flaky_and_no_pass(world: World, scripts: Scripts) -> None:
    world.suite(moody=scripts.passing(), bad=scripts.failing("x"), good=scripts.passing())
    failing_once(world, "moody")
    done = world.matrix_run("--retries", "2", "-j", "1")
    assert done.returncode == 1
    assert world.verdicts() == {"moody": "flaky", "bad": "fail", "good": "pass"}
    attempts = [(event["case"], event["attempt"]["number"]) for event in finished(world)]
    assert sorted(attempts) == [
        ("fake.bad.x86_64.tcg.qemu=fake", 1),
        ("fake.bad.x86_64.tcg.qemu=fake", 2),
        ("fake.bad.x86_64.tcg.qemu=fake", 3),
        ("fake.good.x86_64.tcg.qemu=fake", 1),
        ("fake.moody.x86_64.tcg.qemu=fake", 1),
        ("fake.moody.x86_64.tcg.qemu=fake", 2),
    ]
    assert "[6/6] " in done.stdout
    flaky = done.stdout.partition("Flaky: 1 case whose verdict changed")[2]
    flaky, _, bad = flaky.partition("Not passed: 1 case")
    assert "1 of 2 attempts: fail (attempt 1: 1 of 1 subtest failed: x)" in flaky
    assert "1: pass (attempt 2" in flaky
    assert "fake.bad" in bad
    assert "fake.bad" not in flaky
    assert ' type="flaky"' in (world.root / "out/junit.xml").read_text()
    assert "not ok 1 - fake.moody" in (world.root / "out/results.tap").read_text()


def test_until_fail(world: World, scripts: Scripts) -> None:
    world.suite(good=scripts.passing(), bad=scripts.failing("x"))
    done = world.matrix_run("--until-fail", "--repeat", "4", "-j", "2")
    assert done.returncode == 1
    assert "2 cases to run (at most 8 attempts), 0 to skip" in done.stdout
    assert "[5/5] " in done.stdout
    assert world.verdicts() == {"good": "pass", "bad": "fail"}
    good = [event for event in finished(world) if "good" in event["case"]]
    assert [event["attempt"]["number"] for event in good] == [1, 2, 3, 4]


def finished(world: Any) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = world.events("attempt-finished")
    return events


def test_keyword_narrows(world: World, scripts: Scripts) -> None:
    world.suite(alpha=scripts.passing(), beta=scripts.passing())
    world.matrix_run("-k", "alpha and x86_64")
    assert world.verdicts() == {"alpha": "pass"}


def test_nothing_selected_exits_5(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing())
    done = world.matrix_run("-k", "nonesuch")
    assert done.returncode == 5
    assert "no case" in done.stderr


def test_an_invalid_scenario_exits_2_with_its_place(world: World) -> None:
    (world.root / "scenario.yaml").write_text("name: x\nmatirx: {}\n")
    done = world.matrix_run()
    assert done.returncode == 2
    assert "scenario.yaml:2:1" in done.stderr
    assert "matrix" in done.stderr
    assert not (world.root / "out").exists()


def test_no_scenario_is_usage(world: World) -> None:
    done = world.run("run")
    assert done.returncode == 2
    assert "no scenario given" in done.stderr


def test_show_prints_it_again(world: World, scripts: Scripts) -> None:
    world.suite(good=scripts.passing(), bad=scripts.failing("check"))
    ran = world.matrix_run()
    shown = world.run("show", "out")
    assert shown.returncode == 0
    summary = ran.stdout[ran.stdout.index("x86_64") :]
    assert "Not passed" in shown.stdout
    assert shown.stdout.splitlines()[-1] == "Results in out"
    assert "\nResults in out\n" in summary
    case = world.run("show", "out", "bad")
    assert "check" in case.stdout
    assert world.run("show", "out", "nonesuch").returncode == 2


def test_show_of_a_copied_run(world: World, scripts: Scripts) -> None:
    """A run directory is whole: it can be moved, and read where there is no QEMU."""
    world.suite(bad=scripts.failing("check"))
    world.matrix_run()
    shutil.move(world.root / "out", world.root / "elsewhere")
    shutil.rmtree(world.root / "qemu")
    assert "Not passed" in world.run("show", "elsewhere").stdout


def test_list_runs_nothing(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing(), two=scripts.passing())
    done = world.run("list", "scenario.yaml", "--qemu", "fake=qemu", "--json")
    cases = json.loads(done.stdout)["cases"]
    assert [case["action"] for case in cases] == ["run", "run"]
    assert not (world.root / "runs").exists()


def test_the_commands_of_a_plan(world: World, scripts: Scripts) -> None:
    world.suite(good=scripts.passing())
    (world.root / "build/x86/unittests.cfg").write_text(
        "[good]\nfile = guest.flat\n[other]\nfile = guest.flat\narch = aarch64\n"
    )
    done = world.run("list", "scenario.yaml", "--qemu", "fake=qemu", "--commands")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line[:7] for line in lines if line.startswith("#")] == ["# run  ", "# skip ", "# 1 to "]
    listed = world.run("list", "scenario.yaml", "--qemu", "fake=qemu", "--commands", "--json")
    cases = json.loads(listed.stdout)["cases"]
    assert shlex.split(lines[1]) == cases[0]["command"]
    assert "command" not in cases[1]
    # It is what a run starts, but for where the run lies.
    world.matrix_run()
    (script,) = world.root.glob("out/cases/*/command.sh")
    ran = shlex.split(script.read_text().partition("exec ")[2].replace("\\\n", " "))[:-1]
    folder = str(script.parent)
    assert [word.replace(folder, f"RUN/cases/{script.parent.name}") for word in ran] == cases[0][
        "command"
    ]
