"""What a QEMU leaves on disk: console.log, qemu.log (its stderr) and qmp.jsonl, each bounded.

A case whose guest is migrated has many QEMU processes, one after the other and two at a time. They
share one set of logs, which therefore does not grow with their number: qmp.jsonl names the process
in each record, qemu.log in a line of its own wherever another one begins to speak.
"""

import contextlib
import json
import time
from pathlib import Path

from matrix.vm.console import CUT_MARK, BoundedLog

TRANSCRIPT_BYTES = 1 << 20
TRANSCRIPT_CUT_MARK = '\n{{"cut_bytes": {}}}\n'
LONGEST_RECORD = 4096
"""Bytes of a QMP message that the transcript keeps whole: register dumps are longer."""
SPEAKER = "[matrix: {}]\n"


class Logs:
    """The three logs of one folder. Every method raises OSError where the host cannot store."""

    def __init__(self, directory: Path, limit: int, *, monitor: bool = True) -> None:
        """Create them: ``limit`` bytes each at most; without ``monitor`` there is no qmp.jsonl.

        Raises:
            OSError: one cannot be created; none of them is left open.
        """
        self._speaker = ""
        with contextlib.ExitStack() as stack:
            self.console = BoundedLog(directory / "console.log", limit)
            stack.callback(self.console.close)
            self._errors = BoundedLog(directory / "qemu.log", limit, CUT_MARK)
            stack.callback(self._errors.close)
            self._transcript: BoundedLog | None = None
            if monitor:
                path = directory / "qmp.jsonl"
                self._transcript = BoundedLog(path, TRANSCRIPT_BYTES, TRANSCRIPT_CUT_MARK)
                stack.callback(self._transcript.close)
            self._open = stack.pop_all()

    def errors(self, data: bytes, process: str = "") -> None:
        """Append what a process wrote on its stderr; ``process`` is named where it changes."""
        if process != self._speaker:
            self._speaker = process
            self._errors.write(SPEAKER.format(process).encode())
        self._errors.write(data)

    def record(self, direction: str, message: bytes, process: str = "") -> None:
        """Append a QMP message to QEMU (``>``) or from it (``<``), as it went over the wire."""
        if self._transcript is None:
            return
        to = "matrix" if direction == "<" else "qemu"
        head = f'{{"time": {time.time():.6f}, "to": "{to}"'
        if process:
            head += f', "process": {json.dumps(process)}'
        if len(message) <= LONGEST_RECORD:
            record = b'%s, "message": %s}\n' % (head.encode(), message.strip())
        else:
            begin = json.dumps(message[: LONGEST_RECORD // 4].decode("utf-8", "replace"))
            record = f'{head}, "bytes": {len(message)}, "begins": {begin}}}\n'.encode()
        self._transcript.write(record)

    def close(self) -> None:
        """Join and close them; idempotent."""
        self._open.close()
