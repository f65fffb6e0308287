"""Which cases a run has left: what counts of a case is what it came to last."""

from pathlib import Path

import pytest

from matrix.errors import NothingSelected
from matrix.model import Case
from matrix.results.recorder import Recorder
from matrix.run.options import Selection
from matrix.run.rerun import RERUN_OF, kept_options, left, replayed
from tests import make

CASE = make.case("it")


def ran(run: Path, verdict: str, before: str = "") -> Path:
    options = {RERUN_OF: f"../{before}"} if before else {}
    with Recorder.start(run, make.info(options=options), [make.run(CASE)]) as recorder:
        recorder.begin(CASE, 1)
        recorder.finish(CASE, make.attempt(verdict, "why"))
    return run


def left_of(run: Path) -> list[Case]:
    return left([CASE], Selection(failed=run))


def test_a_skip_does_not_undo_a_failure(tmp_path: Path) -> None:
    """As where a build that it wants was not there meanwhile."""
    ran(tmp_path / "first", "fail")
    skipped = ran(tmp_path / "second", "skip", "first")
    assert left_of(skipped) == [CASE]
    passed = ran(tmp_path / "third", "pass", "second")
    with pytest.raises(NothingSelected, match=r"1 of 1 cases of /.*third have passed"):
        left_of(passed)
    with pytest.raises(NothingSelected, match="have passed, or were skipped"):
        left_of(ran(tmp_path / "fourth", "skip", "third"))


def test_what_was_only_skipped_is_not_run_again(tmp_path: Path) -> None:
    with pytest.raises(NothingSelected, match="or were skipped"):
        left([CASE], Selection(last_failed=ran(tmp_path / "first", "skip")))


def test_paths_are_those_of_where_the_run_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("s.yaml", "known.yaml", "build"):
        (tmp_path / name).touch()
    given = Selection(
        scenarios=(Path("s.yaml"), Path("smoke")),
        expect=(Path("known.yaml"),),
        build=("x86_64=build", "arm=gone"),
        set_axis=("smp=2",),
        virtual_host=("x86_64=build,memory=1GiB,modules=build",),
    )
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "out"
    with Recorder.start(run, make.info(options=kept_options(given, run)), [make.run(CASE)]):
        pass
    assert replayed(Selection(failed=run)).scenarios == given.scenarios
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = replayed(Selection(failed=run))
    assert again.scenarios == (tmp_path / "s.yaml", Path("smoke"))
    assert again.expect == (tmp_path / "known.yaml",)
    assert again.build == (f"x86_64={tmp_path}/build", "arm=gone")
    assert again.set_axis == ("smp=2",)
    there = f"{tmp_path}/build"
    assert again.virtual_host == (f"x86_64={there},memory=1GiB,modules={there}",)
