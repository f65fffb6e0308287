"""``matrix fleet``: what it prints, and what it refuses."""

from pathlib import Path

import pytest

from matrix.cli.fleet import FleetRequest, run_fleet
from matrix.errors import UsageError


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (FleetRequest("inti"), r"'inti' is not known; did you mean 'init'\?"),
        (FleetRequest("init"), "takes one folder, as in: matrix fleet init lab"),
        (
            FleetRequest("init", ("lab",), scheduler="10.0.0.1:1"),
            "--scheduler: '10.0.0.1:1' is not",
        ),
        (FleetRequest("init", ("lab",), scheduler="s.lab"), "name the hosts"),
    ],
)
def test_wrong_usage(request_: FleetRequest, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run_fleet(request_)


def test_a_new_fleet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_fleet(FleetRequest("init", (str(tmp_path / "lab"),), ("z1=10.0.0.11",), "s.lab"))
    assert (tmp_path / "lab/certificates/z1/server-key.pem").is_file()
    assert "matrix worker --fleet lab/fleet.yaml --name z1" in capsys.readouterr().out
