"""Which virtual KVM host each case runs in, of those that the command line and scenarios name."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix.errors import Place, Problem, ScenarioError, UsageError
from matrix.hosts.cache import cache_directory
from matrix.hosts.virtual.debian import SUITES
from matrix.hosts.virtual.host_options import (
    kernel_choice,
    kvmtool_at,
    parameter_pairs,
    parse_options,
)
from matrix.hosts.virtual.image import known_release
from matrix.hosts.virtual.l1_machines import NESTED_AARCH64, machine_for
from matrix.hosts.virtual.programs import programs_of
from matrix.hosts.virtual.starter import Settings, Starter
from matrix.hosts.virtual.virtual_host import MEMORY, Room, VirtualHost, copy_name
from matrix.inventory import Binary, Inventory
from matrix.model import ARCHITECTURE_ALIASES, Architecture, Case, KvmMode
from matrix.plan.command import QEMU_OVERHEAD
from matrix.plan.decisions import VIRTUAL, Decision, Run
from matrix.plan.schedule import Capacity
from matrix.plan.virtual import VirtualPlace, asks_for_kvm
from matrix.scenario.scenario import HostKernel, Scenario, VirtualHostEntry
from matrix.scenario.wording import one_of, quoted

CASES_PER_HOST = 8
"""Of one kind: with fewer for each, another host of the kind is not worth its start."""


@dataclass(slots=True)
class VirtualHosts:
    """The virtual hosts of a run. What the command line says goes before what scenarios say."""

    options: tuple[Settings, ...]
    scenarios: Mapping[str, Mapping[Settings, Place]]
    """By the scenario's name; with where it names the kernel."""
    inventory: Inventory
    _used: dict[str, tuple[Settings, Binary]] = field(default_factory=dict)
    _chosen: set[tuple[Architecture, str]] = field(default_factory=set)
    """Architecture and kernel of those that a case runs on, or would if they could be."""

    def place_of(self, case: Case) -> VirtualPlace | None:
        """What plans know of the host that a case for KVM runs in; None where it has none.

        Raises:
            UsageError: two kernels of different files have one name.
        """
        found = self._settings_of(case)
        if found is None:
            return None
        if isinstance(found, str):
            return VirtualPlace("", "", 0, missing=found)
        self._chosen.add((found.architecture, found.kernel_name))
        qemu = case.variant.qemu
        binary = self.inventory.binary(qemu, found.architecture)
        place = _place(found, qemu, binary, self.inventory)
        if binary is not None and not place.missing:
            other, _ = self._used.setdefault(place.name, (found, binary))
            if other != found:
                raise UsageError(
                    f"two kernels of {found.architecture.value} are named {found.kernel_name}: "
                    f"{other.option} and {found.option}; give one another name"
                )
        return place

    def hosts(
        self, on_step: Callable[[str], None], decisions: Sequence[Decision] = ()
    ) -> list[VirtualHost]:
        """Those that :meth:`place_of` has named, for what was decided."""
        return _hosts(self._used.values(), self.inventory, on_step, decisions)

    def spread(self, decisions: Sequence[Decision]) -> list[Decision]:
        """The decisions; where many cases have the same kind of host, they may run on copies of
        it, which go on from the state that the first has saved."""
        saved = {
            name
            for name, (settings, binary) in self._used.items()
            if not isinstance(machine := machine_for(binary, settings.devices, settings.iommu), str)
            and machine.snapshots
        }

        def may_move(decision: Run) -> bool:
            case = decision.case
            return decision.host in saved and case.migration is None and not case.settings.alone

        runs = (each for each in decisions if isinstance(each, Run))
        count = Counter(each.host for each in runs if may_move(each))
        most = _most_at_a_time(self._used.values(), self.inventory, decisions)
        return [
            _on_copies(each, min(most, count[each.host] // CASES_PER_HOST))
            if isinstance(each, Run) and may_move(each)
            else each
            for each in decisions
        ]

    def used_options(self) -> tuple[str, ...]:
        """Those that :meth:`place_of` has named, as ``--virtual-host`` takes them."""
        return tuple(dict.fromkeys(settings.option for settings, _ in self._used.values()))

    def without_cases(self) -> Iterator[str]:
        """What to say of those of the command line that :meth:`place_of` has not named."""
        for each in self.options:
            if (each.architecture, each.kernel_name) not in self._chosen:
                others = sorted(name for arch, name in self._chosen if arch is each.architecture)
                listed, wanted = ", ".join(others), f"--set kernel={each.kernel_name}"
                remedy = f": they run on {listed}; {wanted} has them run there" if others else ""
                yield f"--virtual-host {each.option} has no case{remedy}"

    def check(self, scenarios: Iterable[Scenario], cases: Iterable[Case]) -> None:
        """See that every case has one host at most, and that every kernel is one.

        Raises:
            ScenarioError, UsageError: several kernels, and no axis says which; or a kernel that
                no host has and that is none of Debian's.
        """
        named = {scenario.name: scenario for scenario in scenarios}
        problems: dict[Problem, None] = {}
        for case in cases:
            scenario = named[case.scenario]
            own = self.scenarios.get(case.scenario, {})
            arch, kernel = case.variant.arch, case.variant.kernel
            known = [each.kernel_name for each in (*self.options, *own)]
            if kernel is not None and kernel not in known and kernel not in SUITES:
                message = f"kernel: no host has kernel {quoted(kernel)}"
                allowed = one_of(kernel, dict.fromkeys((*known, *SUITES)))
                if kernel in dict(scenario.matrix.overrides).get("kernel", ()):
                    raise UsageError(f"--set kernel={kernel}: {message}; {allowed}")
                problems[Problem(scenario.place(f"kernel={kernel}"), message, allowed)] = None
            several = self._without_axis(case)
            if kernel is None and len(several) > 1 and asks_for_kvm(case):
                names = [each.kernel_name for each in several]
                listed = ", ".join(names)
                if several[0] not in own:
                    raise UsageError(
                        f"--virtual-host: {arch.value} has the kernels {listed}; say which cases "
                        f"run on: {' '.join(f'--set kernel={name}' for name in names)}"
                    )
                message = f"{arch.value} has the kernels {listed}, and no axis says which"
                allowed = f"add 'kernel: [{listed}]' to 'matrix'"
                problems[Problem(own[several[1]], message, allowed)] = None
        if problems:
            raise ScenarioError(problems)

    def _without_axis(self, case: Case) -> list[Settings]:
        """The hosts of a case whose kernel no axis names."""
        for candidates in (self.options, self.scenarios.get(case.scenario, {})):
            if found := [s for s in candidates if s.architecture is case.variant.arch]:
                return found
        return []

    def _settings_of(self, case: Case) -> Settings | str | None:
        """The host's settings; or why there is none."""
        variant = case.variant
        every = (*self.options, *self.scenarios.get(case.scenario, {}))
        of_arch = [each for each in every if each.architecture is variant.arch]
        if variant.kernel is None:
            fitting = self._without_axis(case)
        else:
            fitting = [each for each in of_arch if each.kernel_name == variant.kernel]
        if fitting:
            return _with_axes(fitting[0], case)
        if of_arch:
            listed = ", ".join(each.kernel_name for each in of_arch)
            return f"none has kernel {variant.kernel}, only {listed}"
        return None


def _with_axes(settings: Settings, case: Case) -> Settings:
    """The host with what the case's axes say of it."""
    variant = case.variant
    parameters = dict(settings.parameters) | dict(parameter_pairs(variant.module_parameters or ""))
    words = (settings.kernel_parameters, variant.kernel_parameters or "")
    return replace(
        settings,
        mode=variant.mode or settings.mode,
        parameters=tuple(sorted(parameters.items())),
        kernel_parameters=" ".join(filter(None, words)),
    )


def _place(
    settings: Settings, qemu: str, binary: Binary | None, inventory: Inventory
) -> VirtualPlace:
    architecture = settings.architecture
    known = binary or Binary(qemu, architecture, "", (0, 0, 0), "")
    machine = machine_for(known, settings.devices, settings.iommu)
    name = settings.name_with(qemu)
    if isinstance(machine, str):
        return VirtualPlace(name, "", 0, missing=machine)
    if binary is None:
        return VirtualPlace(name, "", 0, missing=inventory.why_missing(qemu, architecture))
    if settings.mode is KvmMode.NESTED and binary.version < NESTED_AARCH64:
        version = ".".join(map(str, NESTED_AARCH64[:2]))
        missing = f"QEMU {binary.version_text} has no FEAT_NV2, which is there since {version}"
        return VirtualPlace(name, "", 0, missing=missing)
    said = f" ({settings.command_line})" if settings.command_line else ""
    words = f"Linux of {settings.kernel_name}{said} under TCG of QEMU {binary.version_text}"
    memory = settings.memory or machine.memory
    kernel = known_release(settings.kernel_with_drivers, architecture, folder())
    host = replace(inventory.host, architecture=architecture.value, kernel=kernel)
    return VirtualPlace(
        name,
        words,
        memory,
        settings.cpus,
        binary=binary,
        host=host,
        kvmtool=bool(settings.kvmtool),
        devices=settings.devices,
        no_iommu=machine.no_iommu,
        migrates=machine.migrates,
    )


def chosen_hosts(
    options: Iterable[str], scenarios: Iterable[Scenario], inventory: Inventory
) -> VirtualHosts:
    """The hosts of a run.

    Raises:
        UsageError: as :func:`parse_options`.
        ScenarioError: a kernel of a scenario is none, or is for another architecture.
    """
    problems: list[Problem] = []
    of_scenarios = {
        scenario.name: {
            settings: kernel.place
            for entry in scenario.hosts
            for kernel in entry.kernels
            for settings in _settings(entry, kernel, problems)
        }
        for scenario in scenarios
    }
    if problems:
        raise ScenarioError(problems)
    return VirtualHosts(parse_options(options), of_scenarios, inventory)


def _settings(
    entry: VirtualHostEntry, kernel: HostKernel, problems: list[Problem]
) -> Iterator[Settings]:
    for architecture in entry.architectures:
        files = (kernel.image, kernel.modules, kernel.vmlinux)
        image, modules, vmlinux = (_filled(path, architecture) for path in files)
        lkvm = _filled(entry.kvmtool, architecture)
        try:
            choice = kernel_choice("kernel", architecture, image, modules, vmlinux)
            kvmtool = kvmtool_at("hosts", lkvm)
        except UsageError as error:
            told = str(error)
            given = (*kernel.written, entry.written_kvmtool)
            for path, written in zip((image, modules, vmlinux, lkvm), given, strict=True):
                told = told.replace(path, written) if path else told
            problems.append(Problem(kernel.place, told))
            continue
        yield Settings(
            architecture,
            choice,
            cpus=entry.cpus,
            memory=entry.memory,
            kvmtool=kvmtool,
            devices=entry.devices,
            iommu=entry.iommu,
            parameters=parameter_pairs(entry.module_parameters),
            kernel_parameters=entry.kernel_parameters,
            mode=entry.mode,
            called="" if choice.is_debian and kernel.name == choice.name else kernel.name,
        )


def _filled(path: str, architecture: Architecture) -> str:
    """The path with ``{arch}`` filled in, by the name or the alias of a file that is there."""
    aliases = [name for name, each in ARCHITECTURE_ALIASES.items() if each is architecture]
    paths = [path.replace("{arch}", name) for name in (architecture.value, *aliases)]
    return next((each for each in paths if Path(each).exists()), paths[0])


def virtual_hosts(
    settings: Iterable[Settings],
    inventory: Inventory,
    on_step: Callable[[str], None],
    decisions: Sequence[Decision] = (),
) -> list[VirtualHost]:
    """A host of each kind with every QEMU that can be one, for what was decided."""
    pairs = (
        (each, binary)
        for each in settings
        for binary in inventory.binaries
        if binary.architecture is each.architecture and not isinstance(machine_for(binary), str)
    )
    return _hosts(pairs, inventory, on_step, decisions)


def _on_copies(decision: Run, hosts: int) -> Run:
    others = (copy_name(decision.host, number) for number in range(2, hosts + 1))
    return replace(decision, elsewhere=tuple((name, decision.why) for name in others))


def _hosts(
    kinds: Iterable[tuple[Settings, Binary]],
    inventory: Inventory,
    on_step: Callable[[str], None],
    decisions: Sequence[Decision],
) -> list[VirtualHost]:
    kinds = list(kinds)
    building = asyncio.Lock()
    most = _most_at_a_time(kinds, inventory, decisions)
    capacity = Capacity(1, MEMORY, jobs=1, group=VIRTUAL, most_hosts=most)
    room = Room(most)
    starters = [
        Starter(settings, binary, folder(), on_step, building=building)
        for settings, binary in kinds
    ]
    named = {name for each in decisions if isinstance(each, Run) for name, _ in each.elsewhere}
    return [
        VirtualHost(each, inventory, capacity, programs_of(decisions, each.name), room, copy)
        for each in starters
        for copy in range(1, most + 1)
        if copy == 1 or copy_name(each.name, copy) in named
    ]


def _most_at_a_time(
    kinds: Iterable[tuple[Settings, Binary]], inventory: Inventory, decisions: Iterable[Decision]
) -> int:
    """How many hosts this machine has CPUs and memory for, if all are as large as the largest."""
    runs = (each for each in decisions if isinstance(each, Run))
    migrated = {each.host for each in runs if each.case.migration is not None}
    cpus, memory = 1, 1
    for settings, binary in kinds:
        machine = machine_for(binary, settings.devices, settings.iommu)
        usual = 0 if isinstance(machine, str) else machine.memory
        # A host that is migrated is there twice.
        sides = 2 if settings.name_with(binary.qemu) in migrated else 1
        cpus = max(cpus, settings.cpus)
        memory = max(memory, sides * ((settings.memory or usual) + QEMU_OVERHEAD))
    return max(1, min(inventory.host.cpus // cpus, inventory.host.memory // memory))


def folder() -> Path:
    """Where images and snapshots are kept."""
    return cache_directory().parent / "virtual"
