"""``--virtual-host`` as typed, and the hosts that it names."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from matrix.errors import UsageError
from matrix.hosts.cache import cache_directory
from matrix.hosts.virtual.debian import SUITES
from matrix.hosts.virtual.image import KernelChoice, known_release
from matrix.hosts.virtual.kernels import KernelError, read_kernel
from matrix.hosts.virtual.l1_machines import machine_for
from matrix.hosts.virtual.programs import programs_of
from matrix.hosts.virtual.starter import Settings, Starter
from matrix.hosts.virtual.virtual_host import VirtualHost
from matrix.inventory import Binary, Inventory
from matrix.model import ARCHITECTURE_ALIASES, Architecture
from matrix.places import expanded
from matrix.plan.decisions import Decision
from matrix.plan.virtual import VirtualPlace
from matrix.scenario.values import parse_memory
from matrix.scenario.wording import Refused

EXAMPLE = "as in --virtual-host aarch64=debian-13"
KEYS = ("modules", "cpus", "memory", "append", "kvmtool")
MOST_CPUS = 8


def parse_options(options: Iterable[str]) -> dict[Architecture, Settings]:
    """``ARCH=KERNEL[,modules=DIR][,cpus=N][,memory=SIZE][,append=WORDS][,kvmtool=PATH][,MODULE.PARAMETER=VALUE]``.

    Raises:
        UsageError: an option says something else, or an architecture has two.
    """
    found: dict[Architecture, Settings] = {}
    for option in options:
        settings = parse_option(option)
        if settings.architecture in found:
            raise UsageError(
                f"--virtual-host {option}: there is another one for {settings.architecture.value}"
            )
        found[settings.architecture] = settings
    return found


def parse_option(option: str) -> Settings:
    """One of them.

    Raises:
        UsageError: it says something else.
    """
    first, *rest = option.split(",")
    name, equals, kernel = first.partition("=")
    if not equals or not kernel:
        raise UsageError(f"--virtual-host {option!r}: write ARCH=KERNEL, {EXAMPLE}")
    values: dict[str, str] = {}
    for each in rest:
        key, equals, value = each.partition("=")
        if not equals or not (key in KEYS or "." in key.strip(".")):
            allowed = ", ".join(KEYS)
            raise UsageError(
                f"--virtual-host {option}: {each!r} is not known; "
                f"{allowed} or MODULE.PARAMETER, each with =VALUE"
            )
        values[key] = value
    architecture = _architecture(option, name)
    return Settings(
        architecture,
        _kernel(option, architecture, kernel, values.get("modules", "")),
        cpus=_cpus(option, values.get("cpus", "1")),
        memory=_memory(option, values.get("memory", "")),
        parameters=tuple((key, value) for key, value in values.items() if "." in key),
        kernel_parameters=values.get("append", ""),
        kvmtool=_kvmtool(option, values.get("kvmtool", "")),
        option=option,
    )


def _architecture(option: str, name: str) -> Architecture:
    try:
        return ARCHITECTURE_ALIASES.get(name) or Architecture(name)
    except ValueError:
        known = ", ".join(Architecture)
        raise UsageError(
            f"--virtual-host {option}: no architecture is named {name!r}; there are {known}"
        ) from None


def _kernel(option: str, architecture: Architecture, kernel: str, modules: str) -> KernelChoice:
    folder = expanded(modules).absolute() if modules else None
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--virtual-host {option}: no folder of modules at {folder}")
    if kernel in SUITES:
        return KernelChoice(kernel)
    path = expanded(kernel).absolute()
    if not path.is_file():
        raise UsageError(
            f"--virtual-host {option}: no kernel image at {path}; "
            f"a path or one of {', '.join(SUITES)} is right"
        )
    _check_kernel(option, architecture, path)
    return KernelChoice(str(path), folder)


class _PackedError(Exception):
    """It is compressed with zstd: what is in it is seen when the image is built."""


def _packed(_data: bytes) -> bytes:
    raise _PackedError


def _check_kernel(option: str, architecture: Architecture, path: Path) -> None:
    """Raises UsageError where the file is no kernel of that architecture."""
    try:
        found = read_kernel(path.read_bytes(), _packed)
    except _PackedError:
        return
    except (KernelError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"--virtual-host {option}: {path}: {why}") from error
    if found.architecture is not architecture:
        raise UsageError(
            f"--virtual-host {option}: {path}: this {found.format.value} is for "
            f"{found.architecture.value}; an image for {architecture.value} would be right"
        )


def _kvmtool(option: str, text: str) -> str:
    path = expanded(text).absolute() if text else None
    if path is not None and not path.is_file():
        raise UsageError(f"--virtual-host {option}: no kvmtool (lkvm) at {path}")
    return "" if path is None else str(path)


def _cpus(option: str, text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_CPUS:
        raise UsageError(f"--virtual-host {option}: cpus={text} is not a number from 1 to 8")
    return int(text)


def _memory(option: str, text: str) -> int:
    if not text:
        return 0
    try:
        return parse_memory(text)
    except Refused as refused:
        raise UsageError(f"--virtual-host {option}: {refused}") from None


def places(
    options: Iterable[str], inventory: Inventory, qemus: Iterable[str]
) -> dict[tuple[Architecture, str], VirtualPlace]:
    """What plans know of the hosts that ``options`` name, with each installation of QEMU.

    Raises:
        UsageError: as :func:`parse_options`.
    """
    settings = parse_options(options)
    return {
        (architecture, qemu): _place(each, qemu, inventory.binary(qemu, architecture), inventory)
        for qemu in qemus
        for architecture, each in settings.items()
    }


def _place(
    settings: Settings, qemu: str, binary: Binary | None, inventory: Inventory
) -> VirtualPlace:
    architecture = settings.architecture
    machine = machine_for(binary or Binary(qemu, architecture, "", (0, 0, 0), ""))
    name = settings.name_with(qemu)
    if isinstance(machine, str):
        return VirtualPlace(name, "", 0, missing=machine)
    if binary is None:
        return VirtualPlace(name, "", 0, missing=inventory.why_missing(qemu, architecture))
    words = f"Linux of {settings.kernel.name} under TCG of QEMU {binary.version_text}"
    memory = settings.memory or machine.memory
    kernel = known_release(settings.kernel, architecture, folder())
    host = replace(inventory.host, architecture=architecture.value, kernel=kernel)
    return VirtualPlace(
        name, words, memory, settings.cpus, binary=binary, host=host, kvmtool=bool(settings.kvmtool)
    )


def virtual_hosts(
    options: Iterable[str],
    inventory: Inventory,
    on_step: Callable[[str], None],
    decisions: Sequence[Decision] = (),
) -> list[VirtualHost]:
    """The hosts that ``options`` name, with every QEMU that can be one, for what was decided.

    Raises:
        UsageError: as :func:`parse_options`.
    """
    settings = parse_options(options)
    starters = [
        Starter(settings[binary.architecture], binary, folder(), on_step)
        for binary in inventory.binaries
        if binary.architecture in settings and not isinstance(machine_for(binary), str)
    ]
    return [
        VirtualHost(starter, inventory, programs=programs_of(decisions, starter.name))
        for starter in starters
    ]


def folder() -> Path:
    """Where images and snapshots are kept."""
    return cache_directory().parent / "virtual"
