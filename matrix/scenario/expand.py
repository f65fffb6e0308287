"""A Scenario and its suite's tests → cases. The host is never looked at.

Variants, tests and builds are shared between cases: there may be 100,000 of them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from matrix.errors import Problem, ScenarioError
from matrix.migrating import Migration, MigrationMode
from matrix.model import Architecture, Case, Endian, Test, Variant
from matrix.scenario.case_id import case_id, variant_suffix
from matrix.scenario.choose import Chooser, Chosen, unmatched_filters
from matrix.scenario.known import KnownFailures
from matrix.scenario.scenario import Scenario, SuiteTests
from matrix.scenario.wording import quoted
from matrix.verdicts import SkipCause

__all__ = ["MAX_CASES", "SuiteTests", "expand"]

MAX_CASES = 1_000_000
COOPERATIVE_GROUP = "migration"
"""The group of kvm-unit-tests that ask to be migrated while they run."""

ALONE = Migration(mode=MigrationMode.COOPERATIVE)
"""How they are migrated where the scenario does not say how."""


_Guests = tuple[Architecture, Endian | None]
"""Which build a variant's guests are of."""


def _as_it_is(suite: SuiteTests, _: Endian) -> SuiteTests:
    return suite


def expand(
    scenario: Scenario,
    suite: Callable[[Architecture], SuiteTests],
    *,
    in_byte_order: Callable[[SuiteTests, Endian], SuiteTests] = _as_it_is,
    include_nodefault: bool = False,
) -> list[Case]:
    """The cases of ``scenario``: every chosen test in every variant, in order.

    ``suite`` is asked once for each architecture, and ``in_byte_order`` once for each byte order
    that a variant names and that suite does not have. Cases that the scenario itself skips are in
    the list with their reason as ``excluded``: of variants excluded with a reason, of tests in
    group nodefault that were neither chosen by name or group nor by ``include_nodefault``, and one
    for each variant whose architecture or byte order the suite has no build for.

    Raises:
        ScenarioError: a pattern or group matches no test of any architecture, be it of the suite's
            filters or of known failures, there are too many cases, or two have the same id.
    """
    architectures = dict.fromkeys(variant.arch for variant, _ in _variants(scenario))
    suites = {arch: suite(arch) for arch in architectures}
    chooser = Chooser(scenario.suite, include_nodefault)
    guests = _guests(scenario, suites, in_byte_order)
    chosen = {key: chooser.choose(tests) for key, tests in guests.items()}
    known = KnownFailures(scenario.name, scenario.known)
    written = scenario.matrix.written_architectures()
    for arch in written:
        # One that the command line left out may have what is looked for.
        if arch not in suites and (chooser.unmatched or known.unmatched(suites, suites)):
            suites[arch] = suite(arch)
            chooser.choose(suites[arch])
    problems = known.unmatched(suites, dict.fromkeys((*written, *suites)))
    if any(tests.unavailable for tests in (*suites.values(), *guests.values())):
        # Its tests are unknown, so nobody can tell a typo; but it is not kept secret either.
        doubt = chooser.doubt()
        chosen = {key: one.with_doubt(doubt) for key, one in chosen.items()}
    else:
        problems += unmatched_filters(scenario, chooser, suites.values())
    if problems:
        raise ScenarioError(problems)
    return _cases(scenario, chosen, known)


def _guests(
    scenario: Scenario,
    suites: Mapping[Architecture, SuiteTests],
    in_byte_order: Callable[[SuiteTests, Endian], SuiteTests],
) -> dict[_Guests, SuiteTests]:
    """Those of every variant."""
    guests: dict[_Guests, SuiteTests] = {}
    for variant, _ in _variants(scenario):
        key, usual = (variant.arch, variant.endian), suites[variant.arch]
        if key in guests:
            continue
        other = variant.endian not in (None, usual.build.endian) and not usual.unavailable
        guests[key] = in_byte_order(usual, variant.endian) if other and variant.endian else usual
    return guests


def _variants(scenario: Scenario) -> Iterator[tuple[Variant, str]]:
    """Every variant, and why the scenario leaves it out (or empty)."""
    for variant in scenario.variants:
        yield variant, ""
    for exclusion in scenario.exclusions:
        yield exclusion.variant, exclusion.reason


def _cases(
    scenario: Scenario, chosen: Mapping[_Guests, Chosen], known: KnownFailures
) -> list[Case]:
    count = sum(
        len(chosen[variant.arch, variant.endian].tests) for variant, _ in _variants(scenario)
    )
    if count > MAX_CASES:
        message = f"this comes to {count} cases"
        raise ScenarioError([Problem(scenario.source, message, f"at most {MAX_CASES}")])
    cases: list[Case] = []
    for variant, reason in _variants(scenario):
        guests = chosen[variant.arch, variant.endian]
        cases.extend(_cases_of(scenario, variant, reason, guests, known))
    ids = {case.id for case in cases}
    if len(ids) < len(cases):
        raise ScenarioError([_duplicate(scenario, cases)])
    return cases


def _cases_of(
    scenario: Scenario, variant: Variant, reason: str, chosen: Chosen, known: KnownFailures
) -> Iterator[Case]:
    suffix = variant_suffix(variant)
    migration = scenario.migration
    if migration is not None:
        from matrix.scenario.compatibility import for_variant  # most scenarios migrate nothing

        migration = for_variant(migration, variant)
    suite = scenario.suite.kind
    by_groups: dict[tuple[str, ...], tuple[Migration | None, str]] = {}
    for one in chosen.tests:
        name = case_id(scenario.name, one.encoded_name, suffix)
        groups = one.test.groups
        if groups not in by_groups:
            by_groups[groups] = migration_of_test(migration, one.test)
        migrated, outside = by_groups[groups]
        yield Case(
            id=name,
            scenario=scenario.name,
            suite=suite,
            test=one.test,
            variant=variant,
            build=chosen.build,
            settings=scenario.settings,
            excluded=reason or one.skip_reason or outside,
            excluded_as=one.skip_cause if one.skip_reason and not reason else SkipCause.SCENARIO,
            expected=known.of(name, one.test.name, variant.arch),
            migration=migrated,
        )


def _duplicate(scenario: Scenario, cases: list[Case]) -> Problem:
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            break
        seen.add(case.id)
    message = f"two cases have the id {quoted(case.id)}"
    allowed = f"is there a second test {quoted(case.test.name)} in {case.build.directory}?"
    return Problem(scenario.source, message, allowed)


def migration_of_test(migration: Migration | None, test: Test) -> tuple[Migration | None, str]:
    """How the guest of ``test`` is migrated where the scenario asks for ``migration``.

    One that asks to be migrated waits for it, whatever the scenario says: its own runner always
    migrates it, and so do we.

    Returns:
        None where it is not; and why the test is no part of the scenario, or empty. What the
        scenario says of when to hop gives way to what the guest says.
    """
    if COOPERATIVE_GROUP not in test.groups:
        if migration is not None and migration.mode is MigrationMode.COOPERATIVE:
            return migration, f"not in group {COOPERATIVE_GROUP}: it never asks to be migrated"
        return migration, ""
    if migration is None:
        return ALONE, ""
    cooperative = replace(
        migration, mode=MigrationMode.COOPERATIVE, hops=None, duration=None, faults=()
    )
    if migration.faults:
        return cooperative, "it asks to be migrated, and waits for a hop that succeeds: no faults"
    return cooperative, ""
