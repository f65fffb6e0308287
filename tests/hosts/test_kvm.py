"""The KVM device's state, over a made-up tree and openers that fail."""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matrix.hosts.kvm import (
    DIRTY_RING_EXTENSIONS,
    KVM_CHECK_EXTENSION,
    KVM_GET_API_VERSION,
    KvmDevice,
    read_device,
    who_may_open,
    why_no_kvm,
)
from matrix.model import Architecture


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root with a device file and two modules."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/kvm").touch(mode=0o660)
    for module in ("kvm", "kvm_intel"):
        parameters = tmp_path / "sys/module" / module / "parameters"
        parameters.mkdir(parents=True)
        (parameters / "nested").write_text("Y\n")
    return tmp_path


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the API version and the extensions that the ioctls answer."""

    def answer(version: int, *extensions: int) -> None:
        def ioctl(descriptor: int, request: int, argument: Any = 0) -> int:
            if request == KVM_CHECK_EXTENSION:
                return 4096 if argument in extensions else 0
            assert request == KVM_GET_API_VERSION
            return version

        monkeypatch.setattr(fcntl, "ioctl", ioctl)

    return answer


def refusing(number: int) -> Callable[[Path], int]:
    def opener(path: Path) -> int:
        raise OSError(number, os.strerror(number))

    return opener


def test_usable(tree: Path, api: Callable[..., None]) -> None:
    api(12)
    device = read_device(tree)
    assert device.problem == ""
    assert device.modules == ("kvm", "kvm_intel")
    assert not device.dirty_ring


@pytest.mark.parametrize("extension", DIRTY_RING_EXTENSIONS)
def test_dirty_rings(tree: Path, api: Callable[..., None], extension: int) -> None:
    api(12, extension)
    assert read_device(tree).dirty_ring


def test_foreign_api_version(tree: Path, api: Callable[..., None]) -> None:
    api(11)
    assert read_device(tree).problem == "/dev/kvm speaks API version 11, QEMU needs 12"


def test_something_else_in_its_place(tree: Path) -> None:
    assert read_device(tree).problem.startswith("/dev/kvm is not KVM's device: ")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EPERM, "no permission to open /dev/kvm: the container's device rules deny it"),
        (errno.EBUSY, "/dev/kvm is busy: another hypervisor holds the CPU's virtualization"),
        (errno.EMFILE, "/dev/kvm cannot be opened: Too many open files"),
        (errno.ENODEV, "/dev/kvm has no driver behind it: the kernel offers no KVM here"),
    ],
)
def test_why_it_does_not_open(tree: Path, number: int, message: str) -> None:
    assert read_device(tree, opener=refusing(number)).problem == message


def test_a_group_that_the_user_namespace_does_not_map(tree: Path) -> None:
    """Nobody can join the group that stands for it."""
    for name, text in {
        "proc/self/gid_map": "         0       1000          1\n",
        "proc/sys/kernel/overflowgid": str((tree / "dev/kvm").stat().st_gid),
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    problem = read_device(tree, opener=refusing(errno.EACCES)).problem
    assert "its group is not mapped in this user namespace; keep the groups" in problem
    assert "usermod" not in problem


@pytest.mark.parametrize(
    ("mode", "group", "words"),
    [
        (
            0o020660,
            "kvm",
            "it is crw-rw---- root:kvm, so join the group (usermod -aG kvm me)",
        ),
        (0o020600, "kvm", "it is crw------- root:kvm"),
        (0o020660, "root", "it is crw-rw---- root:root"),
    ],
)
def test_no_permission_names_the_group_to_join(mode: int, group: str, words: str) -> None:
    assert who_may_open(mode, "root", group, "me") == words


def test_no_permission_at_all_for_the_group(tree: Path) -> None:
    (tree / "dev/kvm").chmod(0o600)
    problem = read_device(tree, opener=refusing(errno.EACCES)).problem
    assert "-rw-------" in problem
    assert "join" not in problem


@pytest.mark.parametrize(
    ("cpu", "hint"),
    [
        ("GenuineIntel fpu vmx", "load its module (modprobe kvm_intel)"),
        ("AuthenticAMD fpu svm", "load its module (modprobe kvm_amd)"),
        (
            "GenuineIntel fpu",
            (
                "the CPU shows no virtualization (vmx, svm); enable it in the firmware's setup, "
                "or nested virtualization in the hypervisor"
            ),
        ),
        ("0x41", "the kernel offers no KVM here"),
    ],
)
def test_missing_device_says_what_would_help(tmp_path: Path, cpu: str, hint: str) -> None:
    assert read_device(tmp_path, cpu=cpu).problem == f"no /dev/kvm: {hint}"


def test_missing_device_in_a_container(tmp_path: Path) -> None:
    (tmp_path / ".dockerenv").touch()
    problem = read_device(tmp_path, cpu="GenuineIntel vmx").problem
    assert problem == "no /dev/kvm: start the container with --device /dev/kvm"


def reload(tree: Path) -> None:
    (tree / "sys/module/kvm_intel/srcversion").write_text("0123\n")


def change_parameter(tree: Path) -> None:
    (tree / "sys/module/kvm_intel/parameters/nested").write_text("N\n")


def unload(tree: Path) -> None:
    (tree / "sys/module/kvm_intel").rename(tree / "sys/module/gone")


def change_mode(tree: Path) -> None:
    (tree / "dev/kvm").chmod(0o666)


def remove(tree: Path) -> None:
    (tree / "dev/kvm").unlink()


@pytest.mark.parametrize("change", [reload, change_parameter, unload, change_mode, remove])
def test_state_changes_with_everything_that_matters(
    tree: Path, change: Callable[[Path], None]
) -> None:
    before = read_device(tree).state
    assert read_device(tree).state == before
    change(tree)
    assert read_device(tree).state != before


def test_state_changes_with_the_cpu_and_with_permission(tree: Path) -> None:
    states = {
        read_device(tree).state,
        read_device(tree, cpu="GenuineIntel").state,
        read_device(tree, opener=refusing(errno.EACCES)).state,
    }
    assert len(states) == 3


def test_unreadable_parameters_are_left_out(tree: Path) -> None:
    (tree / "sys/module/kvm/parameters/folder").mkdir()
    assert "folder" not in read_device(tree).state


USABLE = KvmDevice(problem="", state="")


@pytest.mark.parametrize(
    ("host", "guests"),
    [
        ("x86_64", {Architecture.X86_64, Architecture.I386}),
        ("aarch64", {Architecture.AARCH64, Architecture.ARM}),
        ("ppc64le", {Architecture.PPC64}),
        ("s390x", {Architecture.S390X}),
        ("riscv64", {Architecture.RISCV64}),
        ("riscv32", {Architecture.RISCV32}),
        ("mips64", {Architecture.MIPS64EL}),
        ("loongarch64", {Architecture.LOONGARCH64}),
        ("sparc64", set()),
    ],
)
def test_guests_of_a_host(host: str, guests: set[Architecture]) -> None:
    can = {arch for arch in Architecture if not why_no_kvm(arch, host, USABLE, built_in=True)}
    assert can == guests


def test_reasons_come_in_the_order_in_which_they_help() -> None:
    broken = KvmDevice(problem="no /dev/kvm: …", state="")
    foreign = "this x86_64 host's KVM runs x86_64 and i386 guests only"
    assert why_no_kvm(Architecture.S390X, "x86_64", broken, built_in=False) == foreign
    assert why_no_kvm(Architecture.X86_64, "x86_64", broken, built_in=False) == broken.problem
    unbuilt = why_no_kvm(Architecture.X86_64, "x86_64", USABLE, built_in=False)
    assert unbuilt == "this QEMU was built without KVM"
