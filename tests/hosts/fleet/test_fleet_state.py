"""What runs leave alone is kept beside the fleet file until it is over."""

from pathlib import Path

import pytest

from matrix.errors import HostError
from matrix.hosts.fleet.fleet_state import Away, AwayKind, Drained, hosts_away, set_away, state_path

DRAINED = Away(AwayKind.DRAINED, "ann", 1000.0, 2000.0, "a new kernel")
RESERVED = Away(AwayKind.RESERVED, "bob", 1500.0)


def test_it_is_kept_and_ends(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    assert hosts_away(fleet) == {}
    assert set_away(fleet, "z1", DRAINED, lambda: 1000.0) is None
    assert set_away(fleet, "a1", RESERVED, lambda: 1500.0) is None
    assert state_path(fleet) == tmp_path / "fleet.state.json"
    assert hosts_away(fleet, lambda: 1999.0) == {"z1": DRAINED, "a1": RESERVED}
    assert hosts_away(fleet, lambda: 2000.0) == {"a1": RESERVED}
    assert set_away(fleet, "a1", None, lambda: 2000.0) == RESERVED
    assert hosts_away(fleet, lambda: 1999.0) == {}  # what was over is no longer kept


def test_in_words() -> None:
    assert str(DRAINED) == (
        "drained by ann since 1970-01-01 00:16 UTC until 1970-01-01 00:33 UTC: a new kernel"
    )
    assert str(RESERVED) == "reserved by bob since 1970-01-01 00:25 UTC"


@pytest.mark.parametrize("text", ["", "[]", '{"z1": {"kind": "gone"}}'])
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
