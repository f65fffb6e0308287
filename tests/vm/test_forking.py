"""Children that go on with what is loaded; each from a process with a single thread of its own."""

import json
import os
import subprocess
import sys

import psutil

ABOUT = """
import json, os, sys, threading
from pathlib import Path
from matrix.vm.forking import can_fork, fork

def is_open(number):
    try:
        return bool(os.fstat(number))
    except OSError:
        return False

def about():
    said = {
        "words": Path("/proc/self/cmdline").read_bytes().rstrip(b"\\0").decode().split("\\0"),
        "name": Path("/proc/self/comm").read_text().strip(),
        "leads": os.getsid(0) == os.getpid(),
        "open": [number for number in range(3, 100) if is_open(number)],
        "input": os.readlink("/proc/self/fd/0"),
    }
    os.write(kept, json.dumps(said).encode())

print("once", end="")
other, kept = os.pipe()
assert can_fork()
child = fork(about, ("a", "worker"), [kept])
said = json.loads(os.read(other, 10000))
assert child.wait() == 0
said["kept"] = kept
ended = fork(lambda: 1 / 0, ("a", "worker"), ())
said["failed"] = ended.wait()
sleeper = fork(lambda: threading.Event().wait(), ("a", "worker"), ())
sleeper.kill()
said["killed"] = sleeper.wait()
threading.Thread(target=threading.Event().wait, daemon=True).start()
said["with a thread"] = can_fork()
print(json.dumps(said))
"""

ORPHAN = """
import threading
from matrix.vm.forking import fork

print(fork(lambda: threading.Event().wait(), ("a", "worker"), ()).pid, flush=True)
threading.Event().wait()
"""


def test_a_child_is_a_process_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ABOUT], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.startswith("once{"), done.stderr  # what was not written yet is ours alone
    said = json.loads(done.stdout.removeprefix("once"))
    assert said["words"] == ["a", "worker"]
    assert said["name"] == "a worker"
    assert said["leads"]
    assert said["input"] == os.devnull
    assert said["open"] == [said["kept"]]
    assert (said["failed"], said["killed"], said["with a thread"]) == (1, -9, False)
    assert done.stderr == "a worker: division by zero\n"


def test_a_child_dies_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    psutil.wait_procs([child], timeout=60)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
