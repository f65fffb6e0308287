"""A scenario as plain JSON and back, without what loads for a second look at the format.

A dataclass is ``{"": its name, field: value, …}``, an enum ``{"": its name, "value": …}``, a tuple
a list. Only the classes of the vocabulary can come back: nothing that is kept is code.
"""

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from matrix import errors, migrating, model, versions
from matrix.scenario import scenario as scenario_model

_KIND = ""
"""The key that says which class it is; no field is called so."""

CLASSES: dict[str, type] = {
    name: each
    for module in (errors, versions, migrating, model, scenario_model)
    for name, each in vars(module).items()
    if isinstance(each, type) and (is_dataclass(each) or issubclass(each, Enum))
}


def plain(value: Any) -> Any:
    """``value`` as what JSON has.

    Raises:
        TypeError: it is or has something that is not of the vocabulary.
    """
    kind = type(value)
    if isinstance(value, Enum):
        return {_KIND: _name(kind), "value": value.value}
    if is_dataclass(value):
        pairs = ((each.name, plain(getattr(value, each.name))) for each in fields(value))
        return {_KIND: _name(kind), **dict(pairs)}
    if kind is tuple:
        return [plain(each) for each in value]
    if value is None or kind in (str, int, float, bool):
        return value
    raise TypeError(f"{kind.__name__} cannot be kept")


def restored(value: Any) -> Any:
    """What :func:`plain` was given.

    Raises:
        KeyError, TypeError, ValueError: it is not what that gave.
    """
    if isinstance(value, list):
        return tuple(map(restored, value))
    if not isinstance(value, dict):
        return value
    values = {name: restored(each) for name, each in value.items() if name != _KIND}
    return CLASSES[value[_KIND]](**values)


def _name(kind: type) -> str:
    if CLASSES.get(kind.__name__) is not kind:
        raise TypeError(f"{kind.__name__} cannot be kept")
    return kind.__name__
