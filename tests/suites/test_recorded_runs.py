"""Recordings of real kvm-unit-tests runs: our verdicts equal those of its own runner.

``data/recorded`` has what its runner (revision 1da1819e; TCG; QEMU 7.2.22, for riscv64 11.1.3) said
of every test, and what the verdict goes by, made from the logs::

    [NAME] VERDICT REMARK    the runner's
    ! refused                QEMU ended before a guest ran
    ! cut                    the log was cut in its middle
    > LINE                   of QEMU's stderr
    12 PASS                  so many subtests in a row, whose names are left out
    : LINE                   of the console

Logs have no exit status; where the console does not tell it, it is worked out from what the guest
printed. What needs the ``unittests.cfg`` of kvm-unit-tests runs only where a copy is at hand: it is
under the GPL and no part of this project.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from matrix.attempt import Ending, Outcome, Transcript
from matrix.model import ExitChannel, Test
from matrix.suites.build import read_build
from matrix.suites.console_protocol import ConsoleParser
from matrix.suites.judgement import End, Judgement
from matrix.suites.unit_tests_judge import judge
from matrix.suites.unittests import read_tests
from matrix.verdicts import Verdict

DATA = Path(__file__).parent / "data/recorded"

BUILDS = {
    "x86_64": ExitChannel.QEMU_EXIT,
    "arm64": ExitChannel.QEMU_EXIT,
    "ppc64le": ExitChannel.CONSOLE,
    "s390x": ExitChannel.CONSOLE,
    "riscv64": ExitChannel.CONSOLE,
}

RUNNER_VERDICTS = {
    "PASS": {Verdict.PASS},
    "SKIP": {Verdict.SKIP},
    "FAIL": {Verdict.FAIL, Verdict.TIMEOUT},
}

DIFFERENCES = {
    # QEMU died of a failed assertion; the runner takes its own dry start's end for a skip.
    ("x86_64", "cet"): Verdict.CRASH,
    ("x86_64", "lam"): Verdict.CRASH,
}

NO_TEST_DEVICE = {"s3", "msr", "msr64", "la57"}
"""x86 guests that ended by a reset or triple fault, QEMU with status 0, which no log tells."""


@dataclass
class Recording:
    build: str
    name: str
    verdict: str
    remark: str
    stderr: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    flags: tuple[str, ...] = ()


def read_recordings(build: str) -> list[Recording]:
    found: list[Recording] = []
    for line in (DATA / f"{build}.txt").read_text().splitlines():
        mark, _, text = line.partition(" ")
        if mark.startswith("["):
            verdict, _, remark = text.partition(" ")
            found.append(Recording(build, mark.strip("[]"), verdict, remark.strip("()")))
        elif mark == "!":
            found[-1].flags = tuple(text.split())
        elif mark == ">":
            found[-1].stderr.append(text)
        elif mark == ":":
            found[-1].console.append(text)
        else:
            found[-1].console += (f"{text}: check {number}" for number in range(int(mark)))
    return found


def exit_status(recording: Recording, transcript: Transcript) -> int:
    if BUILDS[recording.build] is ExitChannel.CONSOLE:
        return 0
    if transcript.status is not None:
        return transcript.status
    if any("Unhandled exception" in line or "assert failed" in line for line in recording.console):
        return 127
    if recording.name in NO_TEST_DEVICE:
        return 0
    if "unexpected failures" in transcript.summary:
        return 3
    tests = re.match(r"(\d+) tests(?:, (\d+) skipped)?$", transcript.summary)
    return 77 if tests and tests[1] == (tests[2] or "0") else 1


def judged(recording: Recording) -> tuple[Transcript, Judgement]:
    parser = ConsoleParser()
    parser.feed("\n".join(recording.console).encode())
    transcript = parser.finish()
    tail = tuple(line for line in recording.stderr if line != "QEMU Aborted")
    if "QEMU Aborted" in recording.stderr:
        outcome = Outcome(Ending.KILLED, 1.0, signal=6, stderr_tail=tail)
    elif "refused" in recording.flags:
        outcome = Outcome(Ending.REFUSED, 1.0, exit_status=1, stderr_tail=tail)
    elif any("terminating on signal 15" in line for line in recording.stderr):
        outcome = Outcome(Ending.TIMEOUT, 90.0, stderr_tail=tail, last_line=parser.last_line)
    else:
        status = exit_status(recording, transcript)
        outcome = Outcome(
            Ending.EXITED,
            1.0,
            exit_status=status,
            stderr_tail=tail,
            last_line=parser.last_line,
        )
    test = Test(recording.name, "/image")
    channel = BUILDS[recording.build]
    return transcript, judge(End(test, channel, outcome, transcript, accelerator="tcg"))


@pytest.mark.parametrize("build", BUILDS)
def test_verdicts_equal_those_of_the_runner(build: str) -> None:
    wrong: list[str] = []
    count = 0
    for recording in read_recordings(build):
        count += 1
        _, judgement = judged(recording)
        different = DIFFERENCES.get((build, recording.name))
        expected = {different} if different else RUNNER_VERDICTS[recording.verdict]
        if judgement.verdict not in expected:
            wrong.append(f"{recording.name}: {recording.verdict}, ours {judgement}")
    assert count >= 3
    assert not wrong


@pytest.mark.parametrize("build", BUILDS)
def test_summaries_equal_the_remarks_of_the_runner(build: str) -> None:
    for recording in read_recordings(build):
        transcript, _ = judged(recording)
        if re.match(r"\d+ tests", recording.remark):
            assert transcript.summary == recording.remark, recording.name


@pytest.mark.parametrize("build", BUILDS)
def test_failed_subtests_are_counted_as_the_summary_counts_them(build: str) -> None:
    for recording in read_recordings(build):
        transcript, _ = judged(recording)
        mismatch = [note for note in transcript.notes if note.startswith("the summary counts")]
        # xsave and the like count checks that they do not print; failures are always printed.
        cut = "cut" in recording.flags
        assert cut or not any("failures, but" in note for note in mismatch), recording.name


@pytest.mark.parametrize("build", BUILDS)
def test_a_skip_says_why_as_the_runner_does(build: str) -> None:
    for recording in read_recordings(build):
        _, judgement = judged(recording)
        if judgement.verdict is Verdict.SKIP and "qemu-system" in recording.remark:
            said = recording.remark.partition(": ")[2].strip()
            if recording.name == "topology-3":  # the runner's own broken command line
                continue
            assert judgement.reason == f"QEMU refused: {said}"


@pytest.mark.parametrize(
    ("build", "count"),
    [("x86_64", 87), ("s390x", 62), ("arm64", 42), ("ppc64le", 23), ("riscv64", 3)],
)
def test_all_tests_of_a_configuration_are_read(build: str, count: int, recordings: Path) -> None:
    tests = read_tests(read_build(recordings / build), max_smp=2)
    assert len(tests) == count
    known = {
        line.split("\t")[1]
        for line in (recordings / build / "verdicts.tsv").read_text().splitlines()
    }
    assert known <= {test.name for test in tests}


def command_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return next(line for line in lines if "timeout -k 1s --foreground" in line)


@pytest.mark.parametrize("build", BUILDS)
def test_values_are_those_on_the_recorded_command_lines(build: str, recordings: Path) -> None:
    """The runner's logs lost their quoting, so ours is compared without it."""
    tests = {test.name: test for test in read_tests(read_build(recordings / build), max_smp=2)}
    for recording in read_recordings(build):
        test = tests[recording.name]
        line = command_line(recordings / build / "logs" / f"{recording.name}.log")
        if test.name == "topology-3":  # the runner breaks its continued lines
            continue
        topology = f",{test.topology}" if test.topology else ""
        expected = [f"-smp {test.smp}{topology}"]
        if test.arguments:
            expected.append(f"-append {test.arguments}")
        expected += test.qemu_params
        text = re.sub(r"\d{10}", "TIME", " ".join(expected))
        if test.name != "rtas-get-time-of-day-base":
            line = re.sub(r"\d{10}", "TIME", line)
        else:
            text = " ".join(expected)
        assert f" {text} #" in line, recording.name
        if recording.verdict != "SKIP":
            image = Path(test.image)
            assert f" {image.parent.name}/{image.name} " in line
