"""A real virtual host of aarch64: Debian's kernel, a boot, a snapshot, and its faults.

Slow: a package of 28 MB is fetched and unpacked once, and Linux boots once under TCG; the other
hosts of these tests go on from its snapshot.
"""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.attempt import Attempt, Ending
from matrix.cli.hosting import _obey
from matrix.errors import HostError, HostLostError, HostUnfitError
from matrix.hosts.contents import Contents, with_names
from matrix.hosts.host_facts import why_no_userfaultfd
from matrix.hosts.interface import Assignment, Console, HopDone
from matrix.hosts.virtual import protocol
from matrix.hosts.virtual.debian import fetch
from matrix.hosts.virtual.debian_qemu import fetch_qemu
from matrix.hosts.virtual.disk import write_image
from matrix.hosts.virtual.image import KernelChoice
from matrix.hosts.virtual.kernel_log import first_report
from matrix.hosts.virtual.l1_guest import ProgramResult, VirtualGuest
from matrix.hosts.virtual.programs import Programs
from matrix.hosts.virtual.starter import Settings, Starter
from matrix.hosts.virtual.virtual_host import VirtualHost
from matrix.hosts.virtual.vmm import outcome_of, proving_cases, run_case
from matrix.inventory import Binary, Host, Inventory
from matrix.migrating import Migration, MigrationMode, Strategy
from matrix.model import (
    Accelerator,
    Architecture,
    Build,
    Case,
    HostDevice,
    KvmMode,
    RunSettings,
    Target,
    Test,
    Variant,
)
from matrix.plan.decisions import VIRTUAL, Run
from matrix.suites.build import builtin_build, read_build
from matrix.suites.unittests import read_tests
from matrix.verdicts import SkipCause, Verdict
from matrix.vm.process import Process
from tests.hosts.virtual.conftest import Compile

pytestmark = [pytest.mark.qemu, pytest.mark.slow]
ARCHITECTURE = Architecture.AARCH64
IMAGE = Path(next(proving_cases(ARCHITECTURE)).test.image).read_bytes()
QEMU = shutil.which("qemu-system-aarch64")
OWN_TEST = Path(__file__).with_name("own_test.c")


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Starter:
    if QEMU is None:
        pytest.skip("no qemu-system-aarch64")
    folder = tmp_path_factory.mktemp("virtual")
    place = folder / "debian" / "debian-13-aarch64"
    try:
        asyncio.run(fetch("debian-13", ARCHITECTURE, place, lambda _: None))
    except HostError as error:
        pytest.skip(f"Debian's packages cannot be had here: {error}")
    settings = Settings(ARCHITECTURE, KernelChoice("debian-13"))
    binary = Binary("system", ARCHITECTURE, QEMU, (7, 2, 0), "the system's")
    return Starter(settings, binary, folder, lambda _: None)


def with_host(starter: Starter, logs: Path, use: Callable[[VirtualGuest], Awaitable[None]]) -> None:
    async def run() -> None:
        async with starter.start(logs) as guest:
            process = guest.session.process
            await use(guest)
        assert isinstance(process, Process)
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)

    asyncio.run(run())


def test_a_host_boots_proves_kvm_and_is_saved(starter: Starter, tmp_path: Path) -> None:
    async def use(guest: VirtualGuest) -> None:
        assert guest.ready is not None
        assert guest.ready.kvm_error == 0
        assert guest.ready.machine == "aarch64"

    with_host(starter, tmp_path / "cold", use)
    assert len(list((starter.folder / "snapshots").iterdir())) == 1


def test_a_host_from_the_snapshot_runs_guests_and_keeps_limits(
    starter: Starter, tmp_path: Path
) -> None:
    async def use(guest: VirtualGuest) -> None:
        assert not (tmp_path / "warm" / "console.log").exists()
        for case in proving_cases(ARCHITECTURE):
            output: list[bytes] = []
            result = await run_case(guest, case, 60, output.append)
            assert outcome_of(result).ending is Ending.EXITED
            assert b"EXIT: STATUS=1\n" in b"".join(output)
        words = ("/init", "vmm", *await image(guest), "128", "1")
        hangs = await guest.run((*words, "hang"), 1, ignore)
        assert outcome_of(hangs).ending is Ending.TIMEOUT
        floods = await guest.run((*words, "boot 128"), 10, ignore, output_bytes=10)
        assert floods.ended is not None
        assert floods.ended.cut > 100
        wrong = await guest.run(("/files/no-such-program",), 10, ignore)
        assert wrong.ended is not None
        assert wrong.ended.status == 127

    with_host(starter, tmp_path / "warm", use)


def decided(case: Case) -> Run:
    """The plan's decision for a virtual host."""
    return Run(case, Accelerator.KVM, "", 1, 1 << 28, host=f"{VIRTUAL}here")


async def image(guest: VirtualGuest) -> tuple[str]:
    """Where the embedded guests' image is in the host."""
    await guest.put_file("/files/guest", IMAGE)
    return ("/files/guest",)


def ignore(_data: bytes) -> None:
    pass


async def boot(guest: VirtualGuest, cancel: asyncio.Event | None = None) -> ProgramResult:
    words = ("/init", "vmm", *await image(guest), "128", "1", "boot 128")
    return await guest.run(words, 30, ignore, cancel=cancel)


def test_what_the_kernel_reports_during_a_case_is_told(starter: Starter, tmp_path: Path) -> None:
    async def use(guest: VirtualGuest) -> None:
        assert first_report((await boot(guest)).records) is None
        await guest.put_file("/dev/kmsg", b"<4>WARNING: as if KVM had one\n")
        report = first_report(await guest.flush_log())
        assert report is not None
        assert report.line == "WARNING: as if KVM had one"

    with_host(starter, tmp_path / "log", use)


def test_a_kernel_is_what_was_asked_for_or_says_that_it_is_not(
    starter: Starter, tmp_path: Path
) -> None:
    def asked(*parameters: tuple[str, str], mode: KvmMode = KvmMode.NVHE) -> Starter:
        settings = replace(starter.settings, mode=mode, parameters=parameters)
        return Starter(settings, starter.binary, starter.folder, lambda _: None, cold=True)

    async def use(guest: VirtualGuest) -> None:
        given = await guest.get_file("/sys/module/kvm/parameters/halt_poll_ns")
        assert given == b"7\n"
        with pytest.raises(HostLostError, match=r"no parameter kvm.nonsense: there is no /sys/mo"):
            await asked(("kvm.nonsense", "1"))._check(guest)
        with pytest.raises(HostUnfitError, match=r"no KVM in mode vhe: its kernel says .*Hyp"):
            await asked(mode=KvmMode.VHE)._check(guest)

    with_host(asked(("kvm.halt_poll_ns", "7")), tmp_path / "nvhe", use)


def test_a_panic_loses_the_host_with_the_reason(starter: Starter, tmp_path: Path) -> None:
    async def use(guest: VirtualGuest) -> None:
        with pytest.raises(HostError, match="Kernel panic - not syncing: sysrq triggered crash"):
            await guest.put_file("/proc/sysrq-trigger", b"c")
        after = await boot_lost(guest)
        assert outcome_of(after).ending is Ending.KILLED

    with_host(starter, tmp_path / "panic", use)


async def boot_lost(guest: VirtualGuest) -> ProgramResult:
    return await guest.run(("/init", "vmm"), 5, ignore)


def test_a_guest_can_be_ended(starter: Starter, tmp_path: Path) -> None:
    async def use(guest: VirtualGuest) -> None:
        cancel = asyncio.Event()
        cancel.set()
        result = await boot(guest, cancel)
        assert result.cancelled

    with_host(starter, tmp_path / "cancel", use)


def test_a_host_that_panics_is_a_crash_and_the_next_case_gets_a_fresh_one(
    starter: Starter, tmp_path: Path
) -> None:
    """Through the interface that runs use."""
    host = VirtualHost(starter, Inventory(Host("x86_64", "6.1", 2, 1 << 32)))
    contents = Contents()

    def assignment(name: str) -> Assignment:
        build = builtin_build(ARCHITECTURE)
        (test,) = (each for each in read_tests(build, max_smp=1) if each.name == name)
        variant = Variant(ARCHITECTURE, Accelerator.KVM)
        case = Case(f"s.{name}", "s", "kvm-unit-tests", test, variant, build)
        decision, files = with_names(decided(case), contents)
        (tmp_path / name).mkdir(mode=0o700)
        return Assignment(name, decision, 1, name, files)

    async def run() -> list[Attempt | None]:
        async with host.open(tmp_path, contents) as executor:
            heard: list[Console | HopDone] = []

            def panic_once(event: Console | HopDone) -> None:
                heard.append(event)
                writer = executor._guest._writer if executor._guest is not None else None
                if len(heard) == 1 and writer is not None:
                    writer.write(protocol.put_file("/proc/sysrq-trigger", b"c"))

            crashed = await executor.execute(assignment("ram-integrity"), panic_once)
            passed = await executor.execute(assignment("boot"), lambda _: None)
            return [crashed.attempt, passed.attempt]

    crashed, passed = asyncio.run(run())
    assert crashed is not None
    assert crashed.verdict is Verdict.CRASH
    assert "Kernel panic - not syncing: sysrq triggered crash" in crashed.reason
    assert passed is not None
    assert (passed.verdict, passed.accelerator) == (Verdict.PASS, "kvm (virtual)")
    assert "EXIT: STATUS=1" in (tmp_path / "boot/console.log").read_text()
    assert len(list((tmp_path / "hosts").iterdir())) == 2


def test_a_host_is_saved_and_loaded_while_its_guest_runs(starter: Starter, tmp_path: Path) -> None:
    """As a background snapshot: 7.2 may lose writes of a guest that runs while its memory goes."""
    if why := why_no_userfaultfd():
        pytest.skip(why)
    facts = Inventory(Host("x86_64", "6.1", 2, 1 << 32), binaries=(starter.binary,))
    host, contents = VirtualHost(starter, facts), Contents()
    build = builtin_build(ARCHITECTURE)
    (test,) = (each for each in read_tests(build, max_smp=1) if each.name == "ram-integrity")
    migration = Migration(MigrationMode.CONTINUOUS, (Strategy.BACKGROUND_SNAPSHOT,), hops=1)
    # A busy machine may take minutes to boot a host, silent all the while.
    case = Case(
        "s.nested",
        "s",
        "kvm-unit-tests",
        replace(test, timeout=600.0),
        Variant(ARCHITECTURE, Accelerator.KVM),
        build,
        RunSettings(stall=300.0),
        migration=migration,
    )
    decision, files = with_names(decided(case), contents)
    (tmp_path / "nested").mkdir(mode=0o700)
    events: list[Console | HopDone] = []

    async def run() -> Attempt | None:
        async with host.open(tmp_path, contents) as executor:
            assignment = Assignment("nested", decision, 1, "nested", files)
            return (await executor.execute(assignment, events.append)).attempt

    attempt = asyncio.run(run())
    assert attempt is not None
    assert (attempt.verdict, attempt.reason) == (Verdict.PASS, "7 tests; migrated 1 time")
    assert attempt.accelerator == "kvm (virtual)"
    assert len([each for each in events if isinstance(each, HopDone)]) == 1
    console = (tmp_path / "nested/console.log").read_text()
    assert "INTEGRITY: START" in console
    assert "INTEGRITY: END" in console
    assert "-incoming" not in (tmp_path / "nested/command.sh").read_text()


def test_a_snapshot_that_does_not_start_is_thrown_away(starter: Starter, tmp_path: Path) -> None:
    said: list[str] = []
    (state,) = (starter.folder / "snapshots").iterdir()
    state.write_bytes(b"no state")
    starter.on_step = said.append

    async def use(guest: VirtualGuest) -> None:
        assert (await boot(guest)).ended is not None

    with_host(starter, tmp_path / "again", use)
    assert any("does not start, so it boots" in each for each in said)


def test_programs_run_there_and_are_judged_as_natively(
    starter: Starter, tmp_path: Path, compile_program: Compile
) -> None:
    """One with its libraries, too, and one that ends the host, which another then replaces."""
    static = compile_program(OWN_TEST, tmp_path / "static/own_test", "-static")
    dynamic = compile_program(OWN_TEST, tmp_path / "dynamic/own_test")
    facts = Inventory(Host("x86_64", "6.1", 2, 1 << 32))
    host = VirtualHost(starter, facts, programs=(str(static), str(dynamic)))
    contents = Contents()
    words = ("pass", "tap", "skip", "assert", "signal", "hang", "panic", "again")
    cases = [(static, each) for each in words] + [(dynamic, "pass")]

    def assignment(number: int, program: Path, what: str) -> Assignment:
        build = Build(ARCHITECTURE, "", "", target=Target.PROGRAM)
        test = Test("own_test", str(program), what, timeout=2.0 if what == "hang" else 60.0)
        variant = Variant(ARCHITECTURE, Accelerator.KVM)
        case = Case(f"s.{number}", "s", "kvm-selftests", test, variant, build)
        decision, files = with_names(decided(case), contents)
        (tmp_path / str(number)).mkdir(mode=0o700)
        return Assignment(str(number), decision, 1, str(number), files)

    async def run() -> list[Attempt | None]:
        async with host.open(tmp_path, contents) as executor:
            return [
                (await executor.execute(assignment(n, *each), lambda _: None)).attempt
                for n, each in enumerate(cases)
            ]

    attempts = [each for each in asyncio.run(run()) if each is not None]
    assert [(each.verdict.value, each.reason.partition(";")[0]) for each in attempts] == [
        ("pass", ""),
        ("fail", "1 of 2 subtests failed: two"),
        ("skip", "the test skipped: no such feature"),
        ("fail", "failed assertion: own_test.c:7: a is not b"),
        ("crash", "own_test was killed by SIGABRT"),
        ("timeout", "timed out after 2 s"),
        ("crash", "the virtual host was lost: Kernel panic - not syncing: sysrq triggered crash"),
        ("pass", ""),
        ("pass", ""),
    ]
    assert all(each.accelerator == "kvm (virtual)" for each in attempts)
    assert "matrix host shell" in (tmp_path / "0/command.sh").read_text()


def test_the_shell_runs_programs_of_this_machine(
    starter: Starter,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    compile_program: Compile,
) -> None:
    program = compile_program(OWN_TEST, tmp_path / "static/own_test", "-static")
    programs = Programs()

    async def use(guest: VirtualGuest) -> None:
        for words in (
            ["run", str(program), "skip"],
            ["run", str(program)],
            ["cat", "/proc/mounts"],
        ):
            await _obey(guest, ARCHITECTURE, programs, words)
        with pytest.raises(FileNotFoundError):
            await _obey(guest, ARCHITECTURE, programs, ["run", "/nowhere"])

    with_host(starter, tmp_path / "shell", use)
    programs.close()
    printed = capsys.readouterr().out
    assert "1..0 # SKIP - no such feature\nexit status 4, " in printed
    assert "done\nexit status 0, " in printed
    assert "/dev/vda /disk ext4 ro" in printed


def test_a_disk_may_change_in_a_host_that_runs(starter: Starter, tmp_path: Path) -> None:
    images = []
    for number, text in enumerate((b"first", b"second")):
        (tmp_path / "file").write_bytes(text)
        images.append(tmp_path / f"image{number}")
        asyncio.run(write_image({"/file": tmp_path / "file"}, images[-1]))

    async def use(guest: VirtualGuest) -> None:
        for image, text in ((0, b"first"), (1, b"second"), (1, b"second"), (0, b"first")):
            await guest.have_disk(images[image])
            assert await guest.get_file("/disk/file") == text

    with_host(starter, tmp_path / "disk", use)


def test_builds_for_qemu_and_devices_of_the_host_run_under_a_qemu_there(
    starter: Starter, tmp_path: Path
) -> None:
    """The embedded guests, as if they were somebody's build of kvm-unit-tests; and one with a
    device that the host has behind the emulated SMMUv3. Both in one host, for the time it takes."""
    try:
        asyncio.run(fetch_qemu(ARCHITECTURE, starter.folder / "debian", lambda _: None))
    except HostError as error:
        pytest.skip(f"Debian's QEMU cannot be had here: {error}")
    settings = replace(starter.settings, devices=tuple(HostDevice))
    with_devices = Starter(settings, starter.binary, starter.folder, lambda _: None)
    host = VirtualHost(with_devices, Inventory(Host("x86_64", "6.1", 2, 1 << 32)))
    embedded, contents = builtin_build(ARCHITECTURE), Contents()
    build = read_build(Path(embedded.directory), ARCHITECTURE)
    assert not build.builtin
    tests = {each.name: each for each in read_tests(build, max_smp=1)}
    needy = replace(tests["boot"], name="needy", checks=(("/proc/sys/kernel/panic", "7"),))
    (edu,) = (each for each in read_tests(embedded, max_smp=1) if each.name == "edu-assigned")
    chosen = [(tests["boot"], build), (tests["fail"], build), (needy, build), (edu, embedded)]

    def assignment(test: Test, build: Build) -> Assignment:
        variant = Variant(ARCHITECTURE, Accelerator.KVM)
        case = Case(f"s.{test.name}", "s", "kvm-unit-tests", test, variant, build)
        decision, files = with_names(decided(case), contents)
        (tmp_path / test.name).mkdir(mode=0o700)
        return Assignment(test.name, decision, 1, test.name, files)

    async def run() -> list[Attempt]:
        async with host.open(tmp_path, contents) as executor:
            ended = [await executor.execute(assignment(*each), lambda _: None) for each in chosen]
        return [each.attempt for each in ended if each.attempt is not None]

    passed, failed, skipped, assigned = asyncio.run(run())
    assert passed.verdict is Verdict.PASS
    assert failed.verdict is Verdict.FAIL
    assert (skipped.verdict, skipped.skip_cause) == (Verdict.SKIP, SkipCause.HOST)
    assert "needs /proc/sys/kernel/panic to hold '7'" in skipped.reason
    assert assigned.verdict is Verdict.PASS
    assert "PASS: edu: it interrupt" in (tmp_path / "edu-assigned/console.log").read_text()
    assert "vfio-pci,host=0000:00:1" in (tmp_path / "edu-assigned/command.sh").read_text()
