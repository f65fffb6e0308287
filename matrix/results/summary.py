"""Writes all that a run leaves for other programs when it ends, one case at a time."""

from matrix.errors import ExitCode, MatrixError
from matrix.results.case_record import FORMAT, RunData, document
from matrix.results.files import written_atomically
from matrix.results.json_text import json_bytes
from matrix.results.junit import write_junit
from matrix.results.run_info import RunInfo
from matrix.results.run_record import RunRecord
from matrix.results.tap import write_tap


def write_reports(record: RunRecord) -> ExitCode:
    """Write ``results.json``, ``junit.xml`` and ``results.tap`` from what is finished.

    Returns:
        What the command ends with.

    Raises:
        HostError: one cannot be written; the former one, if any, is as it was. All three are tried.
    """
    failure: MatrixError | None = None
    for write in (write_junit, write_tap):
        try:
            write(record)
        except MatrixError as error:
            failure = failure or error
    code = write_results(record)
    if failure is not None:
        raise failure
    return code


def write_results(record: RunRecord) -> ExitCode:
    """Write ``results.json`` from what is finished so far, holding one case at a time in memory.

    Returns:
        What the command ends with.

    Raises:
        HostError: it cannot be written, or the journal cannot be read.
    """
    code = record.exit_code()
    with written_atomically(record.run.path / "results.json", durable=True) as file:
        file.write(b'{"format": %d,\n"run": %s' % (FORMAT, json_bytes(_run_data(record.info))))
        file.write(b',\n"cases": [')
        separator = b"\n"
        for result in record.results():
            file.write(separator + json_bytes(document(result), nonfinite="null"))
            separator = b",\n"
        counts = {verdict.value: count for verdict, count in record.counts().items()}
        unfinished = record.unfinished()
        file.write(b'\n],\n"counts": ' + json_bytes(counts))
        file.write(b',\n"exit_code": ' + json_bytes(int(code)))
        file.write(b',\n"shortfalls": ' + json_bytes(record.shortfalls()))
        file.write(b',\n"unfinished": ' + json_bytes(unfinished) + b"}\n")
    return code


def _run_data(info: RunInfo) -> RunData:
    return {
        "started": info.started,
        "tool_version": info.tool_version,
        "hostname": info.hostname,
        "host": info.host,
        "binaries": info.binaries,
        "hosts": {each.name: {"host": each.host, "binaries": each.binaries} for each in info.hosts},
        "arguments": info.arguments,
    }
