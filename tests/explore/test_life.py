"""A life of a guest, checked after each step: with fake QEMUs that do wrong on purpose."""

import os
from typing import Any

import pytest

from matrix.errors import HostError
from matrix.explore.failure import Invariant
from matrix.explore.step import Operation, Step, Steps
from matrix.migrating import Fault, Strategy, Transport
from matrix.migration.live_hop import Injector
from tests.explore.conftest import REFUSED, World, broken
from tests.migration.conftest import ACTIVE, ALIVE, COMPLETED, RESUME, SETUP, STOP

HOP = Step(Operation.HOP, "fake", Strategy.PRECOPY, Transport.UNIX)
PAUSE, CONT = Step(Operation.STOP), Step(Operation.CONT)
WORK = Step(Operation.WORK, milliseconds=20)
CANCEL = Step(Operation.HOP, "fake", Strategy.PRECOPY, Transport.UNIX, Fault.CANCEL_IN_ACTIVE)
CANCELLED = ["event", "MIGRATION", {"status": "cancelled"}]
CANCELLING = ["event", "MIGRATION", {"status": "cancelling"}]
CANCELS = {"migrate": [SETUP, ACTIVE], "migrate_cancel": [CANCELLING, CANCELLED]}


ALL: Steps = (
    *(WORK, HOP, PAUSE, WORK, Step(Operation.COMMAND, command="query-migrate"), CONT, HOP),
    *(Step(Operation.COMMAND, command="migrate-continue"), HOP, PAUSE),
)


def test_a_life_in_which_all_is_well(world: World) -> None:
    ended = world.live(*ALL)
    assert ended.failure is None
    assert ended.done == len(ALL)
    assert ended.outcome is not None
    assert ended.outcome.exit_status == 1
    assert ended.transcript is not None
    assert [each.verdict.value for each in ended.transcript.subtests] == ["pass"]


def test_a_life_that_is_long_enough(world: World) -> None:
    ended = world.live(*ALL, enough_after=2)
    assert (ended.done, ended.failure) == (2, None)


def test_a_resume_that_is_doubled(world: World) -> None:
    leaves = [SETUP, ACTIVE, STOP, ["pass on", world.baton], COMPLETED, ALIVE, RESUME]
    ended = world.live(WORK, HOP, HOP, before={"migrate": leaves})
    broken(ended, Invariant.ONE_RUNNER, "source and destination both run the guest", 1)
    assert ended.done == 2


def test_a_pause_that_is_none(world: World) -> None:
    ended = world.live(PAUSE, CONT, after={"stop": [ALIVE]})
    broken(ended, Invariant.ONE_RUNNER, "the QEMU that has the guest runs the guest", 0)


def test_a_cancel_that_is_answered_late(world: World) -> None:
    moves = [STOP, ["pass on", world.baton], COMPLETED]
    late = {"migrate": [SETUP, ACTIVE], "migrate_cancel": moves}
    ended = world.live(WORK, CANCEL, before=late)
    broken(ended, Invariant.HOP, "must end as cancelled or failed, and is completed", 1)


def test_a_cancel_that_is_answered_in_time(world: World) -> None:
    ended = world.live(CANCEL, WORK, CANCEL, before=CANCELS)
    assert (ended.done, ended.failure) == (3, None)


def test_statuses_that_are_none(world: World) -> None:
    leaves = [SETUP, STOP, ["pass on", world.baton], COMPLETED]
    ended = world.live(HOP, before={"migrate": leaves})
    broken(ended, Invariant.STATUS, "the source goes from setup to completed", 0)


def test_a_page_that_is_lost(world: World) -> None:
    """What the guest does not find as it wrote it: its number of beats."""
    comes = [SETUP, ACTIVE, ["take over", world.baton], ALIVE, RESUME, COMPLETED]
    lost = ["stdout", "INTEGRITY: BEAT n=1 clock=1 gap=0 verified=1 passes=1\n"]
    ended = world.live(HOP, after={"migrate-incoming": [*comes, lost, ["prove", world.baton]]})
    broken(ended, Invariant.HOP, "", 0)


def test_a_beat_that_comes_again(world: World) -> None:
    again = ["stdout", "INTEGRITY: BEAT n=1 clock=0 gap=0 verified=1 passes=1\n"]
    asked = Step(Operation.COMMAND, command="query-migrate")
    ended = world.live(WORK, asked, before={"query-migrate": [again]})
    broken(ended, Invariant.PROOF, "beats twice or out of order: 1 after", 1)


def test_a_command_that_is_taken(world: World) -> None:
    ended = world.live(Step(Operation.COMMAND, command="migrate-continue"), errors={})
    broken(ended, Invariant.COMMAND, "migrate-continue was taken", 0)


@pytest.mark.parametrize("errors", [{}, {"migrate-start-postcopy": REFUSED}])
def test_a_command_that_may_be_taken_or_refused(world: World, errors: Any) -> None:
    asked = Step(Operation.COMMAND, command="migrate-start-postcopy")
    assert world.live(asked, WORK, errors=errors).failure is None


def test_a_command_that_is_refused(world: World) -> None:
    ended = world.live(
        WORK, Step(Operation.COMMAND, command="migrate_cancel"), errors={"migrate_cancel": REFUSED}
    )
    broken(ended, Invariant.COMMAND, "migrate_cancel was refused", 1)


def test_a_qemu_that_dies(world: World) -> None:
    ended = world.live(WORK, PAUSE, before={"stop": [["stderr", "oh\n"], ["signal", 6]]})
    broken(ended, Invariant.ALIVE, "QEMU was killed by SIGABRT", 1)


def test_a_stopped_guest_that_does_not_go_on_to_its_end(world: World) -> None:
    refused = [["refuse", "cont", "GenericError", "not this one", 1]]
    ended = world.live(WORK, PAUSE, before={"stop": refused})
    broken(ended, Invariant.COMMAND, "cont: not this one", 1)


def test_a_descriptor_that_stays(world: World) -> None:
    kept: list[int] = []

    def leaking(fault: Fault) -> Injector:
        kept.append(os.open("/dev/null", os.O_RDONLY))
        return Injector()

    ended = world.live(CANCEL, injectors=leaking)
    os.close(*kept)
    broken(ended, Invariant.NOTHING_LEFT, "descriptor of /dev/null", 1)


def test_a_hop_that_cannot_begin(world: World) -> None:
    """It was not seen: of a hop that fails on its way more can be said."""
    refused = world.live(WORK, HOP, before={"migrate": []}, errors={"migrate": REFUSED})
    broken(refused, Invariant.HOP, "not while no hop is under way", 1)
    assert (refused.done, refused.begun) == (2, False)
    (worked,) = refused.took  # nothing of a step that broke
    assert worked > 0
    assert list(refused.launches) == ["qemu-1", "qemu-2"]
    failing = {"migrate": [SETUP, ACTIVE, ["event", "MIGRATION", {"status": "failed"}]]}
    failed = world.live(HOP, before=failing)
    broken(failed, Invariant.HOP, "", 0)
    assert failed.begun
    assert world.live(CANCEL, WORK, before=CANCELS).begun


def test_a_host_that_fails(world: World) -> None:
    with pytest.raises(HostError, match="did not start: QEMU exited with status 1"):
        world.live(WORK, start=[["exit", 1]])
