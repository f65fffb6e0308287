"""What this host gives a run: its CPUs and memory, or a fixed number of jobs."""

from matrix.inventory import Host
from matrix.plan.schedule import Capacity

MEMORY_SHARE = 0.9
"""Of the memory that is free at the start: the rest is for the page cache and ourselves."""


def capacity_of(host: Host, jobs: int | None) -> Capacity:
    """The capacity of a host; ``jobs`` (``-j``) replaces the limits of vCPUs and memory."""
    huge_pages = host.huge_pages_free * host.huge_page_size
    return Capacity(host.cpus, int(host.memory * MEMORY_SHARE), jobs, huge_pages)
