"""Answers from what two sides are; that loading decides is shown on real QEMU below."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.errors import MonitorError
from matrix.hosts.cache import Cache
from matrix.hosts.host_facts import read_host
from matrix.inventory import Binary
from matrix.migratable.device import Device
from matrix.migratable.idle import OWN_END, Idle, idle_launch, load, save
from matrix.migratable.idle_sides import decode_idle, encode_idle, side_of
from matrix.migratable.prediction import LOADED, Answer, Guest, Prediction, Side, predict
from matrix.migratable.stream import read_stream
from matrix.model import Architecture
from tests.installed import installed_binary
from tests.migratable.streams import Part, State, Value, Written

S390X = Architecture.S390X
GUEST = Guest(S390X, "s390-ccw-virtio-7.2", "")
WORD = Value("word", b"\0\0\0\1", "uint32", 4)
CPU = Device("/machine/cpu", "qemu-s390x-cpu", (("vx", "true"),))
PLAIN = Written([State("cpu", [WORD])])


def side(name: str, written: Written = PLAIN, cpu: Device = CPU) -> Side:
    binary = Binary(name, S390X, f"/{name}", (9, 0, 0), "9.0.0")
    data = written.data()
    return Side(binary, Idle(data, cpu, ()), read_stream(data))


def predicted(source: Side, destination: Side) -> Prediction:
    return asyncio.run(predict(GUEST, source, destination, loading=False))


def test_yes() -> None:
    prediction = predicted(side("a"), side("b"))
    assert (prediction.answer, prediction.reason) == (Answer.YES, "")
    assert (prediction.source, prediction.destination, prediction.cpu) == ("a", "b", "qemu")
    *notes, compared = prediction.evidence
    assert compared == (
        "compared: 1 sections, 1 fields, 1 RAM blocks, the first vCPU and the devices"
    )
    assert all(
        note.startswith(("note: strategies", "note: no ")) or ": over " in note for note in notes
    )


def test_no_says_why_and_how_much_else() -> None:
    source = side("a", replace(PLAIN, blocks=[("m0", 4096), ("m1", 4096)]))
    prediction = predicted(source, side("b"))
    assert prediction.answer is Answer.NO
    assert prediction.reason == "RAM block 'm0' is unknown there (and 1 more)"
    assert prediction.evidence[0] == "against: RAM block 'm0' is unknown there"


def test_perhaps_where_only_loading_tells() -> None:
    source = side("a", Written([State("cpu", [WORD], [Part("cpu/new", [WORD])])]))
    prediction = predicted(source, side("b"))
    assert prediction.answer is Answer.PERHAPS
    assert prediction.reason.startswith("if it takes this: section 'cpu': the idle")


def test_perhaps_where_the_cpu_lacks_something() -> None:
    prediction = predicted(side("a"), side("b", cpu=replace(CPU, properties=(("vx", "false"),))))
    assert prediction.answer is Answer.PERHAPS
    assert prediction.reason == "if the guest does without: the CPU has no vx there"


def test_no_where_the_cpu_is_another() -> None:
    prediction = predicted(side("a"), side("b", cpu=replace(CPU, kind="z14-s390x-cpu")))
    assert prediction.answer is Answer.NO
    assert prediction.reason == (
        "CPU model qemu-s390x-cpu on the source, z14-s390x-cpu on the destination;"
        " QEMU itself may let that pass"
    )


def test_a_side_without_such_a_guest() -> None:
    none = Side(side("b").binary, problem="unable to find CPU model")
    for pair in ((none, side("a")), (side("a"), none)):
        prediction = predicted(*pair)
        assert prediction.answer is Answer.NO
        assert prediction.reason == "QEMU b has no such guest: unable to find CPU model"


def test_a_stream_that_cannot_be_read_is_no_reason_against_it() -> None:
    unread = replace(side("b"), stream=None, problem="the state that it saves cannot be read: x")
    prediction = predicted(side("a"), unread)
    assert prediction.answer is Answer.PERHAPS
    assert "QEMU b: the state that it saves cannot be read: x" in prediction.reason


def test_what_is_kept_is_what_was_asked() -> None:
    idle = Idle(b"QEVM" + bytes(9999), CPU, (Device("/bus/x[0]", "x", (("a", "b"),)),))
    encoded = encode_idle(idle)
    assert decode_idle(encoded) == idle
    assert len(str(encoded)) < 400
    with pytest.raises(ValueError, match=r"base85|incorrect"):
        decode_idle(encoded | {"stream": "~~~~~~"})


@pytest.fixture
def s390x() -> Binary:
    """The system's."""
    return asyncio.run(installed_binary(S390X))


@pytest.mark.qemu
def test_real_qemu_loads_its_own_guest(s390x: Binary, tmp_path: Path) -> None:
    """Of a machine whose interrupts may be lost: all of them before 9.1."""
    guest = Guest(S390X, "s390-ccw-virtio-7.2", "")
    cache = Cache(tmp_path / "cache")

    async def asked() -> Prediction:
        one = await side_of(s390x, guest, read_host(), cache)
        assert one.stream is not None
        return await predict(guest, one, one, loading=True)

    prediction = asyncio.run(asked())
    assert (prediction.answer, prediction.cpu) == (Answer.PERHAPS, "qemu")
    assert prediction.reason.startswith("if the guest does without: interrupts that are pending")
    assert prediction.evidence[0] == LOADED


@pytest.mark.qemu
def test_real_qemu_lets_another_cpu_pass(s390x: Binary, tmp_path: Path) -> None:
    """Which we do not: the guest is there, and on a CPU that it has not started on."""
    cache = Cache(tmp_path / "cache")

    async def asked() -> Prediction:
        sides = [
            await side_of(s390x, Guest(S390X, GUEST.machine, cpu), read_host(), cache)
            for cpu in ("max", "qemu")
        ]
        return await predict(GUEST, *sides, loading=True)

    prediction = asyncio.run(asked())
    assert prediction.answer is Answer.NO
    assert prediction.reason.endswith("; QEMU itself lets that pass")


@pytest.mark.qemu
def test_real_qemu_says_why_it_does_not_load(s390x: Binary) -> None:
    async def asked() -> str:
        launch = idle_launch(s390x, S390X, "", "")
        stream = (await save(launch)).stream
        return await load(launch, stream.replace(b"qemu-s390-flic", b"qemu-s390-flip"))

    why = asyncio.run(asked())
    assert "load of migration failed" in why
    assert "qemu-system-s390x ended" not in why


@pytest.mark.qemu
def test_real_qemu_that_has_no_such_guest(s390x: Binary, tmp_path: Path) -> None:
    guest = Guest(S390X, "", "no-such-model")
    found = asyncio.run(side_of(s390x, guest, read_host(), Cache(tmp_path / "cache")))
    assert found == Side(s390x, problem="unable to find CPU model 'no-such-model'")


@pytest.mark.qemu
def test_real_qemu_that_does_not_start_is_not_one_that_refuses(s390x: Binary) -> None:
    launch = idle_launch(s390x, S390X, "", "no-such-model")
    with pytest.raises(MonitorError, match="no-such-model"):
        asyncio.run(load(launch, b""))


@pytest.mark.parametrize(
    ("why", "own"),
    [
        ("/qemu ended with status 1: load of migration failed", True),
        ("/qemu ended with signal 6: Assertion `x' failed.", True),
        ("/qemu ended with signal 9", False),
        ("/qemu ended with signal 15", False),
        ("no answer within 20 s", False),
    ],
)
def test_a_qemu_that_was_killed_has_refused_nothing(why: str, own: bool) -> None:
    assert bool(OWN_END.search(why)) is own
