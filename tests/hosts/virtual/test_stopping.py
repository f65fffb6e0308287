"""Virtual hosts that do not come up, and runs that are stopped meanwhile."""

import asyncio
import shutil
import struct
from pathlib import Path

import pytest

from matrix.errors import HostLostError
from matrix.hosts.contents import Contents, with_names
from matrix.hosts.interface import Assignment
from matrix.hosts.virtual.host_options import parse_option
from matrix.hosts.virtual.l1_guest import VirtualGuest
from matrix.hosts.virtual.starter import Starter
from matrix.hosts.virtual.virtual_host import VirtualHost
from matrix.hosts.virtual.vmm import proving_cases
from matrix.inventory import Binary, Host, Inventory
from matrix.model import Accelerator, Architecture, ExitChannel, Launch
from matrix.plan.decisions import Run
from matrix.vm.logs import Logs
from matrix.vm.qemu_session import Session

ARCHITECTURE = Architecture.AARCH64
QEMU = shutil.which("qemu-system-aarch64")
STUCK = struct.pack("<IIQQ", 0x14000000, 0, 0, 4096).ljust(56, b"\0") + b"ARM\x64"
"""An Image whose first instruction jumps to itself."""
RESET = struct.pack("<I", 0x14000010) + STUCK[4:].ljust(60, b"\0")
RESET += struct.pack("<III", 0x52800120, 0x72B08000, 0xD4000003)
"""One that asks for PSCI's SYSTEM_RESET at once: b .+64; mov w0, #0x84000009; smc #0."""


@pytest.mark.qemu
@pytest.mark.skipif(QEMU is None, reason="no qemu-system-aarch64")
def test_a_case_is_cancelled_while_its_host_boots(tmp_path: Path) -> None:
    (tmp_path / "Image").write_bytes(STUCK.ljust(4096, b"\0"))
    (tmp_path / "run/boot").mkdir(parents=True)
    said: list[str] = []
    booting = asyncio.Event()

    def step(text: str) -> None:
        said.append(text)
        if text.startswith("booting"):
            booting.set()

    settings = parse_option(f"aarch64={tmp_path}/Image")
    binary = Binary("system", ARCHITECTURE, str(QEMU), (7, 2, 0), "7.2.0")
    host = VirtualHost(
        Starter(settings, binary, tmp_path / "virtual", step),
        Inventory(Host("x86_64", "6.1", 2, 1 << 32)),
    )
    contents = Contents()
    case = next(proving_cases(ARCHITECTURE))
    decision, files = with_names(Run(case, Accelerator.KVM, "", 1, 1 << 28), contents)

    async def run() -> None:
        async with asyncio.timeout(60), host.open(tmp_path / "run", contents) as executor:
            case = Assignment("boot", decision, 1, "boot", files)
            running = asyncio.create_task(executor.execute(case, lambda _: None))
            await booting.wait()
            executor.cancel("boot")
            assert (await running).attempt is None
            assert executor.idle

    async def run_and_resume() -> None:
        await run()
        booting.clear()
        await run()

    asyncio.run(run_and_resume())
    assert said.count("booting virtual-aarch64-Image") == 2
    assert len(list((tmp_path / "run/hosts").iterdir())) == 2


@pytest.mark.qemu
@pytest.mark.skipif(QEMU is None, reason="no qemu-system-aarch64")
def test_a_kernel_that_resets_the_machine_at_once(tmp_path: Path) -> None:
    (tmp_path / "Image").write_bytes(RESET.ljust(4096, b"\0"))
    settings = parse_option(f"aarch64={tmp_path}/Image")
    binary = Binary("system", ARCHITECTURE, str(QEMU), (7, 2, 0), "7.2.0")
    starter = Starter(settings, binary, tmp_path / "virtual", lambda _: None)

    async def start() -> None:
        async with asyncio.timeout(60), starter.start(tmp_path / "logs"):
            pass

    why = "its QEMU has ended: the machine was reset or powered off, and had printed nothing"
    with pytest.raises(HostLostError, match=why):
        asyncio.run(start())


def test_a_qemu_that_has_ended_before_its_port_is_opened(tmp_path: Path) -> None:
    def logs(monitor: bool) -> Logs:
        return Logs(tmp_path, 4096, monitor=monitor)

    async def start() -> None:
        session = Session(tmp_path, lambda _: None, logs, lambda _: None)
        try:
            await session.start(Launch(("/bin/true",), ExitChannel.CONSOLE))
            await VirtualGuest(session).open_port(tmp_path / "port", 60)
        finally:
            await session.close()

    with pytest.raises(HostLostError, match="exited with status 0 before its guest was started"):
        asyncio.run(start())
