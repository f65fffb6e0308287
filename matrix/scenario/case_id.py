"""Case ids: ``SCENARIO.TEST.ARCH.ACCEL[.AXIS=VALUE…]``.

An id never depends on the host, so that runs of different hosts and days can be compared. An axis
at the value it has when it is not given (``qemu: system``) is not in the id, so that cases keep
their ids when such an axis is added to a scenario. Ids are also names of directories.
"""

import re
from hashlib import sha256

from matrix.model import Variant
from matrix.scenario.axes import AXES

MAX_LENGTH = 150
"""Short of the 255 bytes of a file name, and what a terminal shows on two lines."""

_DIGEST_LENGTH = 12
_UNSAFE = re.compile("[^A-Za-z0-9._,=+@-]")


def encode(text: str) -> str:
    """``text`` with the characters that an id cannot hold percent-encoded (of their UTF-8)."""
    return _UNSAFE.sub(_encoded, text)


def _encoded(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def variant_suffix(variant: Variant) -> str:
    """The part of an id that names the variant."""
    default = Variant(variant.arch, variant.accel)
    parts = [variant.arch.value, variant.accel.value]
    for axis in AXES.values():
        value = getattr(variant, axis.name)
        if value != getattr(default, axis.name):
            parts.append(f"{axis.name}={encode(axis.show(value))}")
    return ".".join(parts)


def case_id(scenario: str, test: str, suffix: str) -> str:
    """The id of ``test`` in the variant of that suffix, cut where it is too long.

    A cut id ends in ``~`` and a digest of the whole; ``~`` stands in no other id.
    """
    whole = f"{scenario}.{test}.{suffix}"
    if len(whole) <= MAX_LENGTH:
        return whole
    digest = sha256(whole.encode("ascii")).hexdigest()[:_DIGEST_LENGTH]
    return f"{whole[: MAX_LENGTH - _DIGEST_LENGTH - 1]}~{digest}"
