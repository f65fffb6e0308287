"""KVM selftests (Linux's tools/testing/selftests/kvm) as a kind of suite: a test is one program.

A build is what ``make`` leaves: the kernel tree, its folder of KVM selftests, or one to which they
were installed. Programs lie in that folder or in one named after their architecture.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matrix.attempt import Ending, is_signal, signal_name
from matrix.errors import NoBuildError, Place, Problem, SuiteError
from matrix.model import Accelerator, Architecture, Build, Endian, Target, Test
from matrix.suites.judgement import (
    End,
    Judgement,
    hung,
    killed,
    sentence,
    short,
    unfinished,
)
from matrix.suites.selftest_output import ASSERTION, SKIP, SelftestParser
from matrix.suites.selftest_table import HINTS, SETTINGS, USUAL
from matrix.suites.suite import Suite, Warn, unheard
from matrix.suites.suite_files import is_file, read_text
from matrix.verdicts import SkipCause, Verdict

FOLDERS = ("", "tools/testing/selftests/kvm", "kselftest/kvm", "kvm")
"""Where the programs are below what the user names: a folder of them, a kernel tree, the output of
``make -C tools/testing/selftests O=DIR``, and a folder to which all selftests were installed."""

ARCHITECTURE_FOLDERS: dict[Architecture, tuple[str, ...]] = {
    Architecture.X86_64: ("x86", "x86_64"),
    Architecture.AARCH64: ("arm64", "aarch64"),
    Architecture.RISCV64: ("riscv",),
    Architecture.S390X: ("s390", "s390x"),
    Architecture.PPC64: ("powerpc",),
    Architecture.MIPS64EL: ("mips",),
    Architecture.LOONGARCH64: ("loongarch",),
}
"""Linux 6.14 renamed some of them."""

_MACHINES = {
    62: Architecture.X86_64,
    183: Architecture.AARCH64,
    243: Architecture.RISCV64,
    22: Architecture.S390X,
    21: Architecture.PPC64,
    8: Architecture.MIPS64EL,
    258: Architecture.LOONGARCH64,
}
"""``e_machine`` (elf(5)) of 64-bit programs; there are selftests of no others."""

PASSED, SKIPPED, FAILED_ASSERTION = 0, 4, 254
"""Exit statuses (kselftest.h, KVM's lib/assert.c); 1 is a failure, too."""
TIMED_OUT, CANNOT_EXECUTE, SIGNALLED = 124, (126, 127), 128
"""Of timeout(1) and of shells, around or in a script."""

_VERSION = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL) *= *([0-9]+)$", re.MULTILINE)
_TIMEOUT = re.compile(r"^timeout=([0-9]{1,6})$", re.MULTILINE)


class KvmSelftests(Suite):
    """See :class:`matrix.suites.suite.Suite`."""

    def build(
        self,
        directory: Path | None,
        architecture: Architecture,
        *,
        cache: Path,  # noqa: ARG002 - of the interface
    ) -> Build:
        """The programs of that architecture in a folder."""
        if directory is None:  # refused where it stands in a scenario
            raise SuiteError([Problem(Place("builtin"), "there are no embedded KVM selftests")])
        others: set[str] = set()
        for folder in (directory / name for name in FOLDERS):
            found = {each.architecture for each in _programs(folder) if each.architecture}
            if architecture in found:
                return Build(
                    architecture,
                    str(directory.absolute()),
                    str(folder.absolute()),
                    target=Target.PROGRAM,
                    revision=_kernel_version(folder),
                    endian=Endian.BIG if architecture is Architecture.S390X else Endian.LITTLE,
                )
            others.update(found)
        if others:
            names = ", ".join(sorted(others))
            message = f"has KVM selftests for {names}, none for {architecture.value}"
            raise NoBuildError([Problem(Place(str(directory)), message)])
        message = "has no KVM selftests"
        allowed = "name a kernel tree after make -C tools/testing/selftests/kvm, or that folder"
        raise SuiteError([Problem(Place(str(directory)), message, allowed)])

    def tests(
        self,
        build: Build,
        on_warning: Warn = unheard,  # noqa: ARG002 - of the interface
    ) -> tuple[Test, ...]:
        """The programs, by their names."""
        folder = Path(build.images)
        limit = _usual_limit(folder)
        found = {
            each.path.name: each.path
            for each in _programs(folder)
            if each.architecture in (build.architecture, None)
            and each.path.parent.name in (folder.name, *ARCHITECTURE_FOLDERS[build.architecture])
        }
        return tuple(_test(found[name], limit) for name in sorted(found))

    def parser(self) -> SelftestParser:
        """Of TAP, assertions and skips."""
        return SelftestParser()

    def judge(self, end: End) -> Judgement:
        """By its exit status first, then by what it said."""
        match end.outcome.ending:
            case Ending.KILLED:
                return killed(end)
            case Ending.TIMEOUT | Ending.STALL:
                return hung(end)
            case Ending.EXITED:
                return _exited(end, end.outcome.exit_status)
            case _:
                return unfinished(end)


SUITE = KvmSelftests()


@dataclass(frozen=True, slots=True)
class _Program:
    path: Path
    architecture: Architecture | None
    """None for a script."""


def _programs(folder: Path) -> Iterator[_Program]:
    """Those in a folder, and in those of architectures below it."""
    names = (name for names in ARCHITECTURE_FOLDERS.values() for name in names)
    for place in (folder, *(folder / name for name in names)):
        try:
            paths = sorted(place.iterdir())
        except OSError:
            continue  # there is no such folder
        yield from filter(None, map(_program, paths))


def _program(path: Path) -> _Program | None:
    """What a file is; None where it is no program of an architecture that has selftests."""
    try:
        if not path.is_file() or not path.stat().st_mode & 0o100:
            return None
        with path.open("rb") as file:
            head = file.read(20)
    except OSError:
        return None
    if head.startswith(b"#!"):
        return _Program(path, None)
    if head[:5] != b"\x7fELF\x02" or len(head) < 20:
        return None
    machine = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return _Program(path, _MACHINES[machine]) if machine in _MACHINES else None


def _kernel_version(folder: Path) -> str:
    """``6.12.117``, of the kernel tree that the folder is in; empty where that is not known."""
    for tree in folder.absolute().parents:
        if is_file(tree / "Makefile") and is_file(tree / "Kbuild"):
            numbers = dict(_VERSION.findall(read_text(tree / "Makefile")))
            parts = (numbers.get(name) for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
            return ".".join(part for part in parts if part)
        release = tree / "include/config/kernel.release"  # an output folder has it alone
        if is_file(release):
            return read_text(release).strip()
    return ""


def _usual_limit(folder: Path) -> float | None:
    """What the suite's own runner gives a test (``settings``), in seconds; None where it says
    nothing."""
    path = folder / "settings"
    match = _TIMEOUT.search(read_text(path)) if is_file(path) else None
    return float(match[1]) or None if match else None


def _test(path: Path, limit: float | None) -> Test:
    settings = SETTINGS.get(path.name, USUAL)
    return Test(
        path.name,
        str(path.absolute()),
        arguments=settings.arguments,
        smp=settings.cpus,
        memory=settings.memory,
        groups=settings.groups,
        needs=settings.needs,
        accelerator=Accelerator.KVM.value,
        timeout=max(limit or 0.0, settings.seconds) or None,
    )


def _exited(end: End, status: int | None) -> Judgement:
    if status is None:
        return Judgement(Verdict.ERROR, "it ended, but its exit status is not known")
    if status == PASSED:
        return _passed(end)
    if status == SKIPPED:
        return Judgement(Verdict.SKIP, _skip_reason(end), skip_cause=SkipCause.GUEST)
    if status == TIMED_OUT:
        return Judgement(Verdict.TIMEOUT, sentence("timed out", end.last_line(), end.failures()))
    if status in CANNOT_EXECUTE:
        return Judgement(Verdict.ERROR, f"it cannot be executed: {end.last_line()}")
    if is_signal(status - SIGNALLED):
        signal = signal_name(status - SIGNALLED)
        return end.crash(f"it ended as if by {signal} (exit status {status})")
    assertion = _noted(end, ASSERTION)
    failed = f"failed assertion: {assertion}" if assertion else ""
    if status == FAILED_ASSERTION and failed:
        return end.fail(failed, end.failures())
    if end.failed_count() and not failed:
        return end.fail_by_subtests()
    bail_out = next((note for note in end.transcript.notes if note.startswith("Bail out!")), "")
    if said := sentence(end.failures(), failed, bail_out):
        return end.fail(said)
    return end.fail(f"exit status {status}", end.last_line())


def _passed(end: End) -> Judgement:
    """It says success, and is believed unless its own output says otherwise."""
    if end.failed_count():
        return end.fail_by_subtests("although it exited with status 0")
    if lost := next((note for note in end.transcript.notes if note.startswith("of ")), ""):
        return end.fail(f"{lost}, although it exited with status 0")
    return Judgement(Verdict.PASS, end.transcript.summary)


def _skip_reason(end: End) -> str:
    """The requirement, and how a host meets it where that is known."""
    skipped = (each for each in end.transcript.subtests if each.verdict == "skip")
    last = next((each.message or each.name for each in skipped), "")
    reason = _noted(end, SKIP) or last or end.outcome.last_line
    if assertion := _noted(end, ASSERTION):  # one that fails for lack of permission skips
        reason = sentence(reason, assertion)
    hint = " or ".join(hint for word, hint in HINTS.items() if word in reason)
    told = short(reason) or "the test did not say why"
    return f"the test skipped: {told}" + (f" ({hint})" if hint else "")


def _noted(end: End, prefix: str) -> str:
    """The first note of that kind, without the prefix."""
    notes = (note for note in end.transcript.notes if note.startswith(prefix))
    return short(next(notes, "").removeprefix(prefix))
