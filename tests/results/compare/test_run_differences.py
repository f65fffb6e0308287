from collections.abc import Callable
from dataclasses import replace
from typing import Any

from matrix.inventory import KvmProof, KvmState
from matrix.model import Architecture
from matrix.results.case_record import record_of
from matrix.results.compare.run_differences import (
    case_differences,
    qemu_differences,
    run_differences,
    short_revision,
)
from matrix.results.run_info import QemuFingerprint, RunInfo, ScenarioSource
from tests import make
from tests.results.conftest import RunMaker

REVISIONS = ("0123456789" * 4, "abcdef0123" * 4)


def qemu(version: str, arch: str = "aarch64", name: str = "system", sha: str = "") -> Any:
    return QemuFingerprint(name, Architecture(arch), "/q", version, sha256=sha)


def differences(recorded: Any, a: RunInfo, b: RunInfo, results: Any = ((), ())) -> list[str]:
    records = [recorded(each).record for each in results]
    for record, info in zip(records, (a, b), strict=True):
        record.info = info
    found = run_differences(*records)
    return [f"{each.what}: {each.a} > {each.b}" for each in found]


def test_the_same_differs_in_nothing(recorded: RunMaker, info: RunInfo) -> None:
    assert differences(recorded, info, info) == []


def test_everything_that_a_run_knows_of_itself(
    recorded: RunMaker, info: RunInfo, proof: Callable[[KvmState], KvmProof]
) -> None:
    host = replace(info.host, kernel="6.12", cpus=64, kvm_device="no permission")
    other = replace(
        info,
        host=host,
        hostname="other",
        tool_version="9",
        scenarios=(ScenarioSource.of("smoke", "s.yaml", "changed"),),
        options={"jobs": 8},
        proofs=(proof(KvmState.BROKEN),),
    )
    digests = [each.scenarios[0].sha256[:12] for each in (info, other)]
    first = replace(info, options={"jobs": None}, proofs=(proof(KvmState.WORKS),))
    assert differences(recorded, first, other) == [
        "host kernel: 6.1.0 > 6.12",
        "host CPUs: 2 > 64",
        "/dev/kvm: can be opened > no permission",
        "host: builder > other",
        "KVM for x86_64 (QEMU system, qemu64): works > broken",
        f"matrix: {info.tool_version} > 9",
        f"scenario smoke: SHA-256 {digests[0]} > SHA-256 {digests[1]}",
        "-j:  > 8",
    ]


def test_what_one_side_does_not_know_is_no_difference(recorded: RunMaker, info: RunInfo) -> None:
    other = replace(info, options={"jobs": 8}, hostname="other")
    assert differences(recorded, info, other) == ["host: builder > other"]
    assert differences(recorded, replace(info, started=""), other) == []


def test_qemus_that_differ_alike_are_one_difference(recorded: RunMaker, info: RunInfo) -> None:
    old = replace(info, binaries=(qemu("7.2"), qemu("7.2", "arm"), qemu("7.2", "s390x")))
    new = replace(info, binaries=(qemu("10"), qemu("10", "arm"), qemu("10", "s390x")))
    assert differences(recorded, old, new) == ["QEMU system: 7.2 > 10"]
    mixed = replace(info, binaries=(qemu("10"), qemu("11", "arm"), qemu("10", "s390x")))
    assert differences(recorded, old, mixed) == [
        "QEMU system (aarch64, s390x): 7.2 > 10",
        "QEMU system (arm): 7.2 > 11",
    ]
    none = replace(info, binaries=(qemu("7.2"), qemu("7.2", "arm"), qemu("1", name="mine")))
    assert differences(recorded, old, none) == [
        "QEMU system (s390x): 7.2 > ",
        "QEMU mine (aarch64):  > 1",
    ]


def test_other_binaries_of_one_version_are_told(recorded: RunMaker, info: RunInfo) -> None:
    a = replace(info, binaries=(qemu("7.2", sha="a" * 64),))
    b = replace(info, binaries=(qemu("7.2", sha="b" * 64),))
    assert differences(recorded, a, b) == [
        "QEMU system binary (aarch64): SHA-256 aaaaaaaaaaaa > SHA-256 bbbbbbbbbbbb"
    ]
    unknown = replace(info, binaries=(qemu("7.2"),))
    assert differences(recorded, a, unknown) == []


def test_revisions_of_the_suite_where_both_are_known(recorded: RunMaker, info: RunInfo) -> None:
    def results(revision: str) -> Any:
        made: list[Any] = []
        for arch in ("x86_64", "s390x"):
            case = make.case("boot", arch)
            case = replace(case, build=replace(case.build, revision=revision))
            made.append((make.run(case), []))
        return made

    old, new = (results(each) for each in REVISIONS)
    assert differences(recorded, info, info, (old, new)) == [
        "builtin revision: 012345678901 > abcdef0123ab"
    ]
    assert differences(recorded, info, info, (old, results(""))) == []


def test_qemus_of_one_run(info: RunInfo) -> None:
    info = replace(info, binaries=(qemu("7.2"), qemu("10", name="mine")))
    (only,) = qemu_differences(info, "system", "mine")
    assert (only.what, only.a, only.b) == ("QEMU (aarch64)", "7.2", "10")
    assert info.qemu_version("mine", Architecture.AARCH64) == "10"
    assert info.qemu_version("mine", Architecture.ARM) == ""


def test_how_a_case_was_run_otherwise() -> None:
    a = make.case()
    test = replace(a.test, arguments="1 2", qemu_params=("-cpu", "max"), smp=2, timeout=5.0)
    b = replace(a, test=test)
    sides = [
        record_of(case, [make.attempt(accelerator=used)]) for case, used in ((a, "kvm"), (b, "tcg"))
    ]
    found = case_differences(*sides)
    assert [(each.what, each.a, each.b) for each in found] == [
        ("accelerator", "kvm", "tcg"),
        ("arguments", "", "1 2"),
        ("QEMU parameters", "", "-cpu max"),
        ("vCPUs of the test", "1", "2"),
        ("timeout", "90 s", "5 s"),
    ]
    assert case_differences(sides[0], sides[0]) == ()


def test_values_from_commands_always_differ() -> None:
    a, b = (
        replace(make.case(), test=replace(make.case().test, arguments=each, dynamic=True))
        for each in ("1763719000", "1763719999")
    )
    sides = [record_of(case, [make.attempt()]) for case in (a, b)]
    assert case_differences(*sides) == ()


def test_only_object_names_are_shortened() -> None:
    assert short_revision(REVISIONS[0]) == "012345678901"
    assert short_revision("v2026.1-with-a-long-suffix") == "v2026.1-with-a-long-suffix"
