"""``--failed`` and ``--last-failed``: a run of what an earlier run left."""

import json
from typing import Any

import pytest

from tests.cli.conftest import World, failing, passing


def ran(world: Any, run: str) -> set[str]:
    return {case["test"] for case in world.results(run)["cases"]}


def again(world: Any, run: str, *words: str) -> Any:
    return world.run("run", *words, "-o", run)


@pytest.fixture
def broken(world: World) -> World:
    """A world with a run ``out`` in which one of three cases failed, and which is mended now."""
    world.suite(good=passing(), bad=failing("it"), other=passing())
    assert world.matrix_run("--timeout", "50s").returncode == 1
    world.suite(good=passing(), bad=passing(), other=passing())
    return world


def test_what_failed_is_run_until_it_passes(broken: World) -> None:
    broken.suite(good=passing(), bad=failing("it"), other=passing())
    assert again(broken, "second", "--failed").returncode == 1
    assert ran(broken, "second") == {"bad"}
    broken.suite(good=passing(), bad=passing(), other=passing())
    assert again(broken, "third", "--lf").returncode == 0
    assert ran(broken, "third") == {"bad"}
    # It was selected as the first: the timeout is that of its command line.
    command = json.loads((broken.root / "third/run.json").read_text())["options"]["selection"]
    assert command["timeout"] == "50s"
    done = again(broken, "fourth", "--last-failed")
    assert done.returncode == 5
    assert "nothing to run again: 3 of 3 cases of third have passed" in done.stderr


def test_what_is_new_and_what_did_not_get_to_run(broken: World) -> None:
    journal = broken.root / "out/events.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if "other" not in line))
    broken.suite(good=passing(), bad=passing(), other=passing(), new=passing())
    done = broken.run("list", "--failed", "out")
    assert done.stdout.startswith("run   fake.bad.x86_64")
    assert "1 to run, 0 to skip" in done.stdout
    assert again(broken, "second", "--last-failed", "out", "-j", "1").returncode == 0
    assert ran(broken, "second") == {"bad", "other", "new"}
    done = again(broken, "third", "--last-failed")
    assert "nothing to run again: 4 of 4 cases of second" in done.stderr


def test_options_beside_it(broken: World) -> None:
    done = again(broken, "second", "--failed=out", "-k", "good")
    assert done.returncode == 5
    assert "nothing to run again" in done.stderr
    # A scenario that is given is run as given: here without the QEMU of the first command line.
    done = broken.run("run", "scenario.yaml", "--failed", "latest:fake", "-o", "third")
    assert ran(broken, "third") == {"bad"}
    assert done.returncode == 5, done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--failed", "--last-failed"], "--failed and --last-failed: give one of the two"),
        (["--failed=nonesuch"], "nonesuch: no such directory"),
        (["--failed", "rums/out"], "--failed rums/out: there is neither a run nor a scenario of"),
        (["--lf", "nonesuch"], "--lf nonesuch: there is neither a run nor a scenario of that name"),
        (["--failed", "latest:nonesuch"], "no run of nonesuch in this directory"),
        (["--failed", "--resume", "out"], "--resume finishes a run as it was planned"),
    ],
)
def test_wrong_use(broken: World, words: list[str], told: str) -> None:
    done = broken.run("run", *words)
    assert done.returncode == 2
    assert told in done.stderr


def test_a_run_that_does_not_say_what_it_ran(broken: World) -> None:
    path = broken.root / "out/run.json"
    info = json.loads(path.read_text())
    info["options"]["selection"] = {"scenarios": 3}
    path.write_text(json.dumps(info))
    done = broken.run("run", "--failed")
    assert done.returncode == 2
    assert "out does not say which scenarios it ran; name them" in done.stderr


def test_show_means_the_latest_run(broken: World) -> None:
    assert "fake.bad" in broken.run("show").stdout
    assert "fake.bad" in broken.run("show", "latest:fake", "bad").stdout
    done = broken.run("show", "latest:nonesuch")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("words", [["-x"], ["--max-failures", "1"]])
def test_no_other_case_starts_after_a_failure(world: World, words: list[str]) -> None:
    world.suite(a=failing("it"), b=passing(), c=failing("it"))
    done = world.matrix_run("-j", "1", *words)
    assert done.returncode == 1
    assert "Not finished: 2 cases; matrix run --resume out" in done.stdout
    assert world.verdicts() == {"a": "fail"}
    assert world.results()["exit_code"] == 1
    done = world.run("run", "--resume", "out", "--max-failures", "2")
    assert done.returncode == 1
    assert "Not finished" not in done.stdout


def test_what_a_run_says_meanwhile(world: World) -> None:
    world.suite(a=failing("it"), b=passing())
    quiet = world.matrix_run("-j", "1", "-q").stdout
    assert "fail    fake.a" in quiet
    assert "pass    fake.b" not in quiet
    said = world.run("run", "scenario.yaml", "--qemu", "fake=qemu", "-o", "two", "-v").stdout
    assert "start   fake.b" in said
    assert "two/cases/fake.b" in said


def test_a_failed_run_says_what_to_type_next(world: World) -> None:
    world.suite(a=failing("it"), b=passing())
    lines = world.matrix_run().stdout.splitlines()
    case = next(each["id"] for each in world.results()["cases"] if each["test"] == "a")
    assert lines[-3:] == [
        f"  matrix show out {case}",
        "  matrix run --failed out",
        "  matrix report out  # or open report.html there",
    ]
    for line in lines[-3:]:
        assert world.run(*line.partition("#")[0].split()[1:]).returncode in (0, 1)
    assert sum("of 1 subtest failed" in line for line in lines) == 1


def test_cases_that_a_rerun_left_out_are_not_counted(world: World) -> None:
    world.suite(a=failing("it"), b=failing("it"))
    world.matrix_run()
    world.suite(a=passing(), b=failing("it"))
    assert again(world, "second", "--failed", "-k", "fake.a").returncode == 0
    done = again(world, "third", "--failed", "second")
    assert done.returncode == 5
    assert "nothing to run again: 1 of 1 cases of second have passed" in done.stderr


def test_a_strict_run_is_rerun_strictly(world: World) -> None:
    world.suite(a=passing(), b=passing())
    (world.root / "known.yaml").write_text("expect: [{cases: [a], reason: known}]\n")
    done = world.matrix_run("--expect", "known.yaml", "--strict")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-2] == "  matrix run --failed out"
    assert again(world, "second", "--failed").returncode == 1
    assert ran(world, "second") == {"a"}
    assert again(world, "third", "--failed", "second", "--no-strict").returncode == 0
    assert again(world, "fourth", "--failed", "third").returncode == 5
