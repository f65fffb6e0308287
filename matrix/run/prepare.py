"""From scenario files and options to cases, an inventory, and a plan."""

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.errors import NothingSelected, Problem, ScenarioError, UsageError
from matrix.hosts.host_settings import HostFile
from matrix.hosts.installations import Installation, installations
from matrix.hosts.interface import Host
from matrix.hosts.project import load_settings
from matrix.hosts.survey import ignore_step, take_inventory
from matrix.hosts.wanted import files_wanted_by, wanted_by
from matrix.inventory import Inventory
from matrix.model import (
    VIRTUAL_HOST_AXES,
    Architecture,
    Case,
)
from matrix.plan.decisions import LOCAL, Decision
from matrix.plan.planner import plan
from matrix.run import scenarios as scenario_files
from matrix.run.builds import Builds
from matrix.run.native_tests import native_tests
from matrix.run.option_values import build_options, duration_named
from matrix.run.options import Selection, with_defaults
from matrix.run.predicting import predicted
from matrix.run.rerun import left
from matrix.run.run_hosts import inventories, taking_part
from matrix.scenario.expand import expand
from matrix.scenario.scenario import Scenario
from matrix.scenario.wording import one_of, quoted

if TYPE_CHECKING:
    from matrix.hosts.fleet.joining import Joined
    from matrix.hosts.virtual.choosing import VirtualHosts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a run needs to begin."""

    scenarios: tuple[Scenario, ...]
    texts: tuple[str, ...]
    """The scenarios' files, as they were read."""
    decisions: list[Decision]
    inventory: Inventory
    """Of this machine."""
    others: tuple[Host, ...] = ()
    """Further hosts of the run."""
    virtual_hosts: tuple[str, ...] = ()
    """Those of them that are virtual, as ``--virtual-host`` takes them."""
    fleet: "Joined | None" = None
    """The fleet whose hosts they are; this machine runs nothing then."""


def prepare(
    selection: Selection,
    on_step: Callable[[str], None] = ignore_step,
    others: Sequence[Host] = (),
    on_host: Callable[[str], None] = ignore_step,
    settings: HostFile | None = None,
    *,
    predict: bool = False,
) -> Prepared:
    """Read, expand, narrow, look at this machine, and plan.

    Args:
        selection: what the user wants.
        on_step: told in words what takes time of the inventory.
        others: hosts beside this machine that cases may run on.
        on_host: told which virtual hosts have no case, what takes them long, and notes on the plan.
        settings: the project's and the host file, if read and applied to ``selection`` already.
        predict: skip cases whose first hop is known to fail.

    Raises:
        ScenarioError, SuiteError, UsageError: what the user gave is wrong.
        NothingSelected: no case is left.
    """
    if settings is None:
        settings = load_settings(selection.host)
        selection = with_defaults(selection, settings.defaults)
    called = taking_part(others, selection, on_host)
    scenarios, cases = chosen(selection, settings, () if [*called] == [LOCAL] else (*called,))
    installed = installations(selection.qemu, settings)
    fleet = _fleet(selection, installed, scenarios, cases, called, on_host)
    others = [host for host in (*others, *(fleet.hosts if fleet else ())) if host.name in called]
    inventory = look(
        () if fleet else cases,
        installed,
        fresh=selection.fresh,
        on_step=on_step,
        virtual=_virtual_architectures(selection, scenarios),
        no_kvm_here=_named_architectures(selection),
    )
    hosts = inventories(called, inventory, others)
    _check_values(scenarios, cases, hosts.values())
    planned = _planned(scenarios, cases, hosts, called, selection, on_host if fleet else None)
    decisions = predicted(planned, inventory) if predict else planned
    virtual = _virtual_hosts(selection, scenarios, cases, inventory)
    if virtual is not None:
        decisions = virtual.spread(_placed(decisions, virtual, on_host))
        others += virtual.hosts(on_host, decisions)
    kept = virtual.used_options() if virtual is not None else ()
    texts = tuple(scenario.text for scenario in scenarios)
    return Prepared(scenarios, texts, decisions, inventory, tuple(others), kept, fleet)


def _fleet(
    selection: Selection,
    installed: Sequence[Installation],
    scenarios: Sequence[Scenario],
    cases: Sequence[Case],
    called: Collection[str],
    on_host: Callable[[str], None],
) -> "Joined | None":
    """The fleet's hosts; without one, see that the QEMUs that are asked for are here."""
    if selection.fleet is None:
        _check_installed(selection, installed)
        return None
    from matrix.run.fleet_run import join  # most runs have none

    return join(selection, scenarios, cases, called, on_host)


def _placed(
    decisions: list[Decision], virtual: "VirtualHosts", on_host: Callable[[str], None]
) -> list[Decision]:
    from matrix.plan.virtual import place

    placed = list(place(decisions, virtual.place_of))
    for unused in virtual.without_cases():
        on_host(unused)
    return placed


def _planned(
    scenarios: Sequence[Scenario],
    cases: list[Case],
    hosts: Mapping[str, Inventory],
    called: Mapping[str, Sequence[str]],
    selection: Selection,
    on_note: Callable[[str], None] | None,
) -> list[Decision]:
    """The plan; ``on_note`` is told what it says of cases on the hosts of a fleet."""
    ours = {scenario.name for scenario in scenarios if scenario.suite.max_smp is None}
    native = native_tests([case for case in cases if case.scenario in ours], hosts.values())
    decisions = list(plan(cases, hosts, native, called, strict_qemu=selection.strict_qemu))
    if on_note is not None:
        from matrix.run.fleet_run import plan_notes

        for note in plan_notes(decisions):
            on_note(note)
    return decisions


def _virtual_architectures(
    selection: Selection, scenarios: Iterable[Scenario]
) -> frozenset[Architecture]:
    """Those that have virtual hosts."""
    entries = (entry for scenario in scenarios for entry in scenario.hosts)
    named = {arch for entry in entries for arch in entry.architectures}
    return _named_architectures(selection) | named


def _named_architectures(selection: Selection) -> frozenset[Architecture]:
    """Those that have virtual hosts in every scenario."""
    if not selection.virtual_host:
        return frozenset()
    from matrix.hosts.virtual.host_options import parse_options  # most runs have none

    return frozenset(each.architecture for each in parse_options(selection.virtual_host))


def _virtual_hosts(
    selection: Selection,
    scenarios: Sequence[Scenario],
    cases: Sequence[Case],
    inventory: Inventory,
) -> "VirtualHosts | None":
    """The virtual hosts of the run; None where nothing has to do with any.

    Raises:
        ScenarioError, UsageError: what is said of them is wrong.
    """
    named = selection.virtual_host or any(scenario.hosts for scenario in scenarios)
    variants = (variant for scenario in scenarios for variant in scenario.variants)
    axes = VIRTUAL_HOST_AXES
    if not named and not any(getattr(variant, axis) for variant in variants for axis in axes):
        return None
    from matrix.hosts.virtual.choosing import chosen_hosts  # most runs have none

    virtual = chosen_hosts(selection.virtual_host, scenarios, inventory)
    virtual.check(scenarios, cases)
    return virtual


def chosen(
    selection: Selection, host_file: HostFile, hosts: Sequence[str] = ()
) -> tuple[tuple[Scenario, ...], list[Case]]:
    """The scenarios and their cases that are selected; of the host only its builds are looked at.

    ``hosts`` are the names that ``each`` of the axis ``host`` stands for; none: it stays as it is.

    Raises:
        ScenarioError, SuiteError, UsageError: what the user gave is wrong.
        NothingSelected: no case is left.
    """
    if not selection.scenarios:
        raise UsageError("no scenario given; try: matrix run smoke")
    scenarios = tuple(_scenario(path, selection, hosts) for path in selection.scenarios)
    _check_names(scenarios)
    builds = Builds(build_options(selection.build), dict(host_file.builds))
    cases = [
        case
        for scenario in scenarios
        for case in expand(
            scenario,
            builds.suite(scenario),
            in_byte_order=partial(builds.in_byte_order, scenario),
            include_nodefault=selection.include_all,
        )
    ]
    if selection.fail_on_skip and cases:
        _check_skip_patterns(selection.fail_on_skip, cases)
    if selection.keyword:
        from matrix.scenario.selection import select

        cases = select(cases, selection.keyword)
    if selection.failed or selection.last_failed:
        cases = left(cases, selection)
    if not cases:
        raise NothingSelected(
            f"no case is left of {', '.join(str(path) for path in selection.scenarios)}"
            " by the given options; matrix list shows what there is"
        )
    return scenarios, _shard(cases, selection)


def _check_skip_patterns(patterns: Sequence[str], cases: Sequence[Case]) -> None:
    """A pattern that is of ids, for it has a dot, has one; before ``-k`` and ``--shard``, which may
    leave its cases out."""
    for pattern in patterns:
        if "." in pattern and not any(fnmatchcase(case.id, pattern) for case in cases):
            raise UsageError(
                f"--fail-on-skip: {quoted(pattern)} matches no case; their ids are like"
                f" {quoted(cases[0].id)}, and matrix list shows them"
            )


def _check_installed(selection: Selection, installed: Sequence[Installation]) -> None:
    """A QEMU that the command line asks for is there; one that only a scenario names may not be."""
    names = [installation.name for installation in installed]
    for assignment in selection.set_axis:
        axis, _, text = assignment.partition("=")
        for name in text.split(",") if axis in ("qemu", "destination") else ():
            if name not in names:
                raise UsageError(
                    f"--set {axis}={name}: no such QEMU installation; {one_of(name, names)}"
                )


def _shard(cases: list[Case], selection: Selection) -> list[Case]:
    """The part of the cases that ``--shard`` names; all of them without it."""
    if not selection.shard:
        if selection.durations is not None:
            raise UsageError("--durations balances the parts of --shard I/N: give that too")
        return cases
    from matrix.plan.shards import Shard, shard_of
    from matrix.run.known_durations import read_shared_durations

    shard = Shard.parse(selection.shard)
    known = None if selection.durations is None else read_shared_durations(selection.durations)
    part = shard_of(cases, shard, known)
    if not part:
        raise NothingSelected(
            f"shard {shard} is empty: there are only {len(cases)} cases; use fewer shards"
        )
    return part


def look(
    cases: Sequence[Case],
    installed: Sequence[Installation],
    *,
    fresh: bool = False,
    on_step: Callable[[str], None] = ignore_step,
    virtual: Collection[Architecture] = (),
    no_kvm_here: Collection[Architecture] = (),
) -> Inventory:
    """The inventory that these cases need: their emulators, and KVM with their CPU models.

    ``virtual`` are the architectures of virtual hosts, ``no_kvm_here`` those of hosts that take all
    cases for KVM.
    """
    files = files_wanted_by(cases)
    wanted = wanted_by(cases, virtual, no_kvm_here)
    return asyncio.run(take_inventory(installed, wanted, files=files, fresh=fresh, on_step=on_step))


def _scenario(path: Path, selection: Selection, hosts: Sequence[str]) -> Scenario:
    scenario = scenario_files.load(path, os.environ)
    if selection.expect:
        from matrix.scenario.load import with_known

        scenario = with_known(scenario, selection.expect)
    timeout = selection.timeout
    given = (timeout, selection.hops, selection.duration, selection.repeat, selection.retries)
    axes = (selection.arch, selection.accel, selection.set_axis)
    spread = selection.spread or (hosts and scenario.matrix.names_each_host)
    as_it_is = not any((*axes, selection.until_fail, spread)) and all(one is None for one in given)
    if as_it_is and not selection.no_assist and scenario.migration is None:
        return scenario
    from matrix.scenario.narrow import narrow

    return narrow(
        scenario,
        arch=selection.arch,
        accel=selection.accel,
        set_=selection.set_axis,
        repeat=selection.repeat,
        until_fail=selection.until_fail,
        retries=selection.retries,
        assist=not selection.no_assist,
        spread=selection.spread,
        hosts=hosts,
        timeout=None if timeout is None else duration_named("--timeout", timeout),
        hops=selection.hops,
        duration=None
        if selection.duration is None
        else duration_named("--duration", selection.duration),
    )


def _check_values(
    scenarios: Iterable[Scenario], cases: Sequence[Case], hosts: Collection[Inventory]
) -> None:
    """Machines, CPU models and properties that no QEMU of the run takes are errors where they
    stand, in a file or an option."""
    if not any(case.variant.machine or case.variant.cpu or case.migration for case in cases):
        return
    from matrix.plan.vocabulary import wrong_values  # most scenarios name neither

    named = {scenario.name: scenario for scenario in scenarios}
    problems: dict[Problem, None] = {}
    options: dict[str, None] = {}
    for wrong in wrong_values(cases, hosts):
        scenario = named[wrong.scenario]
        if wrong.value in dict(scenario.matrix.overrides).get(wrong.axis, ()):
            options[f"--set {wrong.axis}={wrong.value}: {wrong.message}; {wrong.allowed}"] = None
            continue
        place = scenario.place(f"{wrong.axis}={wrong.value}")
        problems[Problem(place, wrong.message, wrong.allowed)] = None
    if problems:
        raise ScenarioError(problems)
    if options:
        raise UsageError("\n".join(options))


def _check_names(scenarios: Sequence[Scenario]) -> None:
    """Case ids begin with the scenario's name, so that must be one scenario's alone."""
    seen: dict[str, Scenario] = {}
    for scenario in scenarios:
        if scenario.name in seen:
            other = seen[scenario.name].source
            raise UsageError(
                f"{scenario.source} and {other} are both named {scenario.name!r};"
                " rename one, or run them one after the other"
            )
        seen[scenario.name] = scenario
