"""The hops of an attempt, as many as the history keeps, read from its ``hops.jsonl``.

A soak makes hundreds of thousands. Its statistics are over all of them and are kept with the
attempt; of the hops themselves the history keeps all of a short case, and of a long one every hop
that was not good and an even sample of the others, so that a trend can be drawn.
"""

import re
from collections.abc import Iterator
from functools import cache

from pydantic import TypeAdapter, ValidationError

from matrix.errors import HostError, UsageError
from matrix.migrating import Hop
from matrix.results.case_record import AttemptRecord
from matrix.results.directory import RunDirectory
from matrix.results.files import open_regular

HOPS_FILE = "hops.jsonl"

MOST_HOPS = 1000
"""Of an attempt, so many good ones, and so many that were not."""

MOST_LINES = 2000
"""Good hops that a file has whole, about; of those before there are the worst only."""

LONGEST_LINE = 2**22
"""Bytes; a hop with its samples takes some KiB."""

_NOT_GOOD = re.compile(rb'"good": ?false')


def kept_hops(run: RunDirectory, attempt: AttemptRecord) -> Iterator[Hop]:
    """The hops of an attempt that are kept, in order; none where there is no file.

    Lines that are no hop are left out: the statistics are what counts.
    """
    folder = run.inside(attempt.artifacts) if attempt.artifacts else None
    if folder is None:
        return
    made = attempt.hops.hops if attempt.hops else 0
    stride = max(1, -(-min(made, MOST_LINES) // MOST_HOPS))
    good = bad = 0
    try:
        with open_regular(folder / HOPS_FILE) as file:
            for index in range(10 * made + MOST_HOPS):
                line = file.readline(LONGEST_LINE)
                if not line:
                    return
                failed = _NOT_GOOD.search(line) is not None
                if (failed and bad < MOST_HOPS) or (
                    not failed and index % stride == 0 and good < MOST_HOPS
                ):
                    bad, good = bad + failed, good + (not failed)
                    yield from _parsed(line)
    except (UsageError, HostError, OSError):
        return


def _parsed(line: bytes) -> Iterator[Hop]:
    try:
        yield _adapter().validate_json(line)
    except ValidationError:
        return


@cache
def _adapter() -> TypeAdapter[Hop]:
    return TypeAdapter(Hop)
