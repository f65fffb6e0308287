"""Case ids."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.model import Accelerator, Architecture, Variant
from matrix.scenario.case_id import MAX_LENGTH, case_id, encode, variant_suffix

ARM = Architecture.AARCH64


@pytest.mark.parametrize(
    ("variant", "suffix"),
    [
        (Variant(ARM), "aarch64.auto"),
        (Variant(ARM, Accelerator.KVM, "system"), "aarch64.kvm"),
        (Variant(ARM, qemu="10.0"), "aarch64.auto.qemu=10.0"),
        (
            Variant(ARM, Accelerator.TCG, "10.0", "virt,gic-version=3", "max", 4, 1536 << 20),
            "aarch64.tcg.qemu=10.0.machine=virt,gic-version=3.cpu=max.smp=4.memory=1536MiB",
        ),
        (Variant(ARM, machine="a/b c%é"), "aarch64.auto.machine=a%2Fb%20c%25%C3%A9"),
    ],
)
def test_suffixes(variant: Variant, suffix: str) -> None:
    assert variant_suffix(variant) == suffix


def test_ids() -> None:
    assert case_id("smoke", "boot", "aarch64.auto") == "smoke.boot.aarch64.auto"


def test_long_ids_are_cut_and_stay_apart() -> None:
    whole = case_id("s", "t" * (MAX_LENGTH - len("s..x.y")), "x.y")
    assert len(whole) == MAX_LENGTH
    assert "~" not in whole
    one, other = (case_id("s", "t" * MAX_LENGTH, f"x.y.smp={smp}") for smp in (1, 2))
    assert one != other
    for cut in (one, other):
        assert len(cut) == MAX_LENGTH
        assert re.fullmatch(r"s\.t+~[0-9a-f]{12}", cut)
    assert one == case_id("s", "t" * MAX_LENGTH, "x.y.smp=1")


@given(st.text())
def test_encoded_texts_are_safe(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert re.fullmatch("[A-Za-z0-9._,=+@%-]*", encode(text))


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_encoding_keeps_texts_apart(one: str, other: str) -> None:
    assert (encode(one) == encode(other)) == (one == other)
