"""Modules come after what they need, by what is written in them."""

from hypothesis import given
from hypothesis import strategies as st

from matrix.hosts.virtual.kernel_modules import ModuleInfo, in_order, parse_modinfo


def test_modinfo_is_read_as_the_kernel_writes_it() -> None:
    section = b"license=GPL\0name=kvm-amd\0depends=kvm,ccp\0softdep=pre: a b-c post: d\0"
    expected = ModuleInfo("kvm_amd", ("kvm", "ccp"), ("a", "b_c"))
    assert parse_modinfo(section) == expected


def test_dependencies_come_first_and_what_is_built_in_is_left_out() -> None:
    modules = {
        "kvm_amd": ModuleInfo("kvm_amd", ("kvm", "ccp")),
        "kvm": ModuleInfo("kvm", ("irqbypass",)),
        "irqbypass": ModuleInfo("irqbypass"),
        "ext4": ModuleInfo("ext4", ("jbd2",), ("crc32c",)),
        "jbd2": ModuleInfo("jbd2"),
        "crc32c_generic": ModuleInfo("crc32c_generic"),
    }
    assert in_order(("kvm-amd", "ext4", "virtio_pci"), modules.get) == (
        *("irqbypass", "kvm", "kvm_amd"),
        *("crc32c_generic", "jbd2", "ext4"),
    )


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=4)))
def test_circles_end(graph: dict[str, list[str]]) -> None:
    modules = {name: ModuleInfo(name, tuple(needs)) for name, needs in graph.items()}
    assert set(in_order(graph, modules.get)) == set(graph)


@given(st.binary(max_size=200))
def test_any_section_is_read(section: bytes) -> None:
    parse_modinfo(section)
