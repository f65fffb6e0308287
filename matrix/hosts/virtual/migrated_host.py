"""A case with ``migration`` in a virtual host: a host of its own, which is migrated as it runs.

The guest comes with the host, and its console is the host's (matrix/guests/host/alone.c). So the
host is the guest of a chain of hops like any other, and what its own guest prints proves that KVM,
too, went on where it was.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from matrix.attempt import Attempt, ChainResult, Ending, Transcript
from matrix.hosts.interface import Assignment, Console, HopDone
from matrix.hosts.local.migrated_case import migrate_case
from matrix.hosts.virtual import cpio
from matrix.hosts.virtual.image import Image
from matrix.hosts.virtual.kernel_log import ConsoleReports, panic_line
from matrix.hosts.virtual.l1_machines import alone_arguments
from matrix.hosts.virtual.snapshot import unfinished
from matrix.hosts.virtual.starter import Starter
from matrix.hosts.virtual.vmm import words_of
from matrix.inventory import Inventory
from matrix.model import Accelerator, Case, ExitChannel, Launch
from matrix.plan.command import stall_limit, time_limit
from matrix.plan.decisions import Run
from matrix.plan.memory import backend_of, memory_arguments
from matrix.results.directory import RunDirectory
from matrix.results.files import host_errors
from matrix.suites.registry import suite_of
from matrix.verdict.deciding import Evidence, decide_attempt
from matrix.verdict.host_faults import apply_host_fault
from matrix.vm.machine import Limits
from matrix.vm.tasks import in_thread

FOLDER, IMAGE, WORDS = "guest", "guest/image", "guest/words"
"""In the host, where its first program looks for them."""


async def run_migrated(
    starter: Starter,
    inventory: Inventory,
    run: RunDirectory,
    assignment: Assignment,
    decision: Run,
    emit: Callable[[Console | HopDone], None],
    cancelled: asyncio.Event,
) -> Attempt | None:
    """What an attempt came to; None where it was cancelled.

    Args:
        starter: of the host that the case was planned for.
        inventory: of this machine.
        run: where the attempt's folder is.
        assignment: the attempt.
        decision: its own, with this machine's paths.
        emit: is told what the guest prints, and of hops.
        cancelled: ends it.

    Raises:
        HostError: there is no image, or a file cannot be read or written.
    """
    case, directory = decision.case, run.path / assignment.folder
    parser, reports = suite_of(case.suite).parser(), ConsoleReports()

    def printed(data: bytes) -> None:
        parser.feed(data)
        reports.feed(data)
        emit(Console(data.decode("latin-1")))

    launch = await _launch(starter, case)
    command = run.relative(run.write_command(directory, launch, case.id))
    result = await migrate_case(
        replace(decision, accelerator=Accelerator.TCG),  # the host's own
        launch,
        inventory,
        directory,
        Limits(timeout=time_limit(case, decision.limit), stall=stall_limit(case)),
        attempt=assignment.attempt,
        seed=assignment.seed,
        on_console=printed,
        on_hop=lambda hop: emit(HopDone(hop)),
        interrupt=cancelled,
    )
    if result.outcome.ending is Ending.INTERRUPTED:
        return None
    evidence = _evidence(decision, launch, result, parser.finish(), inventory, directory)
    attempt = await _decided(evidence, assignment, command)
    return await _with_report(attempt, reports, starter, decision, directory)


async def _with_report(
    attempt: Attempt, reports: ConsoleReports, starter: Starter, decision: Run, directory: Path
) -> Attempt:
    """A failure where the host's kernel has reported a problem meanwhile."""
    if not reports.first:
        return attempt
    where = await starter.fault_place(reports.trace, "", directory)
    return with_report(attempt, reports.first, decision, where)


def _evidence(
    decision: Run,
    launch: Launch,
    result: ChainResult,
    transcript: Transcript,
    inventory: Inventory,
    directory: Path,
) -> Evidence:
    return Evidence(
        decision=decision,
        launch=launch,
        outcome=result.outcome,
        transcript=transcript,
        hops=result,
        inventory=inventory,
        directory=directory,
        starts_nothing=_nothing_more,
    )


async def _decided(evidence: Evidence, assignment: Assignment, command: str) -> Attempt:
    number, folder = assignment.attempt, assignment.folder
    return await decide_attempt(evidence, number=number, command=command, artifacts=folder)


def with_report(attempt: Attempt, line: str, decision: Run, where: str = "") -> Attempt:
    """A fault that the host's kernel reports, on ``line``, comes before what else is wrong."""
    panic = panic_line(line.encode())
    more = (where, attempt.reason)
    return apply_host_fault(attempt, panic, line, *more, expected=decision.expected)


async def _launch(starter: Starter, case: Case) -> Launch:
    image = await starter.image()
    settings, machine = starter.settings, starter.machine()
    memory = settings.memory or machine.memory
    argv = alone_arguments(
        starter.binary,
        machine,
        str(image.kernel),
        str(await in_thread(lambda: initrd_with(case, image))),
        cpus=settings.cpus,
        memory=memory,
        parameters=settings.command_line,
    )
    return Launch((*argv, *memory_arguments(backend_of(case), memory)), ExitChannel.CONSOLE)


def initrd_with(case: Case, image: Image) -> Path:
    """The host's initramfs with a guest behind it, which Linux unpacks as well; beside the image,
    for all attempts.

    Raises:
        HostError: it cannot be made.
    """
    with host_errors("read", Path(case.test.image)):
        content = Path(case.test.image).read_bytes()
    words = words_of(case, f"/{IMAGE}")[2:]
    guest = cpio.archive(
        [
            cpio.folder(FOLDER),
            cpio.regular(IMAGE, content),
            cpio.regular(WORDS, "".join(f"{word}\n" for word in words).encode()),
        ]
    )
    path = image.initrd.with_name(f"initrd-{hashlib.sha256(guest).hexdigest()[:16]}")
    if not path.exists():
        new = unfinished(path)
        with host_errors("write", path):
            new.write_bytes(image.initrd.read_bytes() + guest)
            new.rename(path)
    return path


async def _nothing_more(_decision: Run) -> str:
    return ""
