import pytest

from matrix.vm.stderr import MAXIMUM, explain, meaningful, refusal

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
        (("qemu-system-s390x: terminating on signal 15 from pid 1 (x)",), ""),
    ],
)
def test_explain(lines: tuple[str, ...], expected: str) -> None:
    assert explain(lines) == expected


def test_an_explanation_fits_a_table() -> None:
    assert len(explain(("qemu-system-arm: " + "x" * 1000,))) == MAXIMUM


def test_meaningful_keeps_the_order() -> None:
    assert meaningful(("b", *NOISE, "a")) == ("b", "a")


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
