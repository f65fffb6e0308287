"""Single values; what is refused stands in the golden files."""

import pytest

from matrix.migrating import Fault, Strategy, Transport
from matrix.model import (
    AMBIGUOUS_ARCHITECTURES,
    ARCHITECTURE_ALIASES,
    Accelerator,
    Architecture,
    Endian,
    KvmMode,
    MemoryBackend,
    Variant,
)
from matrix.scenario import values
from matrix.scenario.axes import AXES
from matrix.scenario.wording import Refused


@pytest.mark.parametrize(("alias", "arch"), ARCHITECTURE_ALIASES.items())
def test_aliases_of_architectures(alias: str, arch: Architecture) -> None:
    assert values.parse_arch(alias) is arch


def test_a_name_of_two_architectures_means_neither() -> None:
    assert not AMBIGUOUS_ARCHITECTURES.keys() & {*ARCHITECTURE_ALIASES, *Architecture}
    with pytest.raises(Refused, match="'x86' may be i386 or x86_64; write the one that is meant"):
        values.parse_arch("x86")


def test_names_of_architectures_and_accelerators() -> None:
    assert [values.parse_arch(arch.value) for arch in Architecture] == list(Architecture)
    assert [values.parse_accel(accel.value) for accel in Accelerator] == list(Accelerator)


@pytest.mark.parametrize("text", ["virt,gic-version=3", "max,-pmu", "a b", "é", "x" * 200])
def test_texts(text: str) -> None:
    assert values.parse_text(text) == text


@pytest.mark.parametrize("text", ["", " a", "a ", "a\nb", "a\x00", "a\u2028b", "\ud800", "x" * 201])
def test_no_texts(text: str) -> None:
    with pytest.raises(Refused):
        values.parse_text(text)


@pytest.mark.parametrize("name", ["", ".", "-a", "a/b", "..", "a b", "ä", "a\n", "a" * 65])
def test_no_names(name: str) -> None:
    for parse in (values.parse_name, values.parse_qemu):
        with pytest.raises(Refused):
            parse(name)


def test_the_table_of_axes_and_the_variant_agree() -> None:
    variant = Variant(
        Architecture.ARM,
        Accelerator.TCG,
        "10.0",
        "virt",
        "max",
        2,
        1 << 30,
        MemoryBackend.RAM,
        Endian.BIG,
        "debian-13",
        KvmMode.NVHE,
        "mitigations=off",
        "kvm.nx_huge_pages=off",
        "z1",
        Strategy.PRECOPY,
        Transport.TCP,
        Fault.NO_LISTENER,
        "11.1",
    )
    assert list(variant.axes()) == list(AXES)


@pytest.mark.parametrize(
    ("axis", "text"),
    [
        ("arch", "s390x"),
        ("accel", "auto"),
        ("qemu", "10.0"),
        ("machine", "q35,smm=on"),
        ("cpu", "max"),
        ("smp", "8"),
        ("memory", "1536MiB"),
    ],
)
def test_what_is_read_is_shown_again(axis: str, text: str) -> None:
    assert AXES[axis].show(AXES[axis].parse(text)) == text
