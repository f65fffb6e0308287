"""Products have every point once, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from matrix.model import AcceleratorLabel, Architecture
from matrix.results.expecting import Point, Product, products

ARM, X86 = Architecture.ARM, Architecture.X86_64
KVM, TCG = AcceleratorLabel.KVM, AcceleratorLabel.TCG

_points = st.lists(
    st.builds(
        Point,
        st.sampled_from([ARM, X86, Architecture.S390X]),
        st.sampled_from([KVM, TCG]),
        st.sampled_from(["", "==7.2", "==10.0", "==11.1"]),
        st.sampled_from(["", "default", "uefi"]),
        st.sampled_from(["", "little", "big"]),
    )
)


@given(_points)
def test_every_point_once_and_nothing_else(points: list[Point]) -> None:
    covered = [point for product in products(points) for point in product.points()]
    assert len(covered) == len(set(covered))
    assert set(covered) == set(points)


def test_what_can_be_is_put_together() -> None:
    everywhere = [
        Point(a, k, q) for a in (ARM, X86) for k in (KVM, TCG) for q in ("==7.2", "==10.0")
    ]
    whole = Product((ARM, X86), (KVM, TCG), ("==7.2", "==10.0"))
    assert products(everywhere) == [whole]
    assert products(everywhere[:-1]) == [
        Product((ARM, X86), (KVM,), ("==7.2", "==10.0")),
        Product((ARM,), (TCG,), ("==7.2", "==10.0")),
        Product((X86,), (TCG,), ("==7.2",)),
    ]


def test_what_has_no_version_stays_apart() -> None:
    points = [Point(ARM, KVM, "==7.2"), Point(ARM, KVM, "")]
    assert products(points) == [Product((ARM,), (KVM,), ("==7.2",)), Product((ARM,), (KVM,), ())]


def test_none() -> None:
    assert products([]) == []
