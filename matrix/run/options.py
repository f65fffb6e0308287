"""What the user selected and narrowed on the command line, as typed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

HISTORY = "history"
"""With ``--reuse`` in place of a run: any that the history has."""

Options = TypeVar("Options", bound="DataclassInstance")


@dataclass(frozen=True, slots=True)
class Selection:
    """What commands were told to select, as typed: each takes some of these as options."""

    scenarios: tuple[Path, ...] = ()
    keyword: str = ""
    arch: tuple[str, ...] = ()
    accel: tuple[str, ...] = ()
    qemu: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    set_axis: tuple[str, ...] = ()
    repeat: int | None = None
    until_fail: bool = False
    retries: int | None = None
    timeout: str | None = None
    full: bool = False
    """Give cases that are known to time out all their time."""
    no_assist: bool = False
    """Leave every guest alone, whatever the scenarios say."""
    expect: tuple[Path, ...] = ()
    """Files of known failures beside the scenarios' own."""
    include_all: bool = False
    shard: str = ""
    """``I/N``: only that part of the cases."""
    durations: Path | None = None
    """What the parts are balanced by."""
    require: str | None = None
    """How many cases have to run, as typed; see :mod:`matrix.results.coverage`."""
    fail_on_skip: tuple[str, ...] = ()
    hops: int | None = None
    duration: str | None = None
    """Time that guests are migrated for."""
    virtual_host: tuple[str, ...] = ()
    """``ARCH=KERNEL[,…]``: virtual KVM hosts."""
    fleet: Path | None = None
    """File of the hosts that cases run on, instead of this machine."""
    on: tuple[str, ...] = ()
    """Only hosts of these names, tags or architectures."""
    spread: bool = False
    """Have the attempts of a case take turns on the hosts that can run it."""
    strict_qemu: bool = False
    """Skip cases whose QEMU is not the same version on all hosts that they may run on."""
    host: Path | None = None
    fresh: bool = False
    no_predict: bool = False
    """Make hops that are known to fail all the same."""
    failed: Path | None = None
    """A run whose failed cases are run again."""
    last_failed: Path | None = None
    """A run of which all is run again that has not passed yet."""
    reuse: str | None = None
    """Where results of cases are taken from of which nothing has changed: ``latest``,
    ``latest:SCENARIO``, ``history`` or a run directory; None for nowhere."""


def with_defaults(
    given: Options, defaults: Mapping[str, object], only: Collection[str] | None = None
) -> Options:
    """``given`` with what the project or the host file says of fields that were not given.

    ``only`` names the fields that a command has; None for all. Files of known failures are those
    that were given and those of the files.
    """
    filled: dict[str, Any] = {}
    for field in fields(given):
        if field.name not in defaults or (only is not None and field.name not in only):
            continue
        value = getattr(given, field.name)
        if field.name == "expect":
            filled["expect"] = (*tuple(defaults["expect"]), *value)  # type: ignore[arg-type]  # checked as the file is read
        elif value == field.default:
            filled[field.name] = defaults[field.name]
    return replace(given, **filled)
