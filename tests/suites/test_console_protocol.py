import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matrix.attempt import Transcript
from matrix.suites import console_protocol as console
from matrix.suites import output
from matrix.suites.console_protocol import ConsoleParser
from matrix.verdicts import Subtest, SubtestVerdict

PASS, FAIL, SKIP = SubtestVerdict.PASS, SubtestVerdict.FAIL, SubtestVerdict.SKIP


def parse(*pieces: bytes) -> Transcript:
    parser = ConsoleParser()
    for piece in pieces:
        parser.feed(piece)
    return parser.finish()


def only_subtest(line: str) -> Subtest:
    (subtest,) = parse(line.encode()).subtests
    return subtest


LOG = b"""\
enabling apic
PASS: unit: a
FAIL: unit: b, got 3
XFAIL: unit: c\r
XPASS: unit: d
KFAIL: unit: e
SKIP: unit: f: no such thing
INFO: unit: min 3 ns, max 4 ns
SUMMARY: 6 tests, 2 unexpected failures, 1 skipped

EXIT: STATUS=3
EXIT: STATUS=1
"""


def test_a_whole_log() -> None:
    assert parse(LOG) == Transcript(
        subtests=(
            Subtest("unit: a", PASS),
            Subtest("unit: b", FAIL, "got 3"),
            Subtest("unit: c", SubtestVerdict.XFAIL),
            Subtest("unit: d", SubtestVerdict.XPASS),
            Subtest("unit: e", SubtestVerdict.KFAIL),
            Subtest("unit: f", SKIP, "no such thing"),
        ),
        counts=tuple((verdict, 1) for verdict in SubtestVerdict),
        status=3,
        summary="6 tests, 2 unexpected failures, 1 skipped",
        metrics=(("unit: min", 3.0, "ns"), ("unit: max", 4.0, "ns")),
    )


def test_nothing() -> None:
    assert parse() == parse(b"") == parse(b"\n\r\n \t\0\n") == Transcript()


@pytest.mark.parametrize(
    ("line", "subtest"),
    [
        ("PASS: a:  b ", Subtest("a: b", PASS)),
        ("PASS: ", Subtest("", PASS)),
        ("PASS:x", Subtest("x", PASS)),
        ("SKIP: TSX not available", Subtest("TSX not available", SKIP)),
        ("SKIP: m: n: facility 5 not present", Subtest("m: n", SKIP, "facility 5 not present")),
        (
            "FAIL: skey: sske: Program interrupt: expected(4) == received(0)",
            Subtest("skey: sske: Program interrupt", FAIL, "expected(4) == received(0)"),
        ),
        (
            "PASS: XER       (   1):\t0x0000000000000000 <==> 0x0000000000000001",
            Subtest("XER ( 1)", PASS, "0x0000000000000000 <==> 0x0000000000000001"),
        ),
        (
            "PASS: nop: total/best/avg/worst 1/2/3/4 us",
            Subtest("nop", PASS, "total/best/avg/worst 1/2/3/4 us"),
        ),
        (
            "PASS: IDTR_BASE set to ff as expected (actual value ff)",
            Subtest("IDTR_BASE set to ff as expected", PASS, "actual value ff"),
        ),
        ("PASS: busy-loops on others 17310%", Subtest("busy-loops on others", PASS, "17310%")),
        ("PASS: a, b (c)", Subtest("a, b (c)", PASS)),
    ],
)
def test_names_and_messages(line: str, subtest: Subtest) -> None:
    assert only_subtest(line) == subtest


@pytest.mark.parametrize(
    "line", ["PASS", "pass: a", " PASS: a", "BYPASS: a", "PASSED: a", "XKFAIL: a", "FAIL a"]
)
def test_lines_that_are_no_subtests(line: str) -> None:
    assert parse(line.encode()).counts == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"FAIL: unit: a\r\n",
        b"\n\rFAIL: unit: a\r\r\n",
        b"FA\0IL: unit: \0a\0\n",
        b"\x1b[31mFAIL\x1b[0m: unit: a\x1b[K\n",
        b"\x1b[2J\x1b[01;01H\x1b[=3hFAIL: unit: a",
        b"BdsDxe: starting Boot0001\x1b[03;01HFAIL: unit: a\n",
        b"\x1b]0;title\x07FAIL: unit: a\n",
        b"FAIL: unit: a\x1b",
        b"\x1b(BFAIL: unit: a",
    ],
)
def test_what_terminals_interpret_is_harmless(raw: bytes) -> None:
    assert parse(raw).subtests == (Subtest("unit: a", FAIL),)


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert only_subtest("FAIL: grün").name == "grün"
    (subtest,) = parse(b"FAIL: a\xff\x01\xe2\x80\xa8b").subtests
    assert subtest.name == "a\ufffd\ufffd\ufffdb"
    assert subtest.name.isprintable()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"EXIT: STATUS=1", 1),
        (b"EXIT: STATUS=127\r\n", 127),
        (b"EXIT: STATUS=3\nEXIT: STATUS=1\n", 3),
        (b"EXIT: STATUS=\nEXIT: STATUS=1\n", 1),
        (b"EXIT: STATUS=" + b"9" * 5000, None),
        (b" EXIT: STATUS=1", None),
        (b"EXIT: STATUS=-1", None),
        (b"XEXIT: STATUS=1", None),
    ],
)
def test_status(text: bytes, status: int | None) -> None:
    assert parse(text).status == status


def test_the_last_summary_counts() -> None:
    assert parse(b"SUMMARY: 1 tests\nSUMMARY: 0 tests, x\n").summary == "0 tests, x"


def test_notes() -> None:
    text = (
        b"Unhandled exception 13 #GP(0) at ip aaaa\nrax=1\n\tSTACK: @aaaa 4001ad\n"
        b"x.c:1: assert failed: a: b\nABORT: unit: c\nWARNING: vmx not supported\n"
        b"Unexpected program interrupt <pgm>: 0x4 on cpu 0\nall well\n"
    )
    assert parse(text).notes == (
        "Unhandled exception 13 #GP(0) at ip aaaa",
        "STACK: @aaaa 4001ad",
        "x.c:1: assert failed: a: b",
        "ABORT: unit: c",
        "WARNING: vmx not supported",
        "Unexpected program interrupt <pgm>: 0x4 on cpu 0",
    )
    assert len(parse(b"WARNING: x\n" * 5000).notes) == output.NOTES_KEPT


def test_a_summary_that_counts_otherwise_is_noted() -> None:
    assert parse(b"PASS: a\nSUMMARY: 3 tests\n").notes == (
        "the summary counts 3 tests, but 1 were seen",
    )
    assert parse(b"PASS: a\nSUMMARY: 1 tests, 1 unexpected failures\n").notes == (
        "the summary counts 1 failures, but 0 were seen",
    )
    assert parse(b"FAIL: a\nSUMMARY: 1 tests, 1 unexpected failures\n").notes == ()
    assert parse(b"PASS: a\nSUMMARY: nonsense\n").notes == ()


def test_metrics_of_the_same_name_are_all_kept_up_to_a_bound() -> None:
    assert parse(b"cpuid 1\ncpuid 2\n").metrics == (
        ("cpuid", 1.0, "cycles"),
        ("cpuid (2)", 2.0, "cycles"),
    )
    assert len(parse(b"cpuid 1\n" * 2000).metrics) == console.METRICS_KEPT


def test_counts_are_exact_and_memory_is_bounded() -> None:
    parser = ConsoleParser()
    for _ in range(100):
        parser.feed(b"PASS: a\nFAIL: b\nSKIP: c\n" * 100)
    transcript = parser.finish()
    assert dict(transcript.counts) == {PASS: 10_000, FAIL: 10_000, SKIP: 10_000}
    kept = [subtest.verdict for subtest in transcript.subtests]
    assert kept.count(FAIL) == output.FAILURES_KEPT
    assert kept.count(PASS) + kept.count(SKIP) == output.PASSES_KEPT
    assert transcript.dropped == 30_000 - len(kept)


def test_failures_after_many_passes_are_kept() -> None:
    transcript = parse(b"PASS: a\n" * 3000 + b"FAIL: b\n")
    assert transcript.subtests[-1] == Subtest("b", FAIL)
    assert transcript.dropped == 1000


def test_a_line_without_end_is_bounded() -> None:
    parser = ConsoleParser()
    parser.feed(b"FAIL: ")
    for _ in range(1000):
        parser.feed(b"x" * 10_000)
    assert len(parser.last_line) <= output.LINE_LIMIT
    (subtest,) = parser.finish().subtests
    assert subtest.name == "x" * output.NAME_LIMIT


def test_last_line() -> None:
    parser = ConsoleParser()
    assert parser.last_line == ""
    seen = []
    for piece in (b"fir", b"st\n", b"\n \r\n", b"\x1b[1msec\0", b"ond\t\x07", b"\n\x1b[0m\n"):
        parser.feed(piece)
        seen.append(parser.last_line)
    assert seen == ["fir", "first", "first", "sec", "second \ufffd", "second \ufffd"]
    parser.finish()
    assert parser.last_line == "second \ufffd"


def test_finish_twice() -> None:
    parser = ConsoleParser()
    parser.feed(b"PASS: a\nEXIT: STATUS=1")
    assert parser.finish() == parser.finish()


BYTES = st.lists(
    st.sampled_from(
        [b"PASS: ", b"FAIL: ", b"SKIP: a: ", b"\n", b"\r", b"\r\n", b"\0", b"\x1b", b"\x1b[1m",
         b"[", b"H", b"a", b": ", b"\xc3", b"\xa4", b"EXIT: STATUS=", b"1", b"SUMMARY: ",
         b" tests", b" ", b"Unhandled ", b"cpuid ", b"\t"]
    )
    | st.binary(max_size=6),
    max_size=40,
).map(b"".join)  # fmt: skip


@given(BYTES, st.data())
@example(b"\x1b[2J\x1b[01;01HPASS: a\r\n", None)
def test_any_bytes_in_any_split_give_the_same(raw: bytes, data: st.DataObject | None) -> None:
    whole = ConsoleParser()
    whole.feed(raw)
    last = whole.last_line
    transcript = whole.finish()
    pieces = [raw[i : i + 1] for i in range(len(raw))]
    if data is not None:
        cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=6)))
        pieces = [raw[a:b] for a, b in itertools.pairwise([0, *cuts, len(raw)])]
    split = ConsoleParser()
    for piece in pieces:
        split.feed(piece)
    assert split.last_line == last
    assert last.isprintable()
    assert split.finish() == transcript


@given(st.binary(max_size=9000), st.integers(1, 5000))
def test_long_lines_split_anywhere_give_the_same(raw: bytes, size: int) -> None:
    pieces = [raw[i : i + size] for i in range(0, len(raw), size)]
    assert parse(*pieces) == parse(raw)
