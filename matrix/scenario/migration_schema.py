"""The format of ``migration:`` as pydantic models, as :mod:`.schema` is of the rest."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, create_model, model_validator

from matrix.migrating import (
    NEWEST_COMMON,
    OTHER_HOST,
    Fault,
    MigrationMode,
    Strategy,
    Transport,
)
from matrix.scenario import values
from matrix.scenario.fields import Boolean, Section, Text, annotated, one_of_names, one_or_more
from matrix.scenario.parameters import PARAMETERS, Parameter
from matrix.scenario.units import format_duration
from matrix.scenario.wording import Refused

_MODE = one_of_names(tuple(MigrationMode), "is not a mode of migration")
Bound = Annotated[float, *annotated(values.parse_bound, values.DURATION_SHAPE)]
Period = Annotated[float, *annotated(values.parse_limit, values.DURATION_SHAPE)]
PerMinute = Annotated[float, *annotated(values.parse_per_minute, values.PER_MINUTE_SHAPE)]
Hops = Annotated[int, *annotated(values.parse_hops, values.HOPS_SHAPE)]
Hosts = Annotated[int, *annotated(values.parse_hosts, values.HOSTS_SHAPE)]
OneStrategy = Annotated[Strategy, *annotated(values.parse_strategy, values.STRATEGY_SHAPE)]
OneTransport = Annotated[Transport, *annotated(values.parse_transport, values.TRANSPORT_SHAPE)]
OneFault = Annotated[Fault, *annotated(values.parse_fault, values.FAULT_SHAPE)]
OneHost = Annotated[str, *annotated(values.parse_host, values.QEMU_SHAPE)]
OneQemu = Annotated[str, *annotated(values.parse_qemu, values.QEMU_SHAPE)]
Strategies = Annotated[list[OneStrategy], *one_or_more(values.STRATEGY_SHAPE)]
Transports = Annotated[list[OneTransport], *one_or_more(values.TRANSPORT_SHAPE)]
Faults = Annotated[list[OneFault], *one_or_more(values.FAULT_SHAPE)]
Installations = Annotated[list[OneQemu], *one_or_more(values.QEMU_SHAPE)]


class _SaysSomething(Section):
    """A section that may have any of its keys, but not none."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    @model_validator(mode="after")
    def _is_not_empty(self) -> "_SaysSomething":
        if not self.model_fields_set:
            names = ", ".join(type(self).model_fields)
            raise Refused("the mapping is empty", f"at least one of {names}")
        return self


def _field(parameter: Parameter) -> Any:
    value = Annotated[Any, *annotated(parameter.parse, parameter.shape)]
    return value, Field(None, description=parameter.description)


_PARAMETERS: dict[str, Any] = {name: _field(one) for name, one in PARAMETERS.items()}
ParametersSection = create_model(
    "ParametersSection",
    __base__=Section,
    __doc__="QEMU's migration parameters by its names; rates, sizes and times with units.",
    **_PARAMETERS,
)


class DestinationSection(_SaysSomething):
    """Where to: another host of a fleet, other QEMU installations, and the machine type that both
    sides have."""

    host: OneHost | None = Field(
        None,
        description=f"'{OTHER_HOST}': each hop goes to another host of the fleet than the guest is "
        "on; or that host's name, tag or architecture: from there the guest goes back. Default: it "
        "stays on its host.",
    )
    hosts: Hosts | None = Field(
        None, description="With 'host': between how many hosts the guest goes. Default: 2."
    )
    qemu: Installations | None = Field(
        None,
        description="QEMU installations, of which each hop draws one; with 'host', those on the "
        "other hosts, while on its first host the guest is under its own. Default: the variant's "
        "own.",
    )
    machine: Text | None = Field(
        None,
        description=f"'{NEWEST_COMMON}': the newest versioned type of the machine's family that "
        "all of the QEMUs have; or a machine with its properties. Default: the case's machine.",
    )


class DowntimeSection(_SaysSomething):
    """Downtime as QEMU's source says."""

    p99: Bound | None = Field(None, description="99 of 100 hops are at or below it.")
    max: Bound | None = Field(None, description="Every hop is at or below it.")


class BlackoutSection(Section):
    """The largest gap that the guest saw on its own clock."""

    max: Bound = Field(description="Every hop is at or below it.")


_LIMITS: dict[str, Any] = {
    "downtime": (DowntimeSection | None, Field(None, description=DowntimeSection.__doc__)),
    "blackout": (BlackoutSection | None, Field(None, description=BlackoutSection.__doc__)),
    "total-time": (Bound | None, Field(None, description="Longest that a hop may take.")),
    "hops-per-minute": (PerMinute | None, Field(None, description="At least so many.")),
    "clock-jump": (
        Bound | None,
        Field(None, description="How far the guest's clock may be from the host's."),
    ),
}
LimitsSection = create_model(
    "LimitsSection",
    __base__=_SaysSomething,
    __doc__="What the hops of a case may take; a limit that does not hold fails the case.",
    **_LIMITS,
)


class MigrationSection(Section):
    """Live-migrate the guest of every case while its test runs. Where several strategies,
    transports, faults or destinations are given, each hop draws from them, out of the combinations
    that make sense; a value without any is an error. As an axis of the matrix each value is a
    variant of its own, and a combination that makes no sense has to be excluded. Strategies that
    go through a file have no transport."""

    mode: Annotated[MigrationMode, *_MODE] | None = Field(
        None,
        description="Who decides when to migrate. once: one hop while the test runs. continuous: "
        "hop after hop until the test ends, or as 'hops' and 'duration' say. cooperative: the "
        "guest, by kvm-unit-tests' protocol; its group migration always is, even without this "
        "key. Default: continuous with 'hops' or 'duration', else "
        "once.",
    )
    strategy: Strategies | None = Field(
        None, description="How the guest's state is carried over. Default: precopy."
    )
    transport: Transports | None = Field(
        None,
        description="What the migration stream goes through. Default: unix, between hosts "
        f"{Transport.TLS_X509.value}.",
    )
    parameters: ParametersSection | None = Field(None, description=ParametersSection.__doc__)
    hops: Hops | None = Field(
        None,
        description="End after so many hops. With 'duration', whichever comes first; with "
        "neither, the hops end with the test.",
    )
    duration: Period | None = Field(None, description="End after so long; see 'hops'.")
    pace: Bound | None = Field(
        None,
        description="Pause between the end of a hop and the begin of the next. Default: "
        f"{format_duration(0.2)}.",
    )
    destination: DestinationSection | None = Field(None, description=DestinationSection.__doc__)
    faults: Faults | None = Field(
        None, description="What is done to hops on purpose. Default: nothing."
    )
    limits: LimitsSection | None = Field(None, description=LimitsSection.__doc__)
    explain_downtime: Boolean | None = Field(
        None,
        description="Have QEMU tell how long the state of each device takes to save and to load in "
        "each hop, by its trace events vmstate_downtime_*; a QEMU without them is named. Default: "
        "false.",
    )
