"""``matrix bisect`` over fake QEMUs, and over the commits of a repository that makes one."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from matrix.cli.bisecting import answer_of, first_failure, results_of
from matrix.results.case_record import record_of
from matrix.run.bisection import Answer
from tests import make
from tests.cli.conftest import World, failing, passing
from tests.fake_world import PROBE

CASE = "fake.it.x86_64.tcg.qemu=fake"
WRAPPER = """#!/bin/sh
# The world's probe, and a guest that does as the tree says.
case " $* " in
*" -append it "*) FAKE_QEMU=$(cat "$(dirname "$0")/../guest.json"); export FAKE_QEMU ;;
*) exec {world} "$@" ;;
esac
exec {python} -I -S {fake} "$@"
"""
BROKEN = {"start": [["stderr", "cannot start"], ["exit", 1]]}


@pytest.fixture
def several(world: World) -> World:
    """Five QEMUs, q1 to q5; with q4 the case begins to fail, and q3 does not start."""
    world.suite(it=passing())
    text = (world.root / "qemu/qemu-system-x86_64").read_text()
    for number in range(1, 6):
        scripts = world.root / f"scripts{number}"
        shutil.copytree(world.root / "scripts", scripts)
        script = failing("one") if number >= 4 else passing()
        (scripts / "it.json").write_text(json.dumps(script))
        if number == 3:
            (scripts / "probe.json").write_text(json.dumps(BROKEN))
        folder = world.root / f"q{number}"
        folder.mkdir()
        emulator = folder / "qemu-system-x86_64"
        emulator.write_text(text.replace(str(world.root / "scripts"), str(scripts)))
        emulator.chmod(0o755)
    return world


def qemus(*numbers: int) -> list[str]:
    return [word for number in numbers for word in ("--qemu", f"q{number}=q{number}")]


def record(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((world.root / "found/bisect.json").read_text())
    return found


def test_over_qemus(several: World) -> None:
    asked = ("bisect", CASE, *qemus(1, 2, 3, 4, 5), "-o", "found", "--", "scenario.yaml")
    done = several.run(*asked)
    assert done.returncode == 1, done.stderr
    assert "The first bad one is one of these, which cannot be told apart: q3, q4" in done.stdout
    told = record(several)
    assert (told["first_bad"], told["suspects"], told["repeat"]) == ("q4", ["q3"], 1)
    steps = {step["version"]: step for step in told["steps"]}
    assert {name: step["tested"] for name, step in steps.items()} == {
        "q5": "bad",
        "q1": "good",
        "q3": "skip",
        "q4": "bad",
        "q2": "good",
    }
    assert steps["q4"]["why"] == "fail: 1 of 1 subtest failed: one"
    assert steps["q3"]["why"].startswith("error: ")
    assert several.verdicts(f"found/{steps['q1']['run']}") == {"it": "pass"}


def test_a_known_failure_is_a_failure(several: World) -> None:
    (several.root / "known.yaml").write_text("expect: [{cases: [it], reason: known}]\n")
    (several.root / "matrix.yaml").write_text("strict: true\n")
    known = ("--", "scenario.yaml", "--expect", "known.yaml")
    done = several.run("bisect", CASE, *qemus(1, 2, 4, 5), "-o", "found", *known)
    assert done.returncode == 0, done.stderr
    told = record(several)
    assert (told["first_bad"], told["suspects"], told["repeat"]) == ("q4", [], 1)
    assert {step["why"].partition(":")[0] for step in told["steps"]} == {"xfail", "passed 1 of 1"}


def test_ends_that_are_not_what_they_are_called(several: World) -> None:
    done = several.run("bisect", CASE, *qemus(5, 4), "-o", "found", "--", "scenario.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("matrix: q5 is to be the good end, but: bad (fail: ")
    assert [step["version"] for step in record(several)["steps"]] == ["q4", "q5"]


def test_options_that_the_run_does_not_know(several: World) -> None:
    options = ("--", "scenario.yaml", "--nonsense")
    done = several.run("bisect", CASE, *qemus(1, 2), "-o", "found", *options)
    assert done.returncode == 2
    assert done.stderr.startswith("matrix: found/01-q2.log: No such option: --nonsense")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "bisect needs --qemu NAME=DIR (several), or --git REPO: one of the two"),
        (["--qemu", "a=b"], "--qemu NAME=DIR: give two or more, from the good one to the bad one"),
        (
            ["--qemu", "fake=qemu", "--qemu", "system"],
            (
                "--qemu system: not of the form NAME=DIR; write for example --qemu"
                " 10.0=/opt/qemu-10.0, where the folder or its bin/ holds qemu-system-*"
            ),
        ),
        (["--git", "."], "--git REPO needs --build COMMAND, and --good REV with --bad REV"),
        (
            ["--git", ".", "--build", "true"],
            (
                "name --good REV and --bad REV: history database {root}/state/history.sqlite:"
                " no run is recorded yet"
            ),
        ),
    ],
)
def test_wrong_usage(world: World, words: list[str], message: str) -> None:
    done = world.run("bisect", CASE, *words, "--", "scenario.yaml")
    assert (done.returncode, done.stderr) == (
        2,
        f"matrix: {message.format(root=world.root)}\n",
    )


def git(repository: Path, *words: str) -> str:
    names = ("user.name=tester", "user.email=tester@example.org", "commit.gpgsign=false")
    configured = [word for name in names for word in ("-c", name)]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.check_output(
        ["git", "-C", str(repository), *configured, *words], text=True, env=environment
    )


@pytest.fixture
def repository(world: World) -> Path:
    """Five commits of a QEMU: the second does not build, with the fourth the case fails."""
    world.suite(it=passing())
    tree = world.root / "tree"
    tree.mkdir()
    git(tree, "init", "-q", "-b", "main")
    emulator = (world.root / "qemu/qemu-system-x86_64").read_text()
    python, _, fake = emulator.splitlines()[-1].removeprefix("exec ").partition(" -I -S ")
    wrapper = WRAPPER.format(
        world=world.root / "qemu/qemu-system-x86_64", python=python, fake=fake.split()[0]
    )
    for number in range(1, 6):
        script = failing("one") if number >= 4 else passing()
        (tree / "guest.json").write_text(json.dumps(script))
        (tree / "qemu.sh").write_text("" if number == 2 else f"{wrapper}# {number}\n")
        git(tree, "add", ".")
        git(tree, "commit", "-q", "-m", f"change {number}")
        git(tree, "tag", f"v{number}")
    return tree


BUILD = "test -s qemu.sh && mkdir -p build && install qemu.sh build/qemu-system-x86_64"


def test_over_commits(world: World, repository: Path) -> None:
    """Without options they are of a QEMU in its folder build."""
    ends = ("--git", "tree", "--good", "v1", "--bad", "v5", "--build", BUILD)
    done = world.run("bisect", CASE, *ends, "-o", "found", "--", "scenario.yaml")
    assert done.returncode == 0, done.stderr
    first = git(repository, "rev-parse", "v4").strip()
    assert f"The first bad one is {first}" in done.stdout
    assert "(change 4)" in " ".join(done.stdout.split())
    told = record(world)
    assert told["first_bad"] == first
    by_version = {step["version"]: step["tested"] for step in told["steps"]}
    assert by_version[first] == "bad"
    assert by_version[git(repository, "rev-parse", "v3").strip()] == "good"
    assert "first bad commit" in (world.root / "found/bisect.log").read_text()
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert git(repository, "for-each-ref", "refs/bisect") == ""
    assert git(repository, "rev-parse", "--abbrev-ref", "HEAD") == "main\n"
    assert git(repository, "status", "--porcelain") == ""


def test_a_commit_that_does_not_build_is_skipped(world: World, repository: Path) -> None:
    ends = ("--git", "tree", "--good", "v1", "--bad", "v5", "--build", BUILD)
    git(repository, "checkout", "-q", "-b", "other", "v2")
    (repository / "guest.json").write_text(json.dumps(failing("one")))
    git(repository, "commit", "-q", "-a", "-m", "fails, and does not build")
    (repository / "qemu.sh").write_text(git(repository, "show", "v5:qemu.sh"))
    git(repository, "commit", "-q", "-a", "-m", "builds again")
    git(repository, "tag", "-f", "v5")
    options = ("--qemu", "tree={tree}/build", "--set", "qemu=tree")
    done = world.run("bisect", CASE, *ends, "-o", "found", "--", "scenario.yaml", *options)
    assert done.returncode == 1, done.stderr
    told = record(world)
    expected = {git(repository, "rev-parse", each).strip() for each in ("v2", "v5~1", "v5")}
    assert {*told["suspects"]} == expected
    assert next(step["why"] for step in told["steps"] if step["tested"] == "skip").startswith(
        "the build exits 1: found/"
    )
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_whoever_ends_it_ends_its_qemus(world: World, repository: Path) -> None:
    (repository / "guest.json").write_text(json.dumps({"cont": [["serve", None]]}))
    git(repository, "commit", "-q", "-a", "-m", "hangs")
    ends = ("--git", "tree", "--good", "v1", "--bad", "main", "--build", BUILD)
    options = ("--qemu", "tree={tree}/build", "--set", "qemu=tree")
    process = world.start("bisect", CASE, *ends, "-o", "found", "--", "scenario.yaml", *options)
    world.wait_for(lambda: [*world.root.glob("found/01-*/cases/*/*/console.log")])
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (130, "matrix: interrupted\n")
    assert not world.fakes()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def lives(pid: str) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # a zombie has none
    except OSError:
        return False


def test_whoever_ends_it_ends_what_a_build_has_started(world: World, repository: Path) -> None:
    """As a hangup does; a build under a shell has processes of its own."""
    ends = ("--git", "tree", "--good", "v1", "--bad", "main")
    build = f"sleep 1000 & echo $! > {world.root}/pid; wait"
    process = world.start(
        *("bisect", CASE, *ends, "--build", build, "-o", "found", "--", "scenario.yaml")
    )
    pid = world.root / "pid"
    world.wait_for(lambda: pid.exists() and pid.read_text().endswith("\n"))
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (130, "matrix: interrupted\n")
    world.wait_for(lambda: not lives(pid.read_text().strip()))
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_flaky_case_is_repeated(several: World) -> None:
    """The bad end fails at its second attempt: six passes in a row are good."""
    counter = several.root / "count"
    wrapper = several.root / "q5/qemu-system-x86_64"
    lines = wrapper.read_text().splitlines()
    lines.insert(1, f'case " $* " in *" -append it "*) echo x >> {counter} ;; esac')
    choice = (
        f'[ "$name" = it ] && [ "$(wc -l < {counter})" -lt 2 ] && '
        f"FAKE_QEMU=$(cat {several.root}/scripts1/it.json)"
    )
    lines.insert(-1, choice)
    wrapper.write_text("\n".join(lines) + "\n")
    done = several.run("bisect", CASE, *qemus(1, 5), "-o", "found", "--", "scenario.yaml")
    assert done.returncode == 0, done.stderr
    told = record(several)
    assert told["repeat"] == 6
    assert told["steps"][1]["why"] == "passed 6 of 6"


def test_the_history_knows_the_ends(world: World, repository: Path) -> None:
    for number, tag, script in ((9, "v1", passing()), (10, "v5", failing("one"))):
        world.suite(it=script)
        probe = {"replies": PROBE["replies"] | {"query-version": version(number)}}
        (world.root / "scripts/probe.json").write_text(json.dumps(probe))
        git(repository, "tag", f"v{number}.0.0", tag)
        ran = world.run(
            *("run", "scenario.yaml", "--qemu", "fake=qemu", "--fresh", "-o", f"run-{number}")
        )
        assert ran.returncode == (number == 10), ran.stderr
    done = world.run(
        *("bisect", CASE, "--git", "tree", "--build", BUILD, "-o", "found", "--", "scenario.yaml")
    )
    assert done.returncode == 0, done.stderr
    assert "By the history it passed last with v9.0.0, and failed first with v10.0.0" in done.stdout
    assert record(world)["first_bad"] == git(repository, "rev-parse", "v4").strip()


def version(major: int) -> dict[str, Any]:
    return {"qemu": {"major": major, "minor": 0, "micro": 0}, "package": ""}


def test_a_variant_whose_id_only_begins_so_is_another_case() -> None:
    case, other = make.case("it"), make.case("it", smp=2)
    passed = record_of(case, [make.attempt()])
    failed = record_of(other, [make.attempt(), make.attempt("fail", "no", number=2)])
    assert other.id.startswith(case.id)
    for asked, first in ((case.id, None), (other.id, 2), (f"{case.id}.qemu=q1", None)):
        assert first_failure(results_of(asked, [passed, failed])) == first
    assert first_failure(results_of("smoke.it", [passed, failed])) == 2


def test_a_case_that_was_skipped_beside_one_that_ran_is_not_good() -> None:
    skipped = record_of(make.case("it"), [make.attempt("skip", "no such machine")])
    ran = record_of(make.case("it", smp=2), [make.attempt()])
    results = results_of(skipped.id, [skipped, ran])
    assert answer_of(results, 1) == (Answer.SKIP, "skip: no such machine")
    assert answer_of(results_of(ran.id, [skipped, ran]), 2) == (Answer.GOOD, "passed 2 of 2")
