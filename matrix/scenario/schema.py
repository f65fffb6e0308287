"""The scenario format as pydantic models: one source of the validation and of the JSON Schema.

The models are fed the node tree of :mod:`matrix.scenario.document` (mappings as dicts, scalars as
they are, with text and place), so that every value is read from its text by the same parser that
reads it on the command line. What pydantic finds is mapped back to the place of the node.
"""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from matrix.model import RunSettings
from matrix.scenario import values
from matrix.scenario.axes import AXES, Axis
from matrix.scenario.document import Kind, Scalar
from matrix.scenario.model import SuiteKind
from matrix.scenario.units import format_duration
from matrix.scenario.values import Shape
from matrix.scenario.wording import Refused, one_of, quoted

MAX_ENTRIES = 500
"""The most entries under ``include`` or ``exclude``, and values of one axis."""

_KINDS = {
    "string": {Kind.STRING},
    "integer": {Kind.INTEGER},
    "number": {Kind.INTEGER, Kind.FLOAT},
}


def reader(parse: Callable[[str], Any], shape: Shape) -> Callable[[object], Any]:
    """A validator that reads a scalar by ``parse`` if it is of the kind that ``shape`` names."""
    types = shape["type"]
    names = [types] if isinstance(types, str) else types
    kinds = set().union(*(_KINDS[name] for name in names))

    def read(value: object) -> Any:
        if not isinstance(value, Scalar):
            found = "mapping" if isinstance(value, dict) else "list"
            hint = "put text that begins with '{' or '[' in quotes"
            raise Refused(f"one value is wanted here, not a {found}", hint)
        if value.kind is Kind.NULL:
            raise Refused("has no value", "give one, or leave it out")
        parsed = parse(value.text)  # first, for it has more to say than that the kind is wrong
        if value.kind not in kinds:
            wanted = "in quotes" if Kind.STRING in kinds else "without quotes"
            raise Refused(f"{quoted(value.text)} is a {value.kind}", f"write it {wanted}")
        return parsed

    return read


def annotated(parse: Callable[[str], Any], shape: Shape) -> tuple[PlainValidator, WithJsonSchema]:
    """What makes a field one value that is read by ``parse`` and shown as ``shape``."""
    return PlainValidator(reader(parse, shape)), WithJsonSchema(dict(shape))


def unique(given: list[Any]) -> list[Any]:
    """``given``, if every value of it is there once.

    Raises:
        Refused: one is there twice.
    """
    for index, value in enumerate(given):
        first = given.index(value)
        if first < index:
            message = f"this is the same value as number {first + 1} of the list"
            raise Refused(message, "every value once", path=(index,))
    return given


def _suite_kind(text: str) -> SuiteKind:
    try:
        return SuiteKind(text)
    except ValueError:
        names = [kind.value for kind in SuiteKind]
        raise Refused(f"{quoted(text)} is not a kind of suite", one_of(text, names)) from None


_KIND_SHAPE: Shape = {"type": "string", "enum": [kind.value for kind in SuiteKind]}

Name = Annotated[str, *annotated(values.parse_name, values.NAME_SHAPE)]
Text = Annotated[str, *annotated(values.parse_text, values.TEXT_SHAPE)]
Prose = Annotated[str, *annotated(values.parse_prose, values.PROSE_SHAPE)]
Kinds = Annotated[SuiteKind, *annotated(_suite_kind, _KIND_SHAPE)]
Limit = Annotated[float, *annotated(values.parse_limit, values.DURATION_SHAPE)]
Repeat = Annotated[int, *annotated(values.parse_repeat, values.REPEAT_SHAPE)]
Smp = Annotated[int, *annotated(values.parse_smp, values.SMP_SHAPE)]
EACH_ONCE = (
    Field(min_length=1, max_length=MAX_ENTRIES, json_schema_extra={"uniqueItems": True}),
    AfterValidator(unique),
)
"""What makes a field a list without repetitions."""

Texts = Annotated[list[Text], *EACH_ONCE]


class Section(BaseModel):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SuiteSection(Section):
    """Where the tests come from, and which of them."""

    kind: Kinds = Field(description="How the suite is laid out and read.")
    build: Text | None = Field(
        None,
        description="'builtin' for the embedded guests, or the path of a build directory, "
        "relative to this file. {arch} and ${VARIABLE} are filled in. Left out, it is the host's: "
        "--build, the host file's builds, or $KVM_UNIT_TESTS/ARCH.",
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
        None, description="Number of vCPUs that tests which take as many as there are get."
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


def _list_of(value: Any) -> Any:
    return Annotated[list[value], *EACH_ONCE]


def _axis_value(axis: Axis) -> Any:
    return Annotated[Any, *annotated(axis.parse, axis.shape)]


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
            _list_of(value),
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
    run: RunSection | None = Field(None, description=RunSection.__doc__)
    migration: dict[str, Any] | None = Field(
        None, description="Live-migrate the guests while the tests run. Not supported yet."
    )
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
