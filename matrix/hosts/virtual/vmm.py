"""The embedded guests in a virtual host: what runs them there, and what its end means."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from matrix.attempt import Ending, Outcome, signal_name
from matrix.capabilities import Kind
from matrix.hosts.virtual.l1_guest import ProgramResult, VirtualGuest
from matrix.model import Accelerator, Architecture, Case, Variant
from matrix.plan.command import guest_arguments, last_option, needs_of
from matrix.plan.memory import MIB
from matrix.suites.build import builtin_build
from matrix.suites.unittests import read_tests
from matrix.vm.console import Tail
from matrix.vm.tasks import in_thread

PROOF = ("boot", "smp", "exception")
"""The embedded guests that prove a virtual host's KVM, as they do this machine's."""
EXIT_REFUSED, EXIT_KVM_FAILED, EXIT_PANICKED = 69, 70, 71
"""Statuses of our VMM (matrix/guests/host/vmm.h)."""


def proving_cases(architecture: Architecture) -> Iterator[Case]:
    """The proof, guest by guest."""
    build = builtin_build(architecture)
    tests = {test.name: test for test in read_tests(build, max_smp=1)}
    for name in PROOF:
        if name in tests and not tests[name].unsupported:
            variant = Variant(architecture, Accelerator.KVM)
            yield Case("kvm-proof", "kvm-proof", "kvm-unit-tests", tests[name], variant, build)


def runs_in_vmm(case: Case) -> bool:
    """Whether our VMM runs it, which has no devices: an embedded guest that needs none."""
    return case.build.builtin and not any(each.kind is Kind.DEVICE for each in case.test.needs)


def words_of(case: Case, image: str) -> tuple[str, ...]:
    """The command that runs a case's guest in a virtual host."""
    needs = needs_of(case)
    arguments = last_option(tuple(guest_arguments(case)), "-append")
    memory = str(needs.guest_memory // MIB)
    return ("/init", "vmm", image, memory, str(needs.vcpus), arguments)


async def run_case(
    guest: VirtualGuest,
    case: Case,
    seconds: float,
    on_output: Callable[[bytes], None],
    cancel: asyncio.Event | None = None,
) -> ProgramResult:
    """Run a case's guest to its end.

    Raises:
        OSError: its image cannot be read.
        HostLostError: the host does not take the image.
    """
    content = await in_thread(Path(case.test.image).read_bytes)
    image = f"/files/{hashlib.sha256(content).hexdigest()[:16]}"
    await guest.have_file(image, content)
    return await guest.run(words_of(case, image), seconds, on_output, cancel=cancel)


def outcome_of(result: ProgramResult, console: Tail | None = None, *, vmm: bool = True) -> Outcome:
    """How a guest ended, as if our VMM were the QEMU that runs it; without ``vmm``, a program."""
    last = "" if console is None else console.last_line()
    ended = result.ended
    if ended is None:
        ending = Ending.KILLED if result.lost else Ending.ERROR
        reason = f"the virtual host was lost: {result.lost}" if result.lost else result.refused
        return Outcome(ending, 0.0, last_line=last, reason=reason)
    if result.cancelled:
        return Outcome(Ending.INTERRUPTED, ended.seconds, last_line=last, reason="interrupted")
    if ended.limit:
        return Outcome(Ending.TIMEOUT, ended.seconds, last_line=last)
    if ended.status is None:
        name = signal_name(ended.signal or 0)
        reason = f"the {'VMM' if vmm else 'program'} was killed by {name}"
        return Outcome(
            Ending.KILLED, ended.seconds, signal=ended.signal, last_line=last, reason=reason
        )
    if not vmm:
        return Outcome(Ending.EXITED, ended.seconds, exit_status=ended.status, last_line=last)
    ending = {
        EXIT_REFUSED: Ending.REFUSED,
        EXIT_KVM_FAILED: Ending.INTERNAL_ERROR,
    }.get(ended.status, Ending.EXITED)
    return Outcome(
        ending,
        ended.seconds,
        exit_status=ended.status,
        panicked=ended.status == EXIT_PANICKED,
        kvm_enabled=True,
        last_line=last,
        reason="" if ending is Ending.EXITED else last,
    )
