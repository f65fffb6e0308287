"""The kernel's own end of a lease."""

import signal
import subprocess
import sys

PROGRAM = """
import sys, time
from matrix.hosts.fleet.deadline import Deadline, now
deadline = Deadline()
deadline.set(now() + 1000)
deadline.set(None)
deadline.set(now() - 1 if sys.argv[1] == "over" else now() + 0.3)
print("set", flush=True)
time.sleep(1000)
"""


def test_a_process_that_is_stopped_is_killed_in_time() -> None:
    command = (sys.executable, "-c", PROGRAM, "soon")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        assert process.wait(100) == -signal.SIGKILL


def test_a_time_that_is_over_kills_at_once() -> None:
    command = (sys.executable, "-c", PROGRAM, "over")
    assert subprocess.run(command, timeout=100, check=False).returncode == -signal.SIGKILL
