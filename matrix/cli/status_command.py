"""``matrix status``: the pages of the yearly talk, from a kernel clone and runs."""

from collections.abc import Sequence
from pathlib import Path

from matrix.cli.report_command import loaded
from matrix.status.kvm_status import kvm_status
from matrix.status.organizations import Organizations
from matrix.status.status_files import check_folder, write_status


def run_status(
    kernel: Path,
    paths: Sequence[Path],
    output: Path,
    *,
    since: str = "",
    unit_tests: Path | None = None,
    organizations: Sequence[Path] = (),
) -> None:
    """Write the folder, and print where its page is.

    Raises:
        UsageError: a clone, a commit, a mapping or a run is none, or ``output`` has another page.
        HostError: something cannot be read or written.
    """
    check_folder(output)
    known = Organizations()
    for path in organizations:
        known.read(path)
    records = [loaded(path) for path in paths]
    print(
        write_status(kvm_status(kernel, records, known, since=since, unit_tests=unit_tests), output)
    )
