"""The JSON Schema and the validator say the same, by an independent reading of the schema."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from matrix.scenario.axes import AXES
from matrix.scenario.document import parse_document
from matrix.scenario.expectations import ExpectationsSection, expectations_schema
from matrix.scenario.fields import Section
from matrix.scenario.schema import ScenarioSection, json_schema
from matrix.scenario.validation import check

VALIDATOR = Draft202012Validator(json_schema())
EXPECTATIONS_VALIDATOR = Draft202012Validator(expectations_schema())

RIGHT: dict[str, Any] = {
    "name": "s",
    "description": "d",
    "suite": {
        "kind": "kvm-unit-tests",
        "build": "builtin",
        "tests": ["a", "b*"],
        "groups": ["g"],
        "exclude": ["c"],
        "max_smp": 8,
    },
    "matrix": {
        "arch": ["x86_64", "arm64"],
        "accel": ["auto", "kvm"],
        "qemu": ["system", 10.1, "7.2"],
        "machine": ["q35"],
        "cpu": ["max"],
        "smp": [1, 4096],
        "memory": ["1GiB", "1.5GiB"],
        "backend": ["ram", "hugepages"],
        "kernel": ["debian-13", 6.12],
        "mode": ["nvhe"],
        "kernel_parameters": ["mitigations=off"],
        "module_parameters": ["kvm.a=1 kvm.b=2", {"kvm.a": "off", "kvm.b": 1, "kvm.c": True}],
        "host": ["z1", "each"],
        "strategy": ["precopy"],
        "transport": ["unix"],
        "fault": ["cancel-in-active"],
        "destination": ["11.1", 10.0],
        "include": [{"arch": "arm", "smp": 2}],
        "exclude": [{"arch": "x86_64", "reason": "why"}],
    },
    "hosts": [
        {"virtual": {"arch": "arm64"}},
        {
            "virtual": {
                "arch": ["x86_64", "riscv64"],
                "kernel": ["debian-12", {"image": "a/Image", "modules": "m", "name": "mine"}],
                "cpus": 2,
                "memory": "2GiB",
                "kvmtool": "lkvm",
                "kernel_parameters": "loglevel=7",
                "module_parameters": {"kvm.a": "off"},
            }
        },
        {"virtual": {"arch": "ppc64", "kernel": {"image": "vmlinux"}}},
        {"virtual": {"arch": "s390x", "kernel": "vmlinux", "mode": "vhe"}},
    ],
    "run": {
        "timeout": "90s",
        "stall": "300ms",
        "repeat": 2,
        "retries": 0,
        "until_fail": True,
        "alone": True,
    },
    "migration": {
        "mode": "continuous",
        "strategy": ["precopy", "multifd", "mapped-ram"],
        "transport": "tcp+tls-psk",
        "parameters": {
            "max-bandwidth": "64MiB/s",
            "downtime-limit": "300ms",
            "multifd-channels": 4,
            "xbzrle-cache-size": "64MiB",
            "cpu-throttle-tailslow": True,
            "multifd-compression": "zstd",
            "vcpu-dirty-limit": "4MiB/s",
        },
        "hops": 100,
        "duration": "8h",
        "pace": "0s",
        "destination": {"qemu": "11.1", "machine": "newest-common"},
        "faults": ["no-listener", "disk-full"],
        "limits": {
            "downtime": {"p99": "300ms", "max": "1s"},
            "blackout": {"max": "2s"},
            "total-time": "60s",
            "hops-per-minute": 20.5,
            "clock-jump": "500ms",
        },
        "explain_downtime": True,
    },
    "expect": ["known.yaml"],
}
"""Every key of the format."""

RIGHT_EXPECTATIONS: dict[str, Any] = {
    "format": 2,
    "suite_revision": "v1",
    "expect": [
        {
            "cases": ["debug", "pmu-*"],
            "arch": ["x86_64", "arm64"],
            "accel": ["tcg", "kvm", "kvm (virtual)"],
            "qemu": ">=7.2,<10.1",
            "host_kernel": ["<6.2", "==6.12"],
            "cpu_vendor": ["GenuineIntel"],
            "firmware": ["default", "uefi"],
            "endian": ["little"],
            "verdicts": ["fail", "pass"],
            "subtests": ["pmu: *"],
            "reason": "why",
        },
        {"cases": ["x"], "reason": 42},
    ],
}

# Nothing here that only the validator can refuse: sizes and times out of bounds, 1.5KiB.
LEAVES: list[Any] = [
    *(None, True, False, 0, 1, 4, 4096, 4097, 10001, -1, 2.5, 10**30),
    *("", " ", "x", "a b", " x", "4", "no", "${X}", "arm", "arm64", "ARM", "tcg", "system", "/x"),
    *("90", "90s", "1:30", "5m", "300ms", "256", "256MiB", "256 MiB", "1.5GiB", "GiB", "1e3MiB"),
    *("fail", "pass", "error", "auto", "==7.2", ">=7.2,<10", " > 6 ", ">=07", "7.2"),
    *("precopy", "once", "tcp", "file", "zlib", "64MiB/s", "true", "0s"),
    *("builtin", "kvm-unit-tests", "x" * 64, "x" * 65, "x" * 201, "tab\there", "line\nbreak", "é"),
]
_leaf = st.sampled_from(LEAVES)
_junk = st.one_of(
    _leaf,
    st.lists(_leaf, max_size=3),
    st.dictionaries(st.sampled_from([*AXES, "reason", "x"]), _leaf, max_size=2),
)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of everything below ``value``."""
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [p for key, item in items for p in ((*path, key), *paths(item, (*path, key)))]


@st.composite
def documents(draw: st.DrawFn, right: Any) -> Any:
    """A right document with some parts replaced, removed or added."""
    document = json.loads(json.dumps(right))
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(paths(document)))
        parent = document
        for step in path[:-1]:
            parent = parent[step]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                parent[path[-1]] = draw(_junk)
            case "remove":
                del parent[path[-1]]
            case _ if isinstance(parent, dict):
                parent[draw(st.sampled_from([*AXES, "reason", "x", "timeout"]))] = draw(_junk)
            case _:
                parent.append(draw(_junk))
        if not paths(document):
            break
    return document


def refusals(document: Any, model: type[Section] = ScenarioSection) -> list[str]:
    root, problems = parse_document(json.dumps(document, ensure_ascii=False).encode(), "x.yaml")
    assert root is not None
    assert not problems
    _, findings = check(root, model)
    return [str(finding.problem) for finding in findings]


@settings(max_examples=400, deadline=None)
@given(documents(RIGHT))
def test_schema_and_validator_agree(document: Any) -> None:
    refused = refusals(document)
    if VALIDATOR.is_valid(document):
        # Two values may be the same without being equal in JSON: arm64 and aarch64.
        assert all("is the same value as" in text for text in refused)
    else:
        assert refused


@settings(max_examples=400, deadline=None)
@given(documents(RIGHT_EXPECTATIONS))
def test_they_agree_on_expectations(document: Any) -> None:
    refused = refusals(document, ExpectationsSection)
    if EXPECTATIONS_VALIDATOR.is_valid(document):
        assert all("is the same value as" in text for text in refused)
    else:
        assert refused


@pytest.mark.parametrize("path", paths(RIGHT_EXPECTATIONS), ids=str)
@pytest.mark.parametrize("leaf", [None, True, 0, 2.5, "", [], {}, "x" * 5000], ids=repr)
def test_they_agree_on_every_key_of_expectations(path: tuple[str | int, ...], leaf: Any) -> None:
    document = json.loads(json.dumps(RIGHT_EXPECTATIONS))
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = leaf
    valid = EXPECTATIONS_VALIDATOR.is_valid(document)
    assert valid == (not refusals(document, ExpectationsSection))


@pytest.mark.parametrize("path", paths(RIGHT), ids=str)
@pytest.mark.parametrize("leaf", [None, True, 0, 2.5, "", [], {}, "x" * 5000], ids=repr)
def test_they_agree_on_every_key(path: tuple[str | int, ...], leaf: Any) -> None:
    document = json.loads(json.dumps(RIGHT))
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = leaf
    assert VALIDATOR.is_valid(document) == (not refusals(document))


def test_everything_right_is_accepted_by_both() -> None:
    assert VALIDATOR.is_valid(RIGHT)
    assert not refusals(RIGHT)
    assert EXPECTATIONS_VALIDATOR.is_valid(RIGHT_EXPECTATIONS)
    assert not refusals(RIGHT_EXPECTATIONS, ExpectationsSection)


@pytest.mark.parametrize("schema", [json_schema(), expectations_schema()])
def test_it_is_a_json_schema(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("schema", [json_schema(), expectations_schema()])
def test_every_key_is_described(schema: dict[str, Any]) -> None:
    for definition in [schema, *schema["$defs"].values()]:
        assert definition["description"]
        for name, field in definition["properties"].items():
            definition_of = schema["$defs"][field["$ref"].split("/")[-1]] if "$ref" in field else {}
            assert field.get("description") or definition_of.get("description"), name
            assert "default" not in field, name


def test_every_axis_is_in_it() -> None:
    definitions = json_schema()["$defs"]
    for section in ("MatrixSection", "IncludeSection", "ExcludeSection"):
        assert set(AXES) <= set(definitions[section]["properties"])
