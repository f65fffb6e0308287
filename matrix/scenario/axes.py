"""How each axis of a matrix is written, read and shown.

Which axes there are, and their order, is what :class:`matrix.model.Variant` says. A new axis is one
more field there and one more row here, without which nothing starts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from matrix.model import AXIS_NAMES
from matrix.scenario import values
from matrix.scenario.units import format_size
from matrix.scenario.values import AxisValue, Shape


def _show_size(value: AxisValue) -> str:
    return format_size(int(value))


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: ``parse`` reads a value (raises Refused), ``show`` writes it back."""

    name: str
    description: str
    shape: Shape
    """JSON Schema of one value as it is written in a scenario."""
    parse: Callable[[str], AxisValue]
    show: Callable[[AxisValue], str] = str
    title: str = ""
    """What reports call it; empty: its name."""
    bare: bool = False
    """Whether its values speak for themselves: they are always shown, and without its name."""
    mapping: bool = False
    """Whether a value may also be written as a mapping of its words."""
    migration: bool = False
    """Whether only a scenario with ``migration:`` may have it."""
    alone: bool = False
    """Whether one value is written without a list, too."""


_TABLE = {
    axis.name: axis
    for axis in (
        Axis(
            "arch",
            "Guest architecture, by QEMU's name for it or a common alias.",
            values.ARCH_SHAPE,
            values.parse_arch,
            title="architecture",
            bare=True,
        ),
        Axis(
            "accel",
            "Accelerator; auto is KVM where it works for the architecture, else TCG.",
            values.ACCEL_SHAPE,
            values.parse_accel,
            title="accelerator",
            bare=True,
        ),
        Axis(
            "qemu",
            "QEMU installation: 'system', or a name given by --qemu NAME=DIR or the host file.",
            values.QEMU_SHAPE,
            values.parse_qemu,
            title="QEMU",
        ),
        Axis(
            "machine",
            "Machine with its properties, as QEMU's -machine takes it; none that may name files.",
            values.TEXT_SHAPE,
            values.parse_axis_text,
        ),
        Axis(
            "cpu",
            "CPU model with its properties, as QEMU's -cpu takes it.",
            values.TEXT_SHAPE,
            values.parse_axis_text,
        ),
        Axis("smp", "Number of vCPUs.", values.SMP_SHAPE, values.parse_smp, title="vCPUs"),
        Axis(
            "memory",
            "Guest memory, a whole number of MiB.",
            values.MEMORY_SHAPE,
            values.parse_memory,
            _show_size,
        ),
        Axis(
            "backend",
            "What the guest's memory is made of: ram (anonymous), memfd (shared), hugepages (out "
            "of the host's huge pages), or numa (two nodes with half of the memory each).",
            values.BACKEND_SHAPE,
            values.parse_backend,
        ),
        Axis(
            "endian",
            "Byte order of the guest. The embedded guests of ppc64 have both, little if none is "
            "given; those of any other architecture, and a build of kvm-unit-tests, have one.",
            values.ENDIAN_SHAPE,
            values.parse_endian,
            title="byte order",
        ),
        Axis(
            "kernel",
            "Kernel of the virtual KVM host that the case runs in: one of 'hosts' or of "
            "--virtual-host, by its name.",
            values.QEMU_SHAPE,
            values.parse_kernel,
        ),
        Axis(
            "mode",
            "How KVM runs in an aarch64 virtual KVM host: Linux's kvm-arm.mode.",
            values.MODE_SHAPE,
            values.parse_mode,
            title="KVM mode",
        ),
        Axis(
            "kernel_parameters",
            "Words for the command line of the virtual KVM host's kernel.",
            values.TEXT_SHAPE,
            values.parse_axis_text,
            title="kernel parameters",
        ),
        Axis(
            "module_parameters",
            "Parameters of the virtual KVM host's kernel modules, as in {kvm.nx_huge_pages: "
            "\"off\"} or 'kvm.nx_huge_pages=off kvm_amd.nested=0'.",
            values.MODULE_PARAMETERS_SHAPE,
            values.parse_module_parameters,
            title="module parameters",
            mapping=True,
        ),
        Axis(
            "host",
            "Host of the fleet that the case runs on, by name or tag; 'each', which only 'matrix' "
            "itself may have, stands for every host of the run.",
            values.QEMU_SHAPE,
            values.parse_host,
            alone=True,
        ),
        Axis(
            "strategy",
            "Migration strategy, in place of the pool under 'migration'.",
            values.STRATEGY_SHAPE,
            values.parse_strategy,
            migration=True,
        ),
        Axis(
            "transport",
            "Migration transport, in place of the pool under 'migration'. A strategy that goes "
            "through a file has none: it is one variant, however many transports there are.",
            values.TRANSPORT_SHAPE,
            values.parse_transport,
            migration=True,
        ),
        Axis(
            "fault",
            "What is done to the hops on purpose, in place of the pool under 'migration'.",
            values.FAULT_SHAPE,
            values.parse_fault,
            migration=True,
        ),
        Axis(
            "destination",
            "QEMU installation that the guest is migrated to, and from there back to 'qemu', in "
            "turns.",
            values.QEMU_SHAPE,
            values.parse_qemu,
            migration=True,
        ),
    )
}

AXES: Mapping[str, Axis] = {name: _TABLE[name] for name in AXIS_NAMES}
MIGRATION_AXES = tuple(axis.name for axis in AXES.values() if axis.migration)
BARE_AXES = tuple(axis.name for axis in AXES.values() if axis.bare)


def axis_title(name: str) -> str:
    """What reports call an axis, or whatever else they have a column for."""
    axis = AXES.get(name)
    return axis.title or name if axis is not None else name
