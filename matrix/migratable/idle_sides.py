"""What an idle guest of a QEMU is, asked once per binary and kept in the cache."""

import base64
import zlib
from dataclasses import replace
from typing import Any

from matrix.errors import MonitorError, StreamError
from matrix.hosts.cache import Cache
from matrix.hosts.cached_records import stamps_text
from matrix.hosts.fingerprint import take_stamp
from matrix.hosts.host_facts import HostState
from matrix.hosts.survey import fingerprint_of
from matrix.hosts.surveyors import guest_files
from matrix.inventory import Binary
from matrix.migratable.device import Device
from matrix.migratable.doctor_file import UNSTARTED
from matrix.migratable.idle import Idle, idle_launch, own_words, save
from matrix.migratable.prediction import Guest, Side
from matrix.migratable.stream import read_stream


async def side_of(
    binary: Binary, guest: Guest, host: HostState, cache: Cache, *, fresh: bool = False
) -> Side:
    """The idle guest of a QEMU, from the cache or by starting it; none of one on another host.

    Args:
        binary: the emulator.
        guest: which.
        host: this host's state.
        cache: where it is kept, by the files that the binary and the guest are made of.
        fresh: ask again whatever the cache says.

    Raises:
        SpawnError, HostError, SuiteError: the host fails us.
    """
    if binary.path == UNSTARTED:
        return Side(binary)
    launch = idle_launch(binary, guest.architecture, guest.machine, guest.cpu)
    name = f"idle {binary.path} {guest.architecture.value} {guest.machine} {guest.cpu}"
    known = fingerprint_of(binary, host, cache)
    stamps = stamps_text([take_stamp(file) for file in guest_files(guest.architecture)])
    key = "\n".join((known or "", stamps, *launch.argv))
    idle = None if fresh or known is None else cache.read(name, key, decode_idle)
    if idle is None:
        try:
            idle = await save(launch)
        except MonitorError as error:
            return Side(binary, problem=own_words(error, launch))
        if known is not None:
            cache.write(name, key, encode_idle(idle))
    side = Side(binary, idle)
    try:
        return replace(side, stream=read_stream(idle.stream))
    except StreamError as error:
        return replace(side, problem=f"the state that it saves cannot be read: {error}")


def encode_idle(idle: Idle) -> dict[str, Any]:
    """JSON of an idle guest; most of its state is empty memory, which is packed well."""
    return {
        "stream": base64.b85encode(zlib.compress(idle.stream)).decode(),
        "cpu": _encoded(idle.cpu),
        "devices": [_encoded(device) for device in idle.devices],
    }


def decode_idle(value: Any) -> Idle:
    """The idle guest that was encoded.

    Raises:
        ValueError, KeyError, TypeError: it was not.
    """
    try:
        stream = zlib.decompress(base64.b85decode(value["stream"]))
    except zlib.error as error:
        raise ValueError(str(error)) from error
    return Idle(stream, _decoded(value["cpu"]), tuple(map(_decoded, value["devices"])))


def _encoded(device: Device) -> list[Any]:
    return [device.path, device.kind, device.properties]


def _decoded(value: Any) -> Device:
    path, kind, properties = value
    return Device(path, kind, tuple((name, each) for name, each in properties))
