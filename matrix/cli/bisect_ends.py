"""The ends of a bisection that the history knows: where a case passed last and failed first."""

from collections.abc import Callable

from matrix.errors import MatrixError, UsageError
from matrix.results.history.database import opened
from matrix.results.history.place import chosen_database
from matrix.results.history.query import read_history
from matrix.results.history.trend import last_break
from matrix.results.printable import printable

MOST_RUNS = 1000
"""The latest ones, in which the break is looked for."""


def ends_of_history(case: str, is_commit: Callable[[str], bool]) -> tuple[str, str]:
    """The good and the bad revision of the suite or of QEMU, whichever the repository has.

    Args:
        case: its whole id.
        is_commit: whether the repository has that revision.

    Raises:
        UsageError: the history tells none, or the repository has neither.
    """
    database = chosen_database()
    if database is None:
        raise UsageError("name --good REV and --bad REV: there is no history")
    try:
        with opened(database) as session:
            history = read_history(session, case, last=MOST_RUNS)
    except MatrixError as error:
        raise UsageError(f"name --good REV and --bad REV: {error}") from None
    found = next((each for each in history.cases if each.id == case), None)
    broke = last_break(found.entries) if found is not None else None
    if broke is None:
        raise UsageError(
            f"name --good REV and --bad REV: the history does not know when {printable(case)} broke"
        )
    good, bad = broke.last_good, broke.first_bad
    for ends in (
        (good.suite_revision, bad.suite_revision),
        tuple(f"v{each.qemu_version.split(' ')[0]}" for each in (good, bad)),
    ):
        if ends[0] != ends[1] and all(each and is_commit(each) for each in ends):
            return ends[0], ends[1]
    told = ", ".join(
        f"{what} with QEMU {printable(each.qemu_version)} and the suite's"
        f" {printable(each.suite_revision) or 'unknown revision'}"
        for what, each in (("passed", good), ("failed", bad))
    )
    raise UsageError(f"name --good REV and --bad REV: by the history it {told}")
