"""One step of a sequence, as the model draws it and as a file holds it. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from matrix.migrating import Fault, Strategy, Transport


class Operation(StrEnum):
    """What is done to the guest."""

    HOP = "hop"
    """Migrate it, perhaps with a fault."""
    STOP = "stop"
    CONT = "cont"
    WORK = "work"
    """Leave it alone for a while, running or paused."""
    COMMAND = "command"
    """A QMP command that must change nothing."""
    RESET = "reset"
    SAVE = "savevm"
    """Save the guest inside an image, with the memory."""
    LOAD = "loadvm"
    """Go back to what was saved last."""
    PLUG = "plug"
    """Plug something in while the machine runs, or is paused."""
    UNPLUG = "unplug"
    THROTTLE = "throttle"
    """Change the parameters by which QEMU slows vCPUs down in hops to come."""
    RECONNECT = "reconnect"
    """Connect to a second monitor, leave it in the middle of a command, and connect again."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step. Which fields mean something depends on the operation; the others are empty."""

    operation: Operation
    destination: str = ""
    """Name of the QEMU that a hop goes to."""
    strategy: Strategy | None = None
    transport: Transport | None = None
    """None of hops through a file, too."""
    fault: Fault | None = None
    parameters: tuple[tuple[str, int], ...] = ()
    """QEMU's migration parameters by its names, in its units."""
    command: str = ""
    milliseconds: int = 0
    """How long the guest is left alone."""
    part: str = ""
    """What is plugged or unplugged (:class:`matrix.explore.hotplug.Part`)."""

    @property
    def what(self) -> str:
        """The operation without places, parameters and times: ``hop by precopy over tcp``."""
        if self.operation is Operation.COMMAND:
            return self.command
        if self.strategy is None:
            return f"{self.operation.value} {self.part}".rstrip()
        over = "a file" if self.transport is None else self.transport.value
        fault = "" if self.fault is None else f" with {self.fault.value}"
        return f"hop by {self.strategy.value} over {over}{fault}"

    def __str__(self) -> str:
        """As a person reads it: ``hop by precopy over tcp to 11.1, downtime-limit=300``."""
        words = self.what + (f" to {self.destination}" if self.destination else "")
        if self.operation is Operation.WORK:
            words += f" for {self.milliseconds} ms"
        return ", ".join((words, *(f"{name}={value}" for name, value in self.parameters)))


Steps = tuple[Step, ...]
