"""Lines of a kind, a number and JSON: what processes of this program say to each other. Pure.

What comes is validated: a line becomes the plain data of its kind, or :class:`WireError`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from matrix.errors import HostLostError

LONGEST = 64 << 20
"""Bytes of a line. An attempt with the most subtests that are kept takes some megabytes."""

KindT = TypeVar("KindT", bound=StrEnum)


class WireError(HostLostError):
    """The other end broke the protocol."""


@dataclass(frozen=True, slots=True)
class Line(Generic[KindT]):
    """One line."""

    kind: KindT
    number: int
    body: Any


class Lines(Generic[KindT]):
    """The lines of one protocol."""

    def __init__(self, kinds: type[KindT], bodies: Mapping[KindT, Any]) -> None:
        """``bodies`` has the types of those kinds that say more than a number."""
        self._kinds = kinds
        nothing: TypeAdapter[Any] = TypeAdapter(None)
        self._bodies = {
            kind: TypeAdapter(bodies[kind]) if kind in bodies else nothing for kind in kinds
        }

    def encode(self, kind: KindT, number: int = 0, body: Any = None) -> bytes:
        """A line, with its end. JSON escapes every line feed of the body."""
        text: bytes = self._bodies[kind].dump_json(body)
        return b"%s %d %s\n" % (kind.encode(), number, text)

    def decode(self, line: bytes) -> Line[KindT]:
        """What a line says.

        Raises:
            WireError: it is none of this protocol.
        """
        try:
            word, number, text = line.split(b" ", 2)
            kind = self._kinds(word.decode())
            return Line(kind, int(number), self._bodies[kind].validate_json(text))
        except (ValueError, ValidationError) as error:
            raise WireError(f"not a line of this protocol: {line[:100]!r}") from error
