"""All that is written when a run ends, for other programs."""

from matrix.errors import ExitCode, MatrixError
from matrix.results.junit import write_junit
from matrix.results.record import RunRecord
from matrix.results.summary import write_results
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
