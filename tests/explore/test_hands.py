"""Operations between hops, with fake QEMUs: what is done, and what is seen if it goes wrong."""

from dataclasses import replace
from typing import Any

from matrix.explore.empty_disk import CLUSTER, empty_image
from matrix.explore.failure import Invariant
from matrix.explore.hotplug import Hotplug, Part
from matrix.explore.step import Operation, Step
from tests.explore.conftest import World, broken

RESET, SAVE, LOAD = Step(Operation.RESET), Step(Operation.SAVE), Step(Operation.LOAD)
PAUSE, CONT = Step(Operation.STOP), Step(Operation.CONT)
WORK = Step(Operation.WORK, milliseconds=20)
THROTTLE = Step(Operation.THROTTLE, parameters=(("cpu-throttle-initial", 20),))
PLUG, UNPLUG = (Step(each, part=Part.DEVICE) for each in (Operation.PLUG, Operation.UNPLUG))
PORT = Hotplug(frozenset({Part.DEVICE}), "bus=port")
RESETS = ["event", "RESET"]
JOB = {"id": "explore-saved", "status": "concluded"}
CONCLUDED = ["event", "JOB_STATUS_CHANGE", JOB]
DELETED = ["event", "DEVICE_DELETED", {"device": "explore-device"}]


def resets(world: World, **script: Any) -> dict[str, Any]:
    return {"before": {"system_reset": [RESETS, ["set beat", world.baton, 0]], **script}}


def snapshots(world: World, *, goes_back: bool = True, **job: str) -> dict[str, Any]:
    back = [["go back", world.baton]] if goes_back else []
    return {
        "before": {
            "snapshot-save": [["keep", world.baton], CONCLUDED],
            "snapshot-load": [*back, CONCLUDED],
        },
        "replies": {"query-jobs": [{**JOB, **job}]},
    }


def there(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "type": "child"} for name in ("a-disk", *names)]


def test_a_reset(world: World) -> None:
    steps = (WORK, RESET, WORK, PAUSE, RESET, CONT, WORK)
    assert world.live(*steps, **resets(world)).failure is None


def test_a_reset_of_which_the_guest_sees_nothing(world: World) -> None:
    """It beats on as if nothing had been, and does not begin anew."""
    ended = world.live(WORK, RESET, before={"system_reset": [RESETS]})
    broken(ended, Invariant.PROOF, "did not begin anew", 1)


def test_a_guest_that_resets_itself(world: World) -> None:
    anew = ["stdout", "INTEGRITY: START vcpus=1\n"]
    asked = Step(Operation.COMMAND, command="query-migrate")
    ended = world.live(WORK, asked, before={"query-migrate": [anew]})
    broken(ended, Invariant.PROOF, "the guest started anew", 1)


def test_a_snapshot(world: World) -> None:
    steps = (WORK, SAVE, WORK, LOAD, WORK, PAUSE, LOAD, WORK, SAVE, CONT)
    assert world.live(*steps, **snapshots(world)).failure is None
    assert list(world.folder.rglob("*.qcow2")) == []


def test_a_snapshot_that_does_not_go_back(world: World) -> None:
    ended = world.live(SAVE, WORK, LOAD, **snapshots(world, goes_back=False))
    broken(ended, Invariant.PROOF, "beats lost", 2)


def test_a_snapshot_of_before_a_reset(world: World) -> None:
    script = snapshots(world)
    script["before"] |= resets(world)["before"]
    assert world.live(SAVE, RESET, WORK, LOAD, WORK, **script).failure is None


def test_a_snapshot_that_is_refused(world: World) -> None:
    ended = world.live(SAVE, **snapshots(world, error="no room"))
    broken(ended, Invariant.COMMAND, "snapshot-save: no room", 0)
    assert list(world.folder.rglob("*.qcow2")) == []


def test_parameters_that_are_taken(world: World) -> None:
    told = {"query-migrate-parameters": {"cpu-throttle-initial": 20}}
    assert world.live(THROTTLE, replies=told).failure is None
    ended = world.live(WORK, THROTTLE, replies={"query-migrate-parameters": {}})
    broken(ended, Invariant.COMMAND, "parameters are not as they were set", 1)


def test_a_device_is_plugged_and_unplugged(world: World) -> None:
    script: dict[str, Any] = {
        "before": {
            "device_add": [["reply", "qom-list", there(Part.DEVICE.id)]],
            "device_del": [["reply", "qom-list", there()], DELETED],
        },
        "replies": {"qom-list": there()},
    }
    ended = world.live(WORK, PLUG, WORK, UNPLUG, PLUG, hotplug=PORT, **script)
    assert ended.failure is None


def test_a_device_that_stays(world: World) -> None:
    script: dict[str, Any] = {
        "before": {"device_del": [DELETED]},
        "replies": {"qom-list": there(Part.DEVICE.id)},
    }
    ended = world.live(PLUG, UNPLUG, hotplug=PORT, **script)
    broken(ended, Invariant.PARTS, "there is explore-device, and not nothing", 1)


def test_a_device_that_goes_with_the_reset(world: World) -> None:
    gone = ["reply", "qom-list", there()]
    script = resets(world)
    script["before"]["system_reset"].append(gone)
    script["replies"] = {"qom-list": there(Part.DEVICE.id)}
    waits = replace(PORT, at_reset=True)
    assert world.live(PLUG, UNPLUG, WORK, RESET, hotplug=waits, **script).failure is None
    script["before"]["system_reset"].remove(gone)
    ended = world.live(PLUG, UNPLUG, WORK, RESET, hotplug=waits, **script)
    broken(ended, Invariant.PARTS, "there is explore-device", 3)


def test_a_device_that_is_refused(world: World) -> None:
    errors = {"device_add": ["GenericError", "no slot left"]}
    ended = world.live(PLUG, hotplug=PORT, errors=errors, replies={"qom-list": there()})
    broken(ended, Invariant.COMMAND, "no slot left", 0)


def test_no_second_monitor(world: World) -> None:
    ended = world.live(Step(Operation.RECONNECT))
    broken(ended, Invariant.COMMAND, "the second monitor takes no connection: No such file", 0)


def test_an_empty_image() -> None:
    image = empty_image()
    assert image[:8] == b"QFI\xfb\0\0\0\3"
    assert len(image) == 4 * CLUSTER
