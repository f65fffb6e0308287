"""What the models of the format are made of: sections, and fields that are read from their text.

The models are fed the node tree of :mod:`matrix.scenario.document` (mappings as dicts, scalars as
they are, with text and place), so that every value is read from its text by the same parser that
reads it on the command line.
"""

from collections.abc import Callable, Collection
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)

from matrix.scenario import values
from matrix.scenario.document import Kind, Scalar
from matrix.scenario.values import Shape
from matrix.scenario.wording import Refused, quoted

MAX_ENTRIES = 500
"""The most entries under ``include`` or ``exclude``, and values of one axis."""

_KINDS = {
    "string": {Kind.STRING},
    "integer": {Kind.INTEGER},
    "number": {Kind.INTEGER, Kind.FLOAT},
    "boolean": {Kind.BOOLEAN},
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


def words_or_mapping(
    parse: Callable[[str], Any], shape: Shape
) -> tuple[PlainValidator, WithJsonSchema]:
    """What makes a field words ``name=value`` that may also be written as a mapping."""
    read_text = reader(parse, shape)

    def read(value: object) -> Any:
        if not isinstance(value, dict):
            return read_text(value)
        for name, each in value.items():
            if not isinstance(each, Scalar) or each.kind is Kind.NULL:
                raise Refused("has no value that fits on a command line", "as in 1", path=(name,))
        if not value:
            raise Refused("the mapping is empty", "give at least one")
        return parse(" ".join(f"{name}={each.text}" for name, each in value.items()))

    mapping = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^{values.MODULE_PARAMETER_NAME}$"},
        "additionalProperties": {
            "type": ["string", "number", "boolean"],
            "pattern": f"^{values.MODULE_PARAMETER_VALUE}$",
            "maxLength": shape["maxLength"],
        },
    }
    return PlainValidator(read), WithJsonSchema({"anyOf": [dict(shape), mapping]})


def one_of_names(names: Collection[str], refusal: str) -> tuple[PlainValidator, WithJsonSchema]:
    """What makes a field one of ``names``, as :func:`.values.names_parser` has it."""
    return annotated(values.names_parser(names, refusal), values.names_shape(names))


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


Boolean = Annotated[bool, *annotated(values.parse_boolean, values.BOOLEAN_SHAPE)]
Text = Annotated[str, *annotated(values.parse_text, values.TEXT_SHAPE)]
EACH_ONCE = (
    Field(min_length=1, max_length=MAX_ENTRIES, json_schema_extra={"uniqueItems": True}),
    AfterValidator(unique),
)
"""What makes a field a list without repetitions."""


def one_or_more(shape: Shape) -> tuple[object, ...]:
    """What makes a field of a list of values shaped so also take one of them without a list."""
    several = {
        "type": "array",
        "items": dict(shape),
        "minItems": 1,
        "maxItems": MAX_ENTRIES,
        "uniqueItems": True,
    }
    together = WithJsonSchema({"anyOf": [dict(shape), several]})
    return (*EACH_ONCE, BeforeValidator(_listed), together)


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


Texts = Annotated[list[Text], *EACH_ONCE]


class Section(BaseModel):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True)
