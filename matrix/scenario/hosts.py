"""What ``hosts`` of a scenario means: its virtual KVM hosts, with their kernels."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from matrix.errors import Place, Problem
from matrix.model import Architecture
from matrix.scenario import template
from matrix.scenario.document import Node, Scalar, Sequence, node_at
from matrix.scenario.hosts_schema import HostSection, KernelSection, VirtualSection
from matrix.scenario.scenario import HostKernel, VirtualHostEntry
from matrix.scenario.validation import read_section
from matrix.scenario.values import parse_kernel
from matrix.scenario.wording import Refused, quoted

_USUAL = KernelSection.model_construct(image="debian-13", modules=None, vmlinux=None, name=None)
_RELEASE = re.compile("debian-[a-z0-9-]+")
_OUTSIDE = "name it with --virtual-host, or use a ${VARIABLE} that you set"


def is_release(image: str) -> bool:
    """Whether a kernel is Debian's, by what it is called; a file of that name is ``./debian-13``.

    Which releases there are is not known here.
    """
    return _RELEASE.fullmatch(image) is not None


def hosts_of(
    root: Node,
    readable: bool,
    directory: Path,
    variables: Mapping[str, str],
    problems: list[Problem],
) -> Iterator[VirtualHostEntry]:
    """The hosts of a scenario, none where they are not ``readable``; adds to ``problems``."""
    node = node_at(root, ("hosts",))
    if not readable or not isinstance(node, Sequence):
        return
    seen: dict[tuple[Architecture, str], Place] = {}
    for item in node.items:
        section = read_section(HostSection, item).virtual
        given = node_at(item, ("virtual",)) or item
        kernels = tuple(_kernels(section, given, directory, variables, problems))
        at = (node_at(given, ("kvmtool",)) or given).place
        kvmtool = _path("kvmtool", section.kvmtool or "", at, directory, variables, problems)
        entry = _entry(section, given.place, kernels, kvmtool)
        for pair in ((arch, kernel) for arch in entry.architectures for kernel in kernels):
            problems += _repeated(seen, *pair)
        if entry.mode is not None and entry.architectures != (Architecture.AARCH64,):
            place = (node_at(given, ("mode",)) or given).place
            message = f"mode: {entry.mode.value} is a mode of KVM on aarch64"
            problems.append(Problem(place, message, "give aarch64 an entry of its own"))
        yield entry


def _entry(
    section: VirtualSection, place: Place, kernels: tuple[HostKernel, ...], kvmtool: str
) -> VirtualHostEntry:
    return VirtualHostEntry(
        architectures=tuple(section.arch),
        kernels=kernels,
        place=place,
        cpus=section.cpus or 1,
        memory=section.memory or 0,
        kvmtool=kvmtool,
        written_kvmtool=section.kvmtool or "",
        devices=tuple(dict.fromkeys(section.devices or ())),
        iommu=section.iommu,
        mode=section.mode,
        kernel_parameters=section.kernel_parameters or "",
        module_parameters=section.module_parameters or "",
    )


def _repeated(
    seen: dict[tuple[Architecture, str], Place], arch: Architecture, kernel: HostKernel
) -> Iterator[Problem]:
    first = seen.setdefault((arch, kernel.name), kernel.place)
    if first is not kernel.place:
        message = f"kernel: {arch.value} has kernel {quoted(kernel.name)} at line {first.line} too"
        yield Problem(kernel.place, message, "give one of them another 'name'")


def _kernels(
    section: VirtualSection,
    given: Node,
    directory: Path,
    variables: Mapping[str, str],
    problems: list[Problem],
) -> Iterator[HostKernel]:
    node = node_at(given, ("kernel",))
    nodes = node.items if isinstance(node, Sequence) else (node or given,)
    for each, at in zip(section.kernel or [_USUAL], nodes, strict=True):
        image = at if isinstance(at, Scalar) else node_at(at, ("image",)) or at
        modules = node_at(at, ("modules",)) or at
        if is_release(each.image) and each.modules is not None:
            message = f"modules: those of {each.image} come with it"
            problems.append(Problem(modules.place, message, "leave them out"))
        path = _path("image", each.image, image.place, directory, variables, problems)
        folder = _path("modules", each.modules or "", modules.place, directory, variables, problems)
        at_vmlinux = (node_at(at, ("vmlinux",)) or at).place
        vmlinux = _path("vmlinux", each.vmlinux or "", at_vmlinux, directory, variables, problems)
        name = each.name or PurePosixPath(each.image).name
        try:
            parse_kernel(name)
        except Refused as refused:
            problems.append(Problem(image.place, f"kernel: {refused.message}", "give it a 'name'"))
        written = each.image, each.modules or "", each.vmlinux or ""
        yield HostKernel(name, path, folder, vmlinux, written, at.place)


def _path(
    key: str,
    text: str,
    place: Place,
    directory: Path,
    variables: Mapping[str, str],
    problems: list[Problem],
) -> str:
    """An absolute path; a release of Debian and an empty text are as they are."""
    if not text or is_release(text):
        return text
    refusals = list(template.path_refusals(text, variables, _OUTSIDE))
    if refusals:
        problems += [
            Problem(place, f"{key}: {refused.message}", refused.allowed) for refused in refusals
        ]
        return ""
    return os.path.abspath(directory / template.fill(text, variables))  # noqa: PTH100  # as suite.build
