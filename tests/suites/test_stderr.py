import pytest

from matrix.suites.stderr import (
    MAXIMUM,
    complaint,
    ended_by,
    error_lines,
    host_complaint,
    image_complaint,
    kvm_complaint,
    refusal,
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
    assert complaint(lines) == (
        "error: failed to set MSR 0x10a to 0x69; ../kvm.c:3183: f: Assertion `a' failed."
    )
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


@pytest.mark.parametrize(
    "line",
    [
        "qemu: qemu_thread_create: Resource temporarily unavailable",
        "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory",
        "(process:5): GLib-ERROR **: 12:00:00.1: ../gmem.c:136: failed to allocate 7 bytes",
        "qemu-system-x86_64: failed to initialize aio: Too many open files",
    ],
)
def test_what_the_host_lacks(line: str) -> None:
    assert host_complaint(["hello", "qemu-system-arm: warning: a", line]) == without_program(line)


def test_a_warning_is_no_lack() -> None:
    assert host_complaint(["qemu-system-arm: warning: x: Cannot allocate memory"]) == ""


def test_who_ended_it() -> None:
    line = "qemu-system-arm: terminating on signal 15 from pid 7 (kill)"
    assert ended_by(["a", line]) == "terminating on signal 15 from pid 7 (kill)"
    assert ended_by(["a"]) == ""


ASSERTION = (
    "qemu-system-x86_64: ../../target/i386/kvm/kvm.c:3113: kvm_buf_set_msrs: "
    "Assertion `ret == cpu->kvm_msr_buf->nmsrs' failed."
)
MSR = ("qemu-system-x86_64: error: failed to set MSR 0x10a to 0x4000000", ASSERTION)
NOISE = (
    "module ui-ui-gtk not found, do you want to install qemu-system-gui package?",
    "qemu-system-x86_64: warning: Machine type 'pc-i440fx-2.4' is deprecated",
    "qemu-system-x86_64: -mon chardev=m,mode=control: warning: -mon is deprecated",
    "",
)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), ""),
        (NOISE, ""),
        (
            ("qemu-system-x86_64: unable to find CPU model 'foo'", *NOISE),
            "unable to find CPU model 'foo'",
        ),
        (
            (
                "/usr/bin/qemu-system-x86_64: -machine foo: unsupported machine type",
                "Use -machine help to list supported machines",
            ),
            "-machine foo: unsupported machine type",
        ),
        (
            MSR,
            "error: failed to set MSR 0x10a to 0x4000000; " + ASSERTION[20:],
        ),
        ((ASSERTION,), ASSERTION[20:]),
        (
            ("KVM internal error. Suberror: 1", "emulation failure", "RAX=0 RBX=0"),
            "KVM internal error. Suberror: 1",
        ),
        (
            ("**", "ERROR:../x.c:1:f: assertion failed: (a == b)", "Bail out! ERROR:../x.c:1:f"),
            "ERROR:../x.c:1:f: assertion failed: (a == b)",
        ),
        (("something odd",), "something odd"),
        (
            ("qemu-system-s390x: terminating on signal 15 from pid 1 (x)",),
            "terminating on signal 15 from pid 1 (x)",
        ),
        (
            ("qemu-system-s390x: why", "qemu-system-s390x: terminating on signal 15 from pid 1"),
            "why",
        ),
        (("why it ended", "Use -machine help to list supported machines"), "why it ended"),
        (("qemu-system-arm: warning: a", "and more of it"), ""),
        (("qemu-system-arm: info: a", "qemu-system-arm: -x: 'x' is deprecated, use y"), ""),
        (
            ("error: kvm run failed Bad address", "RAX=0", "qemu-system-x86_64: what followed"),
            "error: kvm run failed Bad address",
        ),
        (
            ("(process:5): GLib-ERROR **: 12:00:00.1: ../gmem.c:136: failed to allocate 7 bytes",),
            "(process:5): GLib-ERROR **: 12:00:00.1: ../gmem.c:136: failed to allocate 7 bytes",
        ),
    ],
)
def test_complaint(lines: tuple[str, ...], expected: str) -> None:
    assert complaint(lines) == expected


def test_an_explanation_fits_a_table() -> None:
    assert len(complaint(("qemu-system-arm: " + "x" * 1000,))) == MAXIMUM


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            (
                "qemu-system-riscv64: cpu: incoming version_id 5 is too old for local minimum 10",
                "qemu-system-riscv64: error while loading state for instance 0x0 of device 'cpu'",
                "qemu-system-riscv64: load of migration failed: Invalid argument",
            ),
            (
                "cpu: incoming version_id 5 is too old for local minimum 10; "
                "error while loading state for instance 0x0 of device 'cpu'"
            ),
        ),
        (
            ("qemu-system-arm: load of migration failed: Invalid argument: post load hook failed",),
            "load of migration failed: Invalid argument: post load hook failed",
        ),
        (
            (
                "qemu-system-x86_64: warning: machine type is deprecated",
                "qemu-system-x86_64: load of migration failed: Input/output error",
            ),
            "load of migration failed: Input/output error",
        ),
        ((), ""),
    ],
)
def test_why_a_destination_does_not_take_a_stream(lines: tuple[str, ...], said: str) -> None:
    assert refusal(lines) == said
