"""A build directory of kvm-unit-tests, or of the embedded guests, read from its ``config.mak``."""

import re
from pathlib import Path

import matrix.guests
from matrix.errors import NoBuildError, Place, Problem, SuiteError
from matrix.model import ARCHITECTURE_ALIASES, Architecture, Build, Endian, Target
from matrix.places import expanded
from matrix.suites.config import CONFIG_NAME, Config, parse_config
from matrix.suites.suite_files import is_directory, is_file, read_text

CONFIGURE_NAMES: dict[Architecture, str] = {
    architecture: architecture.value for architecture in Architecture
} | {Architecture.AARCH64: "arm64"}
"""What ``configure`` calls an architecture: ARCH in config.mak, ``arch =`` in unittests.cfg."""

TEST_DIRECTORIES: dict[Architecture, str] = {
    Architecture.X86_64: "x86",
    Architecture.I386: "x86",
    Architecture.AARCH64: "arm",
    Architecture.ARM: "arm",
    Architecture.PPC64: "powerpc",
    Architecture.S390X: "s390x",
    Architecture.RISCV64: "riscv",
    Architecture.RISCV32: "riscv",
    Architecture.MIPS64EL: "mips",
    Architecture.LOONGARCH64: "loongarch64",
}
"""Folder of an architecture's tests, where config.mak has no TEST_DIR."""

OTHER_ORDERS = {(Architecture.PPC64, Endian.BIG): "ppc64-big"}
"""Folders of embedded guests in another byte order than the architecture's usual one."""

TARGETS = (Target.QEMU, Target.KVMTOOL)
"""Values of TARGET: what runs the guests."""

TESTS_NAME = "unittests.cfg"

_RISCV = (Architecture.RISCV64, Architecture.RISCV32)
_RUN_ON_PROCESSOR = (Architecture.ARM, Architecture.AARCH64, *_RISCV)

_OBJECT_NAME = re.compile(r"[0-9a-f]{7,64}")
_SYMBOLIC_REFERENCE = re.compile(r"ref: (refs/[^\0\s]+)")


def read_build(directory: Path, architecture: Architecture | None = None) -> Build:
    """What ``config.mak`` in ``directory`` says.

    Args:
        directory: the build directory, in the source tree or out of it.
        architecture: what the user expects it to be a build for, or None for whatever it is.

    Raises:
        SuiteError: there is no usable configuration, or it is for another architecture.
    """
    return _build(_absolute(directory), architecture)


def builtin_build(architecture: Architecture, endian: Endian | None = None) -> Build:
    """The embedded guests of one architecture, which come with the package.

    Args:
        architecture: theirs.
        endian: their byte order; None for the one that its Linux distributions have.

    Raises:
        NoBuildError: there are none in that byte order.
        SuiteError: the package was installed without them.
    """
    folder = _folder(architecture, endian)
    directory = Path(matrix.guests.__file__).parent / "images" / folder
    if not is_directory(directory):
        message = f"the embedded guests for {architecture} are missing"
        raise SuiteError([Problem(Place(str(directory)), message, "`make guests` builds them")])
    if is_file(directory / CONFIG_NAME):
        return _build(directory, architecture, builtin=True)
    return Build(architecture, str(directory), str(directory), builtin=True)


def _folder(architecture: Architecture, endian: Endian | None) -> str:
    usual = _usual_order(architecture)
    if endian in (None, usual):
        return architecture.value
    if (architecture, endian) in OTHER_ORDERS:
        return OTHER_ORDERS[architecture, endian]
    message = f"the embedded guests for {architecture} are {usual}-endian only"
    raise NoBuildError([Problem(Place(architecture.value), message)])


def read_config(directory: Path) -> Config:
    """The ``config.mak`` of a build directory.

    Raises:
        SuiteError: it is missing, unreadable or malformed.
    """
    path = directory / CONFIG_NAME
    if not is_directory(directory):
        message, allowed = "no such directory", "name a kvm-unit-tests build directory"
        raise SuiteError([Problem(Place(str(directory)), message, allowed)])
    if not is_file(path):
        message = f"has no {CONFIG_NAME}, so it is not a kvm-unit-tests build"
        allowed = (
            "run ./configure and make there, or name the directory where they were run,"
            " or one with what `make standalone` leaves"
        )
        raise SuiteError([Problem(Place(str(directory)), message, allowed)])
    return parse_config(read_text(path), str(path))


def source_directory(build: Build, config: Config) -> Path:
    """The source tree that a build was made from; the build directory itself when in-tree."""
    return Path(build.directory) / (config.get("SRCDIR") or ".")


def unittests_file(build: Build, config: Config) -> Path:
    """The build's ``unittests.cfg``; out of tree it may only be in the source tree.

    Raises:
        SuiteError: it is in neither.
    """
    beside = Path(build.images) / TESTS_NAME
    folder = config.get("TEST_DIR") or TEST_DIRECTORIES[build.architecture]
    in_source = source_directory(build, config) / folder / TESTS_NAME
    for path in (beside, in_source):
        if is_file(path):
            return path
    allowed = "" if beside == in_source else f"looked for {in_source} too"
    raise SuiteError([Problem(Place(str(beside)), "no such file", allowed)])


def _absolute(directory: Path) -> Path:
    try:
        return expanded(directory).absolute()
    except RuntimeError as error:  # no such user in ~user
        problem = Problem(Place(str(directory)), str(error).rstrip("."))
        raise SuiteError([problem]) from error


def _build(directory: Path, expected: Architecture | None, *, builtin: bool = False) -> Build:
    config = read_config(directory)
    problems: list[Problem] = []
    architecture = _architecture(config, expected, problems)
    target = target_of(config, problems)
    if architecture is None or problems:
        raise SuiteError(problems)
    folder = config.get("TEST_DIR") or TEST_DIRECTORIES[architecture]
    source = directory / (config.get("SRCDIR") or ".")
    return Build(
        architecture=architecture,
        directory=str(directory),
        images=_joined(directory, folder),
        builtin=builtin,
        target=target,
        firmware=_joined(directory, config.get("FIRMWARE")),
        default_cpu=default_cpu(config, architecture),
        target_cpu=config.get("TARGET_CPU"),
        # TARGET_EFI is its name in v2022-03-08.
        efi=config.enabled("CONFIG_EFI") or config.enabled("TARGET_EFI"),
        efi_direct=config.enabled("EFI_DIRECT"),
        revision="" if builtin else revision(source),
        addr2line=config.get("ADDR2LINE"),
        endian=_endian(config, architecture),
        own=own(
            environment=config.enabled("ENVIRON_DEFAULT"),
            se_header=bool(config.get("GEN_SE_HEADER")),
        ),
        files=files(errata=_joined(directory, config.get("ERRATATXT"))),
    )


def target_of(config: Config, problems: list[Problem]) -> Target:
    """What runs the guests; a Problem where it is nothing known."""
    name = config.get("TARGET") or Target.QEMU
    if name in TARGETS:
        return Target(name)
    allowed = f"one of {', '.join(TARGETS)}"
    problems.append(Problem(config.place("TARGET"), f"TARGET={name} is unknown", allowed))
    return Target.QEMU


def architecture_of(name: str) -> Architecture | None:
    """The architecture of that name or alias, None where there is none."""
    known = {each.value: each for each in Architecture} | ARCHITECTURE_ALIASES
    return known.get(name)


def own(*, environment: bool, se_header: bool = False, standalone: bool = False) -> tuple[str, ...]:
    """:attr:`matrix.model.Build.own` of a build of kvm-unit-tests: the names of what is true of it.

    ``environment``: its guests expect the environment in their initrd; ``se_header``: it can make
    protected guests of s390x; ``standalone``: it is a folder of standalone tests, and ``images`` is
    where what they carry is unpacked.
    """
    true = {"environment": environment, "se_header": se_header, "standalone": standalone}
    return tuple(name for name, value in true.items() if value)


def files(*, errata: str) -> tuple[tuple[str, str], ...]:
    """:attr:`matrix.model.Build.files` of a build of kvm-unit-tests; ``errata`` may be empty."""
    return (("errata", errata),) if errata else ()


def default_cpu(config: Config, architecture: Architecture) -> str:
    """The CPU model that the guests need where the host's own is not taken; empty for QEMU's.

    Until April 2025 (5f77b72d of kvm-unit-tests) the CPU that the guests are compiled for was the
    one that they ran on: PROCESSOR. Only these architectures' run scripts hand it to QEMU, and
    RISC-V's takes "max" where ``configure`` put the architecture's name.
    """
    if cpu := config.get("TARGET_CPU") or config.get("DEFAULT_QEMU_CPU"):
        return cpu
    if "DEFAULT_QEMU_CPU" in config.values:
        return ""
    processor = config.get("PROCESSOR")
    if architecture in _RISCV and processor == config.get("ARCH"):
        return "max"
    return processor if architecture in _RUN_ON_PROCESSOR else ""


def _endian(config: Config, architecture: Architecture) -> Endian:
    """ENDIAN is only set where there is a choice, which is ppc64."""
    return Endian.BIG if config.get("ENDIAN") == "big" else _usual_order(architecture)


def _usual_order(architecture: Architecture) -> Endian:
    return Endian.BIG if architecture is Architecture.S390X else Endian.LITTLE


def _joined(directory: Path, name: str) -> str:
    """Absolute path of a file named in config.mak; empty stays empty."""
    if not name:
        return ""
    path = directory / name
    return str(path if ".." in path.parts else path.absolute())


def _architecture(
    config: Config, expected: Architecture | None, problems: list[Problem]
) -> Architecture | None:
    name = config.get("ARCH")
    known = ", ".join(CONFIGURE_NAMES.values())
    if not name:
        problems.append(Problem(config.place("ARCH"), "ARCH is not set", f"one of {known}"))
        return None
    architecture = architecture_of(name)
    if architecture is None:
        message = f"ARCH={name}: this architecture is not supported"
        problems.append(Problem(config.place("ARCH"), message, f"one of {known}"))
    elif expected is not None and architecture is not expected:
        message = f"this is a build for {architecture}, not for {expected}"
        problems.append(Problem(config.place("ARCH"), message))
    return architecture


def revision(source: Path) -> str:
    """The commit that is checked out in ``source``, read without running git.

    Returns the object's name in hexadecimal, or empty where ``source`` is no git work tree or its
    HEAD cannot be followed (gitrepository-layout(5): HEAD, refs/, packed-refs, commondir).
    """
    repository = _git_directory(source)
    if repository is None:
        return ""
    head = _first_line(repository / "HEAD")
    if _OBJECT_NAME.fullmatch(head):
        return head
    match = _SYMBOLIC_REFERENCE.fullmatch(head)
    if match is None or ".." in match[1].split("/"):
        return ""
    common = repository / (_first_line(repository / "commondir") or ".")
    for place in (repository, common):
        name = _first_line(place / match[1])
        if _OBJECT_NAME.fullmatch(name):
            return name
    return _packed_reference(common / "packed-refs", match[1])


def _git_directory(source: Path) -> Path | None:
    """``.git``, or where it points to (a linked work tree, a submodule)."""
    entry = source / ".git"
    if is_directory(entry):
        return entry
    line = _first_line(entry)
    return source / line.removeprefix("gitdir: ") if line.startswith("gitdir: ") else None


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.readline(4096).decode(errors="replace").rstrip()
    except (OSError, ValueError):  # whatever stands in .git: the revision is only a convenience
        return ""


def _packed_reference(path: Path, reference: str) -> str:
    try:
        with path.open("rb") as stream:
            for line in stream:
                name, _, packed = line.decode(errors="replace").rstrip().partition(" ")
                if packed == reference and _OBJECT_NAME.fullmatch(name):
                    return name
    except OSError:
        pass  # none is packed
    return ""
