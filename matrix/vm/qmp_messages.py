"""QMP messages: bytes in, and what they must have.

The protocol is QEMU's docs/interop/qmp-spec.rst.
"""

import json
import time
from typing import Any

LATEST = 1 << 40
"""Unix time up to which an event's stamp is one."""

Message = dict[str, Any]


class BrokenProtocolError(Exception):
    """The peer breaks the protocol; the message says how."""


def parse(line: bytes) -> Message:
    """One message.

    Raises:
        BrokenProtocolError: it is no JSON object.
    """
    try:
        message = json.loads(line.decode())
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, too long a number, too deep
        raise BrokenProtocolError(f"cannot deserialize a message: {error}") from error
    if not isinstance(message, dict):
        raise BrokenProtocolError("a message is not a JSON object")
    return message


def check_reply(message: Message) -> None:
    """Look whether a reply is one.

    Raises:
        BrokenProtocolError: it is not.
    """
    match message:
        case {"error": {"class": str(), "desc": str()}}:
            pass
        case {"error": _}:
            raise BrokenProtocolError("an error has no 'class' or no 'desc'")
        case {"return": _}:
            pass
        case _:
            raise BrokenProtocolError("a reply has neither 'return' nor 'error'")


def version_of(greeting: Message) -> tuple[int, int, int]:
    """QEMU's, by what is its greeting's ``QMP``; zeros where that does not say."""
    match greeting.get("version"):
        case {"qemu": {"major": int(major), "minor": int(minor), "micro": int(micro)}}:
            return (major, minor, micro)
        case _:
            return (0, 0, 0)


def stamp(event: Message) -> float:
    """When an event happened by QEMU's clock, which is the host's; now where it does not say."""
    match event.get("timestamp"):
        case {"seconds": int(seconds), "microseconds": int(micro)}:
            if 0 < seconds < LATEST and 0 <= micro < 10**6:
                return seconds + micro / 1e6
        case _:
            pass
    return time.time()
