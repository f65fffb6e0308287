"""Which of a case's known failures apply where it runs. Pure."""

from matrix.inventory import Binary, Host
from matrix.model import AcceleratorLabel, Build, Expectation
from matrix.versions import VersionRange, version_of


def applicable(
    expected: tuple[Expectation, ...],
    accelerator: AcceleratorLabel,
    binary: Binary | None,
    host: Host,
    build: Build,
) -> tuple[Expectation, ...]:
    """The known failures of a case whose conditions hold where it runs.

    Args:
        expected: of the case, which its name and architecture match already.
        accelerator: what it really runs under.
        binary: the emulator that runs it; None where that is not QEMU.
        host: the machine that it runs on.
        build: what its image is of.
    """
    if not expected:
        return expected
    kept = tuple(each for each in expected if _holds(each, accelerator, binary, host, build))
    return expected if len(kept) == len(expected) else kept


def _holds(
    expectation: Expectation,
    accelerator: AcceleratorLabel,
    binary: Binary | None,
    host: Host,
    build: Build,
) -> bool:
    kernel = expectation.host_kernel
    qemu = None if binary is None else binary.version
    return (
        (not expectation.accel or accelerator in expectation.accel)
        and (not expectation.firmware or build.boot_firmware in expectation.firmware)
        and (not expectation.endian or build.endian in expectation.endian)
        and (not expectation.cpu_vendor or host.cpu_vendor in expectation.cpu_vendor)
        and (not expectation.qemu or _is_in(qemu, expectation.qemu))
        and (not kernel or _is_in(version_of(host.kernel), kernel))
    )


def _is_in(version: tuple[int, ...] | None, ranges: tuple[VersionRange, ...]) -> bool:
    """Whether a version, None for one that is not known, is in one of the ranges."""
    if version is None:
        return False
    first, second, third, fourth, *_ = (*version, 0, 0, 0, 0)
    return any((first, second, third, fourth) in each for each in ranges)
