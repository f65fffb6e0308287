"""Guests under a user's kvmtool that runs in a virtual host: builds for kvmtool, with its KVM."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from matrix.errors import SuiteError
from matrix.hosts.virtual.l1_guest import ProgramResult, VirtualGuest
from matrix.hosts.virtual.needs import unmet_need
from matrix.hosts.virtual.nested_qemu import INITRD, files_there
from matrix.hosts.virtual.programs import Programs
from matrix.model import Case, Launch
from matrix.plan.kvmtool import launch_kvmtool


@dataclass(frozen=True, slots=True)
class NestedKvmtool:
    """kvmtool in the virtual hosts of one architecture."""

    program: str
    """Path of ``lkvm`` on this machine."""
    programs: Programs

    async def run(
        self,
        guest: VirtualGuest,
        case: Case,
        seconds: float,
        on_output: Callable[[bytes], None],
        cancel: asyncio.Event | None = None,
    ) -> ProgramResult:
        """Run a case's guest to its end.

        Raises:
            OSError: a file of it, or kvmtool, cannot be read.
            HostLostError: the host does not take the files.
        """
        if unmet := await unmet_need(guest, case):
            return ProgramResult(None, "", "", (), unmet=unmet)
        try:
            files = await files_there(guest, case)
        except SuiteError as error:
            return ProgramResult(None, "", str(error), ())
        machine = guest.ready.machine if guest.ready is not None else ""
        argv = self.launch(case, files, machine).argv
        return await self.programs.run_command(guest, argv, seconds, on_output, cancel)

    def launch(self, case: Case, files: Mapping[str, str], machine: str = "") -> Launch:
        """The command line of a case, with the path that kvmtool has on this machine.

        Args:
            case: of a build for kvmtool.
            files: where in the host a file of this machine is, and the initrd by :data:`INITRD`.
            machine: ``uname -m`` of the host.
        """
        test = replace(case.test, image=files.get(case.test.image, case.test.image))
        there = replace(case, test=test)
        return launch_kvmtool(there, self.program, machine, initrd=files.get(INITRD, ""))
