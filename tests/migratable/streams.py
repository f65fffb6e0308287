"""Writes migration streams as QEMU does, without one."""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Value:
    """A field: its name, its type, and the bytes of its values, each of ``size``."""

    name: str
    content: bytes
    kind: str = "buffer"
    size: int = 1


@dataclass
class Part:
    """A subsection."""

    name: str
    values: Sequence[Value]
    version: int = 1


@dataclass
class State:
    """A section."""

    name: str
    values: Sequence[Value]
    parts: Sequence[Part] = ()
    instance: int = 0
    version: int = 1


@dataclass
class Written:
    """A stream, to be altered and written."""

    states: list[State] = field(default_factory=list)
    machine: str = "pc-q35-7.2"
    page_bits: int = 0
    blocks: Sequence[tuple[str, int]] = (("pc.ram", 4096),)
    switchover: bool = False
    memory: bytes = b"\0" * 9

    def data(self) -> bytes:
        """The stream."""
        name = self.machine.encode()
        out = b"QEVM" + struct.pack(">IBI", 3, 7, len(name)) + name
        if self.page_bits:
            out += _subsection(
                "configuration/target-page-bits", 1, struct.pack(">I", self.page_bits)
            )
        bits = self.page_bits or 12
        total = sum(length for _, length in self.blocks)
        out += struct.pack(">BIB3sIIQ", 1, 1, 3, b"ram", 0, 4, total | 4)
        for block, length in self.blocks:
            out += struct.pack(">B", len(block)) + block.encode() + struct.pack(">Q", length)
        out += self.memory + struct.pack(">QBI", 0x10, 0x7E, 1)
        assert bits
        if self.switchover:
            out += struct.pack(">BHH", 8, 0x0B, 0)
        out += struct.pack(">BIQBI", 3, 1, 0x10, 0x7E, 1)
        for number, state in enumerate(self.states, 2):
            out += _section(number, state)
        text = json.dumps({"page_size": 4096, "devices": list(map(_device, self.states))}).encode()
        return out + b"\0" + struct.pack(">BI", 6, len(text)) + text


def _section(number: int, state: State) -> bytes:
    name = state.name.encode()
    head = struct.pack(">BIB", 4, number, len(name)) + name
    head += struct.pack(">II", state.instance, state.version)
    body = b"".join(value.content for value in state.values)
    for part in state.parts:
        body += _subsection(part.name, part.version, b"".join(v.content for v in part.values))
    return head + body + struct.pack(">BI", 0x7E, number)


def _subsection(name: str, version: int, content: bytes) -> bytes:
    return struct.pack(">BB", 5, len(name)) + name.encode() + struct.pack(">I", version) + content


def _device(state: State) -> dict[str, Any]:
    return {
        "name": state.name,
        "instance_id": state.instance,
        "vmsd_name": state.name,
        "version": state.version,
        "fields": list(map(_field, state.values)),
        "subsections": [
            {
                "vmsd_name": part.name,
                "version": part.version,
                "fields": list(map(_field, part.values)),
            }
            for part in state.parts
        ],
    }


def _field(value: Value) -> dict[str, Any]:
    found: dict[str, Any] = {"name": value.name, "type": value.kind, "size": value.size}
    count = len(value.content) // value.size
    return found | ({} if count == 1 else {"array_len": count})
