"""Run again what a run left: its failures, or all that has not passed so far.

A run that runs another one's cases again names it in ``run.json``. What counts of a case is what it
came to last, over that chain of runs: so repeating ``--last-failed`` runs fewer and fewer cases,
until nothing is left, and does not take those that an earlier rerun left out for new ones.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from matrix.errors import NothingSelected, UsageError
from matrix.model import Case
from matrix.results.directory import RunDirectory
from matrix.results.files import shown
from matrix.results.outcome import counts_as_failure
from matrix.results.run_info import read_run_info
from matrix.results.run_record import RunRecord, load_run
from matrix.run.options import Selection, with_defaults
from matrix.verdicts import Verdict

SELECTION, RERUN_OF = "selection", "rerun_of"
"""Keys of the options in ``run.json``: how the run was selected, and the run it is a rerun of."""
FOLDER = "folder"
"""Key of those options: where the run was started, which its relative paths are of."""
VIRTUAL_HOSTS = "virtual_hosts"
"""Key of those options: the virtual hosts of the run, as ``--virtual-host`` takes them."""
FLEET = "fleet"
"""Key of those options: the fleet file of the run, and how the hosts know the run."""
OWN = ("failed", "last_failed", "require", "fail_on_skip", "reuse")
"""Fields of a selection that say what is run again or not, and how much of a whole run has to
run."""
PATHS = ("scenarios", "expect", "durations", "fleet", "host")
NAMED_PATHS = ("qemu", "build", "virtual_host")
"""Fields whose values are ``NAME=PATH,…``."""
LONGEST_CHAIN = 1000
"""Runs; a chain is no cycle, unless someone writes one by hand."""


def kept_options(selection: Selection, run: Path) -> dict[str, object]:
    """What ``run.json`` of a new run in ``run`` keeps, so that it can be run again."""
    kept: dict[str, object] = {}
    for field in fields(Selection):
        value = getattr(selection, field.name)
        if field.name not in OWN and value != field.default:
            kept[field.name] = _plain(value)
    options: dict[str, object] = {SELECTION: kept, FOLDER: str(Path.cwd())}
    if (origin := selection.failed or selection.last_failed) is not None:
        options[RERUN_OF] = os.path.relpath(origin, run)
    return options


def replayed(
    selection: Selection,
    defaults: Mapping[str, object] = MappingProxyType({}),
    only: Collection[str] | None = None,
) -> Selection:
    """The selection with all that the run that it runs again was selected by.

    What is given beside it wins; where scenarios are given, they stand alone. Where nothing is run
    again, what is not given is taken from the project's and the host file's ``defaults``; ``only``
    as :func:`matrix.run.options.with_defaults` has it.

    Raises:
        UsageError: no such run, or it is of a version that did not keep how it was selected.
    """
    if selection.failed is not None and selection.last_failed is not None:
        raise UsageError("--failed and --last-failed: give one of the two")
    origin = selection.failed or selection.last_failed
    if origin is None or selection.scenarios:
        return with_defaults(selection, defaults, only)
    options = load_run(origin).info.options
    try:
        before = _selection(options.get(SELECTION), options)
    except (TypeError, ValueError):
        raise UsageError(
            f"{shown(origin)} does not say which scenarios it ran; name them"
        ) from None
    given = {
        field.name: value
        for field in fields(Selection)
        if (value := getattr(selection, field.name)) != field.default
    }
    return replace(before, **given)


def was_strict(selection: Selection) -> bool | None:
    """Whether the run that ``selection`` runs again was strict; None where it runs none again.

    Raises:
        HostError, UsageError: its run.json cannot be read.
    """
    origin = selection.failed or selection.last_failed
    if origin is None:
        return None
    return read_run_info(RunDirectory.open(origin).info_path).options.get("strict") is True


def left(cases: Iterable[Case], selection: Selection) -> list[Case]:
    """The cases that ``selection`` runs again; all of them where it runs none again.

    Of ``--failed`` those that did not pass; of ``--last-failed`` also those that did not get to
    run, and those that no run of the chain had.

    Raises:
        UsageError: the run cannot be read.
        NothingSelected: none is left.
    """
    origin = selection.failed or selection.last_failed
    if origin is None:
        return [*cases]
    known = _standing(origin)
    wanted, told = [], []
    for case in cases:
        passed = known.get(case.id)
        if case.id in known:
            told.append(passed)
        if passed is False or (passed is None and selection.last_failed is not None):
            wanted.append(case)
    if not wanted:
        raise NothingSelected(
            f"nothing to run again: {told.count(True)} of {len(told)} cases of {shown(origin)} have"
            " passed, or were skipped"
        )
    return wanted


def _standing(run: Path) -> dict[str, bool | None]:
    """Whether each case passed last, over the chain that ends in ``run``; None for nothing yet.

    A skip is as good as a pass, but does not undo what the case came to before: it may have failed,
    and want for a build since.
    """
    known: dict[str, bool | None] = {}
    skipped: set[str] = set()
    for record in chain_of(run):
        for decision in record.decisions:
            if known.get(decision.case.id) is None:
                verdict = record.verdict(decision.case.id)
                if verdict is Verdict.SKIP:
                    skipped.add(decision.case.id)
                    verdict = None
                failed = verdict and counts_as_failure(verdict, strict=record.strict)
                known[decision.case.id] = None if verdict is None else not failed
    return known | {case: True for case in skipped if known[case] is None}


def chain_of(run: Path) -> Iterator[RunRecord]:
    """A run, then the one that it is a rerun of, and so on, as far as they are there.

    Raises:
        UsageError: one is broken.
        HostError: one cannot be read.
    """
    path = run
    for _ in range(LONGEST_CHAIN):
        record = load_run(path)
        yield record
        before = record.info.options.get(RERUN_OF)
        if not isinstance(before, str):
            return
        path = record.run.path / before
        if not (path / "run.json").exists():  # it was removed since
            return


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def as_started(text: str, options: Mapping[str, Any]) -> str:
    """What a run was given, ``PATH`` or ``NAME=PATH,…``, with its relative paths from here.

    Args:
        text: as it was given.
        options: the run's, as in ``run.json``. Where they do not say where it was started, or
            nothing of that name is there, a path stays as it is.
    """
    folder = options.get(FOLDER)
    if not isinstance(folder, str) or Path(folder) == Path.cwd():
        return text
    pieces = [each.rpartition("=") for each in text.split(",")]
    return ",".join(
        f"{name}{sign}{there if place and (there := Path(folder) / place).exists() else place}"
        for name, sign, place in pieces
    )


def _selection(kept: object, options: Mapping[str, Any]) -> Selection:
    """A selection out of the options of ``run.json``.

    Raises:
        TypeError, ValueError: it is none.
    """
    if not isinstance(kept, Mapping) or not kept.get("scenarios"):
        raise ValueError("no scenarios")
    values: dict[str, Any] = {}
    for field in fields(Selection):
        if field.name in OWN or (value := kept.get(field.name)) is None:
            continue
        kinds = (
            (list,) if isinstance(field.default, tuple) else get_args(field.type) or (field.type,)
        )
        if field.name in PATHS and not isinstance(value, list):
            kinds = (str,)
        if not isinstance(value, kinds):
            raise TypeError(field.name)
        make = Path if field.name in PATHS else str
        if isinstance(value, list):
            texts = [str(each) for each in value]
            if field.name in (*PATHS, *NAMED_PATHS):
                texts = [as_started(each, options) for each in texts]
            values[field.name] = tuple(map(make, texts))
        else:
            values[field.name] = Path(as_started(value, options)) if make is Path else value
    return Selection(**values)
