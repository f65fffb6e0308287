"""What a side of a comparison is: a run directory, or what was kept of a run elsewhere."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pydantic import TypeAdapter
from pydantic_core import ValidationError, from_json

from matrix.errors import UsageError
from matrix.inventory import Host
from matrix.results.case_record import FORMAT, CaseRecord, PlannedCase, parsed
from matrix.results.files import host_errors, open_regular, shown
from matrix.results.json_text import Unusable, first_complaint, json_bytes
from matrix.results.printable import printable
from matrix.results.run_info import RunInfo, refuse_newer

LARGEST_RESULTS = 2**29
"""Bytes; 10,000 cases take some 10 MiB."""

NOTHING_KNOWN = RunInfo(started="", host=Host("", "", 0, 0), tool_version="")
"""Of the run, in files of versions that did not write it."""

_CASES, _END = b'"cases": [\n', b"],\n"
"""The lines before and after the cases, as we write them."""


class ComparedRun(Protocol):
    """What a comparison needs of a side; :class:`matrix.results.run_record.RunRecord` is one."""

    @property
    def given(self) -> Path:
        """Where it comes from, as the user named it."""
        ...

    @property
    def info(self) -> RunInfo:
        """Its fingerprint; ``started`` is empty where nothing is known of it."""
        ...

    def planned(self) -> Iterator[PlannedCase]:
        """The cases, in order."""
        ...

    def is_finished(self, case_id: str) -> bool:
        """Whether a case has a result."""
        ...

    def unfinished(self) -> Sequence[str]:
        """The ids of the cases that have none."""
        ...

    def shortfalls(self) -> Sequence[str]:
        """What had to run and did not, in sentences."""
        ...

    def results(self, case_ids: Iterable[str] | None = None) -> Iterator[CaseRecord]:
        """The records of finished cases, in the order in which they are asked for."""
        ...


class StoredRun:
    """A side of which only records were kept, with the subtests that did not pass."""

    def __init__(
        self,
        name: str,
        info: RunInfo,
        cases: Iterable[bytes],
        unfinished: Iterable[str] = (),
        shortfalls: Iterable[str] = (),
    ) -> None:
        """The side. Its cases are kept as JSON, a tenth of what they are as objects.

        Args:
            name: as the user named it.
            info: of the run, as far as it is known; ``started`` empty where it is not.
            cases: those that are finished, in order, each as in ``results.json``.
            unfinished: ids of further cases, which have none.
            shortfalls: what had to run and did not, in sentences.

        Raises:
            Unusable: one is no case.
        """
        self.given = Path(name)
        self.info = info
        self._shortfalls = tuple(shortfalls)
        self._cases: dict[str, tuple[PlannedCase, bytes]] = {}
        for number, text in enumerate(cases):
            try:
                case = PlannedCase.of(parsed(from_json(text)))
            except ValidationError as error:
                raise Unusable(first_complaint(error, "cases", number)) from error
            self._cases[case.id] = case, text
        self._unfinished = tuple(each for each in unfinished if each not in self._cases)

    def planned(self) -> Iterator[PlannedCase]:
        """See :class:`ComparedRun`."""
        return (case for case, _ in self._cases.values())

    def is_finished(self, case_id: str) -> bool:
        """See :class:`ComparedRun`."""
        return case_id in self._cases

    def unfinished(self) -> Sequence[str]:
        """See :class:`ComparedRun`."""
        return self._unfinished

    def shortfalls(self) -> Sequence[str]:
        """See :class:`ComparedRun`."""
        return self._shortfalls

    def results(self, case_ids: Iterable[str] | None = None) -> Iterator[CaseRecord]:
        """See :class:`ComparedRun`."""
        for case_id in self._cases if case_ids is None else case_ids:
            yield parsed(from_json(self._cases[case_id][1]))


@dataclass(frozen=True)
class _Document:
    """A ``results.json``."""

    cases: tuple[Any, ...]
    run: RunInfo = NOTHING_KNOWN
    unfinished: tuple[str, ...] = ()
    shortfalls: tuple[str, ...] = ()


def load_results(path: Path) -> StoredRun:
    """Read a ``results.json``, which may be anybody's.

    Raises:
        UsageError: it is none.
        HostError: it cannot be read.
    """
    try:
        with open_regular(path) as file, host_errors("read", path):
            if os.fstat(file.fileno()).st_size > LARGEST_RESULTS:
                raise UsageError(f"{shown(path)} is too large for a results.json")
            plain, lines = _read(file)
        refuse_newer(path, plain, FORMAT)
        document: _Document = TypeAdapter(_Document).validate_python(plain)
        cases = lines or map(json_bytes, document.cases)
        return StoredRun(str(path), document.run, cases, document.unfinished, document.shortfalls)
    except ValidationError as error:
        raise UsageError(
            f"{shown(path)} is not a results.json: {first_complaint(error)}"
        ) from error
    except Unusable as error:
        raise UsageError(f"{shown(path)} is not a results.json: {error}") from error
    except ValueError as error:
        raise UsageError(f"{shown(path)} is not JSON: {printable(str(error))}") from error


def _read(file: BinaryIO) -> tuple[Any, list[bytes]]:
    """A ``results.json``; one that is as we write it, a case in every line, without its cases, and
    these as they are, so that they are never in memory as objects all at once."""
    head = b"".join(takewhile(_CASES.__ne__, file))
    lines = [line.rstrip(b",\n") for line in takewhile(_END.__ne__, file)]
    rest = file.read()
    if rest and all(each[:1] + each[-1:] == b"{}" for each in lines):
        return from_json(head + b'"cases": [],\n' + rest), lines
    file.seek(0)
    return from_json(file.read()), []
