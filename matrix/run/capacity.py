"""What this host gives a run: its CPUs and memory or a fixed number of jobs, and open files."""

import resource
from collections.abc import Iterable
from dataclasses import dataclass

from matrix.inventory import Host
from matrix.plan.decisions import Decision, Run
from matrix.plan.schedule import Capacity

MEMORY_SHARE = 0.9
"""Of the memory that is free at the start: the rest is for the page cache and ourselves."""

OWN_FILES = 40
"""Descriptors that we take beside those of jobs; of the QEMU that is started ahead, too."""
FILES = 10
"""Descriptors of a guest: 8 were seen (two pipes, the monitor, a pidfd, three logs)."""
MIGRATED_FILES = 40
"""Of one that is migrated: 24 were seen, up to seven QEMUs at a time."""
FAULTY_FILES = 100
"""Of one with faults: 54 were seen, through a proxy with 16 channels of multifd."""


@dataclass(frozen=True, slots=True)
class TooFewFiles:
    """How many jobs may run at a time for want of open files."""

    jobs: int
    files: int
    """Descriptors that we may have open (``ulimit -n``)."""
    needed: int
    """Of them, what a job may take."""

    def __str__(self) -> str:
        jobs = "one job" if self.jobs == 1 else f"{self.jobs} jobs"
        return (
            f"at most {jobs} at a time: {self.files} open files are allowed (ulimit -n), and a job "
            f"of this run may take {self.needed}"
        )


def too_few_files(
    decisions: Iterable[Decision], host: Host, jobs: int | None, files: int | None = None
) -> TooFewFiles | None:
    """Why fewer jobs run than would otherwise; None where the open files are enough.

    ``files`` is how many descriptors we may have open, as the kernel says where None.
    """
    if files is None:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    running = [decision for decision in decisions if isinstance(decision, Run)]
    if files == resource.RLIM_INFINITY or not running:
        return None
    needed = max(map(_files, running))
    attempts = sum(max(1, decision.case.settings.repeat) for decision in running)
    most = max(1, (files - OWN_FILES) // needed)
    return TooFewFiles(most, files, needed) if most < min(jobs or host.cpus, attempts) else None


def _files(decision: Run) -> int:
    migration = decision.case.migration
    if migration is None:
        return FILES
    return FAULTY_FILES if migration.faults else MIGRATED_FILES


def capacity_of(host: Host, jobs: int | None, few: TooFewFiles | None = None) -> Capacity:
    """The capacity of a host; ``jobs`` (``-j``) replaces the limits of vCPUs and memory, and
    ``few`` is a limit in any case."""
    huge_pages = host.huge_pages_free * host.huge_page_size
    most = None if few is None else few.jobs
    return Capacity(host.cpus, int(host.memory * MEMORY_SHARE), jobs, huge_pages, most)
