import os
import threading
import time
from pathlib import Path

from matrix.vm import cputime


def test_own_cpu_time() -> None:
    seconds = cputime.process_seconds(os.getpid())
    assert seconds is not None
    own = os.times()
    assert abs(seconds - own.user - own.system) < 0.1


def test_it_counts_all_threads() -> None:
    before = cputime.process_seconds(os.getpid())
    thread = threading.Thread(target=_spin, args=(0.1,))
    thread.start()
    thread.join()
    after = cputime.process_seconds(os.getpid())
    assert before is not None
    assert after is not None
    assert after - before >= 0.05


def test_threads_are_listed_with_odd_names() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        Path(f"/proc/self/task/{thread.native_id}/comm").write_text("a) R (b", encoding="ascii")
        found = {entry.number: entry for entry in cputime.threads(os.getpid())}
        assert thread.native_id is not None
        assert found[thread.native_id].name == "a) R (b"
        assert found[os.getpid()].state == cputime.RUNNABLE
    finally:
        done.set()
        thread.join()


def test_no_such_process() -> None:
    assert cputime.process_seconds(1 << 30) is None
    assert cputime.threads(1 << 30) == ()


def _spin(seconds: float) -> None:
    deadline = time.thread_time() + seconds
    while time.thread_time() < deadline:
        pass
