"""Scenarios remembered from when they were read last."""

import json
import os
import re
from pathlib import Path

import pytest

from matrix.errors import ExitCode, ScenarioError
from matrix.hosts.cache import Cache
from matrix.run import scenario_json, scenarios
from matrix.scenario import load as reading
from matrix.scenario.load import read_scenario
from matrix.scenario.scenario import Scenario
from tests.scenario.conftest import load_file

TEXT = """name: kept
suite: {kind: kvm-unit-tests, build: builtin, tests: [boot, smp]}
matrix: {arch: [x86_64, aarch64], accel: [tcg]}
"""


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were truly read."""
    paths: list[Path] = []

    def counted(data: bytes, file: str, directory: Path, variables: dict[str, str]) -> Scenario:
        paths.append(Path(file))
        return read_scenario(data, file, directory, variables)

    monkeypatch.setattr(reading, "read_scenario", counted)
    return paths


def test_the_second_time_is_the_same_and_not_read(
    file: Path, cache: Cache, reads: list[Path]
) -> None:
    first = scenarios.load(file, {}, cache)
    assert first == read_scenario(file.read_bytes(), str(file), file.parent, {})
    assert scenarios.load(file, {}, cache) == first
    assert reads == [file]


def test_another_text_is_read(file: Path, cache: Cache, reads: list[Path]) -> None:
    scenarios.load(file, {}, cache)
    file.write_text(TEXT.replace("[boot, smp]", "[boot]"))
    assert scenarios.load(file, {}, cache).suite.tests == ("boot",)
    assert len(reads) == 2


def test_another_working_directory_is_another_scenario(
    file: Path, cache: Cache, reads: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file.write_text(TEXT.replace("builtin", "here"))
    monkeypatch.chdir(tmp_path)
    by_name = scenarios.load(Path("scenario.yaml"), {}, cache)
    assert by_name.source.file == "scenario.yaml"
    assert scenarios.load(file, {}, cache).source.file == str(file)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "scenario.yaml").write_text(file.read_text())
    monkeypatch.chdir(elsewhere)
    assert scenarios.load(Path("scenario.yaml"), {}, cache).suite.build == str(elsewhere / "here")
    assert len(reads) == 3


def test_this_program_changed(
    file: Path, cache: Cache, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenarios.load(file, {}, cache)
    monkeypatch.setattr(scenarios, "_sources", lambda: "edited")
    scenarios.load(file, {}, cache)
    assert len(reads) == 2


def test_variables_are_looked_at_each_time(file: Path, cache: Cache) -> None:
    file.write_text(TEXT.replace("builtin", "'${WHERE}'"))
    for where in ("/one", "/two"):
        assert scenarios.load(file, {"WHERE": where}, cache).suite.build == where


def test_known_failures_are_read_each_time(file: Path, cache: Cache, reads: list[Path]) -> None:
    file.write_text(TEXT + "expect: [known.yaml]\n")
    known = file.with_name("known.yaml")
    for reason in ("one", "two"):
        known.write_text(f"expect: [{{cases: [boot], reason: {reason}}}]\n")
        assert scenarios.load(file, {}, cache).known[0].expectation.reason == reason
    assert len(reads) == 2


def test_what_is_wrong_is_told_each_time(file: Path, cache: Cache) -> None:
    file.write_text(TEXT.replace("arch:", "arhc:"))
    for _ in range(2):
        with pytest.raises(ScenarioError, match="did you mean 'arch'"):
            scenarios.load(file, {}, cache)


@pytest.mark.parametrize("name", ["missing.yaml", "a\0b"])
def test_a_file_that_cannot_be_read(tmp_path: Path, cache: Cache, name: str) -> None:
    with pytest.raises(ScenarioError, match="cannot be read"):
        scenarios.load(tmp_path / name, {}, cache)


@pytest.mark.parametrize(
    "kept", [None, 1, [], {}, {"": "Place"}, {"": "Popen", "args": "x"}, {"": "Place", "file": "x"}]
)
def test_what_is_kept_is_no_scenario(
    file: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch, kept: object
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(scenario_json, "plain", lambda _: kept)
        scenarios.load(file, {}, cache)
    assert scenarios.load(file, {}, cache) == load_file(file)


SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_comes_back_from_json(path: Path) -> None:
    scenario = load_file(path)
    text = json.dumps(scenario_json.plain(scenario))
    back = scenario_json.restored(json.loads(text))
    assert back == scenario
    assert (back.places, back.text) == (scenario.places, path.read_text())


def test_only_the_vocabulary_is_kept() -> None:
    for value in ({}, Path("x"), frozenset(), object(), b""):
        with pytest.raises(TypeError, match="cannot be kept"):
            scenario_json.plain(value)


def test_a_pipe_is_read_once_and_not_kept(tmp_path: Path, cache: Cache, reads: list[Path]) -> None:
    for _ in range(2):
        read, write = os.pipe()
        os.write(write, TEXT.replace("builtin", "here").encode())
        os.close(write)
        scenario = scenarios.load(Path(f"/dev/fd/{read}"), {}, cache)
        os.close(read)
        assert scenario.text == TEXT.replace("builtin", "here")
        assert scenario.suite.build == str(Path.cwd() / "here"), "as there is no folder of its own"
    assert len(reads) == 2


def test_a_folder_that_others_can_write_to_is_not_used(
    file: Path, cache: Cache, reads: list[Path]
) -> None:
    cache.directory.mkdir()
    cache.directory.chmod(0o777)
    for _ in range(2):
        scenarios.load(file, {}, cache)
    assert len(reads) == 2
    assert list(cache.directory.iterdir()) == []


@pytest.mark.parametrize("name", ["missing.yaml", "", "nul\0.yaml", "x" * 300, "file/x"])
def test_files_that_cannot_be_read(tmp_path: Path, cache: Cache, name: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / name
    with pytest.raises(ScenarioError, match=f"^{re.escape(str(path))}: cannot be read: ") as caught:
        scenarios.load(path, {}, cache)
    assert caught.value.exit_code is ExitCode.USAGE


def test_an_endless_file_is_not_read_to_its_end(cache: Cache) -> None:
    with pytest.raises(ScenarioError, match="too large"):
        scenarios.load(Path("/dev/zero"), {}, cache)
