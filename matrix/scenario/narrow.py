"""What the command line makes of a scenario: fewer architectures, other values of an axis."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from matrix.errors import UsageError
from matrix.migrating import Migration, MigrationMode
from matrix.model import EACH_HOST, Architecture, RunSettings
from matrix.scenario.axes import AXES, MIGRATION_AXES
from matrix.scenario.compatibility import why_senseless
from matrix.scenario.scenario import Exclusion, Matrix, Scenario
from matrix.scenario.values import (
    AxisValue,
    check_limit,
    parse_accel,
    parse_arch,
    parse_repeat,
    parse_retries,
)
from matrix.scenario.variants import MAX_VARIANTS, Resolution, count_combinations, resolve
from matrix.scenario.wording import Refused, one_of, quoted


def narrow(
    scenario: Scenario,
    *,
    arch: Sequence[str] = (),
    accel: Sequence[str] = (),
    set_: Sequence[str] = (),
    repeat: int | None = None,
    until_fail: bool = False,
    retries: int | None = None,
    timeout: float | None = None,
    assist: bool = True,
    spread: bool = False,
    hosts: Sequence[str] = (),
    hops: int | None = None,
    duration: float | None = None,
) -> Scenario:
    """``scenario`` as the command line wants it.

    ``arch`` keeps only these architectures (names or aliases). ``accel`` and each
    ``AXIS=VALUE[,…]`` of ``set_`` set that axis of every variant, to each of several values;
    variants that become the same are merged, and what the scenario excludes is judged by the new
    values. Migrations that make no sense with the new values are excluded, with the reason.
    ``timeout`` (seconds) overrides even the tests' own. Without ``assist`` every guest is left
    alone. With ``spread`` attempts take turns on the hosts. ``hosts`` are what ``each`` of the axis
    ``host`` stands for; none: it stays. ``hops`` and ``duration`` (seconds) say how long guests are
    migrated, hop after hop.

    Raises:
        UsageError: an unknown axis or value, or an architecture that the scenario does not have.
    """
    scenario = _soaked(scenario, hops, duration)
    overrides = _with_hosts(
        dict(scenario.matrix.overrides) | _overrides(accel, set_), scenario.matrix, hosts
    )
    _check_migration(scenario, overrides)
    matrix = replace(scenario.matrix, overrides=tuple(overrides.items()))
    if count_combinations(matrix) > MAX_VARIANTS:
        raise UsageError(f"--set: more than {MAX_VARIANTS} combinations")
    if arch:
        matrix = replace(matrix, architectures=_kept(scenario.name, arch, resolve(matrix)))
    resolution = resolve(matrix)
    if scenario.migration is not None:
        resolution = _without_senseless(resolution, scenario.migration)
    return replace(
        scenario,
        matrix=matrix,
        variants=resolution.variants,
        exclusions=resolution.exclusions,
        settings=_settings(scenario.settings, repeat, until_fail, retries, timeout, assist, spread),
    )


def _soaked(scenario: Scenario, hops: int | None, duration: float | None) -> Scenario:
    if hops is None and duration is None:
        return scenario
    option = "--hops" if hops is not None else "--duration"
    name = quoted(scenario.name)
    if scenario.migration is None:
        raise UsageError(f"{option}: scenario {name} migrates nothing; add 'migration:' to it")
    if hops is not None and duration is not None:
        raise UsageError("--hops and --duration: one of the two says when it is over")
    if scenario.migration.mode is MigrationMode.COOPERATIVE:
        raise UsageError(f"{option}: the guests of scenario {name} say themselves when they hop")
    if duration is not None:
        with _option("--duration"):
            check_limit(duration, f"{duration:g}s")
    migration = replace(
        scenario.migration, mode=MigrationMode.CONTINUOUS, hops=hops, duration=duration
    )
    return replace(scenario, migration=migration)


def _check_migration(scenario: Scenario, axes: Iterable[str]) -> None:
    for axis in axes:
        if axis in MIGRATION_AXES and scenario.migration is None:
            hint = "only one with 'migration:' has this axis"
            raise UsageError(
                f"--set {axis}: scenario {quoted(scenario.name)} migrates nothing; {hint}"
            )


def _without_senseless(resolution: Resolution, migration: Migration) -> Resolution:
    reasons = {one: why_senseless(migration, one) for one in resolution.variants}
    return replace(
        resolution,
        variants=tuple(one for one in resolution.variants if not reasons[one]),
        exclusions=(
            *resolution.exclusions,
            *(Exclusion(one, reasons[one]) for one in resolution.variants if reasons[one]),
        ),
    )


def _settings(
    settings: RunSettings,
    repeat: int | None,
    until_fail: bool,
    retries: int | None,
    timeout: float | None,
    assist: bool,
    spread: bool,
) -> RunSettings:
    settings = replace(
        settings, assist=settings.assist and assist, spread=settings.spread or spread
    )
    if repeat is not None:
        with _option("--repeat"):
            settings = replace(settings, repeat=parse_repeat(str(repeat)))
    if retries is not None:
        with _option("--retries"):
            settings = replace(settings, retries=parse_retries(str(retries)))
    if timeout is not None:
        with _option("--timeout"):
            settings = replace(settings, forced_timeout=check_limit(timeout, f"{timeout:g}s"))
    # One attempt is one that nothing follows; a repeat of 1 that is a default stands for many.
    return replace(settings, until_fail=(settings.until_fail or until_fail) and repeat != 1)


def _with_hosts(
    overrides: dict[str, tuple[AxisValue, ...]], matrix: Matrix, hosts: Sequence[str]
) -> dict[str, tuple[AxisValue, ...]]:
    """With the hosts of the run where the axis ``host`` says ``each``."""
    given = overrides.get("host") or dict(matrix.axes).get("host", ())
    if not hosts or EACH_HOST not in given:
        return overrides
    named = (value for value in given if value != EACH_HOST)
    return overrides | {"host": tuple(dict.fromkeys((*named, *hosts)))}


def _overrides(
    accel: Sequence[str], assignments: Sequence[str]
) -> dict[str, tuple[AxisValue, ...]]:
    """Axis → its new values, in the order given, each once."""
    values: dict[str, dict[AxisValue, None]] = {}
    for text in accel:
        with _option("--accel"):
            values.setdefault("accel", {}).setdefault(parse_accel(text))
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        with _option(f"--set {assignment}"):
            if not equals or name not in AXES:
                wrong = f"{quoted(name)} is not an axis" if equals else "there is no '='"
                raise Refused(wrong, one_of(name, AXES) if equals else "as in --set smp=4")
            for value in values_given(name, text):
                values.setdefault(name, {}).setdefault(AXES[name].parse(value))
    return {name: tuple(given) for name, given in values.items()}


def values_given(axis: str, text: str) -> list[str]:
    """The values in ``--set AXIS=A,B``; machines and CPU models have commas of their own."""
    return [text] if axis in ("machine", "cpu") else text.split(",")


def _kept(name: str, wanted: Sequence[str], resolution: Resolution) -> tuple[Architecture, ...]:
    variants = [*resolution.variants, *(one.variant for one in resolution.exclusions)]
    present = dict.fromkeys(variant.arch for variant in variants)
    kept = []
    for text in wanted:
        with _option("--arch"):
            arch = parse_arch(text)
            if arch not in present:
                allowed = f"it has {', '.join(present)}"
                raise Refused(f"scenario {quoted(name)} has no {arch.value}", allowed)
            kept.append(arch)
    return tuple(dict.fromkeys(kept))


@contextmanager
def _option(option: str) -> Iterator[None]:
    """Says which option it was whose value was refused."""
    try:
        yield
    except Refused as refused:
        raise UsageError(f"{option}: {refused}") from None
