"""Reading streams: those of a writer of ours, those of QEMU, and those of nobody's good will."""

import asyncio
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.errors import StreamError
from matrix.migratable.idle import idle_launch, save
from matrix.migratable.stream import (
    Block,
    Field,
    Stream,
    Subsection,
    described_sections,
    read_stream,
)
from matrix.model import Architecture
from tests.installed import installed_binary
from tests.migratable.streams import Part, State, Value, Written

TIMER = State("timer", [Value("ticks", b"\0" * 7 + b"\x05", "int64", 8), Value("flags", b"ab")])
CPU = State(
    "cpu",
    [Value("regs", b"\1\2\3\4", "uint16", 2)],
    [Part("cpu/vfp", [Value("fpcr", b"\x7e\0\0\4", "uint32", 4)], 3)],
    version=22,
)


def test_what_is_written_is_read() -> None:
    written = Written(
        [TIMER, CPU], "virt-7.2", 12, [("mach-virt.ram", 1 << 27), ("/rom@etc/acpi/rsdp", 4096)]
    )
    stream = read_stream(written.data())
    assert (stream.machine, stream.page_bits, stream.switchover) == ("virt-7.2", 12, False)
    assert stream.blocks == (Block("mach-virt.ram", 1 << 27), Block("/rom@etc/acpi/rsdp", 4096))
    timer, cpu = stream.sections
    assert timer.fields[0] == Field("ticks", "int64", 8, content=b"\0" * 7 + b"\x05")
    assert (cpu.name, cpu.version, cpu.length) == ("cpu", 22, 4 + 6 + 7 + 4)
    assert cpu.parts == (
        Field("regs", "uint16", 2, 2, content=b"\1\2\3\4"),
        Subsection("cpu/vfp", 3),
        Field("fpcr", "uint32", 4, part="cpu/vfp", content=b"\x7e\0\0\4"),
    )


def test_the_command_that_begins_a_switchover_is_seen() -> None:
    assert read_stream(Written([TIMER], switchover=True).data()).switchover


def test_what_only_looks_like_the_description_or_a_section_misleads_nobody() -> None:
    """The state of a device and the memory may hold any bytes."""
    fake = Written([CPU]).data()
    state = State("fw_cfg", [Value("data", fake)])
    stream = read_stream(Written([TIMER, state, CPU], memory=fake).data())
    assert [section.name for section in stream.sections] == ["timer", "fw_cfg", "cpu"]
    assert all(section.found for section in stream.sections)


def test_state_that_is_not_as_described_leaves_what_is_before_it_without_content() -> None:
    """As of 7.2's ``s390_css``, which describes a pointer that is null as if it were not."""
    data = Written([TIMER, State("css", [Value("x", b"1234")]), CPU]).data()
    cut = data.replace(b"1234", b"12")
    stream = read_stream(cut)
    assert [section.found for section in stream.sections] == [False, False, True]


def test_a_state_without_a_table_of_fields_has_the_version_of_the_stream() -> None:
    data = Written([State("todclock", [Value("data", b"12345678")], version=2)]).data()
    text = data[data.rindex(b'{"page_size"') :]
    device = json.loads(text)
    del device["devices"][0]["version"]
    shorter = json.dumps(device).encode()
    data = data[: -len(text) - 4] + len(shorter).to_bytes(4, "big") + shorter
    assert read_stream(data).sections[0].version == 2
    assert next(described_sections(device)).version == -1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ends at byte 0"),
        (b"\x7fELF" + b"\0" * 60, "does not begin as a migration stream does"),
        (b"QEVM\0\0\0\2", "version is 2; 3 is known"),
        (b"QEVM\0\0\0\3\1\0\0\0\2\3dma", "begins with section .dma."),
        (b"QEVM\0\0\0\3\1\0\0\0\2\3ram\0", "ends at byte 18"),
        (Written(blocks=[("pc.ram", 4096), ("", 4096)]).data(), "RAM block '' is of 4096 bytes"),
        (Written([TIMER]).data()[:-1], "no description"),
        (Written([TIMER]).data() + b"\0", "no description"),
    ],
)
def test_no_stream(data: bytes, why: str) -> None:
    with pytest.raises(StreamError, match=why):
        read_stream(data)


@pytest.mark.parametrize(
    ("description", "why"),
    [
        ({"devices": {}}, "'devices' of the description is no list of objects"),
        ({"devices": [3]}, "'devices' of the description is no list of objects"),
        ({"devices": [{"name": 3}]}, "'name' in the description is no name: '3'"),
        ({"devices": [{"name": "x", "instance_id": -1}]}, "'instance_id' in the description"),
        (
            {"devices": [{"name": "x", "instance_id": 0, "fields": [{"name": "y", "struct": 7}]}]},
            "field 'y' is of a structure that is no object",
        ),
        (
            {
                "devices": [
                    {
                        "name": "x",
                        "instance_id": 0,
                        "fields": [
                            {
                                "name": "y",
                                "array_len": 1 << 39,
                                "struct": {"fields": [{"name": "z", "type": "t", "size": 1}]},
                            }
                        ],
                    }
                ]
            },
            "more than 1000000 fields",
        ),
    ],
)
def test_no_description(description: dict[str, object], why: str) -> None:
    with pytest.raises(StreamError, match=why):
        list(described_sections(description))


def test_structures_that_are_too_deep() -> None:
    inner: dict[str, object] = {}
    for _ in range(70):
        inner = {"fields": [{"name": "x", "struct": inner}]}
    with pytest.raises(StreamError, match="more than 64 deep"):
        list(described_sections({"devices": [{"name": "x", "instance_id": 0, **inner}]}))


_values = st.builds(
    Value, st.text("abc", min_size=1, max_size=3), st.binary(max_size=9), st.just("buffer")
)
_parts = st.builds(Part, st.text("xyz/", min_size=1, max_size=6), st.lists(_values, max_size=2))
_states = st.builds(
    State,
    st.text("abc:/é", min_size=1, max_size=6),
    st.lists(_values, max_size=3),
    st.lists(_parts, max_size=2),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 32) - 1),
)


@given(st.lists(_states, max_size=4), st.binary(max_size=40))
def test_every_content_is_found(states: list[State], memory: bytes) -> None:
    stream = read_stream(Written(states, memory=memory).data())
    assert [section.name for section in stream.sections] == [state.name for state in states]
    for section, state in zip(stream.sections, states, strict=True):
        assert section.found
        assert (section.instance, section.version) == (state.instance, state.version)
        whole = [*state.values, *(value for part in state.parts for value in part.values)]
        assert [field.content for field in section.fields] == [value.content for value in whole]


@given(st.data())
def test_an_altered_stream_is_read_or_refused(data: st.DataObject) -> None:
    stream = bytearray(Written([TIMER, CPU], "virt-7.2", 12).data())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(stream) - 1))
        stream[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    with contextlib.suppress(StreamError):  # and nothing else
        assert isinstance(read_stream(bytes(stream)), Stream)


KEYS = (
    *("devices", "name", "instance_id", "version", "fields", "subsections", "size", "type"),
    *("struct", "array_len", "vmsd_name"),
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(_json)
def test_any_description_is_read_or_refused(description: object) -> None:
    with contextlib.suppress(StreamError):  # and nothing else
        list(described_sections({"devices": [description]}))


@pytest.mark.qemu
@pytest.mark.parametrize("architecture", [Architecture.X86_64, Architecture.S390X])
def test_a_stream_of_qemu(architecture: Architecture) -> None:
    async def saved() -> Stream:
        binary = await installed_binary(architecture)
        idle = await save(idle_launch(binary, architecture, "", ""))
        return read_stream(idle.stream)

    stream = asyncio.run(saved())
    names = {section.name: section for section in stream.sections}
    assert {"timer", "cpu", "cpu_common", "globalstate"} <= names.keys()
    assert names["globalstate"].found
    assert sum(block.length for block in stream.blocks) >= 128 << 20
    assert stream.machine.startswith(("pc-i440fx-", "s390-ccw-virtio-"))
