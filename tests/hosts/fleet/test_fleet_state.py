"""What runs leave alone is kept beside the fleet file until it is over."""

from pathlib import Path

import pytest

from matrix.errors import HostError
from matrix.hosts.fleet.fleet_state import (
    NOTHING,
    Away,
    AwayKind,
    Drained,
    HostState,
    Quarantine,
    host_states,
    hosts_away,
    note_proof,
    note_quarantine,
    set_away,
    state_path,
)

DRAINED = Away(AwayKind.DRAINED, "ann", 1000.0, 2000.0, "a new kernel")
RESERVED = Away(AwayKind.RESERVED, "bob", 1500.0)


def test_it_is_kept_and_ends(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    assert hosts_away(fleet) == {}
    assert set_away(fleet, "z1", DRAINED, lambda: 1000.0) == NOTHING
    assert set_away(fleet, "a1", RESERVED, lambda: 1500.0) == NOTHING
    assert state_path(fleet) == tmp_path / "fleet.state.json"
    assert hosts_away(fleet, lambda: 1999.0) == {"z1": DRAINED, "a1": RESERVED}
    assert hosts_away(fleet, lambda: 2000.0) == {"a1": RESERVED}
    assert set_away(fleet, "a1", None, lambda: 2000.0) == HostState(RESERVED)
    assert hosts_away(fleet, lambda: 1999.0) == {}  # what was over is no longer kept


def test_in_words() -> None:
    assert str(DRAINED) == (
        "drained by ann since 1970-01-01 00:16 UTC until 1970-01-01 00:33 UTC: a new kernel"
    )
    assert str(RESERVED) == "reserved by bob since 1970-01-01 00:25 UTC"


def test_a_quarantine_is_kept_until_the_host_is_proven_or_undrained(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    set_away(fleet, "z1", RESERVED)
    note_quarantine(fleet, "z1", "3 errors in a row")
    note_quarantine(fleet, "z1", "another reason")
    kept = host_states(fleet)["z1"]
    assert (kept.away, kept.proven) == (RESERVED, None)
    assert kept.quarantine is not None
    assert kept.quarantine.reason == "3 errors in a row"
    assert note_proof(fleet, "z1") == kept
    after = host_states(fleet)["z1"]
    assert (after.away, after.quarantine) == (RESERVED, None)
    assert after.proven is not None
    note_quarantine(fleet, "z1", "again")
    assert str(set_away(fleet, "z1", None)).endswith(": again")
    assert host_states(fleet)["z1"] == HostState(proven=after.proven)


@pytest.mark.parametrize(
    ("kept", "due"),
    [
        (HostState(), True),
        (HostState(proven=1000.0), False),
        (HostState(proven=900.0), True),
        (HostState(proven=1200.0), True),  # by a clock that was set
        (HostState(quarantine=Quarantine(1000.0, "because"), proven=1000.0), True),
    ],
)
def test_when_a_host_has_to_be_proven(kept: HostState, due: bool) -> None:
    assert kept.is_due(100.0, 1001.0) is due


@pytest.mark.parametrize("text", ["", "[]", '{"z1": {"kind": "gone"}}', '{"z1": {"away": 1}}'])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    fleet = tmp_path / "fleet.yaml"
    state_path(fleet).write_text(text)
    with pytest.raises(HostError, match=r"fleet.state.json: not the state of a fleet; remove it"):
        hosts_away(fleet)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="No such file"):
        set_away(tmp_path / "none/fleet.yaml", "z1", None)


def test_a_run_sees_what_is_drained_meanwhile(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    drained = Drained(fleet)
    assert drained() == {}
    set_away(fleet, "a1", RESERVED)
    assert drained() == {}
    set_away(fleet, "z1", Away(AwayKind.DRAINED, "ann", 0.0))
    assert drained() == {"z1": "drained by ann since 1970-01-01 00:00 UTC"}
    state_path(fleet).write_text("?")
    assert [*drained()] == ["z1"]
    state_path(fleet).unlink()
    assert [*drained()] == ["z1"]
