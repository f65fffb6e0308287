"""Jobs of an exploration: each does its part, an error of one is told, an interrupt ends all."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from matrix.cli.side_by_side import claimed, in_jobs
from matrix.errors import HostError


def leaving(folder: Path, number: int) -> None:
    (folder / f"{number} in {os.getpid()}").touch()


@pytest.mark.parametrize("jobs", [1, 3])
def test_each_does_its_part(tmp_path: Path, jobs: int) -> None:
    async def work(number: int) -> None:
        leaving(tmp_path, number)

    in_jobs(jobs, tmp_path, work)
    parts = sorted(path.name.split(" in ") for path in tmp_path.iterdir())
    assert [number for number, _ in parts] == [str(number) for number in range(jobs)]
    assert len({process for _, process in parts}) == jobs
    assert (str(os.getpid()) in {process for _, process in parts}) is (jobs == 1)


def test_a_host_that_fails_one(tmp_path: Path) -> None:
    async def work(number: int) -> None:
        if number:
            raise HostError("no space left")
        leaving(tmp_path, number)

    with pytest.raises(HostError, match="no space left"):
        in_jobs(2, tmp_path, work)
    assert len(list(tmp_path.glob("0 in *"))) == 1


def test_one_that_dies(tmp_path: Path) -> None:
    async def work(number: int) -> None:
        os._exit(9 * number)

    with pytest.raises(HostError, match="job 1 ended with status 9"):
        in_jobs(2, tmp_path, work)


def test_an_interrupt_ends_all(tmp_path: Path, interrupt: int) -> None:
    """The first job interrupts whoever waits for it, once the second one waits, too."""
    waiting, parent = tmp_path / "waiting", os.getpid()
    os.mkfifo(waiting)

    async def work(number: int) -> None:
        if number == 0:
            waiting.read_text()
            os.kill(parent, interrupt)
            return
        waiting.write_text("so")
        try:
            await asyncio.Event().wait()
        finally:
            leaving(tmp_path, number)

    with pytest.raises(KeyboardInterrupt):
        in_jobs(2, tmp_path, work)
    assert len(list(tmp_path.glob("1 in *"))) == 1


def test_what_goes_on_meanwhile_is_in_no_job(tmp_path: Path) -> None:
    """A single job, too, is in a process of its own, and was started before."""
    going, here = tmp_path / "going", os.getpid()
    os.mkfifo(going)
    entered = []

    @contextmanager
    def meanwhile() -> Iterator[None]:
        entered.append(os.getpid())
        going.write_text("so")
        yield
        entered.append(os.getpid())

    async def work(_: int) -> None:
        assert os.getpid() != here
        going.read_text()
        (tmp_path / "in").write_text(f"{os.getpid()} {len(entered)}")

    in_jobs(1, tmp_path, work, meanwhile())
    assert entered == [here, here]
    process, known = map(int, (tmp_path / "in").read_text().split())
    assert process != here
    assert known == 0


def test_a_failure_is_one_jobs(tmp_path: Path) -> None:
    assert [claimed(tmp_path, each) for each in ("a", "b", "a")] == [True, True, False]
