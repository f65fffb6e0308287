"""Trouble of hosts and workers, kept by the journal and told in words."""

from matrix.results.run_record import load_run
from matrix.results.troubles import MOST, Troubles
from tests import make
from tests.results.conftest import RunMaker


def test_trouble_is_kept_with_the_run(recorded: RunMaker) -> None:
    recorder = recorded([(make.run(), [make.attempt()])])
    silent = {"host": "z1", "reason": "it is off"}
    recorder.note({"event": "host-lost", **silent})
    moved = {"event": "attempt-moved", "case": make.case().id, "attempt": 1, **silent}
    recorder.note(moved)
    recorder.note(moved | {"attempt": 2})
    recorder.note({"event": "host-back", "host": "z1"})
    recorder.note({"event": "worker-lost", "reason": "the worker is gone"})
    told = (
        "z1 got no more cases: it is off",
        "an attempt was made again on another host than z1: it is off (2 times)",
        "z1 got cases again: the embedded guests passed there",
        "the worker is gone; its cases ran again",
    )
    assert recorder.record.troubles.sentences() == told
    again = load_run(recorder.run.path)
    assert again.troubles.sentences() == told
    assert not again.problems


def test_only_so_many_are_kept() -> None:
    troubles = Troubles()
    for number in range(MOST + 3):
        troubles.take({"event": "worker-lost", "reason": f"{number}"})
    *told, last = troubles.sentences()
    assert len(told) == MOST
    assert last == "… and 3 more; the run's events.jsonl has all"
