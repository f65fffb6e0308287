import os
import stat
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.errors import HostError, UsageError
from matrix.results.directory import LONGEST_FOLDER_NAME, RunDirectory, folder_name
from matrix.results.run_info import FORMAT, RunInfo, write_run_info


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "run")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_creates_the_folder_and_its_parents(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "runs" / "today")
    assert run.path == tmp_path / "runs" / "today"
    assert [each.name for each in run.path.iterdir()] == ["cases"]


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_refuses_what_exists(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "run"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.touch()
    else:
        path.symlink_to("nowhere")
    with pytest.raises(UsageError) as caught:
        RunDirectory.create(path)
    assert str(caught.value) == (
        f"{path} exists, and a run never overwrites anything: name another directory with -o, "
        f"or finish that run with --resume {path}"
    )


def test_an_impossible_place_is_the_hosts_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match=r"cannot create .*file/run: (File exists|Not a directory)"):
        RunDirectory.create(tmp_path / "file" / "run")


def test_a_relative_directory_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunDirectory.create(Path("run"))
    monkeypatch.chdir("/")
    assert run.given == Path("run")
    assert run.begin_attempt("smoke.boot", 1, 1) == tmp_path / "run" / "cases" / "smoke.boot"


def test_opens_what_it_created(run: RunDirectory, info: RunInfo) -> None:
    write_run_info(run.info_path, info)
    assert RunDirectory.open(run.path).path == run.path


def test_opening_says_what_is_wrong(tmp_path: Path, run: RunDirectory) -> None:
    with pytest.raises(UsageError, match=r"gone: no such directory"):
        RunDirectory.open(tmp_path / "gone")
    with pytest.raises(UsageError, match=r"is not a run directory, or .* it has no run\.json"):
        RunDirectory.open(run.path)
    run.info_path.write_text(f'{{"format": {FORMAT + 1}}}')
    with pytest.raises(
        UsageError, match=rf"format {FORMAT + 1}: it was written by a newer version"
    ):
        RunDirectory.open(run.path)


def test_the_default_path_has_date_and_scenarios(tmp_path: Path) -> None:
    now = datetime(2026, 11, 21, 9, 30)  # noqa: DTZ001 - local time is shown
    path = RunDirectory.default_path(["smoke"], tmp_path, now)
    assert path == tmp_path / "20261121-093000-smoke"
    path.mkdir()
    assert RunDirectory.default_path(["smoke"], tmp_path, now).name == "20261121-093000-smoke-2"
    path.with_name("20261121-093000-smoke-2").mkdir()
    assert RunDirectory.default_path(["smoke"], tmp_path, now).name == "20261121-093000-smoke-3"
    two = RunDirectory.default_path(["a/../b", "c d\n"], tmp_path, now)
    assert two == tmp_path / "20261121-093000-a_.._b+c_d_"


@given(st.lists(st.text(), max_size=9))
def test_a_default_path_is_one_name(names: list[str]) -> None:
    path = RunDirectory.default_path(names, Path("/nowhere"))
    assert path.parent == Path("/nowhere")
    assert path.name.isascii()
    assert len(path.name) < 150


def test_an_attempt_has_a_private_folder(run: RunDirectory) -> None:
    folder = run.begin_attempt("smoke.boot.x86_64.kvm", 1, 1)
    assert folder == run.path / "cases" / "smoke.boot.x86_64.kvm"
    assert mode(folder) == 0o700
    assert run.relative(folder) == "cases/smoke.boot.x86_64.kvm"


def test_repeated_attempts_have_a_folder_each(run: RunDirectory) -> None:
    folders = [run.begin_attempt("smoke.boot", number, 3) for number in (1, 2, 3)]
    assert [run.relative(each) for each in folders] == [f"cases/smoke.boot/{n}" for n in (1, 2, 3)]
    assert [mode(each) for each in [*folders, folders[0].parent]] == [0o700] * 4


@pytest.mark.parametrize("attempts", [1, 2])
def test_what_a_killed_run_left_is_kept(run: RunDirectory, attempts: int) -> None:
    for text in ("first", "second", "third"):
        folder = run.begin_attempt("smoke.boot", 1, attempts)
        assert list(folder.iterdir()) == []
        (folder / "console.log").write_text(text)
    left = {each.name: (each / "console.log").read_text() for each in folder.parent.iterdir()}
    assert left == {
        folder.name: "third",
        f"{folder.name}.interrupted-1": "first",
        f"{folder.name}.interrupted-2": "second",
    }


def test_a_full_disk_is_the_hosts_fault(run: RunDirectory) -> None:
    (run.path / "cases").rmdir()
    (run.path / "cases").touch()
    with pytest.raises(HostError, match=r"cannot create .*/cases/smoke\.boot: "):
        run.begin_attempt("smoke.boot", 1, 1)


@pytest.mark.parametrize(
    "case_id",
    [
        "smoke.boot.x86_64.auto",
        "k-u-t.pmu%20x.aarch64.kvm.machine=virt,gic-version=3",
        "long~0123456789ab",
        "3+4@5",
    ],
)
def test_an_id_of_ours_is_the_folders_name(case_id: str) -> None:
    assert folder_name(case_id) == case_id


hostile_ids = st.one_of(
    st.text(st.characters(codec=None)),
    st.sampled_from(
        ["", ".", "..", "../x", "/etc", "a/b", "a.interrupted-1", "-rf", ".x", "a\0b", "x" * 300]
    ),
)


@given(hostile_ids, hostile_ids)
def test_any_id_is_one_safe_name_of_its_own(first: str, second: str) -> None:
    name = folder_name(first)
    assert Path(name).name == name
    assert len(os.fsencode(name)) <= LONGEST_FOLDER_NAME
    assert name.isascii()
    assert name.isprintable()
    assert not name.startswith((".", "-"))
    assert (name == folder_name(second)) == (first == second)


def test_a_kept_folder_is_no_cases_folder(run: RunDirectory) -> None:
    kept = run.begin_attempt("smoke.boot", 1, 1)
    (kept / "console.log").touch()
    run.begin_attempt("smoke.boot", 1, 1)
    other = run.begin_attempt("smoke.boot.interrupted-1", 1, 1)
    assert list(other.iterdir()) == []
    assert (run.path / "cases" / "smoke.boot.interrupted-1" / "console.log").exists()


def test_artifacts_are_found_inside_only(run: RunDirectory, tmp_path: Path) -> None:
    folder = run.begin_attempt("smoke.boot", 1, 1)
    assert run.inside("cases/smoke.boot") == folder
    (run.path / "cases" / "link").symlink_to(tmp_path)
    (run.path / "cases" / "loop").symlink_to("loop")
    for outside in (
        "", "cases", "/etc", "..", "cases/..", "cases/../../x", "cases/link", "cases/loop/x",
        "run.json", "cases/a\0b",
    ):  # fmt: skip
        assert run.inside(outside) is None, outside
    (run.path / "cases" / "other").symlink_to("smoke.boot")  # leads nowhere else
    assert run.inside("cases/other") == run.path / "cases" / "other"
    (folder / "1").symlink_to(tmp_path)
    assert run.inside("cases/smoke.boot/1") is None
    assert run.inside("cases/not-there/1") == run.path / "cases" / "not-there" / "1"


@given(st.text())
def test_no_text_leads_outside(text: str) -> None:
    found = RunDirectory(Path("/nowhere/run")).inside(text)
    assert found is None or Path("/nowhere/run/cases") in found.parents


def test_an_attempt_that_begins_again_has_an_empty_folder(run: RunDirectory) -> None:
    folder = run.begin_attempt("case", 1, 1)
    (folder / "console.log").write_text("cut short")
    run.renew(run.relative(folder))
    assert list(folder.iterdir()) == []
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    kept = folder.with_name("case.interrupted-1")
    assert (kept / "console.log").read_text() == "cut short"
