"""KVM selftests: which programs a folder has, and what their output and exit status come to."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.attempt import Ending, Outcome, Transcript
from matrix.errors import NoBuildError, SuiteError
from matrix.model import Architecture, Build, ExitChannel, Test
from matrix.suites.judgement import End, Judgement
from matrix.suites.kvm_selftests import SUITE
from matrix.suites.selftest_output import SelftestParser
from matrix.suites.selftest_table import SETTINGS
from matrix.verdicts import SkipCause, Subtest, SubtestVerdict, Verdict

X86, ARM64 = Architecture.X86_64, Architecture.AARCH64

# As Linux 6.12's programs print them, both of their streams together.
ASSERTION = """\
==== Test Assertion Failure ====
  x86_64/cpuid_test.c:94: e1->eax == e2->eax && e1->ebx == e2->ebx
  pid=19345 tid=19345 errno=0 - Success
     1\t0x0000000000401759: compare_cpuids at cpuid_test.c:94
     2\t (inlined by) main at cpuid_test.c:194
  CPUID 0x1.0 differ: 0xa10f11 vs 0xa10f12
Random seed: 0x6b8b4567
"""
SEVERAL_LINES = """\
==== Test Assertion Failure ====
  rseq_test.c:293: skip_sanity_check || i > (NR_TASK_MIGRATIONS / 2)
  pid=17307 tid=17307 errno=4 - Interrupted system call
  (stack trace empty)
  Only performed 14207 KVM_RUNs, task stalled too much?

  Try disabling deep sleep states to reduce CPU wakeup latency,
"""
WITHOUT_ADDR2LINE = """\
==== Test Assertion Failure ====
  guest_memfd_test.c:139: fd == -1 && errno == EINVAL
  pid=7026 tid=7026 errno=22 - Invalid argument
sh: 1: addr2line: not found
"""
BEHIND_A_LINE = """\
\r1 vCPUs haven't rendezvoused...==== Test Assertion Failure ====
  x86_64/xapic_state_test.c:77: get_ucall(vcpu, &uc) == UCALL_SYNC
  pid=6532 tid=6532 errno=4 - Interrupted system call
     1\t0x0000000000401c42: ____test_icr at xapic_state_test.c:77 (discriminator 7)
\r1 vCPUs haven't rendezvoused...     2\t0x0000000000402728: test_icr at xapic_state_test.c:140
  0 != 0x1 (get_ucall(vcpu, &uc) != UCALL_SYNC)
"""
DENIED = """\
==== Test Assertion Failure ====
  lib/kvm_util.c:61: fd >= 0
  pid=1 tid=1 errno=13 - Permission denied
  (stack trace empty)
  open /dev/kvm failed, rc: -1 errno: 13 (Permission denied)
Access denied - Exiting, skipping test
"""
HARNESS = """\
# enable_quirk: Test terminated by timeout
Random seed: 0x6b8b4567
TAP version 13
1..2
# Starting 2 tests from 1 test cases.
#  RUN           fix_hypercall.enable_quirk ...
#          FAIL  fix_hypercall.enable_quirk
not ok 1 fix_hypercall.enable_quirk
#  RUN           fix_hypercall.disable_quirk ...
#            OK  fix_hypercall.disable_quirk
ok 2 fix_hypercall.disable_quirk
# FAILED: 1 / 2 tests passed.
# Totals: pass:1 fail:1 xfail:0 xpass:0 skip:0 error:0
"""
PASSING = "TAP version 13\n1..3\nok 1 a\nok 2 b # SKIP no such thing\nok 3 # SKIP not here\n"
SKIPPED = "Random seed: 0x6b8b4567\n1..0 # SKIP - Requirement not met: kvm_has_cap(KVM_CAP_X)\n"
NO_SVM = "1..0 # SKIP - Requirement not met: kvm_cpu_has(X86_FEATURE_SVM)\n"
PRINTED_SKIP = "MCG_CMCI_P is not supported, skipping test\n"
EITHER = NO_SVM.rstrip() + " || kvm_cpu_has(X86_FEATURE_VMX)\n"


def parsed(text: str) -> Transcript:
    parser = SelftestParser()
    parser.feed(text.encode())
    return parser.finish()


def judged(text: str, status: int | None = 0, ending: Ending = Ending.EXITED) -> Judgement:
    parser = SelftestParser()
    parser.feed(text.encode())
    signal = 6 if ending is Ending.KILLED else None
    outcome = Outcome(ending, 3.0, status, signal, last_line=parser.last_line)
    test = Test("t", "/t")
    return SUITE.judge(End(test, ExitChannel.STATUS, outcome, parser.finish(), "kvm", program="t"))


@pytest.mark.parametrize(
    ("text", "status", "verdict", "reason"),
    [
        ("Random seed: 1\n", 0, Verdict.PASS, ""),
        (PASSING, 0, Verdict.PASS, "3 tests, 2 skipped"),
        (
            SKIPPED,
            4,
            Verdict.SKIP,
            "the test skipped: Requirement not met: kvm_has_cap(KVM_CAP_X)",
        ),
        (
            NO_SVM,
            4,
            Verdict.SKIP,
            (
                "the test skipped: Requirement not met: kvm_cpu_has(X86_FEATURE_SVM)"
                " (AMD's nested virtualization, by module parameter nested of kvm_amd)"
            ),
        ),
        (
            EITHER,
            4,
            Verdict.SKIP,
            (
                "the test skipped: Requirement not met: kvm_cpu_has(X86_FEATURE_SVM) || "
                "kvm_cpu_has(X86_FEATURE_VMX) (Intel's nested virtualization, by module parameter"
                " nested of kvm_intel or AMD's nested virtualization, by module parameter nested of"
                " kvm_amd)"
            ),
        ),
        (PRINTED_SKIP, 4, Verdict.SKIP, "the test skipped: MCG_CMCI_P is not supported"),
        ("# alone\nok 1 # SKIP no ITS\n", 4, Verdict.SKIP, "the test skipped: no ITS"),
        ("just this\n", 4, Verdict.SKIP, "the test skipped: just this"),
        ("", 4, Verdict.SKIP, "the test skipped: the test did not say why"),
        (
            DENIED,
            4,
            Verdict.SKIP,
            (
                "the test skipped: Access denied - Exiting; lib/kvm_util.c:61: open /dev/kvm"
                " failed, rc: -1 errno: 13 (Permission denied)"
            ),
        ),
        (
            ASSERTION,
            254,
            Verdict.FAIL,
            "failed assertion: x86_64/cpuid_test.c:94: CPUID 0x1.0 differ: 0xa10f11 vs 0xa10f12",
        ),
        (
            SEVERAL_LINES,
            254,
            Verdict.FAIL,
            (
                "failed assertion: rseq_test.c:293: Only performed 14207 KVM_RUNs, task stalled too"
                " much?"
            ),
        ),
        (
            BEHIND_A_LINE,
            254,
            Verdict.FAIL,
            (
                "failed assertion: x86_64/xapic_state_test.c:77:"
                " 0 != 0x1 (get_ucall(vcpu, &uc) != UCALL_SYNC)"
            ),
        ),
        (
            WITHOUT_ADDR2LINE,
            254,
            Verdict.FAIL,
            "failed assertion: guest_memfd_test.c:139: fd == -1 && errno == EINVAL",
        ),
        (
            HARNESS,
            1,
            Verdict.FAIL,
            "1 of 2 subtests failed: fix_hypercall.enable_quirk: Test terminated by timeout",
        ),
        ("Bail out! no memory\n", 1, Verdict.FAIL, "Bail out! no memory"),
        ("hm\n", 1, Verdict.FAIL, "exit status 1; last line: hm"),
        ("", 2, Verdict.FAIL, "exit status 2; it printed nothing"),
        (
            HARNESS,
            0,
            Verdict.FAIL,
            (
                "1 of 2 subtests failed: fix_hypercall.enable_quirk: Test terminated by timeout;"
                " although it exited with status 0"
            ),
        ),
        (
            "1..3\nok 1 a\n",
            0,
            Verdict.FAIL,
            "of 3 tests 1 were seen, although it exited with status 0",
        ),
        ("hm\n", 124, Verdict.TIMEOUT, "timed out; last line: hm"),
        ("hm\n", 139, Verdict.CRASH, "it ended as if by SIGSEGV (exit status 139)"),
        (
            "x: Exec format error\n",
            126,
            Verdict.ERROR,
            "it cannot be executed: last line: x: Exec format error",
        ),
    ],
)
def test_each_way_to_end(text: str, status: int, verdict: Verdict, reason: str) -> None:
    judgement = judged(text, status)
    assert (judgement.verdict, judgement.reason) == (verdict, reason)
    assert judgement.skip_cause == (SkipCause.GUEST if verdict is Verdict.SKIP else None)


def test_signals_limits_and_the_host() -> None:
    killed = judged("here\n", None, Ending.KILLED)
    assert (killed.verdict, killed.reason) == (Verdict.CRASH, "t was killed by SIGABRT")
    late = judged("here\n", None, Ending.TIMEOUT)
    assert (late.verdict, late.reason) == (Verdict.TIMEOUT, "timed out after 3 s; last line: here")
    assert judged("", None, Ending.ERROR).verdict is Verdict.ERROR


def test_a_failure_by_subtests_alone_can_be_known() -> None:
    assert judged(HARNESS, 1).by_subtests
    assert not judged(HARNESS + ASSERTION, 254).by_subtests


def test_subtests() -> None:
    text = "ok 1 - a b\nnot ok 2 c # TODO later\nok 3 d # XFAIL known\nok 4 e # XPASS\n# ok 5 f\n"
    assert parsed(text).subtests == (
        Subtest("a b", SubtestVerdict.PASS),
        Subtest("c", SubtestVerdict.XFAIL, "later"),
        Subtest("d", SubtestVerdict.XFAIL, "known"),
        Subtest("e", SubtestVerdict.XPASS),
        Subtest("f", SubtestVerdict.PASS),
    )


@given(st.lists(st.sampled_from([*(ASSERTION + HARNESS + SKIPPED).splitlines(), "", "  x", "ok"])))
def test_no_order_of_lines_raises(lines: list[str]) -> None:
    for status in (0, 1, 4, 254):
        judgement = judged("\n".join(lines), status)
        assert "\n" not in judgement.reason
        assert judgement.verdict is Verdict.PASS or judgement.reason


def program(path: Path, machine: int = 62, *, order: str = "<", bits: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = b"\x7fELF" + bytes((bits, 1 if order == "<" else 2)) + bytes(12)
    path.write_bytes(head[:18] + struct.pack(f"{order}H", machine))
    path.chmod(0o755)
    return path


def script(path: Path, text: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def build(directory: Path, architecture: Architecture = X86) -> Build:
    return SUITE.build(directory, architecture, cache=Path("/nowhere"))


def test_programs_of_a_kernel_tree(tmp_path: Path) -> None:
    folder = tmp_path / "tools/testing/selftests/kvm"
    program(folder / "dirty_log_test")
    program(folder / "x86_64/cpuid_test")
    program(folder / "x86_64/svm_vmcall_test")
    program(folder / "aarch64/arch_timer", 183)
    script(folder / "x86_64/nx_huge_pages_test.sh")
    script(folder / "aarch64/not_ours.sh")
    program(folder / "x86_64/cpuid_test.o").chmod(0o644)
    program(folder / "x86_64/old", 3, bits=1)
    (folder / "settings").write_text("timeout=120\n")
    (tmp_path / "Kbuild").touch()
    (tmp_path / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\n")
    found = build(tmp_path)
    assert (found.images, found.target, found.revision) == (str(folder), "program", "6.12.117")
    tests = {test.name: test for test in SUITE.tests(found)}
    names = ["cpuid_test", "dirty_log_test", "nx_huge_pages_test.sh", "svm_vmcall_test"]
    assert list(tests) == names
    assert {name: test.timeout for name, test in tests.items()} == {
        "cpuid_test": 120,
        "dirty_log_test": SETTINGS["dirty_log_test"].seconds,
        "nx_huge_pages_test.sh": 120,
        "svm_vmcall_test": 120,
    }
    assert tests["nx_huge_pages_test.sh"].groups == ("nodefault",)
    assert [need.value for need in tests["svm_vmcall_test"].needs] == ["svm"]
    assert [test.name for test in SUITE.tests(build(tmp_path, ARM64))] == [
        "arch_timer",
        "not_ours.sh",
    ]


def test_programs_of_a_plain_folder(tmp_path: Path) -> None:
    path = program(tmp_path / "max_guest_memory_test", 22, order=">")
    (test,) = SUITE.tests(build(tmp_path, Architecture.S390X))
    assert (test.image, test.arguments, test.timeout) == (str(path), "", None)


def test_an_output_folder_says_its_kernel(tmp_path: Path) -> None:
    program(tmp_path / "kselftest/kvm/x86/cpuid_test")
    release = tmp_path / "include/config/kernel.release"
    release.parent.mkdir(parents=True)
    release.write_text("7.2.0-rc1+\n")
    assert build(tmp_path).revision == "7.2.0-rc1+"


def test_folders_without(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="has no KVM selftests; name a kernel tree after make"):
        build(tmp_path)
    program(tmp_path / "x86_64/cpuid_test")
    with pytest.raises(NoBuildError, match="has KVM selftests for x86_64, none for aarch64"):
        build(tmp_path, ARM64)
