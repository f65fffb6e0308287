"""How a variant is named in reports: ``x86_64 kvm qemu=10.0``."""

from matrix.model import Variant

_UNITS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def axis_labels(variant: Variant) -> dict[str, str]:
    """The axes that matter, as text; ``qemu`` only where it is not the system's."""
    labels = {name: str(value) for name, value in variant.axes().items()}
    if variant.memory is not None:
        labels["memory"] = size_label(variant.memory)
    if labels.get("qemu") == "system":
        del labels["qemu"]
    return labels


def variant_label(variant: Variant, leave_out: str = "") -> str:
    """One line: architecture and accelerator bare, further axes as ``name=value``, without the
    axis ``leave_out``."""
    return " ".join(
        value if name in ("arch", "accel") else f"{name}={value}"
        for name, value in axis_labels(variant).items()
        if name != leave_out
    )


def size_label(size: int) -> str:
    """Bytes with the largest unit that leaves no rest."""
    for factor, unit in _UNITS:
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)
