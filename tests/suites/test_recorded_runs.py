"""Recordings of real kvm-unit-tests runs: our verdicts equal those of its own runner.

The recordings hold the command line, QEMU's stderr and the guest's console in one file, and no exit
status; where the console does not tell it, it is worked out from what the guest printed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from matrix.model import Ending, ExitChannel, Outcome, Test, Transcript, Verdict
from matrix.suites.build import read_build
from matrix.suites.console import ConsoleParser
from matrix.suites.unittests import read_tests
from matrix.suites.verdict import Judgement, judge

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


@dataclass(frozen=True)
class Recording:
    build: str
    name: str
    verdict: str
    remark: str
    log: bytes


def read_recordings(root: Path, build: str) -> Iterator[Recording]:
    for line in (root / build / "verdicts.tsv").read_text().splitlines():
        verdict, name, remark = line.split("\t")
        log = root / build / "logs" / f"{name}.log"
        if log.exists():
            yield Recording(build, name, verdict, remark, log.read_bytes())


def take_apart(log: bytes) -> tuple[str, list[str], bytes]:
    """Command line, QEMU's stderr, and the console."""
    command, stderr, console = "", list[str](), list[bytes]()
    for line in log.split(b"\n"):
        text = line.decode(errors="replace")
        if "timeout -k 1s --foreground" in text:
            command = text
        elif re.match(r"qemu(-system-\w+)?: ", text) or text == "QEMU Aborted":
            stderr.append(text)
        else:
            console.append(line)
    return command, stderr, b"\n".join(console)


def exit_status(recording: Recording, transcript: Transcript, console: bytes) -> int:
    if BUILDS[recording.build] is ExitChannel.CONSOLE:
        return 0
    if transcript.status is not None:
        return transcript.status
    if b"Unhandled exception" in console or b"assert failed" in console:
        return 127
    if recording.name in NO_TEST_DEVICE:
        return 0
    if "unexpected failures" in transcript.summary:
        return 3
    tests = re.match(r"(\d+) tests(?:, (\d+) skipped)?$", transcript.summary)
    return 77 if tests and tests[1] == (tests[2] or "0") else 1


def judged(recording: Recording) -> tuple[Transcript, Judgement]:
    command, stderr, console = take_apart(recording.log)
    parser = ConsoleParser()
    parser.feed(console)
    transcript = parser.finish()
    tail = tuple(line for line in stderr if line != "QEMU Aborted")
    if "QEMU Aborted" in stderr:
        outcome = Outcome(Ending.KILLED, 1.0, signal=6, stderr_tail=tail)
    elif "_NO_FILE_4Uhere_" in command:
        outcome = Outcome(Ending.REFUSED, 1.0, exit_status=1, stderr_tail=tail)
    elif any("terminating on signal 15" in line for line in stderr):
        outcome = Outcome(Ending.TIMEOUT, 90.0, stderr_tail=tail, last_line=parser.last_line)
    else:
        status = exit_status(recording, transcript, console)
        outcome = Outcome(
            Ending.EXITED,
            1.0,
            exit_status=status,
            stderr_tail=tail,
            last_line=parser.last_line,
        )
    test = Test(recording.name, "/image")
    channel = BUILDS[recording.build]
    return transcript, judge(test, channel, outcome, transcript, accelerator="tcg")


@pytest.mark.parametrize("build", BUILDS)
def test_verdicts_equal_those_of_the_runner(build: str, recordings: Path) -> None:
    wrong: list[str] = []
    count = 0
    for recording in read_recordings(recordings, build):
        count += 1
        _, judgement = judged(recording)
        different = DIFFERENCES.get((build, recording.name))
        expected = {different} if different else RUNNER_VERDICTS[recording.verdict]
        if judgement.verdict not in expected:
            wrong.append(f"{recording.name}: {recording.verdict}, ours {judgement}")
    assert count >= 3
    assert not wrong


@pytest.mark.parametrize("build", BUILDS)
def test_summaries_equal_the_remarks_of_the_runner(build: str, recordings: Path) -> None:
    for recording in read_recordings(recordings, build):
        transcript, _ = judged(recording)
        remark = recording.remark.strip("()")
        if re.match(r"\d+ tests", remark):
            assert transcript.summary == remark, recording.name


@pytest.mark.parametrize("build", BUILDS)
def test_failed_subtests_are_counted_as_the_summary_counts_them(
    build: str, recordings: Path
) -> None:
    for recording in read_recordings(recordings, build):
        transcript, _ = judged(recording)
        cut = len(recording.log) > 60_000
        mismatch = [note for note in transcript.notes if note.startswith("the summary counts")]
        # xsave and the like count checks that they do not print; failures are always printed.
        assert cut or not any("failures, but" in note for note in mismatch), recording.name


@pytest.mark.parametrize("build", BUILDS)
def test_a_skip_says_why_as_the_runner_does(build: str, recordings: Path) -> None:
    for recording in read_recordings(recordings, build):
        _, judgement = judged(recording)
        if judgement.verdict is Verdict.SKIP and "qemu-system" in recording.remark:
            said = recording.remark.strip("()").partition(": ")[2].strip()
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


def command_words(recording: Recording) -> str:
    command, _, _ = take_apart(recording.log)
    return command


@pytest.mark.parametrize("build", BUILDS)
def test_values_are_those_on_the_recorded_command_lines(build: str, recordings: Path) -> None:
    """The runner's logs lost their quoting, so ours is compared without it."""
    tests = {test.name: test for test in read_tests(read_build(recordings / build), max_smp=2)}
    for recording in read_recordings(recordings, build):
        test = tests[recording.name]
        line = command_words(recording)
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
