"""``matrix doctor``: the inventory as text for people, and as JSON.

The JSON is a contract::

    {"host": {"architecture", "kernel", "cpus", "memory", "cpu_vendor", "cpu_model",
              "kvm_device", "kvm_modules"},
     "binaries": [{"qemu", "architecture", "path", "version", "version_text", "accelerators",
                   "default_machine", "machines": [{"name", "alias", "cpu_max", "is_default",
                   "deprecated", "default_cpu"}], "cpus", "devices", "migration_capabilities",
                   "sandbox", "exit_with_parent", "note"}],
     "missing": [{"qemu", "architecture", "reason", "broken"}],
     "kvm": [{"qemu", "architecture", "cpu", "state", "reason",
              "guests": [{"guest", "verdict"}]}],
     "kvm_features": {"problem", "kernel", "cpuid": [{"function", "index", "eax", "ebx", "ecx",
                      "edx"}], "msrs": [{"index", "value"}]},
     "settings": [{"name", "value", "from"}]}

``memory`` is in bytes; ``kvm_device`` is empty where /dev/kvm can be used, else why not;
``version`` is ``MAJOR.MINOR.MICRO``; ``cpu`` is empty for the default model; ``state`` is
``works``, ``broken`` or ``unavailable``; a ``missing`` binary that is ``broken`` is there, and
could not be asked; an empty ``devices`` with a ``note`` means that they could not be asked;
``kvm_features`` is what KVM of an x86_64 host can give its guests, each number as hexadecimal
text, or the ``problem`` with asking it; ``settings`` has what files and options say, each with the
place or the option that says it.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, assert_never

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from matrix.hosts.kvm_features import KvmFeatures, features_json
from matrix.inventory import Binary, Host, Inventory, KvmProof, KvmState
from matrix.model import Architecture

GIB = 2**30


def doctor_json(inventory: Inventory, features: KvmFeatures) -> dict[str, Any]:
    """The inventory as JSON values (see the module's docstring)."""
    return {
        "host": asdict(inventory.host),
        "binaries": [_binary_json(binary) for binary in inventory.binaries],
        "missing": [
            {"qemu": qemu, "architecture": architecture.value, "reason": reason, "broken": broken}
            for qemu, architecture, reason, broken in _missing(inventory)
        ],
        "kvm": [
            asdict(proof)
            | {"guests": [{"guest": guest, "verdict": verdict} for guest, verdict in proof.guests]}
            for proof in inventory.proofs
        ],
        "kvm_features": features_json(features),
    }


def doctor_text(inventory: Inventory) -> RenderableType:
    """The inventory for people: the host, then one table per QEMU installation."""
    names = dict.fromkeys([binary.qemu for binary in inventory.binaries])
    names.update(dict.fromkeys(qemu for qemu, *_ in _missing(inventory)))
    parts: list[RenderableType] = [_host(inventory.host)]
    for name in names:
        parts += [Text(), _installation(inventory, name)]
    return Group(*parts)


def _missing(inventory: Inventory) -> Iterator[tuple[str, Architecture, str, bool]]:
    """The emulators that cannot be used, with the reason, and whether they are there."""
    yield from ((*each, False) for each in inventory.missing)
    yield from ((*each, True) for each in inventory.broken)


def _binary_json(binary: Binary) -> dict[str, Any]:
    default = _default_machine(binary)
    return asdict(binary) | {
        "version": ".".join(map(str, binary.version)),
        "default_machine": default,
    }


def _host(host: Host) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    cpus = "1 CPU" if host.cpus == 1 else f"{host.cpus} CPUs"
    memory = f"{host.memory / GIB:.1f} GiB of memory"
    grid.add_row("Host", f"{host.architecture}, Linux {host.kernel}, {cpus}, {memory}")
    model = host.cpu_model or "unknown"
    vendor = f" ({host.cpu_vendor})" if host.cpu_vendor else ""
    grid.add_row("CPU", Text(f"{model}{vendor}"))
    modules = ", ".join(host.kvm_modules)
    usable = "/dev/kvm can be used" + (f" ({modules})" if modules else "")
    style = "yellow" if host.kvm_device else ""
    grid.add_row("KVM", Text(host.kvm_device or usable, style=style))
    return grid


def _installation(inventory: Inventory, name: str) -> RenderableType:
    binaries = [binary for binary in inventory.binaries if binary.qemu == name]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for title in ("Guests", "QEMU", "Accel"):
        table.add_column(title, no_wrap=True)
    table.add_column("Machines", overflow="fold")
    table.add_column("KVM", overflow="fold")
    for binary in binaries:
        table.add_row(
            binary.architecture.value,
            ".".join(map(str, binary.version)),
            " ".join(binary.accelerators),
            _machines(binary),
            _kvm(_proofs(inventory, binary)),
        )
    parts: list[RenderableType] = [_heading(name, binaries)]
    if binaries:
        parts.append(table)
    remarks = _remarks(inventory, name, binaries)
    if remarks:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(max_width=18)
        grid.add_column(overflow="fold")
        for (why, style), architectures in remarks.items():
            grid.add_row(Text(", ".join(architectures)), Text(why, style=style))
        parts += [Text(), grid]
    return Group(*parts)


def _proofs(inventory: Inventory, binary: Binary) -> list[KvmProof]:
    about = (binary.qemu, binary.architecture)
    return [proof for proof in inventory.proofs if (proof.qemu, proof.architecture) == about]


def _heading(name: str, binaries: list[Binary]) -> Text:
    packages = dict.fromkeys(binary.version_text for binary in binaries)
    heading = Text(name, style="bold")
    if packages:
        heading.append(f"  QEMU {', '.join(packages)}", style="not bold")
    return heading


def _remarks(
    inventory: Inventory, name: str, binaries: list[Binary]
) -> dict[tuple[str, str], list[str]]:
    """(text, style) → the architectures it holds for: what is said of several is said once."""
    remarks: dict[tuple[str, str], list[str]] = {}
    for binary in binaries:
        for remark in _kvm_remarks(_proofs(inventory, binary)):
            remarks.setdefault(remark, []).append(binary.architecture.value)
    for binary in binaries:
        if binary.note:
            remarks.setdefault((binary.note, "dim"), []).append(binary.architecture.value)
    for qemu, architecture, why, broken in _missing(inventory):
        if qemu == name:
            remark = (why, "red" if broken else "yellow")
            remarks.setdefault(remark, []).append(architecture.value)
    return remarks


def _kvm_remarks(proofs: list[KvmProof]) -> Iterator[tuple[str, str]]:
    grouped: dict[tuple[KvmState, str], list[str]] = {}
    for proof in proofs:
        grouped.setdefault((proof.state, proof.reason), []).append(_cpu(proof))
    for (state, reason), models in grouped.items():
        with_models = f"with {', '.join(models)}"
        match state:
            case KvmState.WORKS:
                yield f"works {with_models}: {reason}", "green"
            case KvmState.BROKEN:
                yield f"broken {with_models}: {reason}", "red"
            case KvmState.UNAVAILABLE:
                yield f"no KVM: {reason}", "dim"
            case _:
                assert_never(state)


def _cpu(proof: KvmProof) -> str:
    return f"-cpu {proof.cpu}" if proof.cpu else "the default CPU"


def _machines(binary: Binary) -> Text:
    default = _default_machine(binary)
    count = sum(machine.name != "none" for machine in binary.machines)
    return Text(f"{count}" + (f", default {default}" if default else ", no default"))


def _default_machine(binary: Binary) -> str:
    return next((machine.name for machine in binary.machines if machine.is_default), "")


def _kvm(proofs: list[KvmProof]) -> Text:
    """The states in short, that of the default CPU first."""
    states: dict[KvmState, list[str]] = {}
    for proof in proofs:
        states.setdefault(proof.state, []).append(proof.cpu or "default")
    styles = {KvmState.WORKS: "green", KvmState.BROKEN: "red", KvmState.UNAVAILABLE: "dim"}
    words = {KvmState.UNAVAILABLE: "no"}
    if not states:
        return Text("not tried", style="dim")
    alone = len(states) == 1
    return Text(", ").join(
        Text(
            words.get(state, state.value) + ("" if alone else f" ({' '.join(models)})"),
            style=styles[state],
        )
        for state, models in states.items()
    )
