"""The table ``[tool.matrix]`` of a TOML file → a tree of nodes, as those of a YAML document.

The standard library's parser tells no lines. They are looked for afterwards: each key's, by the
headers and the assignments that are alone on a line; what is in an inline table is at its line.
"""

import re
import tomllib
from collections.abc import Iterator

from matrix.errors import Place, Problem
from matrix.scenario.document import Kind, Mapping, Node, Scalar, Sequence

TABLE = ("tool", "matrix")
_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_LINE = re.compile(r"\s*(?:\[([^\[\]]+)\]\s*(?:#.*)?$|([^=#]+?)\s*=)")

_Keys = tuple[str, ...]


def parse_table(data: bytes, file: str) -> tuple[Node | None, tuple[Problem, ...]]:
    """The table in ``data``, and every problem; ``file`` is what places name."""
    try:
        text = data.decode()
        found: object = tomllib.loads(text)
    except UnicodeDecodeError:
        return None, (Problem(Place(file, 1), "the file is not UTF-8 text", "save it as UTF-8"),)
    except tomllib.TOMLDecodeError as error:
        where = _WHERE.search(str(error))
        line, column = (int(each or 0) for each in where.groups()) if where else (0, 0)
        message = f"not valid TOML: {_WHERE.sub('', str(error))}"
        return None, (Problem(Place(file, line or text.count("\n") + 1, column), message),)
    places = {keys: Place(file, line) for keys, line in _lines(text)}
    for key in TABLE:
        found = found.get(key, {}) if isinstance(found, dict) else {}
    return _node(found, TABLE, places, places.get(TABLE, Place(file, 1))), ()


def _lines(text: str) -> Iterator[tuple[_Keys, int]]:
    """(keys from the top, 1-based line) of all headers and assignments."""
    table: _Keys = ()
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.match(line)
        if match is None:
            continue
        keys = _keys(match[1] or match[2])
        if match[1]:
            table = keys
            yield table, number
        else:
            for length in range(1, len(keys) + 1):
                yield (*table, *keys[:length]), number


def _keys(written: str) -> _Keys:
    """A key as it is written, with dots and quotes, as keys; none where it is no key after all."""
    try:
        found: object = tomllib.loads(f"{written} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    keys = []
    while isinstance(found, dict):
        ((key, found),) = found.items()
        keys.append(key)
    return tuple(keys)


def _node(value: object, keys: _Keys, places: dict[_Keys, Place], above: Place) -> Node:
    place = places.get(keys, above)
    if isinstance(value, dict):
        entries = []
        for key, each in value.items():
            node = _node(each, (*keys, key), places, place)
            entries.append((Scalar(key, Kind.STRING, node.place), node))
        return Mapping(tuple(entries), place)
    if isinstance(value, list):
        return Sequence(tuple(_node(each, keys, places, place) for each in value), place)
    if isinstance(value, bool):
        return Scalar(str(value).lower(), Kind.BOOLEAN, place)
    kind = {int: Kind.INTEGER, float: Kind.FLOAT}.get(type(value), Kind.STRING)
    return Scalar(str(value), kind, place)
