"""Checking a node tree against the models of :mod:`.schema`, in our words and at its places."""

from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from matrix.errors import Problem
from matrix.scenario.document import Kind, Mapping, Node, Scalar, Sequence, node_at
from matrix.scenario.fields import Section
from matrix.scenario.wording import Refused, nearest, one_of, quoted

AnySection = TypeVar("AnySection", bound=Section)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at ``path``; without a problem where that was reported already."""

    path: tuple[str | int, ...]
    problem: Problem | None


def check(root: Node, model: type[AnySection]) -> tuple[AnySection | None, tuple[Finding, ...]]:
    """The values of a file, or everything that is wrong with its shape and single values."""
    try:
        return model.model_validate(_plain(root)), ()
    except ValidationError as error:
        details = error.errors(include_url=False)
    return None, tuple(_finding(root, model, detail) for detail in details)


def read_section(model: type[AnySection], node: Node) -> AnySection:
    """The values of one section in which :func:`check` found nothing wrong."""
    return model.model_validate(_plain(node))


def _plain(node: Node) -> object:
    if isinstance(node, Mapping):
        return {key.text: _plain(value) for key, value in node.entries}
    if isinstance(node, Sequence):
        return [_plain(item) for item in node.items]
    return node


def _finding(root: Node, model: type[BaseModel], details: ErrorDetails) -> Finding:
    path = details["loc"]
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, Refused):
        path = (*path, *cause.path)
    path = _as_written(root, path)
    node = node_at(root, path)
    if isinstance(node, Scalar) and node.kind is Kind.BROKEN:
        return Finding(path, None)
    if details["type"] == "extra_forbidden":
        return Finding(path, _unknown_key(root, model, path))
    if node is None:  # "missing"
        return Finding(path, _missing_key(root, model, path))
    if isinstance(cause, Refused):
        return Finding(path, Problem(node.place, _named(path) + cause.message, cause.allowed))
    message = _named(path) + _wrong_shape(details, node)
    return Finding(path, Problem(node.place, message, _right_shape(details)))


def _as_written(root: Node, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The path where one value may stand for a list of it, or for a mapping with one key."""
    written: list[str | int] = []
    node: Node | None = root
    for step in path:
        if isinstance(node, Scalar):
            break
        if step == 0 and node is not None and not isinstance(node, Sequence):
            continue
        written.append(step)
        node = None if node is None else node_at(node, (step,))
    return tuple(written)


def _named(path: tuple[str | int, ...]) -> str:
    """``timeout: ``, the key that a value belongs to; empty for the whole file."""
    keys = [step for step in path if isinstance(step, str)]
    return f"{keys[-1]}: " if keys else ""


def _wrong_shape(details: ErrorDetails, node: Node) -> str:
    given = "mapping" if isinstance(node, Mapping) else "list"
    if details["type"] == "too_short":
        return f"the {given} is empty"
    if details["type"] == "too_long":
        return f"the {given} has {details['ctx']['actual_length']} entries"
    if isinstance(node, Scalar) and node.kind is Kind.NULL:
        return "has no value"
    wanted = "list" if details["type"] == "list_type" else "mapping"
    if isinstance(node, Scalar):
        return f"a {wanted} is wanted here, not {quoted(node.text)}"
    found = "list" if isinstance(node, Sequence) else "mapping"
    return f"a {wanted} is wanted here, not a {found}"


def _right_shape(details: ErrorDetails) -> str:
    match details["type"]:
        case "too_short":
            return "give at least one value"
        case "too_long":
            return f"at most {details['ctx']['max_length']}"
        case "list_type":
            return "as in [first, second]"
        case _:
            return "as in {key: value}"


def _unknown_key(root: Node, model: type[BaseModel], path: tuple[str | int, ...]) -> Problem:
    section = node_at(root, path[:-1])
    name = str(path[-1])
    place = root.place
    if isinstance(section, Mapping):
        place = next(key.place for key, _ in section.entries if key.text == name)
    known = _section_at(model, path[:-1]).model_fields
    allowed = one_of(name, known)
    home = _section_with(model, name)
    if home and not allowed.startswith("did you mean"):
        allowed = f"it belongs under {quoted(home)}"
    return Problem(place, f"{_named(path[:-1])}unknown key {quoted(name)}", allowed)


def _missing_key(root: Node, model: type[BaseModel], path: tuple[str | int, ...]) -> Problem | None:
    section = node_at(root, path[:-1]) or root
    known = _section_at(model, path[:-1]).model_fields
    name = str(path[-1])
    unknown = [key.text for key, _ in section.entries] if isinstance(section, Mapping) else []
    if any(nearest(key, known) == name for key in unknown if key not in known):
        return None  # the typo of it is reported
    needed = ", ".join(key for key, field in known.items() if field.is_required())
    message = f"{_named(path[:-1])}key {quoted(name)} is missing"
    return Problem(section.place, message, f"needed: {needed}")


def _section_with(model: type[BaseModel], key: str) -> str:
    """The top-level key under which ``key`` may stand, or empty."""
    for name, field in reversed(model.model_fields.items()):
        section = _model_in(field.annotation)
        if section is not None and key in section.model_fields:
            return name
    return ""


def _section_at(model: type[BaseModel], path: tuple[str | int, ...]) -> type[BaseModel]:
    """The model of the mapping at ``path``."""
    any_key = False
    for step in path:
        if any_key:
            any_key = False
        elif isinstance(step, str):
            annotation = model.model_fields[step].annotation
            section = _model_in(annotation)
            assert section is not None  # noqa: S101 - only mappings of known keys have keys
            model, any_key = section, get_origin(annotation) is dict
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model of the section that a field holds, or of the entries of its list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
