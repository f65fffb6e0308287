"""The section ``hosts`` of the scenario format: where cases run."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from matrix.scenario import values
from matrix.scenario.document import Scalar
from matrix.scenario.fields import (
    MAX_ENTRIES,
    Section,
    Text,
    annotated,
    one_or_more,
    words_or_mapping,
)

MAX_CPUS = 8
CPUS_SHAPE: values.Shape = {"type": "integer", "minimum": 1, "maximum": MAX_CPUS}
parse_cpus = values.integer_parser("a number of CPUs of a virtual host", MAX_CPUS)

Arch = Annotated[Any, *annotated(values.parse_arch, values.ARCH_SHAPE)]
KernelName = Annotated[str, *annotated(values.parse_kernel, values.QEMU_SHAPE)]
Mode = Annotated[Any, *annotated(values.parse_mode, values.MODE_SHAPE)]
Device = Annotated[Any, *annotated(values.parse_device, values.DEVICE_SHAPE)]
Iommu = Annotated[Any, *annotated(values.parse_iommu, values.IOMMU_SHAPE)]
Cpus = Annotated[int, *annotated(parse_cpus, CPUS_SHAPE)]
Memory = Annotated[int, *annotated(values.parse_memory, values.MEMORY_SHAPE)]
Words = Annotated[str, *annotated(values.parse_axis_text, values.TEXT_SHAPE)]
ModuleParameters = Annotated[
    str, *words_or_mapping(values.parse_module_parameters, values.MODULE_PARAMETERS_SHAPE)
]


class KernelSection(Section):
    """A kernel."""

    image: Text = Field(
        description="Debian's of a release, as debian-13, or the path of an image in this file's "
        "folder or below; {arch} and ${VARIABLE} are filled in."
    )
    modules: Text | None = Field(
        None, description="Folder of its modules, as 'image'. Default: all is built in."
    )
    vmlinux: Text | None = Field(
        None,
        description="The vmlinux that it was made of, as 'image', for file and line in its traces. "
        "Default: that of the tree in which the image is.",
    )
    name: KernelName | None = Field(
        None, description="What the axis 'kernel' calls it. Default: the image's file name."
    )


def _image_alone(value: object) -> object:
    return {"image": value} if isinstance(value, Scalar) else value


_KEYS = (
    *((name, values.TEXT_SHAPE) for name in ("image", "modules", "vmlinux")),
    ("name", values.QEMU_SHAPE),
)
_KERNEL_MAPPING = {
    "type": "object",
    "properties": {
        key: {**shape, "description": KernelSection.model_fields[key].description}
        for key, shape in _KEYS
    },
    "required": ["image"],
    "additionalProperties": False,
}
_KERNEL_SHAPE = {"anyOf": [dict(values.TEXT_SHAPE), _KERNEL_MAPPING]}
Kernel = Annotated[KernelSection, BeforeValidator(_image_alone)]


class VirtualSection(Section):
    """A Linux under QEMU's TCG with a KVM of its own: a virtual KVM host for each architecture and
    kernel. Cases for KVM of that architecture run there."""

    arch: Annotated[list[Arch], *one_or_more(values.ARCH_SHAPE)] = Field(
        description="Its architectures, one or a list."
    )
    kernel: Annotated[list[Kernel] | None, *one_or_more(_KERNEL_SHAPE)] = Field(
        None,
        description="Its kernels, one or a list, by image or as {image, modules, vmlinux, name}: "
        "Debian's of a release, as debian-13, or the path of an image and of its modules' folder, "
        "in this file's folder or below; {arch} and ${VARIABLE} are filled in. 'name' is what the "
        "axis 'kernel' calls it, which says which of several; default: the image's file name. "
        "Default: debian-13.",
    )
    cpus: Cpus | None = Field(None, description="CPUs of the host. Default: 1.")
    memory: Memory | None = Field(
        None, description="Memory of the host. Default: 1GiB, of ppc64 2GiB."
    )
    kvmtool: Text | None = Field(
        None,
        description="Path of an lkvm for the architecture, as 'image', which runs builds of "
        "kvm-unit-tests for kvmtool.",
    )
    devices: Annotated[list[Device] | None, *one_or_more(values.DEVICE_SHAPE)] = Field(
        None,
        description="Devices that the host can assign to its guests by VFIO, one or a list, behind "
        "an emulated IOMMU.",
    )
    iommu: Iommu | None = Field(
        None,
        description="That IOMMU. Default: smmuv3 of aarch64, intel-iommu of x86_64, "
        "riscv-iommu-pci of riscv64.",
    )
    mode: Mode | None = Field(
        None, description="How KVM runs on aarch64, where the axis of that name does not say."
    )
    kernel_parameters: Words | None = Field(
        None, description="Words for the kernel's command line, beside those of the axis."
    )
    module_parameters: ModuleParameters | None = Field(
        None, description="Parameters of kernel modules, beside those of the axis, which win."
    )


class HostSection(Section):
    """A host."""

    virtual: VirtualSection = Field(description=VirtualSection.__doc__)


Hosts = Annotated[list[HostSection], Field(min_length=1, max_length=MAX_ENTRIES)]
