"""Which device's state took how long to save and to load, as QEMU's trace events say.

QEMU's ``vmstate_downtime_save`` and ``vmstate_downtime_load`` (migration/savevm.c; 10.0 and 11.1
have them, 7.2 has not) tell of each section that is carried over while the guest is stopped, in
microseconds. In postcopy the memory is loaded after that, while the guest runs.
"""

import re
from collections.abc import Iterable, Iterator

from matrix.errors import MonitorError
from matrix.migrating import DeviceTime
from matrix.migration.endpoint import Endpoint
from matrix.vm.trace_lines import TraceLines

PREFIX = "vmstate_downtime_"
SAVE, LOAD = f"{PREFIX}save", f"{PREFIX}load"
MICROSECOND = 1e-6
_EVENT = re.compile(
    rf"(?P<event>{SAVE}|{LOAD}) type=\S* idstr=(?P<section>.*) instance_id=(?P<instance>\d+)"
    r" downtime=(?P<time>\d+)"
)


async def trace_devices(endpoint: Endpoint) -> None:
    """Have a QEMU tell of each device, or note in ``endpoint.untraced`` why it cannot.

    Raises:
        MonitorError: no answer in time, or QEMU has ended.
    """
    try:
        known = await endpoint.execute("trace-event-get-state", {"name": f"{PREFIX}*"})
        able = {each["name"] for each in known if each["state"] != "unavailable"}
        if {SAVE, LOAD} <= able:
            endpoint.session.traces = TraceLines(PREFIX)
            for event in (SAVE, LOAD):
                await endpoint.execute("trace-event-set-state", {"name": event, "enable": True})
            return
    except MonitorError as error:
        if not error.error_class:
            raise
    except (KeyError, TypeError):  # no list of events
        pass
    endpoint.untraced = f"QEMU {endpoint.label} has no trace events {PREFIX}*"


def device_times(
    source: Endpoint, destination: Endpoint, *, completed: bool
) -> tuple[tuple[DeviceTime, ...], str]:
    """What the two sides of a hop that is over have told, in the order of the stream, and why one
    of them has not, empty where both have. To be asked once per hop.

    A section that is told of several times, as the memory, counts with the sum.
    """
    found: dict[tuple[str, int], list[float | None]] = {}
    why: dict[str, None] = {}
    for index, (endpoint, event) in enumerate(((source, SAVE), (destination, LOAD))):
        told = False
        for device, instance, seconds in _events(endpoint.traced(), event):
            times = found.setdefault((device, instance), [None, None])
            times[index] = round((times[index] or 0.0) + seconds, 6)
            told = True
        if endpoint.untraced:
            why[endpoint.untraced] = None
        elif completed and not told and endpoint.session.traces is not None:
            why[f"QEMU {endpoint.label} does not trace to its stderr"] = None
    return tuple(DeviceTime(*key, *times) for key, times in found.items()), "; ".join(why)


def _events(lines: Iterable[str], wanted: str) -> Iterator[tuple[str, int, float]]:
    for line in lines:
        event = _EVENT.fullmatch(line)
        if event is not None and event["event"] == wanted:
            yield event["section"], int(event["instance"]), int(event["time"]) * MICROSECOND
