"""What the inventory says of itself."""

from matrix.inventory import Binary, Machine
from matrix.model import Architecture


def test_the_repr_of_a_binary_leaves_out_what_is_long() -> None:
    machines = tuple(Machine(f"pc-{number}", properties="usb=bool") for number in range(100))
    binary = Binary(
        *("system", Architecture.X86_64, "/usr/bin/qemu", (7, 2, 22), "7.2.22"),
        machines=machines,
        cpu_properties=("avx=bool",) * 100,
    )
    assert "usb" not in repr(binary)
    assert "avx" not in repr(binary)
    assert len(repr(binary)) < 500
