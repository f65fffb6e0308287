"""YAML → nodes with places. What is refused stands in the golden files."""

from itertools import pairwise

import pytest
import yaml

from matrix.errors import Place
from matrix.scenario import document
from matrix.scenario.document import (
    Kind,
    Mapping,
    Scalar,
    Sequence,
    node_at,
    parse_document,
)
from matrix.scenario.given_files import MAX_BYTES


@pytest.fixture(params=["libyaml", "python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both of PyYAML's parsers; the machine decides which one a user gets."""
    name = str(request.param)
    if name == "libyaml" and not yaml.__with_libyaml__:
        pytest.skip("PyYAML is built without libyaml")
    loader = yaml.CBaseLoader if name == "libyaml" else yaml.BaseLoader
    monkeypatch.setattr(document, "_LOADER", loader)
    return name


def scalar_of(text: str) -> Scalar:
    root, problems = parse_document(f"key: {text}".encode(), "x.yaml")
    assert not problems
    node = node_at(root, ("key",)) if root else None
    assert isinstance(node, Scalar)
    return node


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", Kind.NULL),
        ("~", Kind.NULL),
        ("null", Kind.NULL),
        ("true", Kind.BOOLEAN),
        ("FALSE", Kind.BOOLEAN),
        ("no", Kind.STRING),
        ("on", Kind.STRING),
        ("12", Kind.INTEGER),
        ("0x1F", Kind.INTEGER),
        ("010", Kind.INTEGER),
        ("1_000", Kind.STRING),
        ("1:30", Kind.STRING),
        ("10.0", Kind.FLOAT),
        ("11.10", Kind.FLOAT),
        (".nan", Kind.FLOAT),
        ("-.inf", Kind.FLOAT),
        ("1e3", Kind.FLOAT),
        ("2026-01-01", Kind.STRING),
        ("'12'", Kind.STRING),
        ('""', Kind.STRING),
        ("! 12", Kind.STRING),
        ("!!str 12", Kind.STRING),
    ],
)
def test_kinds_are_those_of_yaml_1_2(parser: str, text: str, kind: Kind) -> None:
    assert scalar_of(text).kind is kind


@pytest.mark.parametrize("text", ["10.0", "11.10", "010", "1e3", "no", "True"])
def test_text_stays_as_written(parser: str, text: str) -> None:
    assert scalar_of(text).text == text


def test_places(parser: str) -> None:
    root, problems = parse_document(b"a: 1\nb:\n  - x\n  - {c: \xc3\xa9, d: y}\n", "f.yaml")
    assert not problems
    assert isinstance(root, Mapping)
    assert root.place == Place("f.yaml", 1, 1)
    assert root.entries[1][0].place == Place("f.yaml", 2, 1)
    places = {
        path: node.place
        for path in [("b",), ("b", 0), ("b", 1), ("b", 1, "c"), ("b", 1, "d")]
        if (node := node_at(root, path))
    }
    assert places == {
        ("b",): Place("f.yaml", 3, 3),
        ("b", 0): Place("f.yaml", 3, 5),
        ("b", 1): Place("f.yaml", 4, 5),
        ("b", 1, "c"): Place("f.yaml", 4, 9),
        ("b", 1, "d"): Place("f.yaml", 4, 15),
    }
    assert node_at(root, ("b", 2)) is None
    assert node_at(root, ("b", "c")) is None
    assert node_at(root, ("a", 0)) is None


def test_aliases_are_the_same_node(parser: str) -> None:
    root, problems = parse_document(b"a: &x [1, 2]\nb: *x\nc: &y z\n*y : 1", "f.yaml")
    assert not problems
    assert isinstance(root, Mapping)
    assert root.get("a") is root.get("b")
    assert isinstance(root.get("a"), Sequence)
    assert isinstance(root.get("z"), Scalar)


def test_an_anchor_may_be_given_anew(parser: str) -> None:
    root, _ = parse_document(b"a: &x 1\nb: &x 2\nc: *x", "f.yaml")
    node = node_at(root, ("c",)) if root else None
    assert isinstance(node, Scalar)
    assert node.text == "2"


def test_byte_order_mark_and_line_ends(parser: str) -> None:
    root, problems = parse_document(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "f.yaml")
    assert not problems
    node = node_at(root, ("b",)) if root else None
    assert node is not None
    assert node.place == Place("f.yaml", 2, 4)


def test_large_files_are_refused_and_not_read() -> None:
    root, problems = parse_document(b"[" * (MAX_BYTES + 1), "f.yaml")
    assert root is None
    assert [str(problem) for problem in problems] == [
        "f.yaml:1:1: the file is too large; at most 1 MiB are read"
    ]


def test_several_problems_are_all_found(parser: str) -> None:
    _, problems = parse_document(b"a: !x 1\na: 2\n? [b]\n: 3\nc: *d\n<<: {}\n", "f.yaml")
    assert [problem.place.line for problem in problems] == [1, 2, 3, 4 + 1, 6]


@pytest.mark.parametrize(
    "data",
    [
        b"%YAML 99999999999999999999999.1\n--- a",
        b"%YAML " + b"1" * 5000 + b".1\n--- a",
        b'"\\UFFFFFFFF"',
        b'"\\U00110000"',
        b'a: "\\ud800"',
        b"[" * 100_000,
        b"{" * 100_000,
        b"- " * 100_000,
        b"? " * 100_000,
        b"&a " * 1000,
        b"!<" + b"x" * 5000,
        b"a: |99999999999999\n  x",
        b"\xff\xfe\x00\x00",
        b"\x00",
        b"\xed\xa0\x80",
    ],
)
def test_hostile_documents_are_refused(parser: str, data: bytes) -> None:
    _, problems = parse_document(data, "f.yaml")
    assert problems
    assert all(problem.place.line >= 1 for problem in problems)


def test_an_alias_bomb_is_stopped_early(parser: str) -> None:
    names = "abcdefghijklmnopqrstuvwxyz"
    lines = ["a: &a [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]"]
    lines += [f"{n}: &{n} [{', '.join(['*' + p] * 10)}]" for p, n in pairwise(names)]
    _, problems = parse_document("\n".join(lines).encode(), "f.yaml")
    assert "too many values" in str(problems[-1])
    assert problems[-1].place.line == 5
