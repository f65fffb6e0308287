"""Writes a run as it happens: what is finished is on disk before anything else begins."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from matrix.attempt import Attempt
from matrix.errors import ExitCode, HostError
from matrix.model import Case
from matrix.plan.attempts import Expected, most_attempts
from matrix.plan.decisions import Decision
from matrix.results.case_record import CaseRecord, document, record_of
from matrix.results.directory import RunDirectory
from matrix.results.files import write_bytes
from matrix.results.journal import EventName, Journal
from matrix.results.json_text import json_bytes
from matrix.results.plan_file import check_plan, write_plan
from matrix.results.run_info import RunInfo, read_run_info, write_run_info
from matrix.results.run_record import RunRecord, load_run


class Recorder:
    """The one writer of a run directory.

    Every call is short and leaves the directory in a state from which the run can be resumed,
    also when it raises or the process is killed in it. A context manager; leaving it closes the
    journal and writes nothing.
    """

    def __init__(self, record: RunRecord, journal: Journal) -> None:
        self.record = record
        self.run = record.run
        self._journal = journal
        self._prepared: dict[tuple[str, int], Path] = {}
        """Folders of attempts that have not begun."""

    @classmethod
    def start(cls, path: Path, info: RunInfo, decisions: Sequence[Decision]) -> Self:
        """Create the run directory and write what is known before the first case.

        ``run.json`` comes last: a directory that has it has its plan.

        Raises:
            UsageError: the directory exists, or the plan has text that is not UTF-8.
            HostError: it cannot be written.
        """
        run = RunDirectory.create(path)
        info = replace(info, plan_sha256=write_plan(run, decisions))
        journal = Journal(run.journal_path)
        try:
            write_run_info(run.info_path, info)
            journal.append({"event": EventName.RUN_STARTED, "cases": len(decisions)})
        except BaseException:  # no lock stays, whatever happens; raised again
            journal.close()
            raise
        return cls(RunRecord(run, info, decisions), journal)

    @classmethod
    def resume(cls, path: Path) -> Self:
        """Go on with a run that was interrupted or killed; what remains says
        :meth:`attempts_left` for each case of ``record.decisions``.

        Raises:
            UsageError: it is not a run directory, another process runs it, or its plan was altered.
            HostError: it cannot be read or written.
        """
        run = RunDirectory.open(path)
        journal = Journal(run.journal_path)
        try:
            check_plan(run, read_run_info(run.info_path).plan_sha256)
            record = load_run(path)
            journal.append({"event": EventName.RUN_RESUMED})
        except BaseException:  # as above
            journal.close()
            raise
        return cls(record, journal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()

    def attempts_left(self, case: Case) -> tuple[int, ...]:
        """The numbers of a case's attempts that can be started now."""
        return self.record.attempts_left(case.id)

    def expected(self, case: Case) -> Expected:
        """What is still to be run of a case, by what its finished attempts came to."""
        return self.record.expected(case.id)

    def prepare(self, case: Case, number: int) -> Path:
        """Make the folder of an attempt, which does not begin by that.

        Raises:
            HostError: the disk fails us.
        """
        folder = self._folder(case, number)
        self._prepared[case.id, number] = folder
        return folder

    def begin(self, case: Case, number: int) -> Path:
        """Begin an attempt: journal it, and make its folder unless it was prepared.

        Raises:
            HostError: the disk fails us.
        """
        self.record.start(case.id, number)
        event = {"event": EventName.ATTEMPT_STARTED, "case": case.id, "attempt": number}
        self._journal.append(event)
        return self._prepared.pop((case.id, number), None) or self._folder(case, number)

    def _folder(self, case: Case, number: int) -> Path:
        return self.run.begin_attempt(case.id, number, most_attempts(case.settings))

    def finish(self, case: Case, attempt: Attempt) -> CaseRecord | None:
        """Put a finished attempt on disk.

        The journal comes last: an attempt that it has is complete, one that it lacks is run
        again.

        Returns:
            The case's result, None while further attempts of it are to be run.

        Raises:
            HostError: the disk fails us; the attempt then counts as not run.
        """
        result = None
        if self.record.is_last(case.id, attempt):
            result = record_of(case, [*self.record.attempts(case.id), attempt])
        if attempt.artifacts and most_attempts(case.settings) > 1:
            path = self.run.path / attempt.artifacts / "result.json"
            write_bytes(path, _document(record_of(case, [attempt])))
        if result is not None and attempt.artifacts:
            write_bytes(self.run.case_folder(case.id) / "result.json", _document(result))
        event = {"event": EventName.ATTEMPT_FINISHED, "case": case.id, "attempt": attempt}
        span = self._journal.append(event)
        self.record.finish(case.id, attempt, span)
        if result is not None:
            self.record.keep(case.id, result)
        return result

    def note(self, event: Mapping[str, object]) -> None:
        """Journal trouble of a host or a worker."""
        self.record.troubles.take(event)
        with suppress(HostError):  # the next attempt says that the disk fails us
            self._journal.append(event)

    def write_reports(self) -> ExitCode:
        """Write ``results.json``, ``junit.xml`` and ``results.tap`` from what is finished.

        Returns:
            What the command ends with.

        Raises:
            HostError: one cannot be written; the former one, if any, is as it was. All three
                are tried.
        """
        # Imported late: while guests run there is time for it, before the first there is not.
        from matrix.results.summary import write_reports

        return write_reports(self.record)

    def end(self) -> ExitCode:
        """Write the reports, and that the run is over: finished, or interrupted where attempts
        remain. Raises as :meth:`write_reports`."""
        code = self.write_reports()
        unfinished = len(self.record.unfinished())
        if unfinished:
            self._journal.append({"event": EventName.RUN_INTERRUPTED, "unfinished": unfinished})
        else:
            self._journal.append({"event": EventName.RUN_FINISHED, "exit_code": int(code)})
        self._journal.sync()
        return code


def _document(result: CaseRecord) -> bytes:
    return json_bytes(document(result, all_subtests=True), indent=2, nonfinite="null") + b"\n"
