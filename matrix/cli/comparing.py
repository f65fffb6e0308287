"""``matrix compare``: what changed between two runs, or between the variants of one."""

import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from matrix.cli.standard_output import standard_output, write_json, write_text
from matrix.errors import ExitCode, NothingSelected, UsageError
from matrix.results.compare.case_comparison import compare_cases
from matrix.results.compare.comparison_json import write_document
from matrix.results.compare.comparison_text import comparison_lines
from matrix.results.compare.markdown import markdown
from matrix.results.compare.matching import (
    COMPARABLE_AXES,
    Pairing,
    pair_runs,
    pair_runs_apart,
    pair_variants,
)
from matrix.results.compare.measured import Thresholds
from matrix.results.compare.sides import ComparedRun, StoredRun, load_results
from matrix.results.compare.tally import Gathered, total_of
from matrix.results.files import shown
from matrix.results.history.baseline import recorded_run
from matrix.results.history.database import opened
from matrix.results.history.key import PREFIX, run_key
from matrix.results.history.place import chosen_database
from matrix.results.printable import printable
from matrix.results.run_record import RunRecord, load_run

DEFAULTS = Thresholds()


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was asked for, as typed."""

    runs: tuple[Path, ...]
    by: str = ""
    base: str = ""
    slower: float = DEFAULTS.factor
    metric: float = DEFAULTS.metric * 100
    """Per cent."""
    all_metrics: bool = False
    json: bool = False
    markdown: bool = False
    fail_on_regression: bool = False
    allow_new_skips: bool = False
    fail_on_slower: bool = False
    database: str | None = None


def run_compare(comparison: Comparison) -> ExitCode:
    """Print the comparison; gives the command's exit code.

    Raises:
        UsageError: a wrong combination of options, no run directory, or no such axis or value.
        NothingSelected: the two sides have no case in common.
        HostError: a run cannot be read.
    """
    thresholds = _thresholds(comparison)
    pairings = _pairings(comparison)
    if comparison.json:
        tally = write_document(write_json, pairings, thresholds)
        sys.stdout.flush()
    else:
        everything = [
            Gathered.of(each, compare_cases(each, thresholds), all_metrics=comparison.all_metrics)
            for each in pairings
        ]
        if comparison.markdown:
            write_text(markdown(everything, thresholds))
            sys.stdout.flush()
        else:
            output = standard_output()
            output.say(comparison_lines(everything, thresholds, output.width))
        tally = total_of(each.tally for each in everything)
    short = any(pairing.b.shortfalls() for pairing in pairings)
    lost = tally.lost and not comparison.allow_new_skips
    if comparison.fail_on_regression and (tally.regressions or short or lost):
        return ExitCode.NOT_PASSED
    if comparison.fail_on_slower and tally.slower:
        return ExitCode.NOT_PASSED
    return ExitCode.OK


def _thresholds(comparison: Comparison) -> Thresholds:
    if not 1 < comparison.slower < math.inf:
        raise UsageError(f"--slower {comparison.slower:g}: a factor above 1 is needed, as in 1.5")
    if not 0 <= comparison.metric < math.inf:
        raise UsageError(f"--metric {comparison.metric:g}: per cent are needed, as in 20")
    return Thresholds(factor=comparison.slower, metric=comparison.metric / 100)


def _pairings(comparison: Comparison) -> Sequence[Pairing]:
    if comparison.json and comparison.markdown:
        raise UsageError("--json and --markdown: only one of them")
    if comparison.base and not comparison.by:
        raise UsageError("--base needs --by, the axis of which it is a value")
    if comparison.allow_new_skips and not comparison.fail_on_regression:
        raise UsageError("--allow-new-skips needs --fail-on-regression")
    match comparison.runs, bool(comparison.by):
        case (path,), True:
            (side,) = _sides(comparison)
            pairings = pair_variants(side, comparison.by, comparison.base)
        case (path,), False:
            raise UsageError(
                f"compare {shown(path)} with what? Name a second run, or compare its variants "
                f"with --by AXIS ({', '.join(COMPARABLE_AXES)})"
            )
        case (_, _), True:
            if comparison.base:
                raise UsageError(
                    "--base is for the variants of one run; of two runs, the first is the base"
                )
            a, b = _sides(comparison)
            pairings = (pair_runs_apart(a, b, comparison.by),)
        case (_, _), False:
            a, b = _sides(comparison)
            pairings = (pair_runs(a, b),)
        case _:
            raise UsageError(f"{len(comparison.runs)} runs: name one or two")
    if not any(pairing.common for pairing in pairings):
        raise NothingSelected(_nothing_in_common(pairings))
    return pairings


def _sides(comparison: Comparison) -> list[ComparedRun]:
    """The sides, in order. The last is read first: a baseline may be what was before it."""
    sides: list[ComparedRun] = []
    for path in reversed(comparison.runs):
        if str(path).startswith(PREFIX):
            sides.insert(0, _recorded(str(path), comparison.database, sides[0] if sides else None))
        else:
            sides.insert(0, load_results(path) if path.is_file() else _loaded(path))
    return sides


def _recorded(name: str, database: str | None, other: ComparedRun | None) -> StoredRun:
    """A run of the history; ``latest`` is another one than that which it is compared with."""
    chosen = chosen_database(database)
    if chosen is None:
        raise UsageError(f"{name}: there is no history; name its database with --database")
    scenarios = {case.scenario for case in other.planned()} if other else set()
    with opened(chosen) as session:
        return recorded_run(session, name, scenarios=scenarios, other_than=_key(other))


def _key(side: ComparedRun | None) -> str:
    """What a side is called in the history; empty where that is not known."""
    if isinstance(side, RunRecord):
        with suppress(UsageError):  # of a run without its time the history has nothing
            return run_key(side)
    return str(side.given).removeprefix(PREFIX) if isinstance(side, StoredRun) else ""


def _loaded(path: Path) -> RunRecord:
    """A run; what is wrong with its journal goes to stderr."""
    record = load_run(path)
    console = Console(stderr=True, highlight=False)
    for problem in record.problems:
        console.print(f"warning: {problem}", style="yellow", soft_wrap=True, markup=False)
    return record


def _nothing_in_common(pairings: Sequence[Pairing]) -> str:
    if pairings[0].axis:
        return f"no two cases are equal but for {pairings[0].axis}"
    ids_a = next((a.id for pairing in pairings for a, _ in pairing.pairs if a), "")
    ids_b = next((b.id for pairing in pairings for _, b in pairing.pairs if b), "")
    return (
        "the two runs have no case in common: cases are matched by id, and A's are like "
        f"{printable(ids_a)!r}, B's like {printable(ids_b)!r}; runs that differ in one axis are "
        "compared with --by AXIS, as --by qemu"
    )
