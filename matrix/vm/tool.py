"""Runs a helper program to its end, within bounds of time and output."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from matrix.vm.console import OutputReader
from matrix.vm.process import spawn

OUTPUT_BYTES = 1 << 20
"""Kept of what a helper prints on either stream; what is more is dropped."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """How a helper ended, and what it said."""

    status: int | None
    """Exit status, minus the signal's number if one killed it; None where its time was over."""
    output: bytes
    errors: bytes


async def run_tool(
    argv: Sequence[str],
    seconds: float,
) -> ToolResult:
    """Run ``argv``, without input, for at most ``seconds``.

    Raises:
        SpawnError: it cannot be started.
        HostError: it survives SIGKILL.
        CancelledError: after it has been killed and reaped.
    """
    output, errors = bytearray(), bytearray()
    readers: list[OutputReader] = []
    theirs: list[int] = []
    try:
        for kept in (output, errors):
            reader, descriptor = OutputReader.of_pipe(_Keeper(kept))
            theirs.append(descriptor)
            readers.append(reader)
        process = await spawn(argv, stdout=theirs[0], stderr=theirs[1])
        try:
            over = await process.ended_within(seconds)
        finally:
            await process.destroy()
        for reader in readers:
            reader.drain()
    finally:
        for reader in readers:
            reader.close()
        for descriptor in theirs:
            os.close(descriptor)
    return ToolResult(process.status if over else None, bytes(output), bytes(errors))


class _Keeper:
    """Keeps the first bytes of a stream."""

    def __init__(self, kept: bytearray) -> None:
        self._kept = kept

    def __call__(self, data: bytes) -> None:
        self._kept += data[: OUTPUT_BYTES - len(self._kept)]
