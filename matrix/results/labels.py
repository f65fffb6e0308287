"""How a variant is named in reports: ``x86_64 kvm qemu=10.0``."""

from functools import lru_cache

from matrix.model import Variant
from matrix.scenario.axes import AXES, BARE_AXES


def axis_texts(variant: Variant) -> dict[str, str]:
    """The axes that are given, as they are written."""
    return {name: AXES[name].show(value) for name, value in variant.axes().items()}


def axis_labels(variant: Variant) -> dict[str, str]:
    """The axes that matter, as they are written; ``qemu`` only where it is not the system's."""
    labels = axis_texts(variant)
    if labels.get("qemu") == "system":
        del labels["qemu"]
    return labels


@lru_cache(maxsize=10_000)
def variant_label(variant: Variant, leave_out: str = "") -> str:
    """One line: architecture and accelerator bare, further axes as ``name=value``, without the
    axis ``leave_out``."""
    return " ".join(
        value if name in BARE_AXES else f"{name}={value}"
        for name, value in axis_labels(variant).items()
        if name != leave_out
    )
