"""The scenario format as pydantic models: one source of the validation and of the JSON Schema.

What pydantic finds is mapped back to the place of the node by :mod:`matrix.scenario.validation`.
"""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, create_model, model_validator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from matrix.model import OnStall, RunSettings
from matrix.scenario import values
from matrix.scenario.axes import AXES, Axis
from matrix.scenario.fields import (
    EACH_ONCE,
    MAX_ENTRIES,
    Boolean,
    Section,
    Text,
    Texts,
    annotated,
    one_of_names,
    one_or_more,
    words_or_mapping,
)
from matrix.scenario.hosts_schema import Hosts
from matrix.scenario.migration_schema import MigrationSection
from matrix.scenario.units import format_duration
from matrix.scenario.wording import Refused
from matrix.suites.registry import KINDS

_KINDS = "; ".join(f"{kind.name}: {kind.description}" for kind in KINDS.values())
_VARIABLES = " or ".join(f"${kind.variable}/ARCH" for kind in KINDS.values())

Name = Annotated[str, *annotated(values.parse_name, values.NAME_SHAPE)]
Prose = Annotated[str, *annotated(values.parse_prose, values.PROSE_SHAPE)]
Kind = Annotated[str, *one_of_names(KINDS, "is not a kind of suite")]
Limit = Annotated[float, *annotated(values.parse_limit, values.DURATION_SHAPE)]
Repeat = Annotated[int, *annotated(values.parse_repeat, values.REPEAT_SHAPE)]
Retries = Annotated[int, *annotated(values.parse_retries, values.RETRIES_SHAPE)]
Require = Annotated[str, *annotated(values.parse_require, values.REQUIRE_SHAPE)]
SkipPattern = Annotated[str, *annotated(values.parse_skip_pattern, values.SKIP_PATTERN_SHAPE)]
SkipPatterns = Annotated[list[SkipPattern], *one_or_more(values.SKIP_PATTERN_SHAPE)]
Stalled = Annotated[str, *one_of_names(tuple(OnStall), "is nothing to do on a stall")]
Smp = Annotated[int, *annotated(values.parse_smp, values.SMP_SHAPE)]


class SuiteSection(Section):
    """Where the tests come from, and which of them."""

    kind: Kind = Field(description=f"How the suite is laid out and read. {_KINDS}.")
    build: Text | None = Field(
        None,
        description="'builtin' for the embedded guests, or the path of a build directory or of a "
        "folder of standalone tests, in this file's folder or below; {arch} and ${VARIABLE} are "
        "filled in. Left out, it is the host's: "
        f"--build, the host file's builds, or {_VARIABLES}.",
    )
    tests: Texts | None = Field(
        None, description="Run only tests with these names; *, ? and [...] match as in a shell."
    )
    groups: Texts | None = Field(
        None, description="Run only tests that are in one of these groups."
    )
    exclude: Texts | None = Field(
        None, description="Leave out tests with these names; *, ? and [...] match as in a shell."
    )
    max_smp: Smp | None = Field(
        None,
        description="Number of vCPUs that tests which take as many as there are get. Default: "
        "the host's CPUs under KVM, 8 under TCG.",
    )


class RunSection(Section):
    """How the cases are run."""

    timeout: Limit | None = Field(
        None,
        description="Time that a test may take which names none of its own. "
        f"Default: {format_duration(RunSettings().timeout)}.",
    )
    stall: Limit | None = Field(
        None,
        description="A guest that neither prints nor uses CPU time for so long is dead. "
        f"Default: {format_duration(RunSettings().stall)}.",
    )
    repeat: Repeat | None = Field(
        None, description=f"How often every case is run. Default: {RunSettings().repeat}."
    )
    retries: Retries | None = Field(
        None,
        description="How often a case that did not pass is tried again; one that then passes is "
        f"flaky. Default: {RunSettings().retries}.",
    )
    until_fail: Boolean | None = Field(
        None, description="End the repeats of a case with the first that does not pass."
    )
    alone: Boolean | None = Field(
        None,
        description="Run each case with nothing else of the run beside it, whatever the host has "
        "room for: for guests that measure time.",
    )
    spread: Boolean | None = Field(
        None,
        description="Have the attempts of a case take turns on the hosts that can run it: see "
        "'repeat'.",
    )
    assist: Boolean | None = Field(
        None,
        description="Whether QEMU may be told, by calc-dirty-rate or before 8.2 by a migration to "
        "/dev/null, to flush its table of translated addresses where a guest works silently under "
        "TCG, so that the table grows. Default: true.",
    )
    require: Require | None = Field(
        None,
        description="How many of the cases have to run, not counting those that are excluded with "
        "a reason or in group nodefault: 20, or 80%. With fewer the run exits 1.",
    )
    fail_on_skip: SkipPatterns | None = Field(
        None,
        description="Exit 1 if a case is skipped, for any cause (true) or for those that match, as "
        "no-qemu, no-build or no-accelerator; patterns with a '.' are of case ids.",
    )
    on_stall: Stalled | None = Field(
        None,
        description="dump: keep the memory of a guest that stalled, up to 1 GiB, as "
        "diagnosis/memory.elf in its folder, for 'matrix debug --core'. Default: end.",
    )


def _list_of(value: Any, axis: Axis) -> Any:
    return Annotated[list[value], *(one_or_more(axis.shape) if axis.alone else EACH_ONCE)]


def _axis_value(axis: Axis) -> Any:
    made = words_or_mapping if axis.mapping else annotated
    return Annotated[Any, *made(axis.parse, axis.shape)]


class _EntrySection(Section):
    """An entry of ``include`` or ``exclude``: values for some of the axes."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [name]} for name in AXES]},
    )

    @model_validator(mode="after")
    def _names_an_axis(self) -> "_EntrySection":
        if not self.model_fields_set & AXES.keys():
            raise Refused("names no axis", f"at least one of {', '.join(AXES)}")
        return self


def _axis_fields(*, lists: bool) -> dict[str, Any]:
    """Definitions for ``create_model``: one field for each axis."""
    fields: dict[str, Any] = {}
    for axis in AXES.values():
        value = _axis_value(axis)
        if not lists:
            fields[axis.name] = (value, Field(None, description=axis.description))
            continue
        required = axis.name == "arch"
        fields[axis.name] = (
            _list_of(value, axis),
            Field(... if required else None, description=axis.description),
        )
    return fields


IncludeSection = create_model(
    "IncludeSection",
    __base__=_EntrySection,
    __doc__="Added to every combination whose axes it agrees with; a variant of its own "
    "where there is none.",
    **_axis_fields(lists=False),
)
ExcludeSection = create_model(
    "ExcludeSection",
    __base__=_EntrySection,
    __doc__="Removes every combination that has all these values.",
    **_axis_fields(lists=False),
    reason=(
        Text,
        Field(None, description="Why; the cases are then listed as skipped, with this reason."),
    ),
)
MatrixSection = create_model(
    "MatrixSection",
    __base__=Section,
    __doc__="The axes and their values: every combination is a variant that is run.",
    **_axis_fields(lists=True),
    include=(
        list[IncludeSection],
        Field(
            None,
            min_length=1,
            max_length=MAX_ENTRIES,
            description="More values and variants, as in a GitHub Actions matrix.",
        ),
    ),
    exclude=(
        list[ExcludeSection],
        Field(
            None,
            min_length=1,
            max_length=MAX_ENTRIES,
            description="Combinations to leave out, as in a GitHub Actions matrix.",
        ),
    ),
)


class ScenarioSection(Section):
    """What to run, over which axes, and how."""

    name: Name = Field(description="Short name; the first part of every case id.")
    description: Prose | None = Field(None, description="What the scenario is for.")
    suite: SuiteSection = Field(description=SuiteSection.__doc__)
    matrix: MatrixSection = Field(description=MatrixSection.__doc__)
    hosts: Hosts | None = Field(
        None, description="Where cases run beside this machine, and with what kernel."
    )
    run: RunSection | None = Field(None, description=RunSection.__doc__)
    migration: MigrationSection | None = Field(None, description=MigrationSection.__doc__)
    expect: Texts | None = Field(
        None,
        description="Files of known failures, relative to this file: 'matrix schema "
        "--expectations' is their schema.",
    )


class _Generator(GenerateJsonSchema):
    """JSON Schema without the traces of how the models are written in Python."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """A key that may be left out may still not be null."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """None says that there is no value, which is none to show."""
        return self.generate_inner(schema["schema"])


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file, for editors."""
    return schema_of(ScenarioSection, "matrix scenario")


def schema_of(model: type[Section], title: str) -> dict[str, Any]:
    """The JSON Schema of a file whose top level is ``model``."""
    schema = model.model_json_schema(schema_generator=_Generator)
    schema["title"] = title
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **_without_titles(schema)}


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop the titles that pydantic makes up from the names of fields."""
    for definition in [schema, *schema.get("$defs", {}).values()]:
        for field in definition.get("properties", {}).values():
            field.pop("title", None)
    return schema
