"""``--reuse``: what passed and has not changed is not run again, and that is said."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from matrix import guests
from tests.cli.conftest import World, failing, passing


def again(world: World, run: str, *words: str) -> Any:
    return world.run("run", "scenario.yaml", "--qemu", "fake=qemu", "-o", run, *words)


def started(world: World, run: str) -> set[str]:
    return {event["case"].split(".")[1] for event in world.events("attempt-started", run)}


def case_of(world: World, run: str, test: str) -> dict[str, Any]:
    return next(each for each in world.results(run)["cases"] if each["test"] == test)


@pytest.fixture
def ran(world: World) -> World:
    """A world with a run ``out`` in which two cases passed and one failed."""
    world.suite(bad=failing("it"), good=passing(), other=passing())
    assert world.matrix_run().returncode == 1
    return world


def test_what_passed_is_not_run_again(ran: World) -> None:
    done = again(ran, "two", "--reuse")
    assert done.returncode == 1
    assert started(ran, "two") == {"bad"}
    assert "2 reused from out: all that they follow from is the same" in done.stdout
    assert "1 to run: fail in out" in done.stdout
    assert "2 of 3 passed, 2 of them reused" in done.stdout
    good, bad = (case_of(ran, "two", test) for test in ("good", "bad"))
    assert (good["reason"], good["seconds"]) == ("reused from out", 0.0)
    assert good["reused"]["run"] == "../out"
    assert good["reused"]["artifacts"] == "cases/fake.good.x86_64.tcg.qemu=fake"
    assert good["reused"]["seconds"] > 0
    assert good["input_digest"] == case_of(ran, "out", "good")["input_digest"] != ""
    assert (bad["reused"], bad["not_reused"]) == (None, "fail in out")


def test_a_chain_names_the_run_that_ran_it(ran: World) -> None:
    again(ran, "two", "--reuse")
    done = again(ran, "three", "--reuse", "two")
    assert "reused from two" in done.stdout
    good = case_of(ran, "three", "good")
    assert (good["reason"], good["reused"]["run"]) == ("reused from out", "../out")


def test_a_rerun_of_the_failures_does_not_hide_what_passed_before(ran: World) -> None:
    ran.suite(bad=passing(), good=passing(), other=passing())
    assert ran.run("run", "--failed", "-o", "two").returncode == 0
    done = again(ran, "three", "--reuse", "--no-history")  # which has seen the same inputs fail
    assert done.returncode == 0
    assert started(ran, "three") == set()
    assert "3 of 3 passed, 3 of them reused" in done.stdout


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("build/x86/guest.flat", "2 to run: image changed since out"),
        ("qemu/qemu-system-x86_64", "2 to run: QEMU changed since out"),
    ],
)
def test_what_changed_is_said(ran: World, path: str, told: str) -> None:
    file = ran.root / path
    file.write_bytes(file.read_bytes() + b"\n")
    done = again(ran, "two", "--reuse", "-v")
    assert told in done.stdout
    assert "run     fake.good.x86_64.tcg.qemu=fake" in done.stdout
    assert started(ran, "two") == {"bad", "good", "other"}
    assert told.partition(": ")[2] in ran.run("show", "two", "good").stdout


def test_a_file_that_a_parameter_names_is_an_input(world: World) -> None:
    world.suite(good=passing())
    config = world.root / "build/x86/unittests.cfg"
    config.write_text(config.read_text() + "extra_params = -drive file=disk.img\n")
    for run, content, told in (
        ("one", "1", "nothing to reuse"),
        ("two", "2", "1 to run: files changed since one"),
        ("three", "2", "1 reused from two"),
    ):
        (world.root / "disk.img").write_text(content)
        assert told in again(world, run, "--reuse").stdout


def test_what_changes_while_it_runs_is_not_reused(world: World) -> None:
    image = world.root / "build/x86/guest.flat"
    world.suite(good=passing())
    rebuild = f"echo another guest > {image}\n"
    wrapper = world.root / "qemu/qemu-system-x86_64"
    lines = wrapper.read_text().splitlines(keepends=True)
    # The guest's build is made anew while it runs: its QEMU does so, where it has a guest.
    hook = f'case "$*" in *-kernel*) {rebuild.strip()};; esac\n'
    wrapper.write_text("".join((*lines[:-1], hook, lines[-1])))
    assert world.matrix_run().returncode == 0
    assert case_of(world, "out", "good")["inputs"] == {}
    done = again(world, "two", "--reuse")
    assert "1 to run: out does not say what it ran with" in done.stdout


def test_the_first_run_has_nothing_to_reuse(world: World) -> None:
    world.suite(good=passing())
    done = again(world, "one", "--reuse")
    assert done.returncode == 0
    assert "nothing to reuse: there is no earlier run of the scenario here" in done.stdout


def test_reports_say_so(ran: World) -> None:
    again(ran, "two", "--reuse")
    told = "out/cases/fake.good.x86_64.tcg.qemu=fake ("
    assert told in ran.run("show", "two", "good").stdout
    for name in ("junit.xml", "results.tap"):
        assert told in (ran.root / "two" / name).read_text()
    for kind in ("ctrf", "kcidb"):
        assert ran.run("report", "two", "--format", kind, "-o", kind).returncode == 0
        assert told in Path(ran.root / kind).read_text()


def test_a_run_that_reuses_is_finished_by_resume(ran: World) -> None:
    again(ran, "two", "--reuse")
    journal = ran.root / "two/events.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if ".bad." not in line))
    done = ran.run("run", "--resume", "two")
    assert started(ran, "two") == {"bad"}
    assert "2 of 3 passed, 2 of them reused" in done.stdout


def test_any_run_of_the_history(ran: World) -> None:
    ran.suite(bad=passing(), good=passing(), other=passing())
    assert ran.run("run", "--failed", "-o", "two").returncode == 0
    (ran.root / "build/x86/guest.flat").write_bytes(b"another guest")
    again(ran, "three", "-k", "good")
    (ran.root / "build/x86/guest.flat").write_bytes(b"guest")
    done = again(ran, "four", "--reuse", "history", "-v")
    assert "2 reused from the history: all that they follow from is the same" in done.stdout
    # It failed and passed, and nothing that we know of had changed: whatever has, may again.
    assert "1 to run: flaky: it came to fail with the same inputs, too" in done.stdout
    assert started(ran, "four") == {"bad"}
    good = case_of(ran, "four", "good")
    assert good["reused"]["run"] == "../out"
    assert good["reused"]["artifacts"] == "cases/fake.good.x86_64.tcg.qemu=fake"
    assert good["subtest_counts"] == {"pass": 1}
    # What was reused is not recorded once more.
    recorded = json.loads(ran.run("history", "--json", "good").stdout)
    assert len(recorded["cases"][0]["results"]) == 2
    done = again(ran, "five", "--reuse", "four")
    assert "1 to run: flaky: it came to fail with the same inputs, too" in done.stdout
    assert done.returncode == 0


def test_there_may_be_no_history(world: World) -> None:
    world.suite(good=passing())
    done = again(world, "one", "--reuse", "history", "--no-history")
    assert done.returncode == 2
    assert "--reuse history: there is no history; name a run instead" in done.stderr
    done = again(world, "one", "--reuse=history")
    assert "0 reused from the history" in done.stdout
    assert "1 to run: no earlier result of it in the history" in done.stdout


def test_a_list_says_what_would_be_reused(ran: World) -> None:
    words = ("list", "scenario.yaml", "--qemu", "fake=qemu", "--reuse")
    told = ran.run(*words).stdout
    assert "reuse fake.good.x86_64.tcg.qemu=fake  reused from out\n" in told
    assert "run   fake.bad.x86_64.tcg.qemu=fake  tcg (asked for)  not reused: fail in out" in told
    assert told.endswith("1 to run, 0 to skip, 2 reused\n")
    cases = {each["test"]: each for each in json.loads(ran.run(*words, "--json").stdout)["cases"]}
    assert cases["good"]["action"] == "reuse"
    assert (cases["bad"]["action"], cases["bad"]["not_reused"]) == ("run", "fail in out")


def test_a_comparison_takes_no_times_of_what_was_reused(ran: World) -> None:
    again(ran, "two", "--reuse")
    done = ran.run("compare", "out", "two", "--json")
    comparison = json.loads(done.stdout)["comparisons"][0]
    assert comparison["counts"]["b"]["reused"] == 2
    assert "faster" not in ran.run("compare", "out", "two").stdout
    assert "2 of 3 passed, 2 of them reused" in ran.run("compare", "out", "two").stdout


@pytest.mark.qemu
def test_a_commit_that_touches_one_architecture_runs_that_one(world: World) -> None:
    images = Path(guests.__file__).parent / "images"
    for name in ("aarch64", "riscv64"):
        shutil.copytree(images / name, world.root / "kut" / name)
    (world.root / "kut.yaml").write_text(
        "name: kut\n"
        "suite: {kind: kvm-unit-tests, build: 'kut/{arch}', tests: [boot]}\n"
        "matrix: {arch: [aarch64, riscv64], accel: [tcg]}\n"
    )
    assert world.run("run", "kut.yaml", "-o", "one").returncode == 0
    changed = world.root / "kut/riscv64/riscv/guest.flat"
    changed.write_bytes(changed.read_bytes() + b"\0")
    done = world.run("run", "kut.yaml", "-o", "two", "--reuse")
    assert done.returncode == 0, done.stderr
    assert "1 reused from one" in done.stdout
    assert "1 to run: image changed since one" in done.stdout
    (event,) = world.events("attempt-started", "two")
    assert event["case"] == "kut.boot.riscv64.tcg"


def test_repeated_cases_are_run(ran: World) -> None:
    done = again(ran, "two", "--reuse", "--repeat", "2")
    assert "3 to run: it is repeated" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--reuse", "--failed", "out"], "--reuse beside --failed or --last-failed"),
        (["scenario.yaml", "--reuse=nonesuch"], "nonesuch: no such directory"),
        (["--reuse", "rums/out"], "--reuse rums/out: there is neither a run nor a scenario of"),
        (["scenario.yaml", "--reuse", "latest:nonesuch"], "no run of nonesuch in this directory"),
    ],
)
def test_wrong_use(ran: World, words: list[str], told: str) -> None:
    done = ran.run("run", *words)
    assert done.returncode == 2
    assert told in done.stderr


def test_a_run_of_an_earlier_version_says_so(ran: World) -> None:
    journal = ran.root / "out/events.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    for event in events:
        event.get("attempt", {}) and isinstance(event["attempt"], dict) and event["attempt"].pop(
            "inputs"
        )
    journal.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    done = again(ran, "two", "--reuse")
    assert "2 to run: out does not say what it ran with" in done.stdout
