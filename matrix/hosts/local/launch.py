"""From a decision to what is started: the files that its guest needs, and the command line."""

from dataclasses import replace
from pathlib import Path

from matrix.errors import HostError, SpawnError
from matrix.hosts.local.disk_backend import DISK_FILE, made_disk, socket_of
from matrix.inventory import Binary, Firmware, Inventory
from matrix.model import Case, Launch, Target
from matrix.plan.command import (
    EfiBoot,
    device_tree_command,
    is_module,
    launch_for,
    machine_of,
    needs_of,
)
from matrix.plan.decisions import Run
from matrix.plan.disks import disk_size, has_backend, has_disk, with_disk
from matrix.plan.efi import DEVICE_TREE_NAME, SCRIPT_NAME, is_direct, partition_of
from matrix.plan.emulators import emulator_architecture
from matrix.plan.kvmtool import launch_kvmtool
from matrix.plan.memory import MIB
from matrix.plan.planner import firmware_for
from matrix.plan.program import launch_program
from matrix.results.files import host_errors
from matrix.suites.registry import suite_of
from matrix.suites.suite import HostFacts

ENVIRONMENT_FILE = "environment"
"""Name, in the attempt's folder, of the initrd that tells a guest of its host."""
IMAGE_FOLDER = "image"
"""Name, in the attempt's folder, of the folder with a link to an image whose path has blanks."""
PARTITION_FOLDER = "efi"
"""Name, in the attempt's folder, of what a guest sees as its EFI system partition."""
_BLANKS = " \t"
"""What ends a word to QEMU's Multiboot loader, or to kvm-unit-tests' guests."""
DEVICE_TREE_SECONDS = 30.0
"""For a QEMU that writes its device tree and ends: 0.1 is usual."""


class UnstartableError(HostError):
    """This case cannot be started here, which says nothing of others."""


class VanishedError(UnstartableError):
    """What a case was planned with is no longer there."""


async def make_launch(
    decision: Run, inventory: Inventory, directory: Path, *, disks: Path | None = None
) -> Launch:
    """Write what the guest needs into the attempt's folder, and work out the command line.

    ``disks`` is the folder of the case's disk, which all of its QEMUs share; the same where None.

    Raises:
        SuiteError: the build is no longer readable.
        UnstartableError: QEMU cannot be told the folder; QEMU, firmware or kvmtool are gone; the
            guest is larger than the control group lets it be.
        HostError: the folder cannot be written.
    """
    case = decision.case
    if why := _too_large(decision, inventory.host.memory_limit):
        raise UnstartableError(why)
    if case.build.target is Target.PROGRAM:
        return launch_program(case)
    if case.build.target is Target.KVMTOOL:
        return _kvmtool(decision, inventory, directory)
    binary = binary_of(decision, inventory)
    efi_boot = await _efi_boot(decision, binary, inventory, directory)
    initrd = ""
    if efi_boot is None or is_direct(case.build):
        initrd = _environment(decision, inventory, directory, binary)
        if is_module(case.build):
            _check_blanks(initrd, "QEMU cannot open the initrd of an x86 guest in")
            case = _with_image_as_one_word(case, directory)
    launch = launch_for(case, binary, decision.accelerator, initrd=initrd, efi_boot=efi_boot)
    if has_disk(case):
        folder = (disks or directory).absolute()
        if has_backend(case):
            return with_disk(launch, socket_of(folder))
        return with_disk(launch, made_disk(folder / DISK_FILE, disk_size(case.test.qemu_params)))
    return launch


def _check_blanks(path: str, what: str) -> None:
    if any(blank in path for blank in _BLANKS):
        raise UnstartableError(
            f"{what} a path with a blank, as {path!r} is; put the run elsewhere (-o)"
        )


def _with_image_as_one_word(case: Case, directory: Path) -> Case:
    """The case, with a link to its image where the image's path has blanks.

    QEMU puts that path before a Multiboot guest's arguments, unquoted (``load_multiboot`` in its
    hw/i386/multiboot.c): kvm-unit-tests' guests take the first word for their name, and the rest of
    the path for arguments of their test.
    """
    image = case.test.image
    if case.build.builtin or not any(blank in image for blank in _BLANKS):
        return case  # the embedded guests find the end of their image's path
    _check_blanks(str(directory), "QEMU cannot tell an x86 guest its arguments in")
    link = directory / IMAGE_FOLDER / "".join("_" if x in _BLANKS else x for x in Path(image).name)
    with host_errors("write", link):
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(image)
    return replace(case, test=replace(case.test, image=str(link)))


def _too_large(decision: Run, limit: int | None) -> str:
    """Why the guest's memory can never be had here; empty where it can. The kernel would kill QEMU
    in the middle of the test."""
    case = decision.case
    by_qemu = case.build.target is Target.QEMU
    memory = needs_of(case).guest_memory if by_qemu else decision.memory
    if limit is None or memory <= limit:
        return ""
    return (
        f"the host cannot run it: its memory is {memory // MIB} MiB, and the control group's limit "
        f"is {limit // MIB} MiB"
    )


def _kvmtool(decision: Run, inventory: Inventory, directory: Path) -> Launch:
    case = decision.case
    if not inventory.kvmtool:
        raise VanishedError("the kvmtool that the case was planned for is gone")
    initrd = _environment(decision, inventory, directory, None)
    return launch_kvmtool(case, inventory.kvmtool, inventory.host.architecture, initrd=initrd)


def binary_of(decision: Run, inventory: Inventory) -> Binary:
    """The emulator that runs a case.

    Raises:
        VanishedError: it is gone.
    """
    variant = decision.case.variant
    emulator = emulator_architecture(variant.arch, decision.accelerator, inventory)
    binary = inventory.binary(variant.qemu, emulator)
    if binary is None:
        why = inventory.why_missing(variant.qemu, emulator)
        raise VanishedError(f"the QEMU that the case was planned for is gone: {why}")
    return binary


async def _efi_boot(
    decision: Run, binary: Binary, inventory: Inventory, directory: Path
) -> EfiBoot | None:
    """What an EFI build's guest is booted with, its partition written; None for other builds."""
    firmware = firmware_for(decision.case, binary, inventory)
    if firmware is None:
        return None
    if not isinstance(firmware, Firmware):
        raise VanishedError(f"the firmware that the case was planned for is gone: {firmware}")
    folder = directory / PARTITION_FOLDER
    if not is_direct(decision.case.build):
        await _write_partition(decision, binary, folder)
    return EfiBoot(firmware, str(folder))


async def _write_partition(decision: Run, binary: Binary, folder: Path) -> None:
    """Lay out the EFI system partition. The image is only linked to: it takes up to 5 MB."""
    case = decision.case
    partition = partition_of(case.build, case.test, machine_of(case))
    image = folder / partition.image
    with host_errors("write", image):
        image.parent.mkdir(parents=True)
        image.symlink_to(case.test.image)
    if partition.script:
        _written(folder / SCRIPT_NAME, partition.script)
    if partition.device_tree:
        tree = folder / DEVICE_TREE_NAME
        command = device_tree_command(case, binary, decision.accelerator, str(tree))
        from matrix.vm.tool import run_tool  # few builds want one

        try:
            # Where QEMU refuses the machine there is no tree; it will say so again when started.
            await run_tool(command, DEVICE_TREE_SECONDS)
        except SpawnError as error:
            raise VanishedError(str(error)) from error


def _written(path: Path, text: str) -> str:
    with host_errors("write", path):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return str(path)


def _environment(
    decision: Run, inventory: Inventory, directory: Path, binary: Binary | None
) -> str:
    """The path of the initrd that tells a guest of its host and of ``binary``; empty where its
    build wants none. Raises as :func:`initrd_text`."""
    text = initrd_text(decision, inventory, binary)
    return _written(directory / ENVIRONMENT_FILE, text) if text else ""


def initrd_text(decision: Run, inventory: Inventory, binary: Binary | None) -> str:
    """What a guest is told of its host and of ``binary``; empty where its build wants nothing.

    Raises:
        SuiteError: the build's file of host kernels' faults is unreadable or malformed.
    """
    told = () if binary is None else (binary.version, binary.version_text)
    facts = HostFacts(decision.accelerator.value, inventory.host.kernel, *told)
    return suite_of(decision.case.suite).initrd(decision.case.build, facts)
