"""``--virtual-host`` as typed."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from matrix.errors import UsageError
from matrix.hosts.virtual.debian import SUITES
from matrix.hosts.virtual.image import KernelChoice
from matrix.hosts.virtual.kernels import KernelError, read_kernel
from matrix.hosts.virtual.l1_machines import IOMMUS
from matrix.hosts.virtual.starter import Settings
from matrix.model import ARCHITECTURE_ALIASES, Architecture, HostDevice, KvmMode
from matrix.places import expanded
from matrix.scenario.hosts_schema import parse_cpus
from matrix.scenario.values import (
    parse_axis_text,
    parse_device,
    parse_iommu,
    parse_kernel,
    parse_memory,
    parse_mode,
    parse_module_parameters,
)
from matrix.scenario.wording import Refused

EXAMPLE = "as in --virtual-host aarch64=debian-13"
KEYS = (
    *("name", "modules", "vmlinux", "cpus", "memory", "mode", "append", "devices", "iommu"),
    "kvmtool",
)

Parsed = TypeVar("Parsed")


def parse_options(options: Iterable[str]) -> tuple[Settings, ...]:
    """``ARCH=KERNEL[,KEY=VALUE…][,MODULE.PARAMETER=VALUE…]``; a comma in a value is doubled.

    Raises:
        UsageError: an option says something else, or an architecture has a kernel twice.
    """
    found: dict[tuple[Architecture, str], Settings] = {}
    for option in options:
        settings = parse_option(option)
        key = settings.architecture, settings.kernel_name
        if key in found:
            raise UsageError(
                f"--virtual-host {option}: there is another one for {key[0].value} with a kernel "
                f"{key[1]}; give one of them another name with name=NAME"
            )
        found[key] = settings
    return tuple(found.values())


def parse_option(option: str) -> Settings:
    """One of them.

    Raises:
        UsageError: it says something else.
    """
    first, *rest = (each.replace("\0", ",") for each in option.replace(",,", "\0").split(","))
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
        if key in values:
            raise UsageError(f"--virtual-host {option}: {key} is given twice; give it once")
        values[key] = value
    architecture = _architecture(option, name)
    parameters = " ".join(f"{key}={value}" for key, value in values.items() if "." in key)
    where = f"--virtual-host {option}"
    mode = _value(where, parse_mode, values["mode"], KvmMode.VHE) if "mode" in values else None
    settings = Settings(
        architecture,
        kernel_choice(
            where, architecture, kernel, values.get("modules", ""), values.get("vmlinux", "")
        ),
        cpus=_value(where, parse_cpus, values.get("cpus"), 1),
        memory=_value(where, parse_memory, values.get("memory"), 0),
        parameters=parameter_pairs(_value(where, parse_module_parameters, parameters or None, "")),
        kernel_parameters=_value(where, parse_axis_text, values.get("append"), ""),
        mode=mode,
        devices=_value(where, _parse_devices, values.get("devices"), ()),
        iommu=_value(where, parse_iommu, values["iommu"], None) if "iommu" in values else None,
        called=_value(where, parse_kernel, values.get("name"), ""),
        kvmtool=kvmtool_at(where, values.get("kvmtool", "")),
    )
    if settings.mode is not None and architecture is not Architecture.AARCH64:
        raise UsageError(f"{where}: {settings.mode} is a mode of KVM on aarch64")
    known = IOMMUS.get(architecture, {})
    if settings.iommu is not None and settings.iommu not in known:
        have = f"have {', '.join(known)}" if known else "have none"
        raise UsageError(f"{where}: {settings.iommu}: virtual hosts of {architecture.value} {have}")
    return settings


def _parse_devices(text: str) -> tuple[HostDevice, ...]:
    """``edu+virtio-blk``: a comma ends the option."""
    return tuple(dict.fromkeys(parse_device(name) for name in text.split("+")))


def parameter_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """``name=value`` words in pairs."""
    return tuple((name, value) for name, _, value in (w.partition("=") for w in text.split()))


def _value(where: str, parse: Callable[[str], Parsed], text: str | None, default: Parsed) -> Parsed:
    if text is None:
        return default
    try:
        return parse(text)
    except Refused as refused:
        raise UsageError(f"{where}: {refused}") from None


def _architecture(option: str, name: str) -> Architecture:
    try:
        return ARCHITECTURE_ALIASES.get(name) or Architecture(name)
    except ValueError:
        known = ", ".join(Architecture)
        raise UsageError(
            f"--virtual-host {option}: no architecture is named {name!r}; there are {known}"
        ) from None


def kernel_choice(
    where: str, architecture: Architecture, kernel: str, modules: str, vmlinux: str = ""
) -> KernelChoice:
    """The kernel of that name or path; ``where`` is what names it, for messages.

    Raises:
        UsageError: there is none, or it is for another architecture.
    """
    folder = expanded(modules).absolute() if modules else None
    if folder is not None and not folder.is_dir():
        raise UsageError(f"{where}: no folder of modules at {folder}")
    symbols = expanded(vmlinux).absolute() if vmlinux else None
    if symbols is not None and not symbols.is_file():
        raise UsageError(f"{where}: no vmlinux at {symbols}")
    if kernel in SUITES:
        if modules:
            raise UsageError(
                f"{where}: {kernel} has modules of its own; modules={modules} goes with the image "
                "of a kernel of yours"
            )
        return KernelChoice(kernel, vmlinux=symbols)
    path = expanded(kernel).absolute()
    if not path.is_file():
        raise UsageError(
            f"{where}: no kernel image at {path}; a path or one of {', '.join(SUITES)} is right"
        )
    _check_kernel(where, architecture, path)
    return KernelChoice(str(path), folder, symbols)


class _PackedError(Exception):
    """It is compressed with zstd: what is in it is seen when the image is built."""


def _packed(_data: bytes) -> bytes:
    raise _PackedError


def _check_kernel(where: str, architecture: Architecture, path: Path) -> None:
    """Raises UsageError where the file is no kernel of that architecture."""
    try:
        found = read_kernel(path.read_bytes(), _packed)
    except _PackedError:
        return
    except (KernelError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{where}: {path}: {why}") from error
    if found.architecture is not architecture:
        raise UsageError(
            f"{where}: {path}: this {found.format.value} is for "
            f"{found.architecture.value}; an image for {architecture.value} would be right"
        )


def kvmtool_at(where: str, text: str) -> str:
    """The path of an ``lkvm``, absolute; empty for none.

    Raises:
        UsageError: it is not there.
    """
    path = expanded(text).absolute() if text else None
    if path is not None and not path.is_file():
        raise UsageError(f"{where}: no kvmtool (lkvm) at {path}")
    return "" if path is None else str(path)
