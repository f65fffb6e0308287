"""Reads a migration stream that QEMU has saved: its machine, RAM blocks, and every device's state.

QEMU ends its stream with a description of what it has written, in JSON (the *vmdesc*): the fields
of every device with their types and sizes. Iterated state (RAM) is not in it. What is in front of
it is found from both ends: the header and the list of RAM blocks from the start, the state of the
devices backwards from the description, which says how long each is.

The format is that of ``migration/savevm.c``, ``migration/vmstate.c`` and ``migration/ram.c``, the
same in QEMU 7.2 to 11.1. A stream is what another program wrote: whatever is wrong with it raises
:class:`~matrix.errors.StreamError`, and the work is bounded by its length.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matrix.errors import StreamError

MAGIC = b"QEVM"
VERSION = 3
END, START, LAST, FULL, SUBSECTION = 0, 1, 3, 4, 5
DESCRIPTION, CONFIGURATION, COMMAND, FOOTER = 6, 7, 8, 0x7E
"""``QEMU_VM_…``: the bytes that begin the parts of a stream."""
SWITCHOVER_START = 0x0B
"""``MIG_CMD_SWITCHOVER_START``."""
MEMORY_SIZE = 0x04
"""``RAM_SAVE_FLAG_MEM_SIZE``, in the low bits of an address."""
FLAGS = 0xFFF
MOST_DEPTH = 64
"""Of structures in structures; QEMU 11.1 has eight."""
MOST_FIELDS = 1_000_000
"""Of one stream, bounding what a hostile one may take; a q35 with 288 vCPUs has 200,000."""
UNKNOWN = -1
KEPT_BYTES = 64 << 10
"""Of one field's content."""


@dataclass(frozen=True, slots=True)
class Field:
    """A run of values of one kind, as they lie in the stream."""

    path: str
    """The names of the structures that it is in, and its own: ``env/segs/selector``."""
    kind: str
    """QEMU's name of the type."""
    size: int
    """Bytes of one value."""
    count: int = 1
    part: str = ""
    """The innermost subsection that it is in, below those that are around that; else empty."""
    content: bytes = b""
    """All the values; empty where they were not found."""


@dataclass(frozen=True, slots=True)
class Subsection:
    """Where an optional part of a state begins: ``cpu/vfp``, and its version."""

    name: str
    version: int
    part: str = ""
    """The subsection that it is in, as :attr:`Field.part`."""

    @property
    def whole(self) -> str:
        """What :attr:`Field.part` is of the fields in it."""
        return f"{self.part} > {self.name}" if self.part else self.name


@dataclass(frozen=True, slots=True)
class Section:
    """The state of one device."""

    name: str
    instance: int
    version: int
    """:data:`UNKNOWN` where neither the description nor the stream tells."""
    parts: tuple[Field | Subsection, ...]
    found: bool = False
    """Whether its state lies in the stream as it is described, so that its content is known.

    7.2 describes arrays of pointers that may be null (s390x's ``css``) as if all were there.
    """

    @property
    def fields(self) -> tuple[Field, ...]:
        """Its fields in order."""
        return tuple(part for part in self.parts if isinstance(part, Field))

    @property
    def subsections(self) -> tuple[Subsection, ...]:
        """Its subsections, of all depths, in order."""
        return tuple(part for part in self.parts if isinstance(part, Subsection))

    @property
    def length(self) -> int:
        """Bytes of its state."""
        fields = sum(field.size * field.count for field in self.fields)
        return fields + sum(6 + len(each.name.encode()) for each in self.subsections)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of RAM: its id and its length in bytes."""

    name: str
    length: int


@dataclass(frozen=True, slots=True)
class Stream:
    """What a stream says of the guest."""

    machine: str
    """The versioned type, without ``-machine``; empty where the stream does not say."""
    page_bits: int
    """Of the target's pages; 0 where the stream does not say."""
    blocks: tuple[Block, ...]
    sections: tuple[Section, ...]
    switchover: bool = False
    """It has the command that begins a switchover (``MIG_CMD_SWITCHOVER_START``), which QEMU knows
    from 10.0 on, and sends for machine types that are as new."""


def read_stream(data: bytes) -> Stream:
    """What the stream says.

    Raises:
        StreamError: it is none, it is cut short, or its parts do not fit together.
    """
    reader = _Reader(data)
    if reader.take(4) != MAGIC:
        raise StreamError("it does not begin as a migration stream does")
    if (version := reader.number(4)) != VERSION:
        raise StreamError(f"its version is {version}; {VERSION} is known")
    machine, page_bits = _configuration(reader)
    number, blocks = _blocks(reader, page_bits)
    description, end = _description(data)
    # Between two parts of the RAM, of which the second is the last.
    switchover = struct.pack(">BIBHHBI", FOOTER, number, COMMAND, SWITCHOVER_START, 0, LAST, number)
    found = data.rfind(switchover, reader.at, end) >= 0
    return Stream(machine, page_bits, blocks, _sections(description, data, end), found)


class _Reader:
    """Big-endian values off a stream, in order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, length: int) -> bytes:
        found = self._data[self.at : self.at + length]
        if len(found) < length:
            raise StreamError(f"it ends at byte {len(self._data)}, in the middle of something")
        self.at += length
        return found

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def name(self) -> str:
        return self.take(self.number(1)).decode("utf-8", "replace")

    def next_is(self, kind: int) -> bool:
        """Step over the byte ``kind``, if that is next."""
        found = self._data[self.at : self.at + 1] == bytes((kind,))
        self.at += found
        return found


def _configuration(reader: _Reader) -> tuple[str, int]:
    """The machine's name and the page bits (``vmstate_configuration``)."""
    if not reader.next_is(CONFIGURATION):
        return "", 0
    machine = reader.take(reader.number(4)).decode("utf-8", "replace")
    page_bits = 0
    while reader.next_is(SUBSECTION):
        name = reader.name()
        reader.number(4)  # its version
        match name:
            case "configuration/target-page-bits":
                page_bits = reader.number(4)
            case "configuration/capabilities":
                for _ in range(reader.number(4)):
                    reader.name()
            case "configuration/uuid":
                reader.take(16)
            case _:
                raise StreamError(f"its configuration has a part {name!r}, which is not known")
    return machine, page_bits


def _blocks(reader: _Reader, page_bits: int) -> tuple[int, tuple[Block, ...]]:
    """The number and the blocks of the section ``ram``, which is the first one."""
    if not reader.next_is(START):
        raise StreamError("it does not begin with the section of its RAM")
    number = reader.number(4)
    if (name := reader.name()) != "ram":
        raise StreamError(f"it begins with section {name!r} in place of its RAM")
    reader.take(8)  # instance and version
    word = reader.number(8)
    mask = (1 << page_bits) - 1 if 0 < page_bits < 64 else FLAGS
    if word & mask & FLAGS != MEMORY_SIZE:
        raise StreamError("the section of its RAM begins without the blocks")
    left = word & ~mask
    found = []
    while left > 0:
        name, length = reader.name(), reader.number(8)
        if not name or not 0 < length <= left:
            raise StreamError(f"RAM block {name!r} is of {length} bytes, where {left} are left")
        found.append(Block(name, length))
        left -= length
    return number, tuple(found)


def _description(data: bytes) -> tuple[Mapping[str, Any], int]:
    """The description, and where what it describes ends."""
    # It is the last thing, so its header is the one that is followed by its length and no more. A
    # brace opens it.
    at = len(data)
    while (at := data.rfind(b"{", 5, at)) >= 0:
        if data[at - 5 : at] == struct.pack(">BI", DESCRIPTION, (len(data) - at) & 0xFFFFFFFF):
            break
    if at < 6:
        raise StreamError("no description of the devices' state is at its end")
    if data[at - 6] != END:
        raise StreamError("the state of the devices does not end before its description")
    try:
        found = json.loads(data[at:])
    except (ValueError, RecursionError) as error:
        raise StreamError(f"the description of the devices' state is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise StreamError("the description of the devices' state is no object")
    return found, at - 6


def _sections(description: Mapping[str, Any], data: bytes, end: int) -> tuple[Section, ...]:
    """The devices, with their content as far as it is where the description says."""
    described = list(described_sections(description))
    found = []
    for section in reversed(described):
        begin = _begin(section, data, end)
        if begin is None:
            break  # some state before that is not as described: what is left has no content
        found.append(_filled(section, data, end - 5 - section.length))
        end = begin
    return (*described[: len(described) - len(found)], *reversed(found))


def _begin(section: Section, data: bytes, end: int) -> int | None:
    """Where the section begins that ends at ``end``; None if it is not this one."""
    name = section.name.encode()
    state = end - 5 - section.length
    begin = state - 14 - len(name)
    if begin < 0 or data[begin] != FULL or data[end - 5] != FOOTER:
        return None
    number = data[begin + 1 : begin + 5]
    expected = bytes((len(name) & 0xFF,)) + name + section.instance.to_bytes(8, "big")[4:]
    same = data[begin + 5 : state - 4] == expected and number == data[end - 4 : end]
    return begin if same else None


def _filled(section: Section, data: bytes, at: int) -> Section:
    """The section with its version and the content of its fields, which begins at ``at``."""
    version = int.from_bytes(data[at - 4 : at], "big")
    parts: list[Field | Subsection] = []
    for part in section.parts:
        if isinstance(part, Field):
            length = part.size * part.count
            content = data[at : at + length] if length <= KEPT_BYTES else b""
            parts.append(replace(part, content=content))
            at += length
        else:
            parts.append(part)
            at += 6 + len(part.name.encode())
    return Section(section.name, section.instance, version, tuple(parts), found=True)


def described_sections(description: Mapping[str, Any]) -> Iterator[Section]:
    """The devices of a description (the vmdesc, as JSON), in order.

    Raises:
        StreamError: it is not of QEMU's form.
    """
    left = [MOST_FIELDS]
    for device in _list(description, "devices"):
        yield Section(
            _text(device, "name"),
            _integer(device, "instance_id"),
            # Of what saves itself without a table of fields only the stream has the version.
            _integer(device, "version") if "version" in device else UNKNOWN,
            tuple(_parts(device, "", "", left)),
        )


def _parts(
    state: Mapping[str, Any], above: str, part: str, left: list[int], depth: int = 0
) -> Iterator[Field | Subsection]:
    """What is in a state: its fields, those of its structures, its subsections.

    ``left`` counts down how many more there may be.
    """
    if depth > MOST_DEPTH:
        raise StreamError(f"structures lie more than {MOST_DEPTH} deep")
    for field in _list(state, "fields"):
        path = f"{above}{_text(field, 'name')}"
        inner = field.get("struct")
        count = _integer(field, "array_len", 1)
        if inner is None:
            _count_down(left, 1)
            yield Field(path, _text(field, "type"), _integer(field, "size"), count, part)
        elif not isinstance(inner, dict):
            raise StreamError(f"field {path!r} is of a structure that is no object")
        else:
            parts = tuple(_parts(inner, f"{path}/", part, left, depth + 1))
            _count_down(left, 1 + len(parts) * max(0, count - 1))
            yield from parts * count
    for each in _list(state, "subsections"):
        subsection = Subsection(_text(each, "vmsd_name"), _integer(each, "version"), part)
        _count_down(left, 1)
        yield subsection
        yield from _parts(each, above, subsection.whole, left, depth + 1)


def _count_down(left: list[int], number: int) -> None:
    left[0] -= number
    if left[0] < 0:
        raise StreamError(f"more than {MOST_FIELDS} fields are described")


def _list(node: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    found = node.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise StreamError(f"{name!r} of the description is no list of objects")
    return found


def _text(node: Mapping[str, Any], name: str) -> str:
    found = node.get(name)
    if not isinstance(found, str) or len(found) > 255:
        raise StreamError(f"{name!r} in the description is no name: {str(found)[:80]!r}")
    return found


def _integer(node: Mapping[str, Any], name: str, usual: int | None = None) -> int:
    found = node.get(name, usual)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 1 << 40:
        raise StreamError(f"{name!r} in the description is no size: {str(found)[:80]!r}")
    return found
