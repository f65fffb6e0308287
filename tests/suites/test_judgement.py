"""Each rule of the verdict has a small log of its own under ``data``."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.attempt import Ending, Outcome, Transcript
from matrix.model import ExitChannel, Test
from matrix.suites.console_protocol import ConsoleParser
from matrix.suites.judgement import End
from matrix.suites.unit_tests_judge import judge
from matrix.verdicts import Subtest, SubtestVerdict, Verdict

DATA = Path(__file__).parent / "data/verdicts"
CASES = sorted(DATA.glob("*.case"))
KEYS = {
    "about", "channel", "ending", "exit", "signal", "seconds", "shutdown", "panicked", "stderr",
    "doing", "because", "groups", "accelerator", "doubt", "verdict", "reason",
}  # fmt: skip


def read_case(path: Path) -> tuple[dict[str, list[str]], bytes]:
    head, _, console = path.read_bytes().partition(b"---\n")
    fields: dict[str, list[str]] = {}
    for line in head.decode().splitlines():
        key, _, value = line.partition(": ")
        fields.setdefault(key, []).append(value)
    assert set(fields) <= KEYS
    return fields, console


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_each_rule(path: Path) -> None:
    fields, console = read_case(path)

    def field(key: str, default: str = "") -> str:
        return fields.get(key, [default])[0]

    parser = ConsoleParser()
    parser.feed(console)
    transcript = parser.finish()
    ending = Ending(field("ending", "exited"))
    status = field("exit", "1" if ending is Ending.EXITED else "none")
    outcome = Outcome(
        ending=ending,
        seconds=float(field("seconds", "1.5")),
        exit_status=None if status == "none" else int(status),
        signal=int(field("signal")) if "signal" in fields else None,
        panicked=field("panicked") == "yes",
        shutdown_reason=field("shutdown"),
        stderr_tail=tuple(fields.get("stderr", ())),
        last_line=parser.last_line,
        doing=field("doing"),
        reason=field("because"),
    )
    judgement = judge(
        End(
            Test("t", "/t.flat", groups=tuple(field("groups").split())),
            ExitChannel(field("channel", "qemu-exit")),
            outcome,
            transcript,
            accelerator=field("accelerator", "tcg"),
            kvm_doubt=field("doubt"),
        )
    )
    assert (judgement.verdict.value, judgement.reason) == (field("verdict"), field("reason"))


def test_there_are_cases() -> None:
    assert len(CASES) > 50


TEXT = st.text(max_size=40)
SUBTESTS = st.builds(Subtest, TEXT, st.sampled_from(SubtestVerdict), TEXT)


@given(
    ending=st.sampled_from(Ending),
    status=st.none() | st.integers(0, 255),
    console_status=st.none() | st.integers(0, 300),
    signal=st.none() | st.integers(0, 64),
    panicked=st.booleans(),
    stderr=st.lists(TEXT, max_size=4),
    subtests=st.lists(SUBTESTS, max_size=5),
    summary=TEXT,
    channel=st.sampled_from(ExitChannel),
    accelerator=st.sampled_from(["kvm", "tcg"]),
    doubt=TEXT,
)
def test_never_raises_and_never_passes_a_failure(
    ending: Ending,
    status: int | None,
    console_status: int | None,
    signal: int | None,
    panicked: bool,
    stderr: list[str],
    subtests: list[Subtest],
    summary: str,
    channel: ExitChannel,
    accelerator: str,
    doubt: str,
) -> None:
    outcome = Outcome(
        ending, 1.0, exit_status=status, signal=signal, panicked=panicked, stderr_tail=tuple(stderr)
    )
    verdicts = [subtest.verdict for subtest in subtests]
    counts = tuple((verdict, verdicts.count(verdict)) for verdict in set(verdicts))
    transcript = Transcript(
        tuple(subtests), counts=counts, status=console_status, summary=summary, notes=(summary,)
    )
    judgement = judge(
        End(Test("t", "/t"), channel, outcome, transcript, accelerator=accelerator, kvm_doubt=doubt)
    )
    assert "\n" not in judgement.reason
    assert judgement.verdict is Verdict.PASS or judgement.reason
    if {SubtestVerdict.FAIL, SubtestVerdict.XPASS} & set(verdicts):
        assert judgement.verdict is not Verdict.PASS
    if ending is not Ending.REFUSED and judgement.verdict is Verdict.SKIP:
        assert 77 in (status, console_status)


def test_only_a_doubtful_kvm_turns_an_end_without_verdict_into_a_crash() -> None:
    outcome = Outcome(Ending.EXITED, 1.0, exit_status=0, shutdown_reason="guest-reset")

    def verdict(accelerator: str, doubt: str) -> Verdict:
        return judge(
            End(
                Test("t", "/t"),
                ExitChannel.QEMU_EXIT,
                outcome,
                Transcript(),
                accelerator=accelerator,
                kvm_doubt=doubt,
            )
        ).verdict

    assert verdict("kvm", "it failed") is Verdict.CRASH
    assert verdict("kvm", "") is Verdict.FAIL
    assert verdict("tcg", "it failed") is Verdict.FAIL


def test_long_texts_of_the_guest_are_shortened() -> None:
    transcript = Transcript(
        (Subtest("x" * 500, SubtestVerdict.FAIL),), counts=((SubtestVerdict.FAIL, 1),)
    )
    outcome = Outcome(Ending.EXITED, 1.0, exit_status=3, last_line="y" * 5000)
    judgement = judge(
        End(Test("t", "/t"), ExitChannel.QEMU_EXIT, outcome, transcript, accelerator="tcg")
    )
    assert len(judgement.reason) < 250
    hung = replace(outcome, ending=Ending.TIMEOUT)
    judgement = judge(
        End(Test("t", "/t"), ExitChannel.QEMU_EXIT, hung, transcript, accelerator="tcg")
    )
    assert len(judgement.reason) < 500


@pytest.mark.parametrize(
    ("status", "failing", "summary", "by_subtests"),
    [
        (3, 2, "", True),
        (3, 2, "4 tests, 2 unexpected failures", True),
        (1, 1, "", True),  # reported success after it
        (3, 0, "", False),
        (127, 2, "", False),  # aborted besides
        (5, 2, "", False),
        (3, 2, "4 tests, 3 unexpected failures", False),  # one of them is not named
    ],
)
def test_failures_of_subtests_alone_are_told_from_others(
    status: int, failing: int, summary: str, by_subtests: bool
) -> None:
    failed = SubtestVerdict.FAIL
    transcript = Transcript(
        tuple(Subtest(f"s{number}", failed) for number in range(failing)),
        counts=((failed, failing),),
        summary=summary,
    )
    outcome = Outcome(Ending.EXITED, 1.0, exit_status=status)
    judgement = judge(
        End(Test("t", "/t"), ExitChannel.QEMU_EXIT, outcome, transcript, accelerator="tcg")
    )
    assert judgement.verdict is Verdict.FAIL
    assert judgement.by_subtests == by_subtests
    hung = judge(
        End(
            Test("t", "/t"),
            ExitChannel.QEMU_EXIT,
            replace(outcome, ending=Ending.STALL),
            transcript,
            accelerator="tcg",
        )
    )
    assert not hung.by_subtests
