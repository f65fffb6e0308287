"""Which cases differ in one axis only: what a comparison along it puts side by side. Pure."""

from collections.abc import Hashable, Sequence

from matrix.report.case_rows import AXES, Row

ALONE = -1
"""The group of a case that there is nothing to compare with."""


def comparable(rows: Sequence[Row]) -> dict[str, list[int]]:
    """Of each axis along which cases can be compared, the group of every case: those of one group
    differ in nothing else.

    What was asked for counts, not what it came to: ``auto`` is TCG where it ran and ``auto`` where
    it was skipped. The cases of several runs are matched by their ids, as ``matrix compare`` does.
    """
    found = {}
    for place, axis in enumerate(AXES):
        if axis == "test" or len({row.axes[place] for row in rows}) < 2:
            continue
        groups: dict[Hashable, list[int]] = {}
        for position, row in enumerate(rows):
            rest = row.case_id if axis == "run" else (*row.asked[:place], *row.asked[place + 1 :])
            groups.setdefault(rest, []).append(position)
        column = [ALONE] * len(rows)
        several = (each for each in groups.values() if _several(rows, each, place))
        for number, positions in enumerate(several):
            for position in positions:
                column[position] = number
        if max(column) > ALONE:
            found[axis] = column
    return found


def _several(rows: Sequence[Row], positions: list[int], place: int) -> bool:
    return len({rows[position].axes[place] for position in positions}) > 1
