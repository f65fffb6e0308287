"""Bytes of a YAML file → a tree of nodes, each with its place and its text as written.

The tree is built from PyYAML's event stream and not by its composer, which recurses as deeply as
the input says and follows aliases without limit. Scalars keep their text, so that ``10.0`` can be
a version; what they would be in YAML is told by the YAML 1.2 core schema (``no`` is text there,
not a boolean, and ``1:30`` no number).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)

from matrix.errors import Place, Problem
from matrix.scenario.given_files import MAX_BYTES
from matrix.scenario.wording import quoted

MAX_DEPTH = 32
MAX_KEYS = 1000
"""In one mapping."""
MAX_NODES = 100_000
"""With every alias counted as often as it is used."""

_QUOTE_IT = "put text that begins with '*', '&', '!', '%', '@', '>', '{' or '[' in quotes"
# libyaml where PyYAML was built with it (some 20 times faster), else PyYAML's own parser.
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class Kind(StrEnum):
    """What a scalar is in YAML 1.2's core schema, named as messages name it."""

    NULL = "null"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "number"
    STRING = "string"
    BROKEN = "broken"
    """Stands where a problem was found already; nothing more is to be said about it."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value or key: its text without quotes, and what it is."""

    text: str
    kind: Kind
    place: Place


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple["Node", ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in the order written; keys are unique."""

    entries: tuple[tuple[Scalar, "Node"], ...]
    place: Place

    def get(self, key: str) -> "Node | None":
        """The value of ``key``, or None."""
        return next((value for name, value in self.entries if name.text == key), None)


Node = Scalar | Sequence | Mapping


def node_at(root: Node, path: tuple[str | int, ...]) -> Node | None:
    """The node that ``path`` (keys and indexes) leads to, or None."""
    node: Node | None = root
    for step in path:
        if isinstance(node, Mapping) and isinstance(step, str):
            node = node.get(step)
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            return None
    return node


def parse_document(data: bytes, file: str) -> tuple[Node | None, tuple[Problem, ...]]:
    """The one document in ``data``, and every problem found on the way.

    ``file`` is what places name. The tree is None where a problem leaves nothing to work with.
    Nothing is raised, whatever the bytes.
    """
    try:
        text = _decode(data, file)
        builder = _Builder(file)
        for event in _events(text, file):
            builder.take(event)
        return builder.finish()
    except _Hopeless as hopeless:
        return None, hopeless.problems


class _Hopeless(Exception):
    """The last of these problems ends the reading."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems


# What YAML 1.2 calls printable (production [1] c-printable).
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _decode(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        place, allowed = Place(file, 1, 1), f"at most {MAX_BYTES >> 20} MiB are read"
        raise _Hopeless(Problem(place, "the file is too large", allowed))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_after(data[: error.start].decode("utf-8", errors="replace"), file)
        message = f"the file is not UTF-8 text: byte 0x{data[error.start]:02x}"
        raise _Hopeless(Problem(place, message, "save it as UTF-8")) from None
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        place = _place_after(text[: unprintable.start()], file)
        message = f"the file is no text: it has the character U+{ord(unprintable[0]):04X}"
        raise _Hopeless(Problem(place, message, "write it as an escape inside double quotes"))
    return text


def _place_after(text: str, file: str) -> Place:
    line_start = text.rfind("\n") + 1
    return Place(file, text.count("\n") + 1, len(text) - line_start + 1)


def _events(text: str, file: str) -> Iterator[Event]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise _Hopeless(_syntax_problem(error, text, file)) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML's own parser raises the latter two for escapes and numbers beyond all bounds.
        raise _Hopeless(Problem(Place(file, 1, 1), f"not valid YAML: {error}")) from None


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
    lines = text.split("\n")
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    here = line[place.column - 1 : place.column]
    if here == "\t":
        return Problem(place, "not valid YAML: a tab indents this line", "indent with spaces")
    context = f" {error.context}" if error.context else ""
    allowed = ""
    meant_as_text = any(word in context for word in ("alias", "anchor", "tag", "block scalar"))
    if meant_as_text or here in tuple("%@`>"):
        allowed = _QUOTE_IT
    return Problem(place, f"not valid YAML: {error.problem}{context}", allowed)


@dataclass(slots=True)
class _Frame:
    """A collection that is being read."""

    start: CollectionStartEvent
    place: Place
    nodes_before: int
    items: list[Node] = field(default_factory=list)
    entries: dict[str, tuple[Scalar, Node]] = field(default_factory=dict)
    key: Node | None = None

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.start, MappingStartEvent)


class _Builder:
    """Takes events one by one and keeps the collections that are open on a stack of its own."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._top = Place(file, 1, 1)
        self._problems: list[Problem] = []
        self._stack: list[_Frame] = []
        self._root: Node | None = None
        self._documents = 0
        self._nodes = 0
        self._anchors: dict[str, tuple[Node, int]] = {}

    def take(self, event: Event) -> None:
        """Consume one event."""
        mark = event.start_mark
        place = Place(self._file, mark.line + 1, mark.column + 1) if mark else self._top
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._give_up(place, "a second document begins here", "one document per file")
        elif isinstance(event, CollectionEndEvent):
            self._close()
        elif isinstance(event, NodeEvent):
            self._count(1, place)
            if isinstance(event, AliasEvent):
                self._add(self._alias(event, place))
            elif isinstance(event, ScalarEvent):
                node = self._scalar(event, place)
                self._remember(event, node, 1)
                self._add(node)
            elif isinstance(event, CollectionStartEvent):
                self._open(event, place)

    def finish(self) -> tuple[Node | None, tuple[Problem, ...]]:
        """The tree and the problems, once all events are taken."""
        if self._root is None and not self._problems:
            self._problem(self._top, "the file is empty", "write keys and their values")
        return self._root, tuple(self._problems)

    def _problem(self, place: Place, message: str, allowed: str) -> None:
        self._problems.append(Problem(place, message, allowed))

    def _give_up(self, place: Place, message: str, allowed: str) -> None:
        self._problem(place, message, allowed)
        raise _Hopeless(*self._problems)

    def _count(self, nodes: int, place: Place) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            self._give_up(
                place,
                "there are too many values here",
                f"at most {MAX_NODES}, aliases counted as often as they are used",
            )

    def _open(self, event: CollectionStartEvent, place: Place) -> None:
        if len(self._stack) >= MAX_DEPTH:
            self._give_up(place, "this is nested too deeply", f"at most {MAX_DEPTH} levels")
        expected = "map" if isinstance(event, MappingStartEvent) else "seq"
        self._check_tag(event.tag, (None, "!", f"tag:yaml.org,2002:{expected}"), place)
        self._stack.append(_Frame(event, place, self._nodes - 1))

    def _close(self) -> None:
        frame = self._stack.pop()
        node: Node = (
            Mapping(tuple(frame.entries.values()), frame.place)
            if frame.is_mapping
            else Sequence(tuple(frame.items), frame.place)
        )
        self._remember(frame.start, node, self._nodes - frame.nodes_before)
        self._add(node)

    def _remember(self, event: NodeEvent, node: Node, size: int) -> None:
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, size)

    def _alias(self, event: AliasEvent, place: Place) -> Node:
        name = event.anchor or ""
        if any(frame.start.anchor == name for frame in self._stack):
            self._problem(place, f"alias {quoted('*' + name)} stands inside what it names", "")
        elif name not in self._anchors:
            self._problem(place, f"alias {quoted('*' + name)} names no anchor before it", _QUOTE_IT)
        else:
            node, size = self._anchors[name]
            self._count(size - 1, place)
            return node
        return Scalar("", Kind.BROKEN, place)

    def _scalar(self, event: ScalarEvent, place: Place) -> Scalar:
        string_tag = "tag:yaml.org,2002:str"
        self._check_tag(event.tag, (None, "!", string_tag), place)
        surrogate = next((c for c in event.value if "\ud800" <= c <= "\udfff"), "")
        if surrogate:  # only PyYAML's own parser lets these escapes through
            self._problem(place, f"U+{ord(surrogate):04X} is no character", "")
            return Scalar("", Kind.BROKEN, place)
        is_plain = event.implicit[0] and event.tag is None
        kind = _kind_of_plain(event.value) if is_plain else Kind.STRING
        return Scalar(event.value, kind, place)

    def _check_tag(self, tag: str | None, known: tuple[str | None, ...], place: Place) -> None:
        if tag not in known:
            shown = quoted((tag or "").replace("tag:yaml.org,2002:", "!!", 1))
            self._problem(place, f"tag {shown} is not supported", "write values without tags")

    def _add(self, node: Node) -> None:
        """Put a finished node where it belongs: into the innermost open collection."""
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        if not frame.is_mapping:
            frame.items.append(node)
        elif frame.key is None:
            frame.key = node
        else:
            key, frame.key = frame.key, None
            self._add_entry(frame, key, node)

    def _add_entry(self, frame: _Frame, key: Node, value: Node) -> None:
        if not isinstance(key, Scalar):
            kind = "list" if isinstance(key, Sequence) else "mapping"
            self._problem(key.place, f"a {kind} cannot be a key", "keys are names; " + _QUOTE_IT)
        elif key.kind is Kind.BROKEN:
            return
        elif key.text == "<<" and key.kind is Kind.STRING:
            self._problem(
                key.place,
                "merge keys ('<<') are not supported",
                "write the keys out, or name the whole value with an alias",
            )
        elif key.text in frame.entries:
            first = frame.entries[key.text][0].place
            self._problem(
                key.place,
                f"duplicate key {quoted(key.text)}",
                f"it was given before, at line {first.line}",
            )
        elif len(frame.entries) == MAX_KEYS:
            self._give_up(key.place, "there are too many keys here", f"at most {MAX_KEYS}")
        else:
            frame.entries[key.text] = (key, value)


_NULL = re.compile(r"(?:null|Null|NULL|~|)")
_BOOLEAN = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
_INTEGER = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)")
_FLOAT = re.compile(
    r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)


def _kind_of_plain(text: str) -> Kind:
    """YAML 1.2, section 10.3.2 (core schema: tag resolution)."""
    for pattern, kind in (
        (_NULL, Kind.NULL),
        (_BOOLEAN, Kind.BOOLEAN),
        (_INTEGER, Kind.INTEGER),
        (_FLOAT, Kind.FLOAT),
    ):
        if pattern.fullmatch(text):
            return kind
    return Kind.STRING
