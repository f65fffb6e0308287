"""What differences between two states, CPUs, devices and binaries are worth."""

import json
from dataclasses import replace

import pytest

from matrix.inventory import Binary, Machine
from matrix.migratable.comparison import (
    Difference,
    Weight,
    compare_binaries,
    compare_cpus,
    compare_devices,
    compare_streams,
    known_faults,
)
from matrix.migratable.device import Device
from matrix.migratable.stream import read_stream
from matrix.model import Architecture
from tests.migratable.streams import Part, State, Value, Written

WORD = Value("word", b"\0\0\0\1", "uint32", 4)


def compared(source: Written, destination: Written) -> list[tuple[Weight, str]]:
    found = compare_streams(read_stream(source.data()), read_stream(destination.data()))
    return [(each.weight, each.text) for each in found]


def of_fields(source: list[Value], destination: list[Value]) -> list[tuple[Weight, str]]:
    return compared(Written([State("dev", source)]), Written([State("dev", destination)]))


def test_what_is_alike_has_no_difference() -> None:
    written = Written([State("dev", [WORD], [Part("dev/more", [WORD])])])
    assert compared(written, written) == []


def test_a_destination_may_have_more() -> None:
    more = Written(
        [State("dev", [WORD], [Part("dev/more", [WORD])]), State("rng", [WORD])],
        blocks=[("pc.ram", 4096), ("pc.rom", 4096)],
        switchover=True,
    )
    assert compared(Written([State("dev", [WORD])]), more) == []


@pytest.mark.parametrize(
    ("source", "destination", "weight", "text"),
    [
        (Written(), Written(machine="pc-q35-8.0"), Weight.AGAINST, "the machine is 'pc-q35-7.2'"),
        (
            Written(page_bits=12, blocks=[("ram", 8192)]),
            Written(page_bits=13, blocks=[("ram", 8192)]),
            Weight.AGAINST,
            "pages of 12 bits are 13",
        ),
        (Written(switchover=True), Written(), Weight.AGAINST, "switchover-start"),
        (
            Written(blocks=[("m0", 4096)]),
            Written(blocks=[("m1", 4096)]),
            Weight.AGAINST,
            "RAM block 'm0' is unknown there",
        ),
        (
            Written(blocks=[("pc.ram", 8192)]),
            Written(),
            Weight.AGAINST,
            "RAM block 'pc.ram' of 8192 bytes has 4096 there",
        ),
        (
            Written(blocks=[("/rom@etc/acpi/tables", 8192)]),
            Written(blocks=[("/rom@etc/acpi/tables", 4096)]),
            Weight.NOTE,
            "of 8192 bytes has 4096 there",
        ),
        (
            Written([State("icp/server", [WORD])]),
            Written(),
            Weight.OPEN,
            "section 'icp/server': the idle guest of the destination has none",
        ),
        (
            Written([State("cpu", [WORD], instance=1)]),
            Written([State("cpu", [WORD])]),
            Weight.OPEN,
            "section 'cpu' 1: the idle guest of the destination has none",
        ),
        (
            Written([State("cpu", [WORD], version=12)]),
            Written([State("cpu", [WORD], version=10)]),
            Weight.AGAINST,
            "section 'cpu': version 12, 10 there",
        ),
        (
            Written([State("cpu", [WORD], version=5)]),
            Written([State("cpu", [WORD], version=10)]),
            Weight.OPEN,
            "section 'cpu': version 5, and 10 there",
        ),
        (
            Written([State("cpu", [], [Part("cpu/slb", [WORD], 2)])]),
            Written([State("cpu", [], [Part("cpu/slb", [WORD])])]),
            Weight.AGAINST,
            "section 'cpu': subsection 'cpu/slb' is version 1 there",
        ),
        (
            Written([State("cpu", [], [Part("cpu/slb", [WORD])])]),
            Written([State("cpu", [])]),
            Weight.OPEN,
            "section 'cpu': the idle guest of the destination has no subsection 'cpu/slb'",
        ),
    ],
)
def test_streams(source: Written, destination: Written, weight: Weight, text: str) -> None:
    [(found, said)] = compared(source, destination)
    assert found is weight
    assert text in said


def test_a_field_may_be_called_otherwise_or_be_divided() -> None:
    other = replace(WORD, name="unused", kind="unused_buffer")
    assert of_fields([WORD], [other]) == []
    halves = [Value("runstate", b"\0\0"), Value("unused", b"\0\1")]
    for pair in ([WORD], halves), (halves, [WORD]):
        assert of_fields(*pair) == [
            (Weight.NOTE, "section 'dev': the same bytes, divided otherwise")
        ]


@pytest.mark.parametrize(
    ("destination", "text"),
    [
        (
            [Value("word", b"\0" * 8, "uint64", 8)],
            "4 bytes, 8 there, from 'word' (1 × 4) and 'word' (1 × 8) on",
        ),
        ([WORD, Value("frm", b"\0")], "4 bytes, 5 there, 'frm' (1 × 1) being there alone"),
        ([Value("a", b"\0"), Value("b", b"\0" * 3)], None),
        ([], "4 bytes, 0 there, 'word' (1 × 4) being here alone"),
    ],
)
def test_other_lengths(destination: list[Value], text: str | None) -> None:
    [(weight, said)] = of_fields([WORD], destination)
    if text is None:
        assert weight is Weight.NOTE
    else:
        assert (weight, said) == (Weight.OPEN, f"section 'dev': {text}")


def test_fields_whose_value_must_be_the_destinations() -> None:
    ours = Value("ports", b"\0\0\0\6", "int32 equal", 4)
    theirs = replace(ours, content=b"\0\0\0\2", kind="uint32 equal")
    assert of_fields([ours], [theirs]) == [
        (Weight.AGAINST, "section 'dev': 'ports' is 6, and 2 there")
    ]
    config = Value("config", b"\x86\x80" + bytes(254), "pci config", 256)
    other = replace(config, content=b"\x86\x81" + bytes(254))
    assert of_fields([config], [other]) == [
        (Weight.AGAINST, "section 'dev': byte 1 of its PCI configuration is another there")
    ]
    command = replace(config, content=b"\x86\x80\0\0\7" + bytes(251))
    assert of_fields([config], [command]) == []


def registers(*pairs: tuple[int, int]) -> list[Value]:
    """Arm's list of system registers, with what stands around it."""

    def packed(numbers: list[int]) -> bytes:
        return b"".join(number.to_bytes(8, "big") for number in numbers)

    return [
        Value("cpreg_vmstate_array_len", len(pairs).to_bytes(4, "big"), "int32", 4),
        Value("cpreg_vmstate_indexes", packed([pair[0] for pair in pairs]), "uint64", 8),
        Value("cpreg_vmstate_values", packed([pair[1] for pair in pairs]), "uint64", 8),
        WORD,
    ]


def test_arms_registers_are_compared_by_content() -> None:
    few, more = registers((1, 0), (2, 0)), registers((1, 0), (2, 0), (3, 9))
    assert of_fields(few, more) == []
    assert of_fields(more, few) == [
        (Weight.AGAINST, "section 'dev': system registers 0x3 are unknown there")
    ]
    assert of_fields(few, registers((1, 0), (4, 0))) == [
        (Weight.AGAINST, "section 'dev': system registers 0x2 are unknown there")
    ]
    assert of_fields(few, registers((1, 0), (2, 7))) == [
        (
            Weight.OPEN,
            "section 'dev': 1 system registers have other values there, as 0x2 with 0x0 and 0x7",
        )
    ]


def cpu(kind: str, **properties: object) -> Device:
    values = ((name.replace("_", "-"), json.dumps(value)) for name, value in properties.items())
    return Device("/machine/cpu", kind, tuple(values))


def words(value: int) -> list[dict[str, object]]:
    return [{"cpuid-input-eax": 7, "cpuid-register": "EBX", "features": value}]


def test_cpus() -> None:
    assert compare_cpus(cpu("a-cpu", aes=True), cpu("a-cpu", aes=True)) == ()
    [other] = compare_cpus(cpu("power9_v2.0-cpu"), cpu("power9_v2.2-cpu"))
    assert other.weight is Weight.CPU
    assert other.text.startswith("CPU model power9_v2.0-cpu on the source, power9_v2.2-cpu on")
    [lost] = compare_cpus(
        cpu("x-x86_64-cpu", feature_words=words(3)), cpu("x-x86_64-cpu", feature_words=words(1))
    )
    assert lost.weight is Weight.CPU
    assert "CPUID 7.0.EBX 0x3 and 0x1" in lost.text
    lacking = cpu("x-x86_64-cpu", unavailable_features=["avx", "pcid"])
    assert compare_cpus(lacking, cpu("x-x86_64-cpu", unavailable_features=[])) == (
        Difference(Weight.NOTE, "the CPU of the source is without avx, pcid"),
    )
    assert compare_cpus(cpu("q-cpu", vx=True, new=False), cpu("q-cpu", vx=False, new=True)) == (
        Difference(Weight.LACK, "the CPU has no vx there"),
        Difference(Weight.NOTE, "the CPU has new there alone"),
    )


def test_devices_that_were_made() -> None:
    ours = Device("/bus/e1000e[0]", "e1000e", (("a", "1"), ("migrate-timadj", "false")))
    theirs = replace(ours, properties=(("migrate-timadj", "true"), ("new", "1")))
    assert compare_devices([ours], [theirs]) == (
        Difference(Weight.NOTE, "device e1000e: migrate-timadj=false (true there)"),
    )
    assert compare_devices([ours], []) == ()
    assert compare_devices([ours], [ours]) == ()


@pytest.mark.parametrize(
    ("version", "properties", "weights"),
    [
        ((7, 2, 22), (("adapter_routes_max_batch", "1024"),), [Weight.LACK, Weight.NOTE]),
        ((10, 0, 2), (("migrate-all-state", "false"),), [Weight.LACK]),
        ((10, 0, 2), (("migrate-all-state", "true"),), []),
    ],
)
def test_interrupts_that_are_pending_are_lost(
    version: tuple[int, int, int], properties: tuple[tuple[str, str], ...], weights: list[Weight]
) -> None:
    """By the device, not the version: old machine types of new QEMUs lose them, too."""
    binary = Binary("x", Architecture.S390X, "/x", version, "")
    flic = Device("/main-system-bus/s390-flic-qemu[0]", "s390-flic-qemu", properties)
    assert [each.weight for each in known_faults(binary, [flic])] == weights


def test_limits_and_capabilities() -> None:
    ours = Binary(
        "system",
        Architecture.X86_64,
        "/qemu",
        (7, 2, 0),
        "7.2.0",
        machines=(Machine("q35", cpu_max=288),),
        migration_capabilities=("compress", "events", "postcopy-ram"),
        migration_parameters=("compress-level", "max-bandwidth"),
    )
    theirs = replace(
        ours,
        machines=(Machine("q35", cpu_max=255),),
        migration_capabilities=("events", "mapped-ram", "postcopy-ram"),
        migration_parameters=("max-bandwidth",),
    )
    found = compare_binaries(ours, theirs, "q35,smm=off")
    assert {each.weight for each in found} == {Weight.NOTE}
    texts = [each.text for each in found]
    assert texts[:7] == [
        "q35 takes 288 vCPUs, and 255 there",
        "migration capabilities of the source alone: compress",
        "migration capabilities of the destination alone: mapped-ram",
        "migration parameters of the source alone: compress-level",
        "strategies that both have: precopy, postcopy, file",
        (
            "precopy, postcopy: over unix, tcp, fd, exec, tcp+tls-psk, tcp+tls-x509 "
            "(to another host: tcp, tcp+tls-x509)"
        ),
        "file: over a file",
    ]
    assert "no mapped-ram: QEMU 7.2.0 has no migration capability 'mapped-ram'" in texts
    assert "no multifd: QEMU 7.2.0 has no migration capability 'multifd'" in texts
    assert "no dirty-limit: strategy 'dirty-limit' needs KVM, but the accelerator is tcg" in texts
    alike = [each.text for each in compare_binaries(ours, ours, "q35")]
    assert all(text.startswith(("strategies that", "no ")) or ": over " in text for text in alike)
