"""What a host file and a project file say, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matrix.errors import Place
from matrix.model import Architecture


@dataclass(frozen=True, slots=True)
class HostFile:
    """What such a file says, or several together; empty where there is none."""

    path: str = ""
    qemu: tuple[tuple[str, Path], ...] = ()
    """(name, folder with the emulators)."""
    builds: tuple[tuple[Architecture, Path], ...] = ()
    """(architecture, build directory); it is there, and what is in it is not checked here."""
    defaults: Mapping[str, object] = field(default_factory=dict)
    """Option → its value where the command line does not give it, named and typed as a field of
    :class:`matrix.run.options.Selection` or of the command line's ``Execution``."""
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)
    """Where each stands: ``jobs``, ``qemu.10.0``, ``builds.x86_64``."""

    def over(self, other: "HostFile") -> "HostFile":
        """What both say; where they differ, this one."""
        return HostFile(
            self.path or other.path,
            qemu=tuple({**dict(other.qemu), **dict(self.qemu)}.items()),
            builds=tuple({**dict(other.builds), **dict(self.builds)}.items()),
            defaults={**other.defaults, **self.defaults},
            places={**other.places, **self.places},
        )
