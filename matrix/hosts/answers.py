"""What a QEMU binary said about itself over QMP, made into a :class:`Binary`.

Replies are as QEMU's QMP reference describes them (docs/interop/qemu-qmp-ref.html), 7.2 to 11.1.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matrix.inventory import Binary, Machine
from matrix.model import Architecture

Reply = Mapping[str, Any]

CPU_TYPE = re.compile(r"(?P<model>.+)-[a-z0-9_]+-cpu")
"""``MODEL-TARGET-cpu``: how QEMU names the type of a CPU model, whatever the target."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The replies of one binary; None where it does not know the command or died of it."""

    version: Reply
    """``query-version``."""
    machines: Sequence[Reply]
    """``query-machines``."""
    cpu_definitions: Sequence[Reply] | None
    """``query-cpu-definitions``; RISC-V has it from 8.1 on."""
    cpu_types: Sequence[Reply] | None
    """``qom-list-types`` implementing ``cpu``, asked where there are no definitions."""
    kvm_present: bool
    """``query-kvm``: whether KVM is built in (not whether it works)."""
    accelerators: Sequence[str] | None
    """``present`` of ``query-accelerators`` (11.0 and later)."""
    emulates: bool
    """Whether it started with ``-accel tcg``."""
    capabilities: Sequence[Reply]
    """``query-migrate-capabilities``."""
    options: Sequence[Reply]
    """``query-command-line-options``."""
    devices: Sequence[Reply] | None
    """``qom-list-types`` implementing ``device``."""
    schema: Sequence[Reply] = ()
    """``query-qmp-schema``."""
    most_capable: Reply | None = None
    """``query-cpu-model-expansion`` of the model ``max``, of s390x alone."""
    note: str = ""
    """What could not be asked, in words."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """The properties of machine and CPU types by the type's name (:func:`properties_text`)."""


def binary_of(qemu: str, architecture: Architecture, path: Path, answers: Answers) -> Binary:
    """The binary that gave these answers.

    Args:
        qemu: the installation's name.
        architecture: what it emulates.
        path: what starts it.
        answers: its replies.

    Raises:
        KeyError, TypeError, ValueError: a reply is not of the documented form.
    """
    number, text = _version(answers.version)
    accelerators = _accelerators(answers)
    cpus = _cpus(answers, kvm="kvm" in accelerators)
    parameters = _parameters(answers.options)
    schema = {str(entity["name"]): entity for entity in answers.schema}
    migrating = _members(schema, _argument(schema, "migrate-set-parameters"))
    return Binary(
        qemu=qemu,
        architecture=architecture,
        path=str(path),
        version=number,
        version_text=text,
        accelerators=accelerators,
        machines=_machines(answers),
        cpus=cpus,
        cpu_properties=_cpu_properties(answers, cpus),
        devices=tuple(sorted(str(device["name"]) for device in answers.devices or ())),
        migration_capabilities=tuple(sorted(str(c["capability"]) for c in answers.capabilities)),
        migration_parameters=tuple(sorted(migrating)),
        migration_modes=_values(schema, migrating.get("mode", "")),
        migration_addresses=_addresses(schema),
        sandbox="sandbox" in parameters,
        exit_with_parent="exit-with-parent" in parameters.get("run-with", ()),
        sie=_sie(answers.most_capable),
        note=answers.note,
    )


def _sie(expansion: Reply | None) -> bool | None:
    """Whether the CPU model has SIE's format 2 (``sief2``), which Linux asks for in
    arch/s390/kvm/kvm-s390.c."""
    found = None if expansion is None else expansion["model"].get("props", {}).get("sief2")
    return None if found is None else bool(found)


def _version(reply: Reply) -> tuple[tuple[int, int, int], str]:
    parts = reply["qemu"]
    number = (int(parts["major"]), int(parts["minor"]), int(parts["micro"]))
    text = ".".join(map(str, number))
    package = str(reply.get("package", "")).strip().strip("()")
    return number, f"{text} ({package})" if package else text


def _accelerators(answers: Answers) -> tuple[str, ...]:
    """Those that run guests, in alphabetical order: ``qtest`` runs none."""
    if answers.accelerators is not None:
        return tuple(sorted(set(answers.accelerators) - {"qtest"}))
    return (("kvm",) if answers.kvm_present else ()) + (("tcg",) if answers.emulates else ())


def _machines(answers: Answers) -> tuple[Machine, ...]:
    machines = [
        Machine(
            name=str(entry["name"]),
            alias=str(entry.get("alias", "")),
            cpu_max=int(entry["cpu-max"]),
            is_default=bool(entry.get("is-default", False)),
            deprecated=bool(entry.get("deprecated", False)),
            default_cpu=model_of(str(entry.get("default-cpu-type", ""))),
            properties=answers.properties.get(machine_type(entry), ""),
        )
        for entry in answers.machines
    ]
    return tuple(sorted(machines, key=lambda machine: machine.name))


def _cpus(answers: Answers, *, kvm: bool) -> tuple[str, ...]:
    if answers.cpu_definitions is not None:
        names = {str(entry["name"]) for entry in answers.cpu_definitions}
    else:
        names = {model_of(str(entry["name"])) for entry in answers.cpu_types or ()}
    # POWER has the type only once KVM is in use, which it is not while these questions are asked.
    return tuple(sorted(names | {"host"} if kvm else names))


def machine_type(entry: Reply) -> str:
    """The QOM type of an entry of ``query-machines`` (``MACHINE_TYPE_NAME`` in QEMU's boards.h)."""
    return f"{entry['name']}-machine"


def cpu_types(definitions: Sequence[Reply] | None, types: Sequence[Reply] | None) -> dict[str, str]:
    """Model → QOM type of the CPU models; an alias of POWER's has none of its own."""
    if definitions is not None:
        return {str(entry["name"]): str(entry.get("typename", "")) for entry in definitions}
    return {model_of(str(entry["name"])): str(entry["name"]) for entry in types or ()}


def properties_text(reply: Sequence[Reply]) -> str:
    """The properties in a reply of ``qom-list-properties``, as :class:`Machine` has them.

    Without children and GPIO lines, which no option sets; links are not followed.
    """
    kinds = {str(entry["name"]): str(entry["type"]).replace(" ", "-") for entry in reply}
    return " ".join(
        f"{name}={'link' if kind.startswith('link<') else kind}"
        for name, kind in sorted(kinds.items())
        if not kind.startswith("child<") and not set(name) & set("[= ")
    )


def _cpu_properties(answers: Answers, models: Sequence[str]) -> tuple[str, ...]:
    """Of each of the models. One without a type of its own (an alias of POWER's, or ``host`` where
    that needs KVM) takes what all of them together, or ``max``, do."""
    types = cpu_types(answers.cpu_definitions, answers.cpu_types)
    known = {model: answers.properties.get(kind, "") for model, kind in types.items() if kind}
    if not any(known.values()):
        return ()
    alike = set(known.values()) - {""}
    shared = known.get("max") or (alike.pop() if len(alike) == 1 else "")
    return tuple(known.get(model, shared) for model in models)


def model_of(cpu_type: str) -> str:
    """The CPU model of a QOM type; the type itself where that is not named as usual."""
    match = CPU_TYPE.fullmatch(cpu_type)
    return match["model"] if match else cpu_type


def _parameters(options: Sequence[Reply]) -> dict[str, tuple[str, ...]]:
    """The names of the parameters of every command-line option that QEMU reports."""
    return {
        str(option["option"]): tuple(str(p["name"]) for p in option["parameters"])
        for option in options
    }


_Schema = Mapping[str, Reply]
"""``query-qmp-schema`` by the names of its entities; those of types are meaningless numbers."""


def _argument(schema: _Schema, command: str) -> str:
    """The type of a command's arguments; empty where there is no such command."""
    return str(schema[command]["arg-type"]) if command in schema else ""


def _members(schema: _Schema, kind: str) -> dict[str, str]:
    """Name → type of an object type's members."""
    members = schema[kind].get("members", ()) if kind in schema else ()
    return {str(member["name"]): str(member["type"]) for member in members}


def _values(schema: _Schema, kind: str) -> tuple[str, ...]:
    """The values of an enumeration type."""
    return tuple(map(str, schema[kind].get("values", ()))) if kind in schema else ()


def _addresses(schema: _Schema) -> tuple[str, ...]:
    """Kinds of address that ``migrate`` takes in its ``channels``."""
    channels = _members(schema, _argument(schema, "migrate")).get("channels", "")
    if channels not in schema:
        return ()
    channel = _members(schema, str(schema[channels]["element-type"]))
    variants = schema[channel["addr"]].get("variants", ()) if "addr" in channel else ()
    return tuple(sorted(str(variant["case"]) for variant in variants))
