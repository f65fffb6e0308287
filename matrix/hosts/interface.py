"""What a host is: a name, an inventory, a capacity, and an executor of cases.

This machine is one host; a virtual KVM host or a machine of a fleet is another. An
:class:`Assignment` goes to a host, and a stream of :data:`Event` comes back, which :class:`Ended`
closes. All of these are plain data that survives a round trip through JSON
(``pydantic.TypeAdapter`` does it), and none of them has a path of this machine in it: nothing above
this package knows which kind of host a case ran on.

QEMU, its firmware and the kernel are the host's own, as its inventory tells. What a case brings is
named by content (:class:`CaseFile`), and resolved where the case runs.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from matrix.attempt import Attempt
from matrix.hosts.contents import CaseFile, Contents
from matrix.inventory import Inventory
from matrix.migrating import Hop
from matrix.plan.decisions import Run
from matrix.plan.schedule import Capacity


@dataclass(frozen=True, slots=True)
class Assignment:
    """One attempt of one case."""

    token: str
    """Unique in a run; names this attempt to the executor."""
    decision: Run
    """As planned for this host. Where the plan has the path of a file that the case needs, this has
    its :attr:`CaseFile.name`: :func:`matrix.hosts.contents.with_paths` puts paths in again."""
    attempt: int
    """Its number, from 1."""
    folder: str
    """Of the attempt's artifacts, relative to the run directory, with ``/``."""
    files: tuple[CaseFile, ...] = ()
    """What the case needs."""
    held: bool = False
    """Start QEMU, and keep the guest stopped until :meth:`Executor.release`; a hint, which a host
    may take as "wait"."""
    seed: int | None = None
    """Of the hops of a guest that is migrated; None: one that depends on case and attempt."""


@dataclass(frozen=True, slots=True)
class Console:
    """A guest has printed."""

    text: str
    """The bytes, each as the character of that code (Latin-1): guests print what they like."""


@dataclass(frozen=True, slots=True)
class HopDone:
    """The guest has been migrated, or should have been."""

    hop: Hop


@dataclass(frozen=True, slots=True)
class Ended:
    """The attempt is over, its processes are gone, and its artifacts are complete."""

    attempt: Attempt | None
    """What it came to, as the host judges it; None where it was cancelled. Its ``command`` is
    relative to the run directory, as its ``artifacts`` are; ``host`` is filled in by the caller."""


Event = Console | HopDone | Ended


class Executor(Protocol):
    """Runs cases on one host, several at a time; their number is the caller's business."""

    async def execute(
        self, assignment: Assignment, emit: Callable[[Console | HopDone], None]
    ) -> Ended:
        """Run one attempt to its end.

        ``emit`` is given what happens before that, in order; it does not block, and is not called
        any more once this has returned or raised. Nothing that QEMU or the guest does raises.

        Raises:
            HostLostError: this host can run no case any more.
            HostError: what this program itself needs is not to be had (the run directory's disk is
                full): the run ends.
            CancelledError: once the attempt's processes are gone.
        """
        ...

    def release(self, token: str) -> None:
        """Let the guest of a held assignment run. Nothing happens where there is none."""
        ...

    def cancel(self, token: str) -> None:
        """End an attempt at once: its :meth:`execute` returns ``Ended(None)`` soon, or what it came
        to where it was over by then. Nothing happens where there is none of that name."""
        ...


@runtime_checkable
class Provable(Protocol):
    """An executor whose host can be asked to prove that it is well."""

    async def prove(self) -> str:
        """Run the embedded guests there; gives what is wrong, nothing where they pass.

        Raises:
            HostLostError: this host can run no case any more.
        """
        ...


class Host(Protocol):
    """Where cases run.

    One with a true ``same_paths`` reads this machine's files where they are: decisions go to it
    with their paths, and nothing is read to name it by content. One with a true ``in_process`` runs
    them in this process, which so has time to spare while a QEMU starts. One with a true
    ``notes_inputs`` says in its attempts what these follow from.
    """

    @property
    def name(self) -> str:
        """Unique in a run: letters, digits and ``._+-``."""
        ...

    @property
    def inventory(self) -> Inventory:
        """What it can run; a plan asks for nothing else."""
        ...

    @property
    def capacity(self) -> Capacity:
        """How much runs on it at a time."""
        ...

    def open(self, run: Path, contents: Contents) -> AbstractAsyncContextManager[Executor]:
        """Begin to run cases on it; on leaving, everything that it started is gone.

        Args:
            run: the run directory, with the folders of assignments in it. Those exist before
                their assignment, empty, for the user alone (0700), and have the artifacts when it
                has ended.
            contents: has the files that assignments name.

        Raises HostLostError where it cannot be used.
        """
        ...
