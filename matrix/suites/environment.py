"""The environment that kvm-unit-tests' guests find in their initrd: ``NAME=value`` lines.

Names and rules are those of ``scripts/arch-run.bash`` there. Guests read the host kernel's version
and the errata to decide whether to run checks that crash old kernels.
"""

from dataclasses import dataclass

from matrix.errors import Place, Problem, SuiteError
from matrix.patterns import late
from matrix.suites.suite import HostFacts

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


def environment_text(target: str, host: HostFacts, errata: tuple[Erratum, ...] = ()) -> str:
    """The initrd's text, each line ended.

    Under TCG checks that need a fix run without it, as the host's kernel has no part in them.

    Args:
        target: TARGET of the build, ``qemu`` or ``kvmtool``.
        host: where the guest runs.
        errata: from :func:`parse_errata`.
    """
    lines = [f"TARGET={target}"]
    if target != "kvmtool":
        version = host.qemu_version_text.removeprefix(_QEMU_VERSION_PREFIX)
        lines += [
            f"QEMU_ACCEL={host.accelerator}",
            f"QEMU_VERSION_STRING={_QEMU_VERSION_PREFIX}{version}",
        ]
        numbers = zip(("MAJOR", "MINOR", "MICRO"), host.qemu_version, strict=True)
        lines += [f"QEMU_{name}={number}" for name, number in numbers]
    kernel = kernel_version(host.kernel)
    lines += [
        f"KERNEL_VERSION_STRING={kernel.release}",
        f"KERNEL_VERSION={kernel.version}",
        f"KERNEL_PATCHLEVEL={kernel.patchlevel}",
        f"KERNEL_SUBLEVEL={kernel.sublevel}",
        f"KERNEL_EXTRAVERSION={kernel.extraversion}",
    ]
    if host.accelerator == "tcg":
        lines.append("ERRATA_FORCE=y")
    else:
        fixed = {each.commit: "y" if is_fixed(each, kernel) else "n" for each in errata}
        lines += [f"ERRATA_{commit}={fixed[commit]}" for commit in sorted(fixed)]
    return "".join(f"{line}\n" for line in lines)


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
    parts = (kernel.version, kernel.patchlevel, kernel.sublevel, kernel.extraversion)
    for part, minimum in zip(parts, erratum.minimum, strict=True):
        if not part or minimum is None:
            return not minimum
        if int(part) != minimum:
            return int(part) > minimum
    return True
