"""``matrix show``: a run's summary again, or one case in full."""

from collections.abc import Collection
from pathlib import Path

from matrix.cli.evidence import evidence_lines
from matrix.cli.standard_output import standard_output
from matrix.errors import UsageError
from matrix.results.printable import printable
from matrix.results.run_record import RunRecord, load_run
from matrix.results.segments import Style, line
from matrix.results.summary_text import case_lines, record_summary

NAMES_SHOWN = 10


def run_show(path: Path, case: str) -> None:
    """Print what is known of a run or of a case of it.

    Raises:
        UsageError: no run directory, or no such case, or several.
    """
    record = load_run(path)
    output = standard_output()
    for problem in record.problems:
        output.say([line(f"warning: {problem}", Style.SKIP)])
    if not case:
        output.say(record_summary(record, output.width))
        return
    result = record.result(case_named(record, case))
    if result is None:
        raise UsageError(
            f"{printable(case)} has no result yet; finish the run with --resume {path}"
        )
    output.say(case_lines(result, record.given, output.width))
    folder = record.run.inside(result.artifacts)
    if folder is not None:
        output.say(evidence_lines(folder))


def case_named(record: RunRecord, wanted: str) -> str:
    """The id of the case that is meant: its whole id, or a part that only one case has.

    Raises:
        UsageError: none, or several.
    """
    ids = [decision.case.id for decision in record.decisions]
    return id_named(ids, wanted, f"matrix show {record.given}")


def id_named(ids: Collection[str], wanted: str, lister: str) -> str:
    """As :func:`case_named`, of these ids, which the command ``lister`` prints."""
    if wanted in ids:
        return wanted
    found = [case_id for case_id in ids if wanted in case_id]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"no case has {wanted!r} in its id; {lister} lists them")
    names = "\n  ".join(found[:NAMES_SHOWN])
    more = f"\n  and {len(found) - NAMES_SHOWN} more" if len(found) > NAMES_SHOWN else ""
    raise UsageError(
        f"{len(found)} cases have {wanted!r} in their ids; which one?\n  {names}{more}"
    )
