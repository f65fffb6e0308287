"""The legal graph of a migration's statuses, as MIGRATION events tell them. Pure.

From ``migrate_set_state`` in QEMU's migration code (7.2 to 11.1), for source and destination.
"""

from collections.abc import Iterable, Mapping

from matrix.migrating import HopEvent

_GONE = frozenset({"failing", "failed", "cancelling", "cancelled"})
"""``failing`` is new in 11.1: before, ``failed`` came at once."""
_END = frozenset({"device", "postcopy-device", "completed"})
NEXT: Mapping[str, frozenset[str]] = {
    "": frozenset({"setup", "active", "failed", "failing"}),
    "setup": _GONE | {"active", "wait-unplug", "postcopy-recover"},
    "wait-unplug": _GONE | {"active"},
    "active": _GONE | _END | {"pre-switchover", "postcopy-active"},
    "pre-switchover": _GONE | {"device", "postcopy-active", "postcopy-device", "active"},
    "device": _GONE | {"completed", "postcopy-active", "postcopy-device", "active"},
    "postcopy-device": _GONE | {"postcopy-active", "completed", "postcopy-paused"},
    "postcopy-active": _GONE | {"postcopy-paused", "completed"},
    # A destination of 7.2 that is told migrate-recover listens anew, and recovers from there.
    "postcopy-paused": _GONE | {"postcopy-recover-setup", "postcopy-recover", "setup", "completed"},
    "postcopy-recover-setup": _GONE | {"postcopy-recover", "postcopy-paused"},
    "postcopy-recover": _GONE | {"postcopy-active", "postcopy-paused", "completed"},
    "cancelling": frozenset({"cancelled", "failed"}),
    "failing": frozenset({"failing", "failed"}),  # 11.1 says it of several channels of multifd
    "failed": frozenset({"failed"}),  # as 7.2 does
    "cancelled": frozenset(),
    "completed": frozenset(),
}
_EVENT = "MIGRATION "


def begun(events: Iterable[HopEvent]) -> bool:
    """Whether the source has begun: a destination is in ``setup`` as soon as it listens."""
    return any(each.side == "source" and each.what.startswith(_EVENT) for each in events)


def illegal(events: Iterable[HopEvent]) -> str:
    """The first step of either side that the graph does not have, in words; empty where none."""
    last = {"source": "", "destination": ""}
    for event in events:
        if event.side not in last or not event.what.startswith(_EVENT):
            continue
        status, before = event.what.removeprefix(_EVENT), last[event.side]
        if status not in NEXT.get(before, frozenset()):
            return f"the {event.side} goes from {before or 'no status'} to {status}"
        last[event.side] = status
    return ""
