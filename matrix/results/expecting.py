"""A file of known failures from runs: what failed in them, and under which conditions.

Written so that the same run with the file has nothing but known failures and no unexpected pass:
every entry holds exactly where its failure was seen. A failure that only some of a test's cases
have, on the same architecture, accelerator and QEMU, is written with their ids. What several runs
say of a test in the same variant counts as attempts of one case, whatever their scenarios' names.
"""

import glob
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, fields, replace
from itertools import accumulate, product

from matrix import __version__
from matrix.errors import UsageError
from matrix.inventory import Inventory
from matrix.model import AcceleratorLabel, Architecture, Expectation, Target, Variant
from matrix.plan.decisions import Run
from matrix.plan.efi import ARCHITECTURES as EFI_ARCHITECTURES
from matrix.plan.emulators import emulator_architecture
from matrix.results.case_record import AttemptRecord
from matrix.results.printable import printable
from matrix.results.run_info import RunInfo
from matrix.results.run_record import RunRecord
from matrix.scenario.expectations import FORMAT
from matrix.verdict.known_failures import covering, reason_of, without_numbers
from matrix.verdicts import KNOWABLE, Verdict
from matrix.versions import series, version_of

MOST_SUBTESTS = 20
"""With more, a failure is known whichever subtests fail."""

MOST_CASES = 500
"""In one entry, as the format has it."""

MOST_ENTRIES = 5000
"""In one file, as the format has it."""

LONGEST_PATTERN = 200
"""Characters, as the format has it."""

LONGEST_REASON = 1000
"""Characters; cases' reasons are shorter, unless a stranger wrote them."""

_PLAIN = re.compile("[A-Za-z_][A-Za-z0-9_-]*")
_NOT_PLAIN = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


@dataclass(frozen=True, slots=True)
class Point:
    """Where a case ran: what conditions of known failures are about."""

    arch: Architecture
    accel: AcceleratorLabel
    qemu: str
    """A range of versions; empty where it was not QEMU, or is not known."""
    firmware: str = ""
    """Empty where its architecture has no choice."""
    endian: str = ""
    """Likewise."""


@dataclass(frozen=True, slots=True)
class Product:
    """Every combination of these values."""

    arch: tuple[Architecture, ...]
    accel: tuple[AcceleratorLabel, ...]
    qemu: tuple[str, ...]
    """Empty for the one without a range."""
    firmware: tuple[str, ...] = ()
    endian: tuple[str, ...] = ()

    def points(self) -> Iterator[Point]:
        """The combinations, in order."""
        dimensions = (getattr(self, each.name) or ("",) for each in fields(self))
        yield from (Point(*values) for values in product(*dimensions))


def products(points: Iterable[Point]) -> list[Product]:
    """Products that have each of ``points`` once, and nothing else, in the order of the points.

    Values are put together along one dimension after the other: few products rather than fewest.
    """
    found = [
        Product(*((value,) if value else () for value in astuple(point)))
        for point in dict.fromkeys(points)
    ]
    for dimension in ("qemu", "arch", "accel", "firmware", "endian"):
        others = [each.name for each in fields(Product) if each.name != dimension]
        groups: dict[tuple[object, ...], list[Product]] = {}
        for one in found:
            has_any = bool(getattr(one, dimension))  # what has none stays apart
            groups.setdefault((*(getattr(one, name) for name in others), has_any), []).append(one)
        found = [_together(group, dimension) for group in groups.values()]
    return found


def _together(group: list[Product], dimension: str) -> Product:
    merged = tuple(value for each in group for value in getattr(each, dimension))
    return replace(group[0], **{dimension: merged})


@dataclass(frozen=True, slots=True)
class _Failure:
    """How cases of one test failed: what is the same in an entry."""

    test: str
    verdict: Verdict
    """``stall`` for what is that or ``timeout``: which of them it is, is the host's speed."""
    sometimes: bool
    """Other attempts of the same case passed."""
    subtests: tuple[str, ...]
    """Patterns; empty where it is not told by its subtests alone, or there are too many. Those of
    a guest that hangs depend on how far it came."""
    words: str
    """Its reason without the numbers, which for one that hangs say where it stood at the end."""
    known_limit: float | None = None
    """Of the entry by which one that hangs was known already."""


@dataclass(slots=True)
class _Seen:
    """Where a failure was seen."""

    reason: str
    """Of the first case that had it."""
    cases: dict[Point, list[tuple[str, ...]]] = field(default_factory=dict)
    """The ids of those that had it, by where they ran: of one case, those in all runs."""


@dataclass(slots=True)
class _Pooled:
    """What runs say of one test in one variant, where it ran in the same place."""

    attempts: int = 0
    ids: dict[str, None] = field(default_factory=dict)
    failed: list[tuple[_Failure, str]] = field(default_factory=list)
    """With the reason of each."""


@dataclass(slots=True)
class _Gathered:
    failures: dict[_Failure, _Seen] = field(default_factory=dict)
    ran: dict[tuple[str, Point], int] = field(default_factory=dict)
    """How many cases of a test came to a pass or a failure there."""
    failed: int = 0


def expectation_lines(*records: RunRecord) -> Iterator[str]:
    """The lines of a file of known failures that fits runs, of which there is at least one.

    Raises:
        UsageError: it would be too large, or the journal was changed meanwhile.
        HostError: the journal cannot be read.
    """
    gathered = _gather(records)
    entries = [entry for found in gathered.failures.items() for entry in _entries(*found, gathered)]
    if len(entries) > MOST_ENTRIES:
        raise UsageError(
            f"{len(entries)} entries would be needed, and a file holds at most {MOST_ENTRIES}:"
            " make runs of fewer architectures or tests, and a file from each"
        )
    yield f"# Known failures: {gathered.failed} cases, written by matrix {__version__} from"
    for record in records:
        run = printable(str(record.given))
        cases = sum(record.counts().values())
        yield f"#   {run}, {cases} cases, {printable(record.info.started)}"
        if unfinished := len(record.unfinished()):
            yield f"#   ({unfinished} more cases of it have no result yet)"
    yield "# The reasons are what was seen; better ones say why, and where that is tracked."
    yield f"format: {FORMAT}"
    yield "expect:" if entries else "expect: []"
    for entry in entries:
        yield from entry


def _gather(records: Iterable[RunRecord]) -> _Gathered:
    gathered = _Gathered()
    for (test, point, _), pooled in _pool(records).items():
        gathered.ran[test, point] = gathered.ran.get((test, point), 0) + 1
        gathered.failed += bool(pooled.failed)
        sometimes = len(pooled.failed) < pooled.attempts
        for found, reason in pooled.failed:
            failure = replace(found, sometimes=sometimes)
            seen = gathered.failures.setdefault(failure, _Seen(reason))
            seen.cases.setdefault(point, []).append(tuple(pooled.ids))
    for seen in gathered.failures.values():
        for point, cases in seen.cases.items():
            seen.cases[point] = list(dict.fromkeys(cases))
    return gathered


def _pool(records: Iterable[RunRecord]) -> dict[tuple[str, Point, Variant], _Pooled]:
    """By test, place and variant."""
    pools: dict[tuple[str, Point, Variant], _Pooled] = {}
    for record in records:
        for result in record.results():
            decision = record.decision(result.id)
            attempts = [each for each in result.attempts if _observed(each) in _TELLING]
            if not attempts or not isinstance(decision, Run):
                continue
            key = (result.test, _point(decision, record.info), result.axes)
            pooled = pools.setdefault(key, _Pooled())
            pooled.attempts += len(attempts)
            pooled.ids.setdefault(result.id)
            for attempt in attempts:
                if _observed(attempt) is not Verdict.PASS:
                    reason = reason_of(attempt, decision.expected)[:LONGEST_REASON]
                    failure = _failure(result.test, attempt, reason, decision.expected)
                    pooled.failed.append((failure, reason))
    return pools


def _failure(
    test: str, attempt: AttemptRecord, reason: str, expected: Sequence[Expectation]
) -> _Failure:
    verdict = _observed(attempt)
    hangs = verdict in HANGING
    known = covering(attempt, expected) if hangs and attempt.verdict is Verdict.XFAIL else ()
    return _Failure(
        test=test,
        verdict=Verdict.STALL if hangs else verdict,
        sometimes=False,
        subtests=() if hangs else _subtests(attempt),
        words="" if hangs else without_numbers(reason),
        known_limit=known[0].known_limit if known else None,
    )


_TELLING = (*KNOWABLE, Verdict.PASS)

HANGING = (Verdict.STALL, Verdict.TIMEOUT)
"""A guest found dead shortly before its timeout runs into that on a slower host."""


def _observed(attempt: AttemptRecord) -> Verdict:
    return attempt.observed or attempt.verdict


def _point(decision: Run, info: RunInfo) -> Point:
    case, host = decision.case, info.host_of(decision.host)
    emulator = emulator_architecture(case.variant.arch, decision.accelerator, Inventory(host.host))
    version = None
    for binary in host.binaries:
        if (binary.qemu, binary.architecture) == (case.variant.qemu, emulator):
            version = version_of(binary.version)
    qemu = str(series(version)) if version and case.build.target is Target.QEMU else ""
    build = case.build
    firmware = build.boot_firmware if build.architecture in EFI_ARCHITECTURES else ""
    endian = build.endian if build.architecture is Architecture.PPC64 else ""
    if build.builtin:  # one for each architecture and byte order
        firmware = ""
    if build.target is Target.PROGRAM:  # no guest's
        firmware = endian = ""
    return Point(case.variant.arch, decision.accelerator_label, qemu, firmware, endian)


def _subtests(attempt: AttemptRecord) -> tuple[str, ...]:
    """Patterns of the failed subtests where they are few, and are all that is to be told."""
    names = [subtest.name for subtest in attempt.subtests if subtest.verdict.failed]
    told = attempt.by_subtests or _observed(attempt) is not Verdict.FAIL  # it crashed besides
    distinct = dict.fromkeys(pattern_of(name) for name in names if name)
    known = told and attempt.failures == len(names) and all(names)
    if not known or len(distinct) > MOST_SUBTESTS:
        return ()
    return tuple(sorted(distinct))


def _entries(failure: _Failure, seen: _Seen, gathered: _Gathered) -> Iterator[list[str]]:
    """The entries of a failure: by the test's name where all its cases have it, else by ids."""
    whole = [
        point for point, ids in seen.cases.items() if len(ids) == gathered.ran[failure.test, point]
    ]
    for where in products(whole):
        yield _entry([pattern_of(failure.test)], where, failure, seen.reason)
    for where in products([point for point in seen.cases if point not in whole]):
        ids = [name for point in where.points() for each in seen.cases[point] for name in each]
        for start in range(0, len(ids), MOST_CASES):
            patterns = [pattern_of(name) for name in ids[start : start + MOST_CASES]]
            yield _entry(patterns, where, failure, seen.reason)


def _entry(patterns: list[str], where: Product, failure: _Failure, reason: str) -> list[str]:
    values = {
        "cases": _list(patterns),
        "arch": _list(where.arch),
        "accel": _list(where.accel),
        "qemu": _list(where.qemu) if len(where.qemu) > 1 else "".join(map(_text, where.qemu)),
        "firmware": _list(where.firmware) if where.firmware else "",
        "endian": _list(where.endian) if where.endian else "",
        "verdicts": _verdicts(failure),
        "subtests": _list(failure.subtests) if failure.subtests else "",
        "known_limit": f"{limit:g}s" if (limit := failure.known_limit) is not None else "",
        "reason": _text(printable(reason).strip() or f"it comes to {failure.verdict.value}"),
    }
    lines = [f"    {key}: {value}" for key, value in values.items() if value]
    return [f"  - {lines[0].lstrip()}", *lines[1:]]


def _verdicts(failure: _Failure) -> str:
    """Left out where it is what the format takes for granted."""
    verdicts = HANGING if failure.verdict in HANGING else (failure.verdict,)
    if failure.sometimes:
        return _list([*verdicts, Verdict.PASS])
    return "" if failure.verdict is Verdict.FAIL else _list(verdicts)


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(_text(value) for value in values)}]"


def _text(value: str) -> str:
    """A YAML scalar: quoted as JSON, whose strings are YAML's, unless it is a plain word."""
    if _PLAIN.fullmatch(value) and value.lower() not in _NOT_PLAIN:
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def pattern_of(name: str) -> str:
    """A pattern that matches ``name``, and little else where it has odd characters or is long."""
    pieces = [glob.escape(each) if each.isprintable() else "?" for each in name]
    for index in (0, -1):
        if pieces and pieces[index].isspace():
            pieces[index] = "?"
    pattern = "".join(pieces)
    if len(pattern) <= LONGEST_PATTERN:
        return pattern
    lengths = accumulate(map(len, pieces))  # never cut within an escape
    whole = (p for p, length in zip(pieces, lengths, strict=True) if length < LONGEST_PATTERN)
    return f"{''.join(whole)}*"
