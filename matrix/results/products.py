"""Where cases ran, as few products of architectures, accelerators and QEMUs as is easy. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields, replace
from itertools import product

from matrix.model import Accelerator, Architecture


@dataclass(frozen=True, slots=True)
class Point:
    """Where a case ran: what conditions of known failures are about."""

    arch: Architecture
    accel: Accelerator
    qemu: str
    """A range of versions; empty where it was not QEMU, or is not known."""
    firmware: str = ""
    """Empty where its architecture has no choice."""
    endian: str = ""
    """Likewise."""


@dataclass(frozen=True, slots=True)
class Product:
    """Every combination of these values."""

    arch: tuple[Architecture, ...]
    accel: tuple[Accelerator, ...]
    qemu: tuple[str, ...]
    """Empty for the one without a range."""
    firmware: tuple[str, ...] = ()
    endian: tuple[str, ...] = ()

    def points(self) -> Iterator[Point]:
        """The combinations, in order."""
        dimensions = (getattr(self, each.name) or ("",) for each in fields(self))
        yield from (Point(*values) for values in product(*dimensions))


def products(points: Iterable[Point]) -> list[Product]:
    """Products that have each of ``points`` once, and nothing else, in the order of the points.

    Values are put together along one dimension after the other: few products rather than fewest.
    """
    found = [
        Product(*((value,) if value else () for value in astuple(point)))
        for point in dict.fromkeys(points)
    ]
    for dimension in ("qemu", "arch", "accel", "firmware", "endian"):
        others = [each.name for each in fields(Product) if each.name != dimension]
        groups: dict[tuple[object, ...], list[Product]] = {}
        for one in found:
            has_any = bool(getattr(one, dimension))  # what has none stays apart
            groups.setdefault((*(getattr(one, name) for name in others), has_any), []).append(one)
        found = [_together(group, dimension) for group in groups.values()]
    return found


def _together(group: list[Product], dimension: str) -> Product:
    merged = tuple(value for each in group for value in getattr(each, dimension))
    return replace(group[0], **{dimension: merged})
