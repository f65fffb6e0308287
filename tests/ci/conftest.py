"""Cases to make pipelines of."""

import pytest

from matrix.model import Accelerator, Case
from tests import make


@pytest.fixture(scope="session")
def cases() -> list[Case]:
    """Three tests on x86_64 (KVM and TCG), aarch64 (auto), s390x (TCG)."""
    variants = (("x86_64", "kvm"), ("x86_64", "tcg"), ("aarch64", "auto"), ("s390x", "tcg"))
    return [
        make.case(test, arch, accel=Accelerator(accel))
        for arch, accel in variants
        for test in ("a", "b", "c")
    ]
