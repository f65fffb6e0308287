"""QEMUs of another host, from its saved ``matrix doctor --json``: they are asked nothing.

What a file says of a QEMU is its machines, CPU models, migration capabilities and parameters, and
nothing of its devices' state: that takes its idle guest. Of the host it says what its KVM
can give a guest.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from matrix.errors import UsageError
from matrix.hosts.kvm_features import KvmFeatures, features_of_json
from matrix.inventory import Binary
from matrix.results.files import read_bounded, shown
from matrix.results.json_text import first_complaint

LARGEST = 64 << 20
UNSTARTED = ""
"""In place of the path of a QEMU that is not on this host."""
_DOCUMENT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_BINARY = TypeAdapter(Binary)


def is_recorded(side: str) -> bool:
    """Whether that names a file, as ``FILE.json`` or ``FILE.json:QEMU``."""
    return side.partition(".json:")[0].removesuffix(".json") != side


def recorded(side: str) -> tuple[Binary, ...]:
    """The emulators of one installation, named as the side is.

    Raises:
        UsageError: there is no such file, it is none of ``matrix doctor --json``, or has no such
            installation, or several and none is named.
        HostError: it cannot be read.
    """
    path, wanted = _file_of(side)
    with _complaints(path):
        found = _document(path).get("binaries")
        binaries = [_binary(each) for each in found or ()]
    names = tuple(dict.fromkeys(binary.qemu for binary in binaries))
    if not names:
        raise UsageError(f"{shown(path)}: it has no QEMU; matrix doctor --json lists them")
    name = wanted or ("system" if "system" in names else names[0])
    if name not in names or (not wanted and name != "system" and len(names) > 1):
        what = f"no QEMU {name!r}" if wanted else "several QEMUs"
        raise UsageError(f"{shown(path)}: {what}; FILE.json:NAME takes {', '.join(names)}")
    return tuple(
        replace(binary, qemu=side, path=UNSTARTED) for binary in binaries if binary.qemu == name
    )


def recorded_features(side: str) -> KvmFeatures:
    """What KVM of that host can give its guests, or the problem with that.

    Raises:
        UsageError, HostError: as :func:`recorded`.
    """
    path, _ = _file_of(side)
    with _complaints(path):
        found = _document(path).get("kvm_features")
        if found is None:
            return KvmFeatures("an older matrix doctor wrote it, which did not ask KVM")
        return features_of_json(found)


def _file_of(side: str) -> tuple[Path, str]:
    """The file, and the name of the QEMU that is wanted, if any is."""
    stem, named, wanted = side.partition(".json:")
    return Path(f"{stem}.json" if named else side), wanted


def _document(path: Path) -> dict[str, Any]:
    return _DOCUMENT.validate_json(read_bounded(path, LARGEST))


@contextmanager
def _complaints(path: Path) -> Iterator[None]:
    """What is wrong with the content, as an error of who named the file."""
    try:
        yield
    except (ValidationError, AttributeError, KeyError, TypeError, ValueError) as error:
        why = first_complaint(error) if isinstance(error, ValidationError) else repr(error)
        raise UsageError(f"{shown(path)}: not what matrix doctor --json prints: {why}") from None


def _binary(value: dict[str, Any]) -> Binary:
    version = tuple(map(int, str(value["version"]).split(".")))
    known = {name: each for name, each in value.items() if name != "default_machine"}
    return _BINARY.validate_python(known | {"version": version})
