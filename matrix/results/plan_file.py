"""``plan.jsonl``: every decision of a plan, so that a run resumes without its scenario or host.

One JSON object per line. Tests, builds, variants, settings and known failures are shared by many
cases: each stands once, before its first use, as ``{"kind": "test", "value": …}``, and a case
refers to it by its number among its kind, from 0; so does a decision to known failures and to the
other hosts where it would be the same. A decision
is ``{"kind": "run" | "skip" | "broken", "value": …}``, and the last line
``{"kind": "end", "decisions": N}``, so that a file cut short by a copy is noticed.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic_core import PydanticSerializationError, ValidationError, from_json, to_json

from matrix.errors import Place, UsageError
from matrix.model import Build, Case, Expectation, RunSettings, Test, Variant
from matrix.plan.decisions import Broken, Decision, Run, Skip
from matrix.results.directory import RunDirectory
from matrix.results.files import host_errors, open_regular, shown, written_atomically
from matrix.results.json_text import Unusable, first_complaint
from matrix.results.printable import printable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

LONGEST_LINE = 2**22
"""Bytes; a test or a decision takes a few hundred."""

SHARED: dict[str, type] = {
    "test": Test,
    "build": Build,
    "variant": Variant,
    "settings": RunSettings,
    "expected": tuple[Expectation, ...],
    "elsewhere": tuple[tuple[str, str], ...],
}
"""The fields of cases and decisions that are written once and referred to."""

KINDS: dict[str, type] = {"run": Run, "skip": Skip, "broken": Broken}
"""The kinds of decisions, by the names that they have here."""
WORDS = {kind: name for name, kind in KINDS.items()}
NAMES = {
    kind: tuple(each.name for each in fields(kind) if each.name != "case")
    for kind in (Case, *KINDS.values())
}
"""Their fields, and those of a case, which each line has."""

ADDED = frozenset({"expected", "elsewhere"})
"""Those that earlier versions did not write: a plan without them has the default, so that a run
can be compared with one from before."""

_Plain = TypeVar("_Plain")


def write_plan(run: RunDirectory, decisions: Iterable[Decision]) -> str:
    """Write ``plan.jsonl``; gives its SHA-256, which ``run.json`` keeps.

    Raises:
        UsageError: a path or an argument in it is not UTF-8, which JSON cannot hold.
        HostError: it cannot be written.
    """
    lines = _Lines()
    count = 0
    digest = hashlib.sha256()
    with written_atomically(run.plan_path, durable=True) as file:
        for decision in decisions:
            count += 1
            try:
                text = lines.of(decision)
            except PydanticSerializationError as error:
                raise UsageError(
                    f"case {printable(decision.case.id)} has a path or an argument that is not "
                    f"UTF-8: {printable(repr(decision.case.test))}"
                ) from error
            digest.update(text)
            file.write(text)
        line = to_json({"kind": "end", "decisions": count}) + b"\n"
        digest.update(line)
        file.write(line)
    return digest.hexdigest()


def check_plan(run: RunDirectory, sha256: str) -> None:
    """Refuse a ``plan.jsonl`` that is not the one that was written; what it holds will be run.

    Args:
        run: the directory.
        sha256: what :func:`write_plan` gave; empty for a run of a version that kept none.

    Raises:
        UsageError: it is another one, missing, or not a regular file.
        HostError: it cannot be read.
    """
    if not sha256:
        return
    with open_regular(run.plan_path) as file, host_errors("read", run.plan_path):
        digest = hashlib.sha256()
        while chunk := file.read(2**20):
            digest.update(chunk)
    if digest.hexdigest() != sha256:
        raise UsageError(
            f"{shown(run.plan_path)} was altered: its SHA-256 is not the one in"
            f" {run.info_path.name}; put the original back, or start a new run"
        )


def read_plan(run: RunDirectory) -> tuple[Decision, ...]:
    """Read ``plan.jsonl``, which may be anybody's. What was shared is shared again.

    Raises:
        UsageError: it is missing, broken or cut short.
        HostError: it cannot be read.
    """
    path = run.plan_path
    reader = _PlanReader()
    with open_regular(path) as file, host_errors("read", path):
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            try:
                reader.take(from_json(line))
            except ValidationError as error:
                raise UsageError(
                    f"{Place(shown(path), number)}: {first_complaint(error)}"
                ) from error
            except ValueError as error:
                raise UsageError(
                    f"{Place(shown(path), number)}: {printable(str(error))}"
                ) from error
    if not reader.ended:
        raise UsageError(f"{shown(path)} is incomplete: its last line is missing")
    return tuple(reader.decisions)


class _Lines:
    """The lines of decisions. ``benchmarks/first_result.py`` measures what they take."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[object, int]] = {kind: {} for kind in SHARED}
        self._met: dict[str, dict[int, tuple[object, int]]] = {kind: {} for kind in SHARED}
        """Numbers by the objects' ids: hashing what a case shares takes longer than all else."""

    def of(self, decision: Decision) -> bytes:
        """The line of a decision, after those of what it is the first to use."""
        case: dict[str, object] = {}
        document: dict[str, object] = {"case": case}
        lines = b""
        for target, source in ((case, decision.case), (document, decision)):
            for name in NAMES[type(source)]:
                value = getattr(source, name)
                if name in SHARED:
                    if name == "elsewhere" and not value:
                        continue  # as in every run on one host
                    if id(value) not in self._met[name]:
                        lines += self._meet(name, value)
                    value = self._met[name][id(value)][1]
                target[name] = value
        return lines + _line(WORDS[type(decision)], document)

    def _meet(self, name: str, value: object) -> bytes:
        """Give an object its number; the line of its value, unless an equal one had been there."""
        table = self._tables[name]
        known = len(table)
        number = table.setdefault(value, known)
        self._met[name][id(value)] = value, number  # it stays, so that no other one gets its id
        return _line(name, value) if number == known else b""


def _line(kind: str, value: object) -> bytes:
    return to_json({"kind": kind, "value": value}, inf_nan_mode="strings") + b"\n"


class _PlanReader:
    """Takes the lines of a plan one by one. What is wrong with one is an Unusable."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.ended = False
        self._ids: set[str] = set()
        self._tables: dict[str, list[object]] = {kind: [] for kind in SHARED}

    def take(self, document: Any) -> None:
        """One line."""
        if self.ended:
            raise Unusable("a line after the end of the plan")
        kind = document.get("kind") if isinstance(document, dict) else None
        if kind == "end":
            self._end(document)
        elif isinstance(kind, str) and kind in KINDS:
            self._decision(kind, document.get("value"))
        elif isinstance(kind, str) and kind in SHARED:
            self._tables[kind].append(_adapter(SHARED[kind]).validate_python(document.get("value")))
        else:
            raise Unusable("not a line of a plan: 'kind' is missing or unknown")

    def _decision(self, kind: str, document: Any) -> None:
        case = document.get("case") if isinstance(document, dict) else None
        if not isinstance(case, dict):
            raise Unusable("a decision without a case")
        for name in self._tables:
            self._dereference("case", case, name)
        for name in ("expected", "elsewhere") if kind == "run" else ():
            self._dereference("decision", document, name)
        decision: Decision = _adapter(KINDS[kind]).validate_python(document)
        if decision.case.id in self._ids:
            raise Unusable(f"the case {decision.case.id!r} is there twice")
        self._ids.add(decision.case.id)
        self.decisions.append(decision)

    def _dereference(self, what: str, document: dict[str, Any], name: str) -> None:
        if name in ADDED and name not in document:
            return
        number, table = document.get(name), self._tables[name]
        if not isinstance(number, int) or not 0 <= number < len(table):
            raise Unusable(f"the {what}'s {name!r} was not defined before")
        document[name] = table[number]

    def _end(self, document: dict[str, Any]) -> None:
        if document.get("decisions") != len(self.decisions):
            raise Unusable("the plan is incomplete: the number of its decisions is another")
        self.ended = True


@cache
def _adapter(kind: type[_Plain]) -> "TypeAdapter[_Plain]":
    from pydantic import TypeAdapter  # 50 ms, which only readers need

    return TypeAdapter(kind)
