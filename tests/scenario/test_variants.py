"""The rules of a GitHub Actions matrix, against its documented example and a naive reading."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from matrix.model import Accelerator, Architecture, Variant
from matrix.scenario.scenario import Entry, Exclusion, Matrix, Scenario
from matrix.scenario.variants import count_combinations, resolve

X86, ARM, PPC = Architecture.X86_64, Architecture.ARM, Architecture.PPC64
KVM, TCG, AUTO = Accelerator.KVM, Accelerator.TCG, Accelerator.AUTO

Values = dict[str, Any]


def matrix_of(
    axes: Mapping[str, Sequence[Any]],
    include: Sequence[Values] = (),
    exclude: Sequence[Values] = (),
    **overrides: Sequence[Any],
) -> Matrix:
    return Matrix(
        axes=tuple((name, tuple(values)) for name, values in axes.items()),
        include=tuple(Entry(tuple(entry.items())) for entry in include),
        exclude=tuple(
            Entry(tuple((k, v) for k, v in entry.items() if k != "reason"), entry.get("reason", ""))
            for entry in exclude
        ),
        overrides=tuple((name, tuple(values)) for name, values in overrides.items()),
    )


def test_the_documented_example_of_include() -> None:
    """GitHub's fruit and animals, as arch and smp; colour is cpu and shape is machine."""
    resolution = resolve(
        matrix_of(
            {"arch": [X86, ARM], "smp": [1, 2]},
            include=[
                {"cpu": "green"},
                {"cpu": "pink", "smp": 1},
                {"arch": X86, "machine": "circle"},
                {"arch": PPC},
                {"arch": PPC, "smp": 1},
            ],
        )
    )
    assert resolution.variants == (
        Variant(X86, smp=1, cpu="pink", machine="circle"),
        Variant(X86, smp=2, cpu="green", machine="circle"),
        Variant(ARM, smp=1, cpu="pink"),
        Variant(ARM, smp=2, cpu="green"),
        Variant(PPC),
        Variant(PPC, smp=1),
    )
    assert not resolution.flaws


def test_the_last_axis_changes_fastest() -> None:
    resolution = resolve(matrix_of({"smp": [2, 1], "arch": [ARM, X86]}))
    assert [(v.smp, v.arch) for v in resolution.variants] == [
        (2, ARM),
        (2, X86),
        (1, ARM),
        (1, X86),
    ]


def test_excludes_are_partial_and_come_before_includes() -> None:
    resolution = resolve(
        matrix_of(
            {"arch": [X86, ARM], "accel": [KVM, TCG]},
            exclude=[{"accel": KVM}, {"smp": 2}],
            include=[{"arch": ARM, "accel": KVM, "cpu": "host"}],
        )
    )
    assert resolution.variants == (
        Variant(X86, TCG),
        Variant(ARM, TCG),
        Variant(ARM, KVM, cpu="host"),
    )


def test_a_reason_keeps_what_is_excluded_visible() -> None:
    resolution = resolve(
        matrix_of(
            {"arch": [X86, ARM], "accel": [KVM, TCG]},
            exclude=[{"arch": ARM, "accel": KVM, "reason": "no host"}, {"arch": ARM}],
            include=[{"machine": "m"}],
        )
    )
    assert resolution.variants == (Variant(X86, KVM, machine="m"), Variant(X86, TCG, machine="m"))
    assert resolution.exclusions == (Exclusion(Variant(ARM, KVM, machine="m"), "no host"),)


def test_what_an_include_brings_back_is_not_excluded() -> None:
    resolution = resolve(
        matrix_of(
            {"arch": [X86, ARM]},
            exclude=[{"arch": ARM, "reason": "not here"}],
            include=[{"arch": ARM}],
        )
    )
    assert resolution.variants == (Variant(X86), Variant(ARM))
    assert not resolution.exclusions


def test_flaws() -> None:
    resolution = resolve(
        matrix_of(
            {"arch": [X86], "accel": [TCG]},
            include=[
                {"accel": KVM},
                {"arch": ARM, "accel": KVM},
                {"arch": ARM, "accel": KVM, "qemu": "system"},
            ],
        )
    )
    assert [flaw.entry for flaw in resolution.flaws] == [0, 2]


def test_an_override_sets_an_axis_of_every_variant_and_merges() -> None:
    axes: dict[str, list[Any]] = {"arch": [X86, ARM], "accel": [TCG]}
    include: list[Values] = [{"arch": X86, "accel": KVM}, {"arch": PPC, "smp": 8}]
    assert resolve(matrix_of(axes, include, accel=[TCG])).variants == (
        Variant(X86, TCG),
        Variant(ARM, TCG),
        Variant(PPC, TCG, smp=8),
    )
    assert resolve(matrix_of(axes, include, smp=[1, 2])).variants == (
        Variant(X86, TCG, smp=1),
        Variant(X86, TCG, smp=2),
        Variant(ARM, TCG, smp=1),
        Variant(ARM, TCG, smp=2),
        Variant(X86, KVM, smp=1),
        Variant(X86, KVM, smp=2),
        Variant(PPC, smp=1),
        Variant(PPC, smp=2),
    )


def test_excludes_are_judged_by_overridden_values() -> None:
    axes: dict[str, list[Any]] = {"arch": [X86, ARM], "accel": [KVM]}
    exclude: list[Values] = [{"arch": ARM, "accel": KVM, "reason": "r"}, {"arch": X86, "smp": 4}]
    assert resolve(matrix_of(axes, exclude=exclude)).variants == (Variant(X86, KVM),)
    lifted = resolve(matrix_of(axes, exclude=exclude, accel=[TCG]))
    assert lifted.variants == (Variant(X86, TCG), Variant(ARM, TCG))
    assert not lifted.exclusions
    imposed = resolve(matrix_of(axes, exclude=exclude, smp=[4]))
    assert imposed.variants == ()
    assert imposed.exclusions == (Exclusion(Variant(ARM, KVM, smp=4), "r"),)


def test_combinations_are_counted_without_making_them() -> None:
    many = range(1, 4097)
    assert count_combinations(matrix_of({"arch": [X86], "smp": many, "memory": many})) == 4096**2
    assert count_combinations(matrix_of({"arch": [X86], "smp": many}, cpu=["a", "b"])) == 8192


def naive(axes: dict[str, list[Any]], include: list[Values], exclude: list[Values]) -> list[Values]:
    """GitHub's words, one by one: combinations, excludes, then each include in turn."""
    combinations: list[Values] = [
        dict(zip(axes, point, strict=True)) for point in product(*axes.values())
    ]
    combinations = [
        combination
        for combination in combinations
        if not any(entry.items() <= combination.items() for entry in exclude)
    ]
    originals = [dict(combination) for combination in combinations]
    alone = []
    for entry in include:
        added = False
        for original, combination in zip(originals, combinations, strict=True):
            would_overwrite = [k for k in entry if k in original and original[k] != entry[k]]
            if not would_overwrite:
                combination.update(entry)
                added = True
        if not added:
            alone.append(dict(entry))
    return combinations + alone


_VALUES: dict[str, list[Any]] = {
    "arch": [X86, ARM, PPC],
    "accel": [AUTO, KVM, TCG],
    "smp": [1, 2],
    "cpu": ["a", "b"],
    "memory": [1, 2],
}


@st.composite
def entries(draw: st.DrawFn) -> Values:
    names = draw(st.sets(st.sampled_from(list(_VALUES)), min_size=1, max_size=4))
    return {name: draw(st.sampled_from(_VALUES[name])) for name in sorted(names)}


@st.composite
def all_axes(draw: st.DrawFn) -> dict[str, list[Any]]:
    names = draw(st.sets(st.sampled_from(list(_VALUES)))) | {"arch"}
    return {
        name: draw(st.lists(st.sampled_from(_VALUES[name]), min_size=1, unique=True))
        for name in sorted(names)
    }


@settings(max_examples=300, deadline=None)
@given(all_axes(), st.lists(entries(), max_size=5), st.lists(entries(), max_size=3))
def test_expansion_is_githubs(
    axes: dict[str, list[Any]], include: list[Values], exclude: list[Values]
) -> None:
    resolution = resolve(matrix_of(axes, include, exclude))
    expected = [Variant(**values) for values in naive(axes, include, exclude) if "arch" in values]
    assert resolution.variants == tuple(dict.fromkeys(expected))
    flawed = len(naive(axes, include, exclude)) - len(dict.fromkeys(expected))
    assert len(resolution.flaws) == flawed
    assert not resolution.exclusions


@settings(max_examples=200, deadline=None)
@given(all_axes(), st.lists(entries(), max_size=5), st.lists(entries(), max_size=3))
def test_reasons_only_add_exclusions(
    axes: dict[str, list[Any]], include: list[Values], exclude: list[Values]
) -> None:
    plain = resolve(matrix_of(axes, include, exclude))
    visible = resolve(matrix_of(axes, include, [entry | {"reason": "r"} for entry in exclude]))
    assert visible.variants == plain.variants
    everything = resolve(matrix_of(axes, include))
    if not exclude:
        assert not visible.exclusions
    assert not {one.variant for one in visible.exclusions} & set(visible.variants)
    assert len(everything.variants) <= len(visible.variants) + len(visible.exclusions)


def test_the_documented_example_of_a_scenario(load_matrix: Callable[..., Scenario]) -> None:
    scenario = load_matrix(
        """
  arch: [x86_64, aarch64, s390x]
  accel: [auto]
  qemu: [system]
  exclude: [{arch: s390x, smp: 4, reason: "…"}]
  include: [{arch: aarch64, machine: "virt,gic-version=3"}]
"""
    )
    assert scenario.variants == (
        Variant(X86),
        Variant(Architecture.AARCH64, machine="virt,gic-version=3"),
        Variant(Architecture.S390X),
    )
