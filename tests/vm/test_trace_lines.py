"""Tests of taking trace events out of a stderr."""

import pytest

from matrix.vm.trace_lines import LONGEST_LINE, MOST_LINES, TraceLines

SAVE = "vmstate_downtime_save type=non-iterable idstr=cpu instance_id=0 downtime=21"
LOAD = "vmstate_downtime_load type=iterable idstr=ram instance_id=0 downtime=3"
OUTPUT = f"""qemu: warning: x
{SAVE}
vmstate_downtown
12
71@1795987510.701958:{LOAD}
qemu: terminating, without an end""".encode()
REST = b"qemu: warning: x\nvmstate_downtown\n12\nqemu: terminating, without an end"


@pytest.mark.parametrize("size", [1, 2, 7, 64, len(OUTPUT)])
def test_events_are_taken_out_however_the_output_is_cut(size: int) -> None:
    traces = TraceLines("vmstate_downtime_")
    pieces = (OUTPUT[at : at + size] for at in range(0, len(OUTPUT), size))
    assert b"".join(map(traces.feed, pieces)) + traces.rest() == REST
    assert traces.take() == (SAVE, LOAD)
    assert traces.take() == ()


def test_what_cannot_become_an_event_is_passed_on_at_once() -> None:
    traces = TraceLines("vmstate_downtime_")
    assert traces.feed(b"qemu: assertion") == b"qemu: assertion"
    assert traces.feed(b"\nvmstate_d") == b"\n"
    assert traces.feed(b"own vmstate") == b"vmstate_down vmstate"
    assert traces.feed(b"_downtime_save\nvm") == b"_downtime_save\n"
    assert traces.feed(b"x vmstate_downtime_\n") == b"vmx vmstate_downtime_\n"
    assert traces.rest() == b""


def test_neither_a_line_without_an_end_nor_a_flood_takes_memory() -> None:
    traces = TraceLines("vmstate_downtime_")
    endless = b"vmstate_downtime_" + b"x" * LONGEST_LINE
    assert traces.feed(endless) == endless
    assert traces.feed(b"\n") == b"\n"
    assert traces.feed(f"{SAVE}\n".encode() * 2 * MOST_LINES) == b""
    assert len(traces.take()) == MOST_LINES
