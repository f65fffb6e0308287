"""The environment that kvm-unit-tests' guests find in their initrd: ``NAME=value`` lines.

Names and rules are those of ``scripts/arch-run.bash`` there. Guests read the host kernel's version
and the errata to decide whether to run checks that crash old kernels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from matrix.errors import Place, Problem, SuiteError
from matrix.patterns import late

_QEMU_VERSION_PREFIX = "QEMU emulator version "
_DIGITS = late(r"[0-9]*")
_MINIMUM = late(r"([0-9]{1,6})\.([0-9]{1,6})(?:\.([0-9]{1,6}))?(?:-([0-9]{1,6})\S*)?")
_COMMIT = late(r"[0-9A-Za-z_]+")


@dataclass(frozen=True, slots=True)
class KernelVersion:
    """A kernel's release, taken apart; empty parts are not in it.

    ``6.1.0-13-amd64`` is version 6, patch level 1, sublevel 0, extra version 13.
    """

    release: str
    version: str = ""
    patchlevel: str = ""
    sublevel: str = ""
    extraversion: str = ""


@dataclass(frozen=True, slots=True)
class Erratum:
    """One line of ``errata.txt``: the kernel commit that fixes it, and the first kernel with it."""

    commit: str
    minimum: tuple[int, int, int | None, int | None]
    """Version, patch level, and where they are given sublevel and extra version."""


def environment_text(
    *,
    target: str,
    accelerator: str,
    qemu_version: tuple[int, int, int],
    qemu_version_text: str,
    kernel: str,
    errata: tuple[Erratum, ...] = (),
    force_errata: bool = False,
) -> str:
    """The initrd's text, each line ended.

    Args:
        target: TARGET of the build, ``qemu`` or ``kvmtool``.
        accelerator: ``kvm`` or ``tcg``.
        qemu_version: of the QEMU that runs the guest.
        qemu_version_text: the same as its packager writes it, ``7.2.22 (Debian 1:7.2+dfsg-7)``.
        kernel: the host kernel's release (``uname -r``).
        errata: from :func:`parse_errata`.
        force_errata: whether checks that need a fix run without it: all tests were asked for.
            Under TCG they always do, the host's kernel has no part in them.
    """
    lines = [f"TARGET={target}"]
    if target != "kvmtool":
        lines += _qemu_lines(accelerator, qemu_version, qemu_version_text)
    host = kernel_version(kernel)
    lines += [
        f"KERNEL_VERSION_STRING={host.release}",
        f"KERNEL_VERSION={host.version}",
        f"KERNEL_PATCHLEVEL={host.patchlevel}",
        f"KERNEL_SUBLEVEL={host.sublevel}",
        f"KERNEL_EXTRAVERSION={host.extraversion}",
    ]
    names: list[str] = []
    if accelerator != "tcg":
        names = [
            f"ERRATA_{erratum.commit}={'y' if is_fixed(erratum, host) else 'n'}"
            for erratum in errata
        ]
    if accelerator == "tcg" or force_errata:
        names.append("ERRATA_FORCE=y")
    return "".join(f"{line}\n" for line in (*lines, *sorted(set(names))))


def _qemu_lines(
    accelerator: str, version: tuple[int, int, int], version_text: str
) -> Iterator[str]:
    text = version_text.removeprefix(_QEMU_VERSION_PREFIX)
    yield f"QEMU_ACCEL={accelerator}"
    yield f"QEMU_VERSION_STRING={_QEMU_VERSION_PREFIX}{text}"
    for name, number in zip(("MAJOR", "MINOR", "MICRO"), version, strict=True):
        yield f"QEMU_{name}={number}"


def kernel_version(release: str) -> KernelVersion:
    """A kernel release taken apart; parts that are no numbers are empty."""
    first_line = release.partition("\n")[0].strip()
    version, _, rest = first_line.partition(".")
    patchlevel, _, rest = rest.partition(".")
    sublevel, _, extraversion = rest.partition("-")
    parts = (version, patchlevel, sublevel, extraversion)
    return KernelVersion(first_line, *(_leading_digits(part) for part in parts))


def _leading_digits(text: str) -> str:
    match = _DIGITS.match(text)
    return match[0] if match else ""


def parse_errata(text: str, file: str) -> tuple[Erratum, ...]:
    """The entries of an ``errata.txt``: ``commit : minimum kernel : summary``, ``#`` comments.

    Raises:
        SuiteError: an entry has no usable kernel version.
    """
    errata: list[Erratum] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = [field.strip() for field in line.split(":")]
        if line.startswith("#") or not fields[0]:
            continue
        minimum = _MINIMUM.fullmatch(fields[1]) if len(fields) > 1 else None
        if minimum is None or not _COMMIT.fullmatch(fields[0]):
            message = "no commit with a minimum kernel version"
            allowed = "COMMIT : VERSION.PATCHLEVEL[.SUBLEVEL[-EXTRA]] : SUMMARY"
            problems.append(Problem(Place(file, number), message, allowed))
            continue
        sublevel, extra = (int(part) if part else None for part in minimum.groups()[2:])
        errata.append(Erratum(fields[0], (int(minimum[1]), int(minimum[2]), sublevel, extra)))
    if problems:
        raise SuiteError(problems)
    return tuple(errata)


def is_fixed(erratum: Erratum, kernel: KernelVersion) -> bool:
    """Whether ``kernel`` is at least the first one with the fix.

    Sublevels and extra versions only count where both sides have them; a minimum that has one
    which the kernel lacks is not reached, unless it is 0.
    """
    if not kernel.version or not kernel.patchlevel:
        return False
    version, patchlevel, sublevel, extra = erratum.minimum
    have = (int(kernel.version), int(kernel.patchlevel))
    if have != (version, patchlevel):
        return have > (version, patchlevel)
    if not kernel.sublevel or sublevel is None:
        return not sublevel
    if int(kernel.sublevel) != sublevel:
        return int(kernel.sublevel) > sublevel
    if not kernel.extraversion or extra is None:
        return not extra
    return int(kernel.extraversion) >= extra
