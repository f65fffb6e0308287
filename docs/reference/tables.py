"""Tables of enums and records for the manual: their members, with what the code says of each."""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

_ROLE = re.compile(r":\w+:`[~.]*([^`]*)`|``([^`]*)``")
"""How docstrings refer to code: ``:class:`Name``` and literals."""
_NAMED = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
_CODE = re.compile(r"`(\w+)`")
_WORDS = {
    "str": "text",
    "int": "integer",
    "float": "number",
    "bool": "true or false",
    "None": "null",
    "Any": "anything",
}


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of a class as its source has it."""

    type_: str
    """In words; empty of an enum's."""
    text: str


def with_tables(text: str) -> str:
    """A page with the table of each class that a line ``::: NAME`` of it names."""
    here = {name.rpartition(".")[2] for name in _NAMED.findall(text)}
    return _NAMED.sub(lambda found: "\n".join(table(found[1], here)), text)


def table(name: str, here: Collection[str] = ()) -> Iterator[str]:
    """The table of a class, as Markdown, below what its docstring says.

    Args:
        name: its full name, as ``matrix.verdicts.Verdict``.
        here: the classes that have a table on the same page, to which types lead.

    Raises:
        ValueError: it has no members.
    """
    module, _, own = name.rpartition(".")
    kind = getattr(importlib.import_module(module), own)
    members: dict[str, _Member] = {}
    for each in reversed(kind.__mro__):
        if each.__module__.startswith("matrix."):
            members |= _members(each)
    yield f'<a id="{own}"></a>'
    yield markdown(inspect.getdoc(kind) or "")
    yield ""
    if issubclass(kind, Enum):
        yield from _values(kind, members)
        return
    shown = {key: each for key, each in members.items() if not key.startswith("_")}
    if not shown:
        raise ValueError(f"{name} has no members")
    yield from ("| key | type | |", "|---|---|---|")
    for key, member in shown.items():
        type_ = _CODE.sub(lambda found: _linked(found[1], here), _cell(member.type_))
        yield f"| `{key}` | {type_} | {_cell(member.text)} |"


def _values(kind: type[Enum], members: Mapping[str, _Member]) -> Iterator[str]:
    if not any(members[each.name].text for each in kind):
        yield ", ".join(f"`{each.value}`" for each in kind)
        return
    yield from ("| value | |", "|---|---|")
    for each in kind:
        yield f"| `{each.value}` | {_cell(members[each.name].text)} |"


def _linked(name: str, here: Collection[str]) -> str:
    return f"[`{name}`](#{name})" if name in here else f"`{name}`"


def markdown(text: str) -> str:
    """What a docstring says, in Markdown."""
    return _ROLE.sub(
        lambda found: f"`{found[2] or found[1].rpartition('.')[2]}`",
        text,
    )


def _cell(text: str) -> str:
    joined = " ".join(markdown(text).split())
    return joined.replace("|", "\\|").replace("<", "&lt;")


def _members(kind: type) -> Mapping[str, _Member]:
    """What a class itself has, in order."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)  # noqa: S101 - it is the source of a class
    found: dict[str, _Member] = {}
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        match node:
            case ast.AnnAssign(target=ast.Name(id=key), annotation=annotation):
                type_ = _type(annotation)
            case ast.Assign(targets=[ast.Name(id=key)]):
                type_ = ""
            case _:
                continue
        match after:
            case ast.Expr(value=ast.Constant(value=str(text))):
                found[key] = _Member(type_, text)
            case _:
                found[key] = _Member(type_, "")
    return found


def _type(node: ast.expr) -> str:
    """An annotation in the words of JSON."""
    match node:
        case ast.Constant(value=None):
            return "null"
        case ast.Constant(value=str(text)):
            return _type(ast.parse(text, mode="eval").body)
        case ast.Name(id=name):
            return _WORDS.get(name, f"`{name}`")
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return f"{_type(left)} or {_type(right)}"
        case ast.Subscript(value=ast.Name(id="Mapping" | "dict"), slice=ast.Tuple(elts=[key, to])):
            return f"mapping of {_type(key)} to {_type(to)}"
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[first, *rest])):
            if all(isinstance(each, ast.Constant) and each.value is ... for each in rest):
                return f"list of {_type(first)}"
            return "[" + ", ".join(map(_type, [first, *rest])) + "]"
        case ast.Subscript(value=ast.Name(id="NotRequired"), slice=inner):
            return _type(inner)
        case ast.Subscript(value=ast.Name(id="list" | "Sequence"), slice=inner):
            return f"list of {_type(inner)}"
        case _:
            return f"`{ast.unparse(node)}`"
