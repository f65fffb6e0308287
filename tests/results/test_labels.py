from matrix.model import Accelerator, Architecture, Variant
from matrix.results.labels import variant_label


def test_a_variant_in_one_line() -> None:
    plain = Variant(Architecture.ARM)
    full = Variant(
        Architecture.X86_64, Accelerator.KVM, "10.0", machine="q35", cpu="max", smp=4, memory=2**28
    )
    assert variant_label(plain) == "arm auto"
    assert variant_label(full) == "x86_64 kvm qemu=10.0 machine=q35 cpu=max smp=4 memory=256MiB"
    assert variant_label(full, leave_out="qemu").startswith("x86_64 kvm machine=q35 ")
