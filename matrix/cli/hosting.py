"""``matrix host``: virtual KVM hosts, built ahead, listed, or looked into."""

import asyncio
import shlex
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from enum import StrEnum
from itertools import product
from pathlib import Path

from matrix.cli.steps import Steps, say
from matrix.errors import HostError, HostLostError, UsageError
from matrix.hosts.installations import installations
from matrix.hosts.project import load_settings
from matrix.hosts.survey import take_inventory
from matrix.hosts.virtual.choosing import folder, virtual_hosts
from matrix.hosts.virtual.debian import FLAVOURS
from matrix.hosts.virtual.host_options import parse_options
from matrix.hosts.virtual.l1_guest import ProgramResult, VirtualGuest
from matrix.hosts.virtual.l1_machines import machine_for
from matrix.hosts.virtual.nested_qemu import NestedQemu, arguments_there
from matrix.hosts.virtual.programs import Programs
from matrix.hosts.virtual.pruning import prune
from matrix.hosts.virtual.starter import SYSTEM, Starter
from matrix.hosts.virtual.vmm import run_case
from matrix.hosts.wanted import Wanted
from matrix.model import Accelerator, Architecture, Case, HostDevice, Variant
from matrix.plan.memory import MIB
from matrix.results.printable import printable
from matrix.run.options import Selection
from matrix.suites.build import builtin_build
from matrix.suites.unittests import read_tests
from matrix.vm.tasks import in_thread

GUEST_SECONDS = 120.0
HELP = (
    "log · cat PATH · guest TEST [ARGUMENTS] (an embedded guest under its KVM) · "
    "run PROGRAM [ARGUMENTS], qemu ARGUMENTS (in the host, with files of this machine) · exit"
)


class Action(StrEnum):
    """What ``matrix host`` does."""

    BUILD = "build"
    LIST = "list"
    SHELL = "shell"
    PRUNE = "prune"


def action_named(name: str) -> Action:
    """The action of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return Action(name)
    except ValueError:
        known = ", ".join(Action)
        raise UsageError(f"matrix host: {name!r} is not known; there are {known}") from None


def run_host(action: Action, hosts: Sequence[str], selection: Selection) -> None:
    """Do it, and print what came of it.

    Raises:
        UsageError: a host is written wrongly, or not exactly one is given for a shell.
        HostError: a host cannot be built, or does not come up.
    """
    if action in (Action.LIST, Action.PRUNE):
        if hosts:
            raise UsageError(f"matrix host {action} takes no host: it is about all that were built")
        if action is Action.LIST:
            _print_list(folder())
        else:
            pruned = prune(folder(), 0)
            print(f"{pruned.count} removed ({pruned.size / MIB:.0f} MiB)")
        return
    if action is Action.SHELL and len(hosts) != 1:
        raise UsageError("matrix host shell takes one host, as in aarch64=debian-13")
    if action is Action.SHELL and len(selection.qemu) > 1:
        raise UsageError("matrix host shell takes one --qemu, which the host runs under")
    starters = asyncio.run(_starters(hosts or _usual(), selection))
    if action is Action.SHELL:
        asyncio.run(_shell(starters[0]))
        return
    for starter in starters:
        print(asyncio.run(_build(starter)))


def _usual() -> list[str]:
    return [f"{architecture.value}=debian-13" for architecture in FLAVOURS]


async def _starters(options: Sequence[str], selection: Selection) -> list[Starter]:
    settings = parse_options(options)
    installed = installations(selection.qemu, load_settings(selection.host))
    names = [option.partition("=")[0] for option in selection.qemu] or [SYSTEM]
    wanted = [Wanted(name, each.architecture) for name in names for each in settings]
    inventory = await take_inventory(
        installed, wanted, files=(), fresh=selection.fresh, on_step=Steps()
    )
    hosts = virtual_hosts(settings, inventory, say)
    found = {(host.starter.binary.qemu, host.starter.settings): host.starter for host in hosts}
    pairs = list(product(names, settings))
    for name, each in pairs:
        if (name, each) not in found:
            binary = inventory.binary(name, each.architecture)
            machine = machine_for(binary) if binary is not None else None
            missing = inventory.why_missing(name, each.architecture)
            why = machine if isinstance(machine, str) else missing
            raise HostError(f"no virtual KVM host for {each.architecture.value}: {why}")
    return [found[pair] for pair in pairs]


async def _build(starter: Starter) -> str:
    image = await starter.image()
    with tempfile.TemporaryDirectory(prefix="matrix-host-logs-") as logs:
        async with starter.start(Path(logs, "host")) as guest:
            release = guest.ready.release if guest.ready is not None else "?"
    return printable(f"{starter.name}: Linux {release} ({image.origin}), its KVM is proven")


def _print_list(place: Path) -> None:
    images = sorted(place.glob("images/*/digest"))
    for digest in images:
        size = sum(each.stat().st_size for each in digest.parent.iterdir()) / MIB
        origin = _origin(digest.with_name("origin"))
        print(printable(f"{digest.parent.name:32} {size:6.0f} MiB  {origin}"))
    states = sorted(place.glob("snapshots/[!.]*"))
    size = sum(each.stat().st_blocks * 512 for each in states) / MIB
    print(f"{len(images)} images and {len(states)} saved hosts ({size:.0f} MiB) in {place}")


def _origin(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:  # removed meanwhile
        return "?"


async def _shell(starter: Starter) -> None:
    """Obey the lines of standard input in a host of its own."""
    with tempfile.TemporaryDirectory(prefix="matrix-host-logs-") as logs:
        async with AsyncExitStack() as stack:
            guest = await stack.enter_async_context(starter.start(Path(logs, "host")))
            print(f"{starter.name} runs; {HELP}", flush=True)
            programs = Programs()
            stack.callback(programs.close)
            while line := await in_thread(sys.stdin.readline):
                try:
                    words = shlex.split(line)
                except ValueError as error:
                    print(f"matrix: {error}")
                    continue
                if words == ["exit"]:
                    return
                try:
                    settings = starter.settings
                    await _obey(guest, settings.architecture, programs, words, settings.devices)
                except OSError as error:
                    print(printable(f"{error.filename}: {error.strerror}"))


async def _obey(
    guest: VirtualGuest,
    architecture: Architecture,
    programs: Programs,
    words: list[str],
    devices: tuple[HostDevice, ...] = (),
) -> None:
    match words:
        case []:
            pass
        case ["log"]:
            records = (*guest.boot_log, *await guest.flush_log())
            guest.boot_log = ()
            for record in records:
                print(printable(f"[{record.seconds:12.6f}] {record.text}"))
            if not records:  # as in a host that goes on from its saved state
                print(
                    "its kernel has logged nothing new since it was started, or asked the last time"
                )
        case ["cat", path] if " " not in path:
            data = await guest.get_file(path)
            text = "no such file" if data is None else data.decode("utf-8", "replace")
            print("\n".join(map(printable, text.splitlines())), flush=True)
        case ["guest", test, *arguments]:
            await _run_guest(guest, architecture, test, arguments)
        case ["qemu", *arguments]:
            qemu = NestedQemu(architecture, folder() / "debian", say, devices)
            _tell(await qemu.run_arguments(guest, arguments, GUEST_SECONDS, _show))
        case ["run", program, *arguments]:
            there = await arguments_there(guest, arguments)
            await _run_program(guest, programs, (program, *there))
        case _:
            print(HELP)
    sys.stdout.flush()


async def _run_guest(
    guest: VirtualGuest, architecture: Architecture, name: str, arguments: list[str]
) -> None:
    build = builtin_build(architecture)
    tests = {test.name: test for test in read_tests(build, max_smp=1)}
    if name not in tests:
        print(f"no embedded guest is named {printable(name)}; there are {', '.join(tests)}")
        return
    test = tests[name]
    if arguments:
        test = replace(test, arguments=" ".join((test.arguments.split(" ", 1)[0], *arguments)))
    variant = Variant(architecture, Accelerator.KVM)
    case = Case("host-shell", "host-shell", "kvm-unit-tests", test, variant, build)

    _tell(await run_case(guest, case, GUEST_SECONDS, _show))


async def _run_program(guest: VirtualGuest, programs: Programs, argv: tuple[str, ...]) -> None:
    result = await programs.run_command(guest, argv, GUEST_SECONDS, _show)
    _tell(result)
    if result.refused:
        print(printable(result.refused))
    if result.ended is not None:
        ended = result.ended
        how = f"signal {ended.signal}" if ended.status is None else f"exit status {ended.status}"
        print(f"{how}{' (its time was over)' if ended.limit else ''}, {ended.seconds:.2f} s")


def _show(data: bytes) -> None:
    print(data.decode("utf-8", "replace"), end="", flush=True)


def _tell(result: ProgramResult) -> None:
    """What the host's kernel logged; raises HostLostError where there is no host any more."""
    if result.lost:
        raise HostLostError(f"the host was lost: {result.lost}")
    for record in result.records:
        print(printable(f"[{record.seconds:12.6f}] {record.text}"))
