import pytest

from matrix.model import Accelerator, Architecture, Variant
from matrix.results.labels import size_label, variant_label


def test_a_variant_in_one_line() -> None:
    plain = Variant(Architecture.ARM)
    full = Variant(
        Architecture.X86_64, Accelerator.KVM, "10.0", machine="q35", cpu="max", smp=4, memory=2**28
    )
    assert variant_label(plain) == "arm auto"
    assert variant_label(full) == "x86_64 kvm qemu=10.0 machine=q35 cpu=max smp=4 memory=256MiB"
    assert variant_label(full, leave_out="qemu").startswith("x86_64 kvm machine=q35 ")


@pytest.mark.parametrize(
    ("size", "label"),
    [(0, "0"), (1000, "1000"), (1024, "1KiB"), (3 * 2**29, "1536MiB"), (2**40, "1TiB")],
)
def test_sizes_have_the_largest_unit_without_a_rest(size: int, label: str) -> None:
    assert size_label(size) == label
