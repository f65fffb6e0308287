"""``matrix explore --metrics``: its jobs leave what they have seen, and each scrape reads that."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client import CollectorRegistry

from matrix.errors import MatrixError
from matrix.explore.exploration import Exploration, keep, kept, together
from matrix.explore.exploration_metrics import ExplorationMetrics
from matrix.run.serving import Server

TOLD = "told-"
"""In the folder of all, what a job leaves for metrics is named so. Unlike what is kept of a job, it
has failures that are being shrunk, too."""


def tell(part: Exploration, folder: Path, job: int) -> None:
    """Leave what that job has seen. Raises HostError."""
    keep(part, folder / f"{TOLD}{job}.json")


class SoFar:
    """What all jobs have left, with what was before."""

    def __init__(self, folder: Path, earlier: Exploration) -> None:
        self._folder = folder
        self._earlier = earlier
        self._latest = earlier

    def read(self) -> Exploration:
        """All of it; what was read last where it cannot be read any more, as at the end."""
        with suppress(MatrixError):  # the folder is gone
            parts = [kept(path) for path in sorted(self._folder.glob(f"{TOLD}*.json"))]
            self._latest = together([self._earlier, *parts])
        return self._latest


@contextmanager
def bound(address: str, so_far: SoFar) -> Iterator[Server | None]:
    """The server of what was seen, which does not serve yet; None where there is no address.

    Raises:
        UsageError, HostError: as :class:`matrix.run.serving.Server`.
    """
    if not address:
        yield None
        return
    registry = CollectorRegistry()
    registry.register(ExplorationMetrics(so_far.read))
    with Server(address, registry) as server:
        yield server
