"""Where cases ran, as few products of architectures, accelerators and QEMUs as is easy. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace

from matrix.model import Accelerator, Architecture


@dataclass(frozen=True, slots=True)
class Point:
    """Where a case ran: what conditions of known failures are about."""

    arch: Architecture
    accel: Accelerator
    qemu: str
    """A range of versions; empty where it was not QEMU, or is not known."""


@dataclass(frozen=True, slots=True)
class Product:
    """Every combination of these values."""

    arch: tuple[Architecture, ...]
    accel: tuple[Accelerator, ...]
    qemu: tuple[str, ...]
    """Empty for the one without a range."""

    def points(self) -> Iterator[Point]:
        """The combinations, in order."""
        for arch in self.arch:
            for accel in self.accel:
                for qemu in self.qemu or ("",):
                    yield Point(arch, accel, qemu)


def products(points: Iterable[Point]) -> list[Product]:
    """Products that have each of ``points`` once, and nothing else, in the order of the points.

    Values are put together along one dimension after the other: few products rather than fewest.
    """
    found = [
        Product((point.arch,), (point.accel,), (point.qemu,) if point.qemu else ())
        for point in dict.fromkeys(points)
    ]
    for dimension in ("qemu", "arch", "accel"):
        others = [each.name for each in fields(Product) if each.name != dimension]
        groups: dict[tuple[object, ...], list[Product]] = {}
        for product in found:
            key = (*(getattr(product, name) for name in others), bool(product.qemu))
            groups.setdefault(key, []).append(product)
        found = [_together(group, dimension) for group in groups.values()]
    return found


def _together(group: list[Product], dimension: str) -> Product:
    merged = tuple(value for product in group for value in getattr(product, dimension))
    return replace(group[0], **{dimension: merged})
