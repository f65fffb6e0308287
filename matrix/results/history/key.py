"""What a recorded run is called: when it started, and a digest of its ``run.json``."""

import hashlib
from datetime import UTC, datetime

from matrix.errors import UsageError
from matrix.results.files import read_bounded, shown
from matrix.results.run_info import LARGEST_RUN_INFO, RunInfo
from matrix.results.run_record import RunRecord

PREFIX = "history:"
"""What a run's name follows where a run directory is asked for."""

DIGEST = 8
"""Characters of the digest."""


def run_key(record: RunRecord) -> str:
    """The name of a run, as ``20261121T093000-1a2b3c4d``; the same for a copy of its directory,
    and after it was resumed.

    Raises:
        UsageError: its ``run.json`` is broken.
        HostError: it cannot be read.
    """
    data = read_bounded(record.run.info_path, LARGEST_RUN_INFO)
    digest = hashlib.sha256(data).hexdigest()[:DIGEST]
    return f"{started(record).strftime('%Y%m%dT%H%M%S')}-{digest}"


def started(record: RunRecord) -> datetime:
    """When a run started, in UTC.

    Raises:
        UsageError: its ``run.json`` has no such time.
    """
    return started_time(record.info, shown(record.run.info_path))


def started_time(info: RunInfo, where: str) -> datetime:
    """When a run started, in UTC; ``where`` is named by what is raised.

    Raises:
        UsageError: it is no time.
    """
    try:
        time = datetime.fromisoformat(info.started)
        if time.tzinfo is not None and time.year >= 1970:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # told below
    raise UsageError(f"{where}: 'started' is not a time with a zone, as 2026-11-21T09:30:00.000Z")


def sortable(time: datetime) -> str:
    """UTC, ISO 8601, milliseconds: texts of the same length, so that they sort."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
