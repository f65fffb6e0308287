"""What a case's result follows from, by name: its inputs, their digest, and what differs. Pure.

A case whose inputs are all the same needs no second run. Paths are no input: what a command line
names is in here by content, so that a build elsewhere, or of the same commit, is the same.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from matrix.model import Expectation, Launch, Target
from matrix.plan.command import time_limit
from matrix.plan.decisions import LOCAL, Run
from matrix.verdicts import Verdict

FORMAT = 1
"""Counted up whenever an input comes to mean something else: no earlier result is reused then."""
DIGITS = 24
"""Hexadecimal digits of an input's digest: 96 bits."""


class Input(StrEnum):
    """The inputs; the values are what messages and ``results.json`` call them."""

    IMAGE = "image"
    FILES = "files"
    """Beside the image: firmware, and what the kind of suite and the test's parameters name."""
    INITRD = "initrd"
    ARGUMENTS = "arguments"
    """The command line and the variables that QEMU is given."""
    ACCELERATOR = "accelerator"
    QEMU = "QEMU"
    """What is started, and the program behind it."""
    LIBRARIES = "QEMU libraries"
    """With the loader and modules."""
    FIRMWARE = "QEMU firmware"
    """What lies in QEMU's data folders."""
    ENVIRONMENT = "environment"
    """Variables of ours that QEMU, its libraries or its loader read."""
    HOST = "host"
    """Under TCG its architecture; under KVM also kernel, CPU, and KVM with its parameters."""
    LIMITS = "limits"
    """When the guest is given up, and what is done to it meanwhile."""
    EXPECTATIONS = "known failures"
    PROGRAM = "matrix"
    """The parts of this program that start, watch and judge guests."""


_NAMES = tuple((each, each.value) for each in Input)

Inputs = tuple[tuple[str, str], ...]
"""Name and digest of each, in the order of :class:`Input`."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a case's host adds to it: digests, but for the initrd, which is its text."""

    qemu: str
    libraries: str
    firmware: str
    environment: str
    host: str
    program: str
    initrd: str = ""
    others: str = ""
    """Of further files: the firmware that starts an EFI build's guests, and what the test's own
    parameters name."""


def inputs_of(
    decision: Run, launch: Launch, around: Surroundings, content: Callable[[str], str] = str
) -> Inputs:
    """The inputs of a case.

    Args:
        decision: as planned.
        launch: its command line, with the names of files for paths.
        around: of the host that it runs on.
        content: gives what stands for the path of a file, by what is in that; raises what
            this does then.
    """
    case = decision.case
    build = case.build
    limits = (
        *(time_limit(case, decision.limit), case.settings.stall, case.settings.assist),
        case.settings.on_stall,
    )
    kind = (case.suite, build.target, build.endian, build.efi, build.builtin, build.own)
    found = {
        Input.IMAGE: _text_value(case.test.image and content(case.test.image)),
        Input.FILES: value_of(
            build.firmware and content(build.firmware),
            [(name, content(path)) for name, path in build.files],
            around.others,
        ),
        Input.INITRD: _text_value(around.initrd),
        Input.ARGUMENTS: value_of(launch.argv, launch.environment, launch.channel, kind),
        Input.ACCELERATOR: _text_value(decision.accelerator_label.value),
        Input.QEMU: around.qemu,
        Input.LIBRARIES: around.libraries,
        Input.FIRMWARE: around.firmware,
        Input.ENVIRONMENT: around.environment,
        Input.HOST: around.host,
        Input.LIMITS: value_of(limits),
        Input.EXPECTATIONS: value_of([_expectation(each) for each in decision.expected]),
        Input.PROGRAM: around.program,
    }
    return tuple((name, found[each]) for each, name in _NAMES)


def _expectation(expected: Expectation) -> str:
    """All that it says but where, which a line more above it changes."""
    return repr(replace(expected, place=""))


def paths_in(parameters: Iterable[str]) -> tuple[str, ...]:
    """What in QEMU parameters of a test may be the path of a file: ``-drive file=a.img,if=virtio``
    names ``a.img``. What has neither a slash nor a dot is the name of something else."""
    pieces = (piece for word in parameters for piece in re.split("[=,]", word))
    return tuple(dict.fromkeys(piece for piece in pieces if "/" in piece or "." in piece))


def value_of(*values: object) -> str:
    """The digest of plain data, as an input has it."""
    return _sha256(values)[:DIGITS]


@lru_cache(maxsize=1024)
def _text_value(text: str) -> str:
    """:func:`value_of` a text that many cases have."""
    return value_of(text)


def digest_of(inputs: Iterable[tuple[str, str]]) -> str:
    """SHA-256 of the inputs, whatever their order; empty where there are none."""
    named = dict(inputs)
    return _sha256({"format": FORMAT, "inputs": named}) if named else ""


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def _sha256(value: object) -> str:
    text = _ENCODER.encode(value)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the inputs that differ, in the order of :class:`Input`."""
    names = dict.fromkeys((*(each.value for each in Input), *before, *now))
    return tuple(name for name in names if before.get(name) != now.get(name))


def changed_words(names: Iterable[str]) -> str:
    """``image and QEMU libraries changed``."""
    every = list(names)
    return f"{' and '.join([', '.join(every[:-1]), every[-1]] if every[1:] else every)} changed"


def why_never(decision: Run) -> str:
    """Why no result of the case is ever reused, whatever its inputs; empty where one may be."""
    case = decision.case
    if case.migration is not None:
        return "its guest is migrated, and hops are measured"
    if case.settings.alone:
        return "it runs alone, to be measured"
    if case.settings.repeat > 1 or case.settings.until_fail:
        return "it is repeated"
    if case.test.dynamic:
        return "commands give its values anew each time"
    if any(Verdict.PASS in each.verdicts for each in decision.expected):
        return "it is known to fail sometimes"
    return why_unknown(decision)


def why_unknown(decision: Run) -> str:
    """Why not all of a case's inputs can be known; empty where they can."""
    if decision.case.build.target is not Target.QEMU:
        return f"it runs by {decision.case.build.target.value}, whose files are not known"
    if decision.host != LOCAL:
        return f"what host {decision.host} runs it with is not known by content"
    return ""
