"""Cases to make pipelines of."""

from collections.abc import Callable

import pytest

from matrix.model import Accelerator, Architecture, Build, Case, Test, Variant


@pytest.fixture(scope="session")
def make_case() -> Callable[..., Case]:
    def make(arch: str, accel: str = "tcg", test: str = "t", excluded: str = "") -> Case:
        architecture = Architecture(arch)
        return Case(
            id=f"s.{test}.{arch}.{accel}",
            scenario="s",
            suite="builtin",
            test=Test(test, image="/guest"),
            variant=Variant(architecture, Accelerator(accel)),
            build=Build(architecture, "/build", "/build"),
            excluded=excluded,
        )

    return make


@pytest.fixture(scope="session")
def cases(make_case: Callable[..., Case]) -> list[Case]:
    """Three tests on x86_64 (KVM and TCG), aarch64 (auto), s390x (TCG)."""
    variants = (("x86_64", "kvm"), ("x86_64", "tcg"), ("aarch64", "auto"), ("s390x", "tcg"))
    return [make_case(arch, accel, test) for arch, accel in variants for test in ("a", "b", "c")]
