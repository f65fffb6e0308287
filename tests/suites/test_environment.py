import pytest

from matrix.errors import SuiteError
from matrix.suites.environment import (
    Erratum,
    KernelVersion,
    environment_text,
    is_fixed,
    kernel_version,
    parse_errata,
)
from matrix.suites.suite import HostFacts

ERRATA = """\
#---------------:-------------------------------:-----------
# commit        : minimum kernel                : summary
#---------------:-------------------------------:-----------
9e3f7a296940    : 4.9                           : arm64: a fix
8c58be34494b    : 5.6.3-2                       : another: fix

"""


def text(accelerator: str = "kvm") -> list[str]:
    version = "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)"
    host = HostFacts(accelerator, "5.6.3-1-amd64", (7, 2, 22), version)
    return environment_text("qemu", host, parse_errata(ERRATA, "errata.txt")).splitlines()


def test_lines_under_kvm() -> None:
    assert text() == [
        "TARGET=qemu",
        "QEMU_ACCEL=kvm",
        "QEMU_VERSION_STRING=QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)",
        "QEMU_MAJOR=7",
        "QEMU_MINOR=2",
        "QEMU_MICRO=22",
        "KERNEL_VERSION_STRING=5.6.3-1-amd64",
        "KERNEL_VERSION=5",
        "KERNEL_PATCHLEVEL=6",
        "KERNEL_SUBLEVEL=3",
        "KERNEL_EXTRAVERSION=1",
        "ERRATA_8c58be34494b=n",
        "ERRATA_9e3f7a296940=y",
    ]


def test_errata_are_forced_under_tcg() -> None:
    assert text("tcg")[11:] == ["ERRATA_FORCE=y"]


def test_kvmtool_has_no_qemu() -> None:
    lines = environment_text("kvmtool", HostFacts("kvm", "6.1.0"))
    assert lines.startswith("TARGET=kvmtool\nKERNEL_VERSION_STRING=6.1.0\n")
    assert "QEMU" not in lines


@pytest.mark.parametrize(
    ("release", "parts"),
    [
        ("6.1.0-13-amd64", ("6", "1", "0", "13")),
        ("5.4.0", ("5", "4", "0", "")),
        ("6.6", ("6", "6", "", "")),
        ("4.18.0-305.el8.x86_64", ("4", "18", "0", "305")),
        ("6.8.0-rc1", ("6", "8", "0", "")),
        ("", ("", "", "", "")),
        ("nonsense\nX=1", ("", "", "", "")),
    ],
)
def test_kernel_releases(release: str, parts: tuple[str, str, str, str]) -> None:
    assert kernel_version(release) == KernelVersion(release.partition("\n")[0], *parts)


@pytest.mark.parametrize(
    ("minimum", "kernel", "fixed"),
    [
        ("4.9", "4.8.17", False),
        ("4.9", "4.9.0-1", True),
        ("4.9", "4.10", True),
        ("4.9", "5.1", True),
        ("4.9", "3.99", False),
        ("4.9.5", "4.9.4", False),
        ("4.9.5", "4.9.5", True),
        ("4.9.5", "4.9.6-0", True),
        ("4.9.5", "4.9", False),
        ("4.9.0", "4.9", True),
        ("4.9.5-3", "4.9.5-2", False),
        ("4.9.5-3", "4.9.5-3-amd64", True),
        ("4.9.5-3", "4.9.5", False),
        ("4.9.5-0", "4.9.5", True),
        ("4.9", "nonsense", False),
        ("4.9", "5", False),
    ],
)
def test_which_kernels_have_the_fix(minimum: str, kernel: str, fixed: bool) -> None:
    (erratum,) = parse_errata(f"abc : {minimum} : x", "errata.txt")
    assert is_fixed(erratum, kernel_version(kernel)) is fixed


def test_errata_file() -> None:
    assert parse_errata(ERRATA, "errata.txt") == (
        Erratum("9e3f7a296940", (4, 9, None, None)),
        Erratum("8c58be34494b", (5, 6, 3, 2)),
    )
    with pytest.raises(SuiteError) as caught:
        parse_errata("abc : new : x\nabc\n\ndef : 4.1 : fine\na=b : 4.1 : x\n", "errata.txt")
    assert [problem.place.line for problem in caught.value.problems] == [1, 2, 5]
