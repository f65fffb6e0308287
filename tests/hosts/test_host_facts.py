"""The host's facts, over made-up trees, and once over the real one."""

import os
from pathlib import Path

import pytest

from matrix.hosts.host_facts import (
    CPUINFO_BYTES,
    read_cpuinfo,
    read_host,
    read_huge_pages,
    why_no_userfaultfd,
)
from matrix.hosts.kvm import KvmDevice

X86 = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 207
model name\t: Intel(R) Xeon(R) Processor
microcode\t: 0x1
flags\t\t: fpu vme

processor\t: 1
model name\t: another
"""
ARM = """processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd
CPU implementer\t: 0x41
CPU part\t: 0xd0c
"""
POWER = """processor\t: 0
cpu\t\t: POWER9, altivec supported
revision\t: 2.2 (pvr 004e 1202)
"""
S390 = """vendor_id       : IBM/S390
# processors    : 4
features\t: esan3 zarch
processor 0: version = 00,  identification = 0FFFFF,  machine = 3906
"""
DEVICE = KvmDevice(problem="no /dev/kvm: …", state="none", modules=("kvm",))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "proc/sys/kernel/random").mkdir(parents=True)
    (tmp_path / "proc/cpuinfo").write_text(X86)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2048 kB\n")
    (tmp_path / "proc/sys/kernel/random/boot_id").write_text("first\n")
    return tmp_path


def test_facts(tree: Path) -> None:
    host = read_host(tree, device=DEVICE).host
    assert host.cpu_vendor == "GenuineIntel"
    assert host.cpu_model == "Intel(R) Xeon(R) Processor"
    assert host.memory == 2 * 2**20
    assert host.cpus == len(os.sched_getaffinity(0))
    assert host.architecture == os.uname().machine
    assert host.kernel == os.uname().release
    assert (host.kvm_device, host.kvm_modules) == ("no /dev/kvm: …", ("kvm",))


@pytest.mark.parametrize(
    ("cpuinfo", "vendor", "model"),
    [
        (ARM, "0x41", "0xd0c"),
        (POWER, "", "POWER9, altivec supported"),
        (S390, "IBM/S390", "version = 00,  identification = 0FFFFF,  machine = 3906"),
        ("", "", ""),
    ],
)
def test_cpu_of_other_architectures(tree: Path, cpuinfo: str, vendor: str, model: str) -> None:
    (tree / "proc/cpuinfo").write_text(cpuinfo)
    host = read_host(tree, device=DEVICE).host
    assert (host.cpu_vendor, host.cpu_model) == (vendor, model)


def test_groups_limit_what_guests_may_take(tree: Path) -> None:
    (tree / "proc/self").mkdir()
    (tree / "proc/self/cgroup").write_text("0::/\n")
    (tree / "proc/self/mountinfo").write_text("1 2 0:3 / /cg rw - cgroup2 none rw\n")
    (tree / "cg").mkdir()
    (tree / "cg/memory.max").write_text("4096")
    (tree / "cg/memory.current").write_text("96")
    (tree / "cg/cpu.max").write_text("50000 100000")
    host = read_host(tree, device=DEVICE).host
    assert host.memory == 4000
    assert host.cpus == 1


def test_an_unreadable_proc_leaves_blanks(tmp_path: Path) -> None:
    host = read_host(tmp_path, device=DEVICE).host
    assert (host.memory, host.cpu_model) == (0, "")


def test_only_the_first_cpu_is_read(tree: Path) -> None:
    (tree / "proc/cpuinfo").write_text(X86 + "x" * CPUINFO_BYTES + "\nlate: value\n")
    values = read_cpuinfo(tree / "proc/cpuinfo")
    assert values["model name"] == "Intel(R) Xeon(R) Processor"
    assert "late" not in values


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("proc/cpuinfo", X86.replace("0x1", "0x2")),
        ("proc/sys/kernel/random/boot_id", "second\n"),
    ],
)
def test_key_changes_with_the_cpu_and_the_boot(tree: Path, file: str, text: str) -> None:
    before = read_host(tree).key
    assert read_host(tree).key == before
    (tree / file).write_text(text)
    assert read_host(tree).key != before


def test_in_ci_the_kind_of_machine_counts_and_not_its_boot(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    before = read_host(tree).key
    (tree / "proc/sys/kernel/random/boot_id").write_text("second\n")
    assert read_host(tree).key == before
    (tree / "sys/class/dmi/id").mkdir(parents=True)
    (tree / "sys/class/dmi/id/product_name").write_text("Virtual Machine\n")
    assert read_host(tree).key != before


def test_key_changes_with_the_kernel(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_host(tree).key
    for release, version in (("99.0", "#1"), (os.uname().release, "#99")):
        uname = os.uname_result(("Linux", "host", release, version, os.uname().machine))
        monkeypatch.setattr(os, "uname", lambda uname=uname: uname)
        assert read_host(tree).key != before
        monkeypatch.undo()


def test_key_changes_with_the_device(tree: Path) -> None:
    before = read_host(tree, device=DEVICE).key
    other = KvmDevice(problem="", state="there")
    assert read_host(tree, device=other).key != before


def test_key_does_not_change_with_memory(tree: Path) -> None:
    before = read_host(tree).key
    (tree / "proc/meminfo").write_text("MemAvailable: 1 kB\n")
    assert read_host(tree).key == before


def test_real_host() -> None:
    state = read_host()
    assert state.host.cpus >= 1
    assert state.host.memory > 0
    assert state.key == read_host().key


class TestUserfaultfd:
    """Who may handle page faults: postcopy needs it."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/sys/vm").mkdir(parents=True)
        (tmp_path / "dev").mkdir()
        (tmp_path / "proc/self/status").write_text("Name:\tx\nCapEff:\t0000000000000000\n")
        (tmp_path / "proc/sys/vm/unprivileged_userfaultfd").write_text("0\n")
        return tmp_path

    def test_an_ordinary_user(self, root: Path) -> None:
        assert "vm.unprivileged_userfaultfd=1" in why_no_userfaultfd(root)

    def test_by_a_capability(self, root: Path) -> None:
        (root / "proc/self/status").write_text("CapEff:\t0000000000080000\n")
        assert why_no_userfaultfd(root) == ""

    def test_by_the_setting(self, root: Path) -> None:
        (root / "proc/sys/vm/unprivileged_userfaultfd").write_text("1\n")
        assert why_no_userfaultfd(root) == ""

    def test_by_the_device(self, root: Path) -> None:
        (root / "dev/userfaultfd").touch()
        assert why_no_userfaultfd(root) == ""

    def test_a_kernel_without_it(self, root: Path) -> None:
        (root / "proc/sys/vm/unprivileged_userfaultfd").unlink()
        assert why_no_userfaultfd(root) == "the kernel has no userfaultfd"


@pytest.mark.parametrize(
    ("meminfo", "expected"),
    [
        ("HugePages_Free: 10\nHugePages_Rsvd: 4\nHugepagesize: 2048 kB\n", (2**21, 6)),
        ("HugePages_Free: 1\nHugePages_Rsvd: 4\nHugepagesize: 2048 kB\n", (2**21, 0)),
        ("MemAvailable: 4 kB\n", (0, 0)),
    ],
)
def test_huge_pages(tmp_path: Path, meminfo: str, expected: tuple[int, int]) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(meminfo)
    assert read_huge_pages(tmp_path) == expected
