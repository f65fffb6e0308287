"""The guests' common C library: text, numbers, reports, memory ranges."""

import ctypes
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

WORD64 = st.integers(0, 2**64 - 1)
PAGE = 4096
SKIPPED = 77 >> 1
"""Machines report (code << 1) | 1, which makes it 77."""


class Guest(Protocol):
    library: ctypes.CDLL

    def console(self) -> str: ...

    def format(self, template: str, *values: object, size: int = 512) -> tuple[str, int]: ...


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("%d", 0),
        ("%d", -(2**31)),
        ("%i|", 7),
        ("%5d|", -42),
        ("%-5d|", 42),
        ("%05d|", 42),
        ("%05d|", -42),
        ("%u", 2**31 - 1),
        ("%x", 0xBEEF),
        ("%08x", 0xBEEF),
        ("100%% of %d", 3),
        ("%c|", ord("x")),
        ("%3c|", ord("x")),
    ],
)
def test_format_integers_as_printf_does(shared_guest: Guest, template: str, value: int) -> None:
    expected = template % value
    assert shared_guest.format(template, ctypes.c_int(value)) == (expected, len(expected))


@pytest.mark.parametrize(
    ("template", "value"),
    [("%s", "text"), ("[%8s]", "text"), ("[%-8s]", "text"), ("[%.2s]", "text"), ("%s", "")],
)
def test_format_strings_as_printf_does(shared_guest: Guest, template: str, value: str) -> None:
    expected = template % value
    assert shared_guest.format(template, value.encode()) == (expected, len(expected))


def test_format_takes_width_and_precision_from_arguments(shared_guest: Guest) -> None:
    assert shared_guest.format("[%.*s]", 3, b"abcdef")[0] == "[abc]"
    assert shared_guest.format("[%*d]", 6, 12)[0] == "[    12]"


def test_format_a_null_string(shared_guest: Guest) -> None:
    assert shared_guest.format("%s", None)[0] == "(null)"


@given(value=WORD64)
def test_format_64_bits(shared_guest: Guest, value: int) -> None:
    argument = ctypes.c_uint64(value)
    assert shared_guest.format("%llu %zu", argument, argument)[0] == f"{value} {value}"
    assert shared_guest.format("%016lx", argument)[0] == f"{value:016x}"
    signed = value - 2**64 if value >= 2**63 else value
    assert shared_guest.format("%lld", ctypes.c_int64(signed))[0] == str(signed)


def test_format_cuts_at_the_size_and_says_what_it_needed(shared_guest: Guest) -> None:
    assert shared_guest.format("%s", b"0123456789", size=5) == ("0123", 10)
    assert shared_guest.format("%s", b"0123456789", size=11) == ("0123456789", 10)
    assert shared_guest.format("%s", b"0123456789", size=0) == ("", 10)


@pytest.mark.parametrize(
    ("text", "value", "rest"),
    [
        (b"256", 256, b""),
        (b"256 words", 256, b" words"),
        (b"0x1F;", 0x1F, b";"),
        (b"0xg", 0, b"xg"),
        (b"18446744073709551615", 2**64 - 1, b""),
        (b"", None, b""),
        (b"-1", None, b""),
        (b"words", None, b""),
    ],
)
def test_parse_number(shared_guest: Guest, text: bytes, value: int | None, rest: bytes) -> None:
    number, after = ctypes.c_uint64(99), ctypes.c_char_p()
    parse = shared_guest.library.parse_number
    parse.restype = ctypes.c_bool
    assert parse(text, ctypes.byref(number), ctypes.byref(after)) is (value is not None)
    assert number.value == (99 if value is None else value)
    if value is not None:
        assert after.value == rest


@given(
    start=st.integers(0, 40), target=st.integers(0, 40), length=st.integers(0, 24), data=st.data()
)
def test_memmove_where_the_ranges_overlap(
    shared_guest: Guest, start: int, target: int, length: int, data: st.DataObject
) -> None:
    content = data.draw(st.binary(min_size=64, max_size=64))
    buffer = ctypes.create_string_buffer(content, 64)
    address = ctypes.addressof(buffer)
    shared_guest.library.memmove(
        ctypes.c_void_p(address + target), ctypes.c_void_p(address + start), length
    )
    expected = bytearray(content)
    expected[target : target + length] = content[start : start + length]
    assert buffer.raw == bytes(expected)


@given(left=st.binary(max_size=8), right=st.binary(max_size=8))
def test_compare(shared_guest: Guest, left: bytes, right: bytes) -> None:
    left, right = left.replace(b"\0", b""), right.replace(b"\0", b"")
    result = shared_guest.library.strcmp(left, right)
    assert (result > 0) - (result < 0) == (left > right) - (left < right)


@given(dividend=WORD64, divisor=st.integers(1, 2**64 - 1))
def test_divide_64_bits_by_64_bits(shared_guest: Guest, dividend: int, divisor: int) -> None:
    divide = shared_guest.library["__udivmoddi4"]
    divide.restype = ctypes.c_uint64
    rest = ctypes.c_uint64()
    quotient = divide(ctypes.c_uint64(dividend), ctypes.c_uint64(divisor), ctypes.byref(rest))
    assert (quotient, rest.value) == divmod(dividend, divisor)


@given(
    dividend=st.integers(-(2**63), 2**63 - 1),
    divisor=st.integers(-(2**63), 2**63 - 1).filter(lambda number: number not in (0, -1)),
)
def test_signed_division_truncates(shared_guest: Guest, dividend: int, divisor: int) -> None:
    results = []
    for name in ("__divdi3", "__moddi3"):
        function = shared_guest.library[name]
        function.restype = ctypes.c_int64
        results.append(function(ctypes.c_int64(dividend), ctypes.c_int64(divisor)))
    quotient = abs(dividend) // abs(divisor) * (1 if (dividend < 0) == (divisor < 0) else -1)
    assert results == [quotient, dividend - quotient * divisor]


@given(ticks=WORD64, frequency=st.integers(1, 10**10))
def test_ticks_to_nanoseconds(shared_guest: Guest, ticks: int, frequency: int) -> None:
    ctypes.c_uint64.in_dll(shared_guest.library, "stub_frequency").value = frequency
    expected = ticks * 10**9 // frequency
    assert shared_guest.library.ticks_to_nanoseconds(ticks) == expected % 2**64
    back = ticks * frequency // 10**9
    assert shared_guest.library.nanoseconds_to_ticks(ticks) == back % 2**64


def test_random_is_xorshift64_star(shared_guest: Guest) -> None:
    state = ctypes.c_uint64(1)
    # The reference implementation's first number for the seed 1.
    assert shared_guest.library.random_next(ctypes.byref(state)) == 5180492295206395165
    shared_guest.library.random_seed(ctypes.byref(state), ctypes.c_uint64(0))
    assert state.value != 0


def test_report_prints_the_protocol_and_the_summary(guest: Guest) -> None:
    guest.library.report_prefix_push(b"timer")
    guest.library.report_prefix_push(b"one: two")
    guest.library.report(True, b"%d of %d", 1, 2)
    guest.library.report_prefix_pop()
    guest.library.report(False, b"late")
    guest.library.report_info(b"a note")
    guest.library.report_expected_failure(False, b"known")
    guest.library.report_skip(b"no %s", b"device")
    assert guest.library.report_summary() == 1
    assert guest.console().splitlines() == [
        "PASS: timer: one: two: 1 of 2",
        "FAIL: timer: one: late",
        "INFO: timer: one: a note",
        "XFAIL: timer: one: known",
        "SKIP: timer: one: no device",
        "SUMMARY: 4 tests, 1 unexpected failures, 1 expected failures, 1 skipped",
    ]


@pytest.mark.parametrize(
    ("calls", "code"),
    [
        ([], SKIPPED),
        ([("report_skip", b"no")], SKIPPED),
        ([("report_skip", b"no"), ("report", True, b"yes")], 0),
        ([("report", True, b"yes")], 0),
        ([("report", False, b"no")], 1),
        ([("report_expected_failure", False, b"no")], 0),
        ([("report_expected_failure", True, b"fixed")], 1),
    ],
)
def test_exit_code(guest: Guest, calls: list[tuple[str, ...]], code: int) -> None:
    for name, *arguments in calls:
        getattr(guest.library, name)(*arguments)
    assert guest.library.report_summary() == code


def test_long_lines_are_whole(guest: Guest) -> None:
    guest.library.report(True, b"%s", b"x" * 4000)
    assert guest.console() == "PASS: " + "x" * 4000 + "\n"


@given(
    operations=st.lists(
        st.tuples(st.booleans(), st.integers(0, 40 * PAGE), st.integers(0, 40 * PAGE)), max_size=8
    )
)
def test_memory_map_offers_whole_pages_that_were_added_and_not_taken_away(
    shared_guest: Guest, operations: list[tuple[bool, int, int]]
) -> None:
    library = shared_guest.library
    library.memory_map_remove(ctypes.c_uint64(0), ctypes.c_uint64(2**64 - 1))
    expected: set[int] = set()
    for is_added, start, end in operations:
        change = library.memory_map_add if is_added else library.memory_map_remove
        change(ctypes.c_uint64(start), ctypes.c_uint64(end))
        if is_added:
            expected |= set(range(-(-start // PAGE), end // PAGE))
        elif start < end:
            expected -= set(range(start // PAGE, -(-end // PAGE)))
    assert offered_pages(library) == expected


def offered_pages(library: ctypes.CDLL) -> set[int]:
    """The pages in the ranges that memory_map_range offers."""
    start, end = ctypes.c_size_t(), ctypes.c_size_t()
    next_range = library.memory_map_range
    next_range.restype = ctypes.c_bool
    pages: set[int] = set()
    index = 0
    while next_range(index, ctypes.byref(start), ctypes.byref(end)):
        assert start.value < end.value
        assert start.value % PAGE == end.value % PAGE == 0
        pages |= set(range(start.value // PAGE, end.value // PAGE))
        index += 1
    return pages
