"""Workers that are forked before there is a run, by a process with a single thread."""

import json
import subprocess
import sys

RUN = """
import asyncio, json, tempfile
from pathlib import Path
from matrix import __version__
from matrix.hosts.workers import spares
from matrix.hosts.workers.wire import Begin
from matrix.hosts.workers.worker_process import WorkerProcess
from tests.make import inventory

said = {}
spares.MOST = 2
folder = Path(tempfile.mkdtemp())

async def ended(spare):
    begin = Begin(__version__, str(folder), 0o027, inventory())
    worker = await WorkerProcess.take(spare, begin, folder / "log")
    await worker.close()
    return worker.process.status, worker.lost, (folder / "log").exists()

with spares.spare_workers(3) as waiting:
    said["forked"] = len(waiting)
    unused = waiting[0].child.pid
    said["begun"] = asyncio.run(ended(waiting.pop()))
    said["left"] = len(waiting)
said["unused is gone"] = not Path(f"/proc/{unused}").exists()
with spares.spare_workers(0) as waiting:
    said["none"] = waiting
print(json.dumps(said))
"""


def test_a_spare_begins_as_any_worker_and_others_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "forked": 2,
        "begun": [0, "the worker ended with status 0", False],
        "left": 1,
        "unused is gone": True,
        "none": [],
    }
    assert done.stderr == ""
