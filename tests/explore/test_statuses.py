"""The legal graph of statuses."""

import pytest

from matrix.explore.statuses import illegal
from matrix.migrating import HopEvent


def events(*told: str) -> list[HopEvent]:
    return [HopEvent(0.0, side, what) for side, _, what in (each.partition(" ") for each in told)]


@pytest.mark.parametrize(
    "statuses",
    [
        "setup active completed",
        "setup active pre-switchover device completed",
        "setup active postcopy-active completed",
        "setup active device postcopy-device postcopy-active completed",
        "setup active postcopy-active postcopy-paused postcopy-recover postcopy-active completed",
        "setup active postcopy-active postcopy-paused setup postcopy-recover postcopy-active",
        "setup cancelling cancelled",
        "setup active failed failed",
        "setup active failing failing failed",
        "setup active failing failed",
    ],
)
def test_what_qemu_does(statuses: str) -> None:
    told = [f"source MIGRATION {status}" for status in statuses.split()]
    assert not illegal(events(*told, "source STOP", "matrix MIGRATION nonsense"))


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (
            ["source MIGRATION setup", "source MIGRATION completed"],
            "the source goes from setup to completed",
        ),
        (
            ["destination MIGRATION completed"],
            "the destination goes from no status to completed",
        ),
        (
            [
                *(f"source MIGRATION {each}" for each in ("setup", "active", "completed")),
                "source MIGRATION cancelled",
            ],
            "the source goes from completed to cancelled",
        ),
        (["source MIGRATION unheard-of"], "the source goes from no status to unheard-of"),
    ],
)
def test_what_it_must_not_do(told: list[str], why: str) -> None:
    assert illegal(events(*told)) == why
