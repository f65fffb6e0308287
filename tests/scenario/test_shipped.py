from pathlib import Path

import pytest

from matrix.errors import UsageError
from matrix.scenario.shipped import scenario_file, scenarios, shipped_folder

ROOT = Path(__file__).parents[2]


def test_the_checkout_ships_its_own() -> None:
    assert shipped_folder() == ROOT / "scenarios"


def test_names_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert scenario_file(Path("smoke")) == ROOT / "scenarios/smoke.yaml"
    for path in ("smoke.yaml", "./here/smoke", "nonesuch.yaml", "/nonesuch"):
        assert scenario_file(Path(path)) == Path(path)
    (tmp_path / "smoke").touch()  # a file of that name is meant, as before there were names
    assert scenario_file(Path("smoke")) == Path("smoke")


def test_a_folder_of_the_name_hides_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``matrix run smoke -o smoke`` can be repeated."""
    monkeypatch.chdir(tmp_path)
    for name in ("smoke", "nonesuch"):
        (tmp_path / name).mkdir()
    assert scenario_file(Path("smoke")) == ROOT / "scenarios/smoke.yaml"
    assert scenario_file(Path("nonesuch")) == Path("nonesuch")  # whoever reads it says what it is


def test_those_here_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "scenarios/smoke.yaml"
    mine.parent.mkdir()
    mine.touch()
    assert scenario_file(Path("smoke")) == Path("scenarios/smoke.yaml")
    assert [*scenarios()][:2] == [
        Path("scenarios/smoke.yaml"),
        ROOT / "scenarios/arm-debug-pmu.yaml",
    ]


def test_each_is_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = [*scenarios()]
    assert len(found) == len({path.name for path in found})
    assert not found[0].is_absolute()


def test_no_such_name() -> None:
    with pytest.raises(UsageError, match=r"smok: no such scenario; did you mean 'smoke'\? matrix"):
        scenario_file(Path("smok"))
