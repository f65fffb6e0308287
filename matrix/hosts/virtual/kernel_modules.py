"""Kernel modules: what one needs, from what is written in it. Pure.

Packages carry no ``modules.dep``, so that dependencies come from each module's section
``.modinfo``: NUL-terminated ``key=value`` (Linux, include/linux/moduleparam.h).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

MODINFO_KEYS = ("depends", "softdep", "name")


@dataclass(frozen=True, slots=True)
class ModuleInfo:
    """What a module says of itself."""

    name: str
    depends: tuple[str, ...] = ()
    """Modules whose symbols it uses."""
    wants: tuple[str, ...] = ()
    """``softdep=pre:``: what should be there before it."""


def parse_modinfo(section: bytes) -> ModuleInfo:
    """What the content of a section ``.modinfo`` says."""
    found: dict[str, list[str]] = {key: [] for key in MODINFO_KEYS}
    for entry in section.split(b"\0"):
        key, _, value = entry.decode("utf-8", "replace").partition("=")
        if key in found:
            found[key].append(value)
    depends = [each for value in found["depends"] for each in value.split(",") if each]
    wants = [each for value in found["softdep"] for each in _before(value)]
    name = found["name"][0] if found["name"] else ""
    return ModuleInfo(normal(name), tuple(map(normal, depends)), tuple(map(normal, wants)))


def _before(softdep: str) -> Iterable[str]:
    """``a`` and ``b`` of ``pre: a b post: c``."""
    before = False
    for word in softdep.split():
        if word.endswith(":"):
            before = word == "pre:"
        elif before:
            yield word


def normal(name: str) -> str:
    """A module's name: its file may have dashes where the kernel has underscores."""
    return name.replace("-", "_")


def in_order(wanted: Iterable[str], read: Callable[[str], ModuleInfo | None]) -> tuple[str, ...]:
    """``wanted`` and all that they need, each after what it needs.

    ``read`` gives a module's information by its normal name, or None where there is no such module:
    then it is built in, as far as one can know.
    """
    order: dict[str, None] = {}
    entered: set[str] = set()

    def enter(name: str) -> None:
        if name in entered:
            return
        entered.add(name)
        info = read(name)
        if info is None:
            return
        for other in (*_candidates(info.wants), *info.depends):
            enter(other)
        order[name] = None

    for name in wanted:
        enter(normal(name))
    return tuple(order)


def _candidates(wants: Iterable[str]) -> Iterable[str]:
    """ext4 wants ``crc32c``, an algorithm: the module that always has one is named otherwise."""
    for want in wants:
        yield want
        yield f"{want}_generic"
