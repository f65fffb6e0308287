"""Whatever the file: a Scenario or a ScenarioError whose problems have places, nothing else."""

import json
import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matrix.errors import Problem, ScenarioError
from matrix.scenario import document
from matrix.scenario.expectations import read_expectations
from matrix.scenario.load import read_scenario
from matrix.scenario.variants import MAX_VARIANTS

ROOT = Path(__file__).parents[2]
SEEDS = [
    *(path.read_text() for path in sorted((ROOT / "scenarios").glob("*.yaml"))),
    *(
        path.read_bytes().decode(errors="surrogateescape")
        for folder in ("golden", "golden/expectations")
        for path in sorted((ROOT / "tests/scenario" / folder).glob("*.yaml"))
        if path.stat().st_size < 2000
    ),
    """expect:
  - cases: [debug, "pmu-*"]
    accel: [tcg]
    qemu: ">=7.2,<10.1"
    host_kernel: ["<6.2", "==6.12"]
    verdicts: [fail, pass]
    subtests: ["pmu: *"]
    reason: not implemented
""",
]
FRAGMENTS = [
    *("&a ", "*a", "<<: *a", "!!int ", "!x ", "? ", "- ", ": ", "\t", "\r", "{", "}", "[", "]"),
    *("'", '"', "|", ">", "%", "@", "`", "---\n", "...\n", "\\", "~", "null", "no", "1:30", "#"),
    *("9" * 400, "1e999", "-0", "0x", "${", "${A}", "{arch}", "\u2028", "\x85", "\ufeff", ".nan"),
    *("matrix:", "arch", "accel", "include", "exclude", "reason", "  ", "\n", ", ", "256MiB"),
    *("a: b", "\U0001f980", "\\ud800", "%YAML 1.1\n---\n"),
    *("expect:", "cases", "qemu", ">=7.2", "==", "<10,", "fail", "pass"),
]
LOADERS = [yaml.BaseLoader, *([yaml.CBaseLoader] if yaml.__with_libyaml__ else [])]
fuzzed = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read(data: bytes) -> None:
    """Read ``data`` as either kind of file with each of PyYAML's parsers and check what comes."""
    for loader, problems_of in product(LOADERS, (problems_of_scenario, problems_of_expectations)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(document, "_LOADER", loader)
            problems = problems_of(data)
        for problem in problems:
            assert problem.place.line >= 1
            assert problem.place.column >= 1
            assert problem.message
            assert str(problem).isprintable()
        assert len(set(problems)) == len(problems)


def problems_of_expectations(data: bytes) -> Sequence[Problem]:
    """The problems of a file of known failures; whatever is raised fails the test."""
    known, problems = read_expectations(data, "x.yaml")
    assert not (known and problems)
    for each in known:
        assert each.expectation.reason
        assert each.expectation.cases
        assert len(each.places) == len(each.expectation.cases)
    return problems


def problems_of_scenario(data: bytes) -> Sequence[Problem]:
    """The problems of a ScenarioError; anything else that is raised fails the test."""
    try:
        scenario = read_scenario(data, "x.yaml", Path("/s"), {"A": "a"})
    except ScenarioError as error:
        return error.problems or pytest.fail("an error without a problem")
    assert 0 < len(scenario.variants) + len(scenario.exclusions) <= MAX_VARIANTS
    return ()


@fuzzed
@given(st.binary(max_size=300))
def test_bytes(data: bytes) -> None:
    read(data)


@fuzzed
@given(st.text(max_size=300))
def test_text(text: str) -> None:
    read(text.encode(errors="surrogatepass"))


@fuzzed
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40))
def test_fragments_of_yaml(fragments: list[str]) -> None:
    read("".join(fragments).encode())


KEYS = (
    "name description suite kind build tests groups exclude include matrix arch accel qemu "
    "machine cpu smp memory run timeout stall repeat migration expect reason max_smp "
    "cases host_kernel cpu_vendor firmware endian verdicts subtests"
)
_keys = st.one_of(st.sampled_from(KEYS.split()), st.text(max_size=5))
_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=10),
    st.sampled_from(["arm", "tcg", "builtin", "kvm-unit-tests", "1GiB", "90s", "s", 4, "${A}"]),
)
_structures = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=5),
    max_leaves=30,
)


@settings(fuzzed, max_examples=100)
@given(st.dictionaries(_keys, _structures, max_size=8))
def test_structures(structure: dict[str, Any]) -> None:
    read(json.dumps(structure, ensure_ascii=False).encode(errors="surrogatepass"))


@fuzzed
@given(st.data())
def test_mutated_scenarios(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SEEDS))
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 8)))
        text = text[:start] + data.draw(st.sampled_from(["", *FRAGMENTS])) + text[end:]
    read(text.encode(errors="surrogateescape"))


@fuzzed
@given(st.data())
def test_mistyped_words(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SEEDS))
    words = list(re.finditer(r"\w+", text))
    if not words:
        return
    word = data.draw(st.sampled_from(words))
    letters = data.draw(st.permutations(word[0][:6]))
    text = text[: word.start()] + "".join(letters) + text[word.end() :]
    read(text.encode(errors="surrogateescape"))
