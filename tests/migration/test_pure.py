"""What is set for a strategy, what is compared, what a guest asks for, what a command line gets."""

import asyncio
from dataclasses import replace

import pytest

from matrix.errors import MonitorError
from matrix.migrating import Fault, Migration, Strategy, Transport
from matrix.migration.cooperative import Cooperation, Word
from matrix.migration.hop_runner import fitted
from matrix.migration.identity import Identity, difference, feature_text
from matrix.migration.routes import listening_port
from matrix.migration.samples import sample
from matrix.migration.strategies import (
    Abilities,
    abilities,
    capability_settings,
    parameter_settings,
    why_not,
)
from matrix.model import ExitChannel, Launch
from matrix.plan.command import SANDBOX
from matrix.vm.tasks import Board

ABLE = Abilities(
    frozenset({"events", "return-path", "postcopy-ram", "multifd", "mapped-ram"}),
    {"multifd-channels": 2, "max-bandwidth": 1 << 27, "mode": "normal"},
    frozenset({"normal", "cpr-reboot"}),
)


def on(settings: list[dict[str, object]]) -> set[object]:
    return {each["capability"] for each in settings if each["state"]}


def test_capabilities_are_all_set_each_time() -> None:
    settings = capability_settings(Strategy.POSTCOPY, ABLE)
    assert on(settings) == {"events", "return-path", "postcopy-ram"}
    assert {each["capability"] for each in settings} == ABLE.capabilities
    assert on(capability_settings(Strategy.FILE, ABLE)) == {"events"}
    asked = on(capability_settings(Strategy.PRECOPY, ABLE, ["validate-uuid"]))
    assert asked == {"events", "return-path", "validate-uuid"}


def test_parameters_of_earlier_hops_get_their_defaults_back() -> None:
    settings = parameter_settings(
        Strategy.MULTIFD, ABLE, {"multifd-channels": 4}, {"max-bandwidth", "gone"}
    )
    assert settings == {
        "max-bandwidth": 1 << 27,
        "tls-creds": "",
        "tls-hostname": "",
        "mode": "normal",
        "multifd-channels": 4,
    }
    assert parameter_settings(Strategy.CPR_REBOOT, ABLE, {})["mode"] == "cpr-reboot"


@pytest.mark.parametrize(
    ("strategy", "reason"),
    [
        (Strategy.MAPPED_RAM, ""),
        (Strategy.XBZRLE, "it has no migration capability 'xbzrle'"),
        (Strategy.CPR_TRANSFER, "it has no migration mode 'cpr-transfer'"),
        (Strategy.CPR_REBOOT, ""),
    ],
)
def test_what_a_binary_lacks(strategy: Strategy, reason: str) -> None:
    assert why_not(strategy, ABLE) == reason


def test_answers_that_are_none() -> None:
    assert abilities("nonsense", None) == Abilities(frozenset(), {}, None)
    known = abilities([{"capability": "events"}, {"capability": 7}, 3], {"a": 1, "b": []})
    assert known == Abilities(frozenset({"events"}), {"a": 1}, None)


def test_differences() -> None:
    source = Identity("pc-i440fx-7.2", 1, "qemu64-x86_64-cpu", "1.0.EDX=0x11 7.0.EBX=0x1", 2**27)
    assert difference(source, source) == ""
    assert difference(source, Identity()) == ""
    other = replace(source, machine="pc-q35-7.2", vcpus=2, features="1.0.EDX=0x10", memory=2**28)
    assert difference(source, other) == (
        "machine type pc-i440fx-7.2 on the source, pc-q35-7.2 on the destination; "
        "number of vCPUs 1 on the source, 2 on the destination; "
        "CPU features differ: CPUID 1.0.EDX 0x11 and 0x10, CPUID 7.0.EBX 0x1 and 0; "
        "memory in bytes 134217728 on the source, 268435456 on the destination"
    )


def test_what_several_vcpus_have_is_no_feature_of_the_model() -> None:
    """As QEMU 7.2 and 10.0 list those of qemu64 with ``-smp 2``; guests of both have HTT."""

    def told(edx: int, ecx: int) -> str:
        leaf = {"cpuid-input-eax": 1, "cpuid-register": "EDX", "features": edx}
        more = {"cpuid-input-eax": 1 << 31 | 1, "cpuid-register": "ECX", "features": ecx}
        return feature_text([leaf, more])

    assert told(0x78BFBFD, 0x5) == told(0x178BFBFD, 0x7) == "1.0.EDX=0x78bf9fd 80000001.0.ECX=0x5"
    assert told(0x78BFBFD, 0x5) != told(0x78BFBFC, 0x5)


def test_what_a_guest_asks_for() -> None:
    asked: list[Word] = []
    cooperation = Cooperation(lambda: asked.append(cooperation.take()))
    text = (
        b"booting\nNow migrate the VM, then press a key to continue...\n"
        b"INFO: Migration complete\nNow migrate the VM (quiet)\n"
        b"Begin continuous migration\nEnd continuous migration\n"
        b"End continuous migration (quiet)\nSkipped VM migration (quiet)\n"
    )
    for at in range(len(text)):  # however it is cut
        cooperation.feed(text[at : at + 1])
    assert asked == [Word.MIGRATE, Word.MIGRATE, Word.BEGIN, Word.END, Word.SKIP]


def test_the_sandbox_is_loosened_only_for_commands() -> None:
    launch = Launch(("qemu", "-sandbox", SANDBOX), ExitChannel.CONSOLE)
    migration = Migration(transports=(Transport.UNIX, Transport.TCP))
    assert fitted(launch, migration) == launch
    by_command = replace(migration, transports=(Transport.EXEC,))
    assert fitted(launch, by_command).argv[2] == SANDBOX.replace("spawn=deny", "spawn=allow")
    through_file = replace(by_command, strategies=(Strategy.FILE,))
    assert fitted(launch, through_file) == launch


def test_what_strategies_and_faults_need_of_a_command_line() -> None:
    launch = Launch(("qemu",), ExitChannel.CONSOLE)
    shared = fitted(launch, Migration(strategies=(Strategy.CPR_TRANSFER,)))
    assert shared.argv == ("qemu", "-machine", "aux-ram-share=on")
    named = fitted(launch, Migration(faults=(Fault.UUID_MISMATCH,)))
    assert named.argv[1] == "-uuid"
    malta = replace(launch, argv=("qemu-system-mips64el",))
    spared = fitted(malta, Migration(faults=(Fault.DEVICE_MISMATCH,)))
    assert spared.argv[1:] == ("-device", "i6300esb")
    assert fitted(malta, Migration(faults=(Fault.NO_LISTENER,))) == malta


def test_the_port_of_a_destination() -> None:
    address = {"type": "inet", "host": "127.0.0.1", "port": "4444"}
    assert listening_port({"socket-address": [address]}) == 4444
    with pytest.raises(MonitorError, match="names no port"):
        listening_port({"status": "setup"})


def test_a_sample() -> None:
    ram = {
        "remaining": 5,
        "transferred": 7,
        "dirty-sync-count": 2,
        "mbps": 8.0,
        "dirty-pages-rate": 3,
        "page-size": 4096,
    }
    taken = sample({"status": "active", "ram": ram, "cpu-throttle-percentage": 20}, 0.05)
    assert (taken.remaining, taken.transferred, taken.passes) == (5, 7, 2)
    assert (taken.dirty_rate, taken.throughput, taken.throttle) == (12288, 1e6, 20)
    assert sample({"status": "failed"}, 1.0).remaining == 0


def test_a_board_wakes_those_who_wait() -> None:
    async def wait() -> tuple[bool, bool]:
        board, seen = Board(), [0]

        def turn() -> None:
            seen[0] += 1
            board.changed()

        loop = asyncio.get_running_loop()
        loop.call_later(0.01, turn)
        loop.call_later(0.02, turn)
        return await board.until(lambda: seen[0] == 2, 5), await board.until(lambda: False, 0.01)

    assert asyncio.run(wait()) == (True, False)
