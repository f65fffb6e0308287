"""Python tests against guests: ``vm`` and ``migrate``."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.pytest_plugin.conftest import Project, Scripts

HELPER = """
    import pytest

    @pytest.fixture
    def guest(vm, pytestconfig):
        def start(test, **more):
            build = pytestconfig.rootpath / "build"
            return vm("amd64", test=test, build=build, qemu="fake", accel="tcg", **more)
        return start
"""


@pytest.fixture
def faked(project: Project, scripts: type[Scripts]) -> Project:
    project.suite(
        good=scripts.passing("tick 1\ntick 2\nPASS: all is well\nSUMMARY: 1 tests\n"),
        bad=scripts.failing("timer: late"),
        ever=scripts.endless(),
        crash={"cont": [["stdout", "begun\n"], ["abort"]]},
        refused={"start": [["stderr", "qemu: no such thing\n"], ["exit", 1]]},
        garbled={
            "cont": [["qmp", "garbage\n"], ["stdout", "FAIL: a\n"], ["sleep", 0.1], ["exit", 3]]
        },
    )
    project.pytester.makeconftest(HELPER)
    return project


def run(project: Any, body: str, *more: str) -> pytest.RunResult:
    """The outcome of one test with that body."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    project.pytester.makepyfile(f"import pytest, re\n\ndef test_it(guest, vm):\n{lines}")
    result: pytest.RunResult = project.run(*more)
    return result


def test_a_guest_is_waited_for_and_judged(faked: Project) -> None:
    body = """
it = guest("good")
assert it.wait_for("tick") == "tick 1"
assert it.wait_for(re.compile(r"tick \\d")) == "tick 2"
assert it.wait_for("PASS: all")
assert it.verdict() == "pass"
assert it.reason == "1 tests"
assert not it.running
assert it.lines[0] == "tick 1"
assert (it.directory / "console.log").read_text().startswith("tick 1")
assert it.command.read_text().startswith("#!/bin/sh")
assert it.hops == ()
"""
    run(faked, body).assert_outcomes(passed=1)


def test_a_failed_assertion_shows_reason_folder_and_command(faked: Project) -> None:
    """In the terminal and in JUnit's output; of a test that passes nothing is shown."""
    body = 'it = guest("bad")\nassert it.verdict() == "pass"'
    result = run(faked, body, "--junitxml=j.xml", "-o", "junit_logging=all")
    result.assert_outcomes(failed=1)
    for text in (result.stdout.str(), (faked.pytester.path / "j.xml").read_text()):
        assert "1 of 1 subtest failed: timer: late\n" in text
        assert "/guest-1\n" in text
        assert "/guest-1/command.sh" in text
    assert "end of the guest" not in run(faked, 'guest("good").verdict()').stdout.str()


@pytest.mark.parametrize(
    ("test", "verdict", "reason"),
    [
        ("bad", "fail", "1 of 1 subtest failed: timer: late"),
        ("crash", "crash", "QEMU was killed by SIGABRT"),
        ("refused", "skip", "QEMU refused: "),
        ("garbled", "fail", "1 of 1 subtest failed: a; QEMU's monitor broke the protocol: "),
    ],
)
def test_other_ends_have_their_verdicts(
    faked: Project, test: str, verdict: str, reason: str
) -> None:
    body = f"""
it = guest("{test}")
assert it.verdict() == "{verdict}"
assert "{reason}" in it.reason
"""
    run(faked, body).assert_outcomes(passed=1)


def event(status: str) -> list[Any]:
    return ["event", "MIGRATION", {"status": status}]


def migratable(before: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A guest that runs for ever and can be sent and taken in."""
    takes = [event("active"), ["event", "RESUME"], ["state", "running"], event("completed")]
    sends = [event("active"), event("completed")]  # no STOP, at which the watch asks for its reason
    return {
        "cont": [["stdout", "begun\n"], ["serve", None]],
        "replies": {
            "query-migrate-capabilities": [{"capability": "events", "state": False}],
            "query-migrate-parameters": {"max-bandwidth": 1 << 27, "downtime-limit": 300},
            "query-migrate": {"status": "completed", "total-time": 20, "ram": {"transferred": 1}},
        },
        "before": {"migrate": sends, "migrate-incoming": takes, **before},
        **more,
    }


def migrated(project: Any, script: dict[str, Any], body: str) -> None:
    """A test with that body passes; its guest ``it`` does as the script says."""
    project.suite(it=script)
    project.pytester.makeconftest(HELPER)
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    project.pytester.makepyfile(
        f'import pytest\n\ndef test_it(guest, migrate):\n    it = guest("it")\n{lines}'
    )
    project.run().assert_outcomes(passed=1)


def test_a_guest_that_a_hop_loses_fails_of_it(project: Project) -> None:
    """In the words of a case."""
    before = {"migrate": [event("active"), ["abort"]], "migrate-incoming": []}
    body = """
with pytest.raises(AssertionError, match="hop 1, precopy to QEMU fake 10.0.0, lost: "):
    migrate(it)
assert it.verdict() == "fail"
assert it.reason == f"the guest was lost: hop 1: {it.hops[0].reason}"
"""
    migrated(project, migratable(before), body)


def test_what_comes_after_a_hop_is_not_of_it(project: Project) -> None:
    """The guest is looked at once the hop is over, and may do anything then."""
    body = """
events = [event.what for event in migrate(it).events]
assert "MIGRATION completed" in events
assert "MIGRATION_PASS 9" not in events
"""
    late = {"query-status": [["event", "MIGRATION_PASS", {"pass": 9}]]}
    migrated(project, migratable(late), body)


def test_what_qemu_says_of_a_hop_is_not_what_its_guest_ended_of(project: Project) -> None:
    said = "qemu: failed to save SaveStateEntry with id(name): 1(ram): -5\n"
    body = """
assert migrate(it).good
assert it.verdict() == "pass", it.reason
"""
    script = migratable({}, after={"query-status": [["stderr", said], ["exit", 1]]})
    migrated(project, script, body)


def test_time_limits_end_guests(faked: Project) -> None:
    body = """
it = guest("ever", timeout=0.5)
assert it.verdict() == "timeout"
it = guest("ever", stall=0.5)
assert it.verdict() == "stall"
"""
    run(faked, body).assert_outcomes(passed=1)


def test_what_is_waited_for_in_vain_is_told_with_the_console(faked: Project) -> None:
    result = run(faked, 'guest("ever").wait_for("never", timeout=3)')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>*guest("ever").wait_for("never", timeout=3)',
            "E *GuestError: 3 s have passed without a line with 'never'",
            "E *it printed last:",
            "E * begun",
            "*Captured stdout (guest) teardown*",
            "begun",
        ]
    )
    result.stdout.no_fnmatch_line("*guest.py:*")
    assert not faked.qemus()


def test_a_guest_that_ends_is_not_waited_for_any_longer(faked: Project) -> None:
    begun = time.monotonic()
    result = run(faked, 'guest("bad").wait_for("never", timeout=1000)')
    assert time.monotonic() - begun < 60
    result.stdout.fnmatch_lines(["E *the guest ended (fail: 1 of 1 subtest*) without a line*"])


def test_the_monitor_answers_and_refusals_are_told(faked: Project) -> None:
    body = """
it = guest("ever")
assert it.qmp("query-status")["status"] == "running"
it.type("q")
it.qmp("quit")
it.verdict()
it.qmp("query-status")
"""
    result = run(faked, body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*it.qmp(*query-status*", "E *GuestError*"])


def test_a_guest_that_was_stopped_has_no_verdict(faked: Project) -> None:
    body = """
it = guest("ever")
it.stop()
assert not it.running
it.stop()
it.verdict()
"""
    result = run(faked, body)
    result.stdout.fnmatch_lines(["E *the test stopped the guest, which has no verdict then"])


def test_a_guest_that_runs_on_is_told(faked: Project) -> None:
    result = run(faked, 'guest("ever").verdict(timeout=0.2)')
    result.stdout.fnmatch_lines(["E *the guest runs on after 0.2 s"])


def test_several_guests_run_side_by_side(faked: Project) -> None:
    body = """
one, two = guest("ever"), guest("ever")
one.wait_for("begun"), two.wait_for("begun")
assert one.directory != two.directory
assert one.running and two.running
assert False
"""
    result = run(faked, body)
    result.stdout.fnmatch_lines(["*stdout (guest 1) teardown*", "*stdout (guest 2) teardown*"])


def test_a_host_that_cannot_run_the_guest_skips_the_test(faked: Project) -> None:
    result = run(faked, 'vm("s390x", qemu="fake")', "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED *no qemu-system-s390x in */qemu*"])


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        ('vm("z80")', "'z80' is not an architecture"),
        ('vm("amd64", test="bot")', "'bot' matches no test; did you mean 'boot'?"),
        ('vm("amd64", smp=0)', "smp"),
        ('vm("amd64", memory="12")', "memory"),
        ('vm("amd64", accel="hvf")', "hvf"),
    ],
)
def test_wrong_wishes_fail_with_what_is_allowed(faked: Project, call: str, complaint: str) -> None:
    result = run(faked, call)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E *GuestError: *{complaint}*"])


def test_ctrl_c_leaves_no_guest(faked: Project) -> None:
    faked.pytester.makepyfile('def test_it(guest):\n    guest("ever").wait_for("never", 1000)\n')
    # A job in the background of a shell has SIGINT ignored, and would pass that on.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "pytest"]
    command += ["-p", "matrix.pytest_plugin.plugin"]
    session = subprocess.Popen(
        [*command, *faked.arguments()],
        cwd=faked.root,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(lambda: "ever" in faked.started() and faked.qemus())
        os.killpg(session.pid, signal.SIGINT)
        output, _ = session.communicate(timeout=100)
    finally:
        if session.poll() is None:
            os.killpg(session.pid, signal.SIGKILL)
            session.wait()
    assert session.returncode == 2
    assert "KeyboardInterrupt" in output
    assert not faked.qemus()


def wait_for(condition: Callable[[], object], seconds: float = 100.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        ('strategy="warp"', "strategy warp: there is none of that name; migrate() takes precopy, "),
        ('strategy="cpr-transfer"', "strategy cpr-transfer: *; scenarios can do it; * cpr-reboot"),
        ('transport="exec"', "transport exec: *its sandbox denies; *; migrate() takes unix, "),
        ('strategy="file", transport="tcp"', "transport tcp: file goes through a file"),
    ],
)
def test_ways_that_a_test_cannot_go_are_told(faked: Project, call: str, complaint: str) -> None:
    faked.pytester.makepyfile(f'def test_it(guest, migrate):\n    migrate(guest("ever"), {call})\n')
    faked.run().stdout.fnmatch_lines([f"E *ValueError: {complaint}*"])


@pytest.mark.qemu
@pytest.mark.kvm
@pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="no /dev/kvm")
def test_hops_of_a_guest_that_proves_its_memory(
    pytester: pytest.Pytester, plugin_session: Callable[..., pytest.RunResult]
) -> None:
    """Under KVM: before 9.0 QEMU loses stores of TCG guests that are migrated."""
    pytester.makepyfile(
        """
        def test_it(vm, migrate):
            guest = vm("x86_64", test="ram-integrity", memory="128MiB", accel="kvm")
            guest.wait_for("INTEGRITY: BEAT", 150)
            hop = migrate(guest, timeout=150)
            assert hop.good and hop.number == 1 and hop.downtime is not None
            for _ in range(3):
                guest.wait_for("INTEGRITY: BEAT", 150)
            fast = {"max-bandwidth": 10**9}
            hop = migrate(guest, transport="tcp", parameters=fast, timeout=150)
            assert hop.transport == "tcp"
            guest.wait_for("INTEGRITY: BEAT", 150)
            assert guest.hops[1] is hop and len(guest.hops) == 2
            guest.type("q")
            assert guest.wait_for("SUMMARY:", 150)
            assert guest.verdict() == "pass", guest.reason
            assert guest.reason.endswith("; migrated 2 times")
        """
    )
    plugin_session().assert_outcomes(passed=1)


@pytest.mark.qemu
@pytest.mark.parametrize("way", ['transport="tcp"', 'strategy="file"'])
def test_a_hop_of_a_guest_that_says_nothing(
    pytester: pytest.Pytester, plugin_session: Callable[..., pytest.RunResult], way: str
) -> None:
    pytester.makepyfile(
        f"""
        def test_it(vm, migrate):
            guest = vm("aarch64", test="spin", accel="tcg", timeout=100)
            assert migrate(guest, {way}).good
            assert not list(guest.directory.glob("*.state"))
            assert guest.qmp("query-status")["status"] == "running"
            assert guest.running
        """
    )
    plugin_session().assert_outcomes(passed=1)


MIGRATED = """
name: moved
suite: {kind: kvm-unit-tests, build: builtin, tests: [hang]}
matrix: {arch: [x86_64], accel: [tcg], strategy: [precopy]}
run: {timeout: 90s, stall: 5s}
migration: {mode: continuous, hops: 1}
"""


@pytest.mark.qemu
def test_a_case_of_a_scenario_is_migrated(
    pytester: pytest.Pytester, plugin_session: Callable[..., pytest.RunResult]
) -> None:
    """Its hop is in what the session leaves, and its verdict is the guest's: this one sleeps for
    ever, and has no memory that QEMU before 9.0 could lose under TCG."""
    pytester.makefile(".yaml", moved=MIGRATED)
    result = plugin_session("moved.yaml", "-m", "migration and precopy", "--matrix-run=run")
    result.assert_outcomes(failed=1)
    (case,) = json.loads((pytester.path / "run/results.json").read_text())["cases"]
    assert case["verdict"] == "stall"
    assert case["hops"]["hops"] == case["hops"]["completed"] == 1


@pytest.mark.qemu
def test_a_guest_that_is_over_cannot_be_migrated(
    pytester: pytest.Pytester, plugin_session: Callable[..., pytest.RunResult]
) -> None:
    pytester.makepyfile(
        """
        def test_it(vm, migrate):
            guest = vm("aarch64", test="boot")
            assert guest.verdict() == "pass"
            migrate(guest)
        """
    )
    result = plugin_session()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*migrate(guest)", "E *GuestError: *the guest is over*"])


@pytest.fixture
def plugin_session(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Runs a session with real QEMUs."""

    def run_session(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess(
            "-p", "matrix.pytest_plugin.plugin", "-W", "error", *arguments, timeout=500
        )

    return run_session
