import pytest

from matrix.suites.stderr import (
    complaint,
    error_lines,
    image_complaint,
    kvm_complaint,
    without_program,
)


@pytest.mark.parametrize(
    "line",
    [
        "qemu-system-x86_64: warning: TCG doesn't support requested feature: CPUID.01H:ECX.x2apic",
        "qemu-system-s390x: warning: nic virtio-net-ccw.0 has no peer",
        "qemu: module ui-ui-gtk not found, do you want to install qemu-system-gui package?",
        "qemu-system-arm: -machine x: 'x' is deprecated, use y",
        "(process:12): GLib-WARNING **: 12:00: something",
        "",
        "   ",
    ],
)
def test_harmless(line: str) -> None:
    assert error_lines([line]) == ()
    assert complaint([line]) == ""


@pytest.mark.parametrize(
    "line",
    [
        "qemu-system-x86_64: CPU model 'host' requires KVM or HVF",
        "qemu-system-x86_64: terminating on signal 15 from pid 1",
        "KVM internal error. Suberror: 1",
        "something else",
    ],
)
def test_errors(line: str) -> None:
    assert complaint([line]) == without_program(line)


def test_one_warning_does_not_excuse_an_error() -> None:
    lines = ["qemu-system-x86_64: warning: a", "qemu-system-x86_64: b", "error: kvm run failed"]
    assert error_lines(lines) == ("b", "error: kvm run failed")


def test_hints_below_a_message_are_not_the_message() -> None:
    lines = ["qemu-system-arm: unsupported machine type 'x'", "Use -machine help to list them"]
    assert error_lines(lines) == ("unsupported machine type 'x'",)
    assert complaint(lines) == "unsupported machine type 'x'"


def test_a_failed_assertion_says_most() -> None:
    lines = [
        "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69",
        "qemu-system-x86_64: ../kvm.c:3183: f: Assertion `a' failed.",
        "Aborted (core dumped)",
    ]
    assert complaint(lines) == "../kvm.c:3183: f: Assertion `a' failed."
    assert kvm_complaint(lines) == "error: failed to set MSR 0x10a to 0x69"
    glib = ["**", "ERROR:../x.c:1:f: assertion failed: (a)", "Bail out! ERROR:../x.c:1:f: x"]
    assert "assertion failed" in complaint(glib[:2])


def test_program_names() -> None:
    assert without_program("/opt/q/bin/qemu-system-s390x: a: b ") == "a: b"
    assert without_program("qemu: could not load") == "could not load"
    assert without_program("nota: qemu: b") == "nota: qemu: b"


@pytest.mark.parametrize(
    "line",
    [
        "KVM internal error. Suberror: 3",
        "error: kvm run failed Function not implemented",
        "KVM: entry failed, hardware error 0x80000021",
        "qemu-system-x86_64: kvm_init_vcpu: kvm_get_vcpu failed (0): Invalid argument",
    ],
)
def test_what_kvm_complains_of(line: str) -> None:
    assert kvm_complaint(["x", line]) == without_program(line)


def test_kvm_that_is_only_named_has_not_failed() -> None:
    assert kvm_complaint(["qemu-system-x86_64: CPU model 'host' requires KVM or HVF"]) == ""


@pytest.mark.parametrize(
    "said",
    [
        "could not load kernel '/x'",
        "Failed to open file '/run/cases/machine=pc'",  # a Multiboot module
    ],
)
def test_what_cannot_be_loaded_is_no_configuration_that_qemu_refuses(said: str) -> None:
    assert image_complaint(["hello", f"qemu-system-x86_64: {said}"]) == said
