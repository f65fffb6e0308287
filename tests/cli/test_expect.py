"""Known failures as a user meets them: written from a run, and known to the next."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.cli.conftest import Scripts, World

HANG = {"cont": [["stdout", "about to hang\n"], ["serve", None]]}
CRASH = {"cont": [["stderr", "qemu: assertion failed\n"], ["abort"]]}
ABORT = {"cont": [["stdout", "FAIL: pmu: a\nABORT: no more\n"], ["exit", 127]]}


def expecting(world: Any, *files: str) -> None:
    """Let the scenario name these files."""
    path: Path = world.root / "scenario.yaml"
    kept = [line for line in path.read_text().splitlines() if not line.startswith("expect")]
    path.write_text("\n".join([*kept, f"expect: [{', '.join(files)}]", ""]))


def known(world: Any, text: str) -> None:
    (world.root / "known.yaml").write_text(text)
    expecting(world, "known.yaml")


def reasons(world: Any, run: str = "out") -> dict[str, str]:
    return {case["test"]: case["reason"] for case in world.results(run)["cases"]}


def test_round_trip(world: World, scripts: Scripts) -> None:
    world.suite(
        good=scripts.passing(),
        skipped={"cont": [["stdout", "SKIP: no such feature\n"], ["exit", 77]]},
        bad=scripts.failing("pmu: first", 'second: "x" [0-3] é'),
        hangs=HANG,
        crashes=CRASH,
        aborts=ABORT,
        v2={"cont": [["stdout", "FAIL: x\n" * 3 + "FAIL: y\n"], ["exit", 3]]},
    )
    path = world.root / "scenario.yaml"
    path.write_text(path.read_text().replace("stall: 60s", "stall: 1s"))
    assert world.matrix_run().returncode == 1
    before = world.verdicts()
    assert set(before.values()) == {"pass", "skip", "fail", "stall", "crash"}

    written = world.run("expect", "out")
    assert (written.returncode, written.stderr) == (0, "")
    (world.root / "known.yaml").write_text(written.stdout)
    assert written.stdout.count("\n  - cases:") == 5
    assert '    subtests: ["pmu: first", "second: \\"x\\" [[]0-3] é"]\n' in written.stdout
    assert '    qemu: "==10.0"\n' in written.stdout
    assert "    verdicts: [stall, timeout]\n" in written.stdout

    expecting(world, "known.yaml")
    again = world.run(*world.run_arguments()[:-1], "again", "--strict")
    assert (again.returncode, again.stderr) == (0, "")
    after = world.verdicts("again")
    for test, verdict in before.items():
        assert after[test] == (verdict if verdict in ("pass", "skip") else "xfail"), test
    assert "Failed as expected: 5 cases" in again.stdout
    assert "about to hang" in reasons(world, "again")["hangs"]

    once_more = world.run("expect", "again").stdout
    assert once_more.partition("expect:")[2] == written.stdout.partition("expect:")[2]


def test_what_this_host_knows_is_given_beside_the_scenario(world: World, scripts: Scripts) -> None:
    world.suite(bad=scripts.failing("x"), worse=scripts.failing("y"), good=scripts.passing())
    known(world, "expect:\n  - cases: [bad]\n    reason: bug 1\n")
    here = world.root / "here.yaml"
    here.write_text("expect:\n  - cases: [worse]\n    reason: this host\n")
    assert world.matrix_run("--expect", "here.yaml").returncode == 0
    assert world.verdicts() == {"bad": "xfail", "worse": "xfail", "good": "pass"}

    listed = world.run("list", *world.run_arguments()[1:-2], "--expect", "here.yaml", "--json")
    assert listed.stdout.count("this host") == 1
    here.write_text("expect:\n  - cases: [worst]\n    reasons: none\n")
    messages = {"here.yaml": "here.yaml:3:5: expect: unknown key", "no": "no: cannot be read"}
    for name, error in messages.items():
        wrong = world.run(*world.run_arguments()[:-1], "again", "--expect", name)
        assert wrong.returncode == 2
        assert error in wrong.stderr


def test_a_pass_is_named_and_counts_only_when_strict(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing(), two=scripts.failing("x"))
    known(
        world,
        "expect:\n  - cases: [two]\n    reason: bug 1\n  - cases: [one]\n    reason: bug 2\n",
    )
    done = world.matrix_run()
    assert done.returncode == 0
    assert world.verdicts() == {"one": "xpass", "two": "xfail"}
    assert "known: bug 2; if that is over, remove known.yaml:4" in done.stdout
    assert reasons(world)["two"] == "known: bug 1 (1 of 1 subtest failed: x)"
    assert "known: bug 1" in done.stdout.partition("Failed as expected")[0], "said as it happens"

    junit = (world.root / "out/junit.xml").read_text()
    (skipped,) = ET.fromstring(junit).iter("skipped")
    assert "known failure: bug 1" in skipped.attrib["message"]
    assert "passed, although it is a known failure: bug 2" in junit
    tap = (world.root / "out/results.tap").read_text()
    assert "# TODO known: bug 1" in tap
    assert "# TODO known: bug 2" in tap
    assert "bug 1" in world.run("show", "out", "two").stdout

    strict = world.run(*world.run_arguments()[:-1], "strict", "--strict")
    assert strict.returncode == 1
    assert "Not passed: 1 case" in strict.stdout


def test_other_failures_are_failures(world: World, scripts: Scripts) -> None:
    world.suite(
        more=scripts.failing("pmu: a", "timer"),
        crashes=CRASH,
        aborts=ABORT,
        kvm=scripts.failing("x"),
    )
    known(
        world,
        """
        expect:
          - {cases: [more, aborts], subtests: ["pmu: *"], reason: no PMU}
          - {cases: [crashes], reason: it fails}
          - {cases: [kvm], accel: [kvm], reason: under KVM only}
          - {cases: [kvm], qemu: "<10", reason: in old versions}
        """,
    )
    assert world.matrix_run().returncode == 1
    assert world.verdicts() == {"more": "fail", "crashes": "crash", "aborts": "fail", "kvm": "fail"}
    assert reasons(world)["more"].endswith("not all of it is expected (known.yaml:3): timer")
    assert reasons(world)["crashes"].endswith("expected otherwise, as fail (known.yaml:4)")
    assert "more went wrong than the subtests" in reasons(world)["aborts"]
    assert "known" not in reasons(world)["kvm"]


def test_a_resumed_run_needs_no_file(world: World, scripts: Scripts) -> None:
    world.suite(bad=scripts.failing("x"))
    known(world, 'expect: [{cases: ["fake.bad.*"], qemu: "==10.0", reason: bug}]')
    assert world.matrix_run().returncode == 0
    # As if it had been killed right after it was planned.
    journal = world.root / "out/events.jsonl"
    journal.write_text(journal.read_text().splitlines()[0] + "\n")
    for name in ("known.yaml", "scenario.yaml"):
        (world.root / name).unlink()
    done = world.run("run", "--resume", "out", "--qemu", "fake=qemu")
    assert (done.returncode, done.stderr) == (0, "")
    assert reasons(world)["bad"].startswith("known: bug (")


def test_a_case_that_fails_only_sometimes(world: World, scripts: Scripts) -> None:
    """It is written so that neither outcome is unexpected."""
    world.suite(bad=scripts.failing("x"), good=scripts.passing())
    once = world.root / "once"
    wrapper = world.root / "qemu/qemu-system-x86_64"
    pass_once = f"[ $name = bad ] && mkdir {once} 2>/dev/null && name=good\nFAKE_QEMU="
    wrapper.write_text(wrapper.read_text().replace("FAKE_QEMU=", pass_once))
    done = world.matrix_run("--repeat", "2", "-j", "1")
    assert done.returncode == 1
    assert world.verdicts() == {"bad": "flaky", "good": "pass"}

    text = world.run("expect", "out").stdout
    assert "verdicts: [fail, pass]" in text
    (world.root / "known.yaml").write_text(text)
    expecting(world, "known.yaml")
    for run in ("always fails", "fails once"):
        repeat = ("--strict", "--repeat", "2", "-j", "1")
        done = world.run(*world.run_arguments()[:-1], run, *repeat)
        assert done.returncode == 0
        assert world.verdicts(run) == {"bad": "xfail", "good": "pass"}
        once.rmdir()
    # QEMUs are started ahead: whichever of the two is first makes the folder, and fails.
    assert "1 of 2 attempts: xfail" in reasons(world, "fails once")["bad"] or (
        "1 of 2 attempts: pass" in reasons(world, "fails once")["bad"]
    )


def test_nothing_failed(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing())
    world.matrix_run()
    text = world.run("expect", "out").stdout
    assert text.endswith("expect: []\n")
    known(world, text)
    assert world.run(*world.run_arguments()[:-1], "again").returncode == 0


def test_list_says_what_is_known(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing(), two=scripts.passing())
    known(world, "expect: [{cases: [one], verdicts: [stall], reason: bug 1}]")
    listed = world.run("list", "scenario.yaml", "--qemu", "fake=qemu")
    assert "known to fail: bug 1" in listed.stdout.splitlines()[0]
    assert "known" not in listed.stdout.splitlines()[1]
    listed = world.run("list", "scenario.yaml", "--qemu", "fake=qemu", "--json")
    one, two = json.loads(listed.stdout)["cases"]
    assert one["expected"] == [
        {"reason": "bug 1", "place": "known.yaml:1", "verdicts": ["stall"], "subtests": []}
    ]
    assert two["expected"] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("expect: [{cases: [onne], reason: r}]", "known.yaml:1:19: cases: 'onne' matches no test"),
        ("expect: [{cases: [one]}]", "known.yaml:1:10: expect: key 'reason' is missing"),
        ("expect: [{cases: [one], qemu: 7, reason: r}]", "did you mean '==7'?"),
    ],
)
def test_what_is_wrong_exits_2(world: World, scripts: Scripts, text: str, message: str) -> None:
    world.suite(one=scripts.passing())
    known(world, text)
    done = world.matrix_run()
    assert done.returncode == 2
    assert message in done.stderr
    assert not (world.root / "out").exists()


def test_no_run_directory(world: World) -> None:
    done = world.run("expect", "nonesuch")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nonesuch" in done.stderr


def test_the_schema_of_such_files(world: World) -> None:
    schema = json.loads(world.run("schema", "--expectations").stdout)
    assert json.loads(world.run("schema", "expectations").stdout) == schema
    assert "cases" in json.loads(world.run("schema", "results").stdout)["properties"]
    assert list(schema["properties"]) == ["format", "suite_revision", "expect"]


KNOWN_TO_HANG = """expect:
  - cases: [hangs]
    verdicts: [timeout]
    {more}
    reason: "it waits for an interrupt"
"""


def test_what_is_known_to_time_out_gets_no_more_time_than_that_needs(
    world: World, scripts: Scripts
) -> None:
    world.suite(hangs=HANG, good=scripts.passing())
    known(world, KNOWN_TO_HANG.format(more="known_limit: 1s"))
    assert world.matrix_run().returncode == 0
    assert reasons(world)["hangs"] == (
        "known: it waits for an interrupt (timed out after 1 s; last line: about to hang; ended "
        "after 1 s of 60 s: known to time out; --full gives it all)"
    )


def test_it_gets_twice_the_time_of_its_longest_pass(world: World, scripts: Scripts) -> None:
    world.suite(hangs=scripts.passing(0.6))
    assert world.matrix_run().returncode == 0
    world.suite(hangs=HANG)
    known(world, KNOWN_TO_HANG.format(more=""))
    again = world.run(*world.run_arguments()[:-1], "again")
    assert (again.returncode, again.stderr) == (0, "")
    assert "of 60 s: known to time out" in reasons(world, "again")["hangs"]
    full = world.run(*world.run_arguments()[:-1], "full", "--full", "--timeout", "3s")
    assert full.returncode == 0
    assert re.fullmatch(  # a busy machine notices late
        r"known: it waits for an interrupt \(timed out after \d+ s; last line: about to hang\)",
        reasons(world, "full")["hangs"],
    )
