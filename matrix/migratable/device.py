"""A device as QEMU has made it, and ``info qtree``, which prints those on buses. Pure."""

from dataclasses import dataclass

Properties = tuple[tuple[str, str], ...]
"""Name and value, in the order of the names."""


@dataclass(frozen=True, slots=True)
class Device:
    """An object that QEMU has made for the machine."""

    path: str
    """Of a vCPU that of QOM; else the buses and devices that it is on, and its number among those
    of the same name there."""
    kind: str
    """Its type."""
    properties: Properties


def read_tree(text: str) -> tuple[Device, ...]:
    """The devices that ``info qtree`` prints, with the values that their properties have.

    One command, where asking every object takes a thousand.
    """
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        indent, said = len(line) - len(line.lstrip()), line.strip()
        what, _, rest = said.partition(": ")
        if what not in ("bus", "dev"):
            name, equals, value = said.partition(" = ")
            if equals and above and above[-1][1] in found and indent > above[-1][0]:
                found[above[-1][1]][1].append((name, value))
            continue
        while above and above[-1][0] >= indent:
            above.pop()
        kind = rest.partition(",")[0]
        path = f"{above[-1][1] if above else ''}/{kind}"
        number = 0
        while what == "dev" and f"{path}[{number}]" in found:
            number += 1
        if what == "dev":
            path = f"{path}[{number}]"
            found[path] = (kind, [])
        above.append((indent, path))
    return tuple(
        Device(path, kind, tuple(sorted(values))) for path, (kind, values) in sorted(found.items())
    )
