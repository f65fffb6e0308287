"""A case's QEMU command line, worked out without looking at anything but plain data."""

import itertools
import re
from dataclasses import dataclass
from pathlib import PurePath

from matrix.inventory import Binary, Firmware
from matrix.migrating import NEWEST_COMMON
from matrix.model import Accelerator, Architecture, Build, Case, Launch, Target, Test, Variant
from matrix.plan import efi
from matrix.plan.machines import FAMILIES, MIB, MachineRequest, exit_channel
from matrix.plan.memory import backend_of, memory_arguments
from matrix.plan.strategy_settings import RECIPES

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
"""QEMU's seccomp filter with everything denied: no case needs set-uid, fork or scheduler calls
(``-sandbox`` in QEMU's manual)."""

QEMU_OVERHEAD = 64 * MIB
"""What a QEMU process takes beside its guest's memory: 30–50 MiB resident were measured with 7.2
before the guest starts; the rest is for TCG's translated code."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a case takes of the host, as the last ``-smp`` and ``-m`` of its command line say."""

    vcpus: int
    guest_memory: int
    overhead: int = QEMU_OVERHEAD

    @property
    def memory(self) -> int:
        """Bytes for the whole QEMU process."""
        return self.guest_memory + self.overhead


def needs_of(case: Case) -> Needs:
    """The vCPUs and memory of a case."""
    return _needs(case.test, case.variant, case.build)


def time_limit(case: Case, limit: float | None = None) -> float:
    """Seconds that the guest may take, its firmware included; ``limit`` in its timeout's place."""
    return (case.timeout if limit is None else limit) + (
        efi.BOOT_SECONDS if case.build.efi else 0.0
    )


def stall_limit(case: Case) -> float:
    """Seconds after which a guest that neither prints nor works is dead. A program is not: it may
    wait for a child that works."""
    return time_limit(case) if case.build.target is Target.PROGRAM else case.settings.stall


def cpu_of(case: Case) -> str:
    """The ``-cpu`` value that the variant or the test asks for; empty for the default."""
    return case.variant.cpu or last_option(case.test.qemu_params, "-cpu") or ""


def only_accelerator(test: Test) -> str:
    """The accelerator that a test is for alone, as it says or as its parameters ask; else empty."""
    return test.accelerator or ("kvm" if has_flag(test.qemu_params, "-enable-kvm") else "")


def machine_of(case: Case) -> str:
    """``TYPE[,OPTION…]`` of the machine, empty for QEMU's default.

    A test that names a machine is for that one alone; :mod:`matrix.plan.planner` skips it where the
    variant asks for another type.
    """
    migration = case.migration
    if migration is not None and migration.machine not in ("", NEWEST_COMMON):
        return migration.machine
    return case.variant.machine or case.test.machine


@dataclass(frozen=True, slots=True)
class EfiBoot:
    """What a guest of an EFI build is booted with."""

    firmware: Firmware
    partition: str
    """Path of the folder that is its EFI system partition."""


def launch_for(
    case: Case,
    binary: Binary,
    accelerator: Accelerator,
    *,
    initrd: str = "",
    efi_boot: EfiBoot | None = None,
) -> Launch:
    """The command line that runs ``case`` under ``binary``.

    Args:
        case: what to run.
        binary: the emulator; its architecture may differ from the case's (arm under aarch64 KVM).
        accelerator: ``kvm`` or ``tcg``, never ``auto``.
        initrd: path of the environment file, empty where the guest takes none.
        efi_boot: of an EFI build, and only there.
    """
    if efi_boot is None:
        boot = ["-kernel", case.test.image]
    else:
        boot = efi.boot_arguments(case.build, efi_boot.firmware, efi_boot.partition)
        if efi.is_direct(case.build):
            boot += ["-kernel", case.test.image]
    argv = [
        *machine_arguments(case, binary, accelerator),
        *boot,
        *guest_arguments(case),
        *(("-initrd", _initrd_option(initrd, case.build)) if initrd else ()),
        *(("-sandbox", SANDBOX) if binary.sandbox else ()),
    ]
    return Launch(argv=tuple(argv), channel=exit_channel(case.build, machine_of(case)))


def is_module(build: Build) -> bool:
    """Whether QEMU takes ``-initrd`` for a list of Multiboot modules, as for x86 images."""
    return build.architecture in (Architecture.X86_64, Architecture.I386) and not build.efi


def _initrd_option(path: str, build: Build) -> str:
    """The value that means that one file.

    Modules are separated by commas, of which two stand for one, and the first blank ends a file's
    name, which nothing can be done about (``load_multiboot`` in QEMU's hw/i386/multiboot.c).
    """
    return path.replace(",", ",,") if is_module(build) else path


def device_tree_command(
    case: Case, binary: Binary, accelerator: Accelerator, file: str
) -> tuple[str, ...]:
    """The command line with which QEMU writes the device tree of the case's machine, and ends."""
    argv = [*machine_arguments(case, binary, accelerator), *guest_arguments(case)]
    return (*argv, "-machine", f"dumpdtb={file.replace(',', ',,')}")


def machine_arguments(case: Case, binary: Binary, accelerator: Accelerator) -> list[str]:
    """The program and the options that make up its machine."""
    test, variant = case.test, case.variant
    family = FAMILIES[variant.arch]
    properties = test.accelerator_properties and f",{test.accelerator_properties}"
    request = MachineRequest(
        build=case.build,
        binary=binary,
        accelerator=accelerator,
        properties=properties,
        machine=machine_of(case),
        image=test.image,
        dirty_ring=accelerator is Accelerator.KVM and _needs_dirty_ring(case),
    )
    return [binary.path, *family.arguments(request)]


def guest_arguments(case: Case) -> list[str]:
    """The options that a test and its variant bring; the later of two wins."""
    test = case.test
    arguments = _command_line(case)
    own = (
        *("-smp", ",".join(filter(None, (str(test.smp), test.topology)))),
        *(("-append", arguments) if arguments else ()),
        *test.qemu_params,
        # Under UEFI kvm-unit-tests runs its x86 guests on one vCPU, whatever a test asks for.
        *(("-smp", "1") if _is_x86_efi(case.build) else ()),
    )
    return [
        *(own if case.variant.smp is None else without_option(own, "-smp")),
        *_overrides(case.variant),
        *memory_arguments(backend_of(case), needs_of(case).guest_memory),
    ]


def has_flag(arguments: tuple[str, ...], name: str) -> bool:
    """Whether the option ``name``, which takes no value, is given (with one dash or two)."""
    return name in arguments or f"-{name}" in arguments


def last_option(arguments: tuple[str, ...], name: str) -> str:
    """The value of the last ``name VALUE`` among ``arguments``; empty where there is none."""
    return next(reversed(option_values(arguments, name)), "")


def option_values(arguments: tuple[str, ...], name: str) -> tuple[str, ...]:
    """The value of every ``name VALUE`` among ``arguments`` (QEMU takes one dash or two)."""
    spellings = (name, f"-{name}")
    return tuple(value for option, value in itertools.pairwise(arguments) if option in spellings)


def without_option(arguments: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Without every ``name VALUE``.

    Of two ``-smp`` the later one does not win: QEMU merges them (``machine_merge_property`` in
    softmmu/vl.c, 7.2 to 11.1), and sockets and threads of the earlier one stay, which need not fit
    the later number of vCPUs.
    """
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word in (name, f"-{name}"):
            next(words, None)
        else:
            kept.append(word)
    return tuple(kept)


def _overrides(variant: Variant) -> list[str]:
    """What the matrix sets comes last, where it wins over the test's own parameters."""
    overrides: list[str] = []
    if variant.cpu is not None:
        overrides += ["-cpu", variant.cpu]
    if variant.smp is not None:
        overrides += ["-smp", str(variant.smp)]
    if variant.memory is not None:
        overrides += ["-m", f"{variant.memory // MIB}M"]
    return overrides


def _needs_dirty_ring(case: Case) -> bool:
    migration = case.migration
    return migration is not None and any(RECIPES[one].dirty_ring for one in migration.strategies)


def _is_x86_efi(build: Build) -> bool:
    return build.efi and build.architecture is Architecture.X86_64


def _command_line(case: Case) -> str:
    """The guest's command line; empty where it has none, or where a script of the shell gives it.

    The embedded guests are told their memory and vCPUs, so that they can check them: ``{memory}``
    (MiB) and ``{smp}`` stand for what this command line gives. Only there: the arguments of
    other builds are theirs, to the last brace.
    """
    arguments = case.test.arguments
    if case.build.efi:
        if not efi.is_direct(case.build):
            return ""
        return f"{PurePath(case.test.image).name} {arguments}".rstrip()
    if not case.build.builtin or "{" not in arguments:
        return arguments
    needs = needs_of(case)
    return arguments.replace("{memory}", str(needs.guest_memory // MIB)).replace(
        "{smp}", str(needs.vcpus)
    )


def _needs(test: Test, variant: Variant, build: Build) -> Needs:
    vcpus, memory = test.smp, FAMILIES[variant.arch].default_memory
    overhead = QEMU_OVERHEAD + (efi.FLASH_MEMORY if build.efi else 0)
    if _is_x86_efi(build):
        memory = efi.X86_MEMORY * MIB
    if test.qemu_params:
        vcpus = _smp_count(last_option(test.qemu_params, "-smp")) or vcpus
        memory = _memory_size(last_option(test.qemu_params, "-m")) or memory
    if _is_x86_efi(build):
        vcpus = 1
    if variant.smp is not None:
        vcpus = variant.smp
    if variant.memory is not None:
        memory = variant.memory
    return Needs(vcpus, memory, overhead)


def _smp_count(value: str) -> int:
    """Count of vCPUs in ``-smp [cpus=]N[,…]``; 0 where the value does not say (``sockets=2``)."""
    match = re.search(r"(?:^|,)(?:cpus=)?(\d+)(?:,|$)", value)
    return int(match.group(1)) if match else 0


def _memory_size(value: str) -> int:
    """Bytes in ``-m [size=]N[suffix][,…]``; MiB without suffix, 0 where the value does not say."""
    match = re.match(r"(?:size=)?(\d+(?:\.\d+)?)([bkmgtBKMGT]?)(?:,|$)", value)
    if not match:
        return 0
    units = {"b": 1, "k": 2**10, "": MIB, "m": MIB, "g": 2**30, "t": 2**40}
    return int(float(match.group(1)) * units[match.group(2).lower()])
